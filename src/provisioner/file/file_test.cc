#include "provisioner/file/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using Answer = ScriptedCommunicator::Answer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<std::string> judge_file(Value::Object config) {
  TestStage stage;
  auto file = file_provisioner().make();
  stage.prepare(*file, Value(std::move(config)));
  return stage.complaints();
}

TEST(File, ReportsMistakesInPackersWords) {
  EXPECT_THAT(judge_file({{"source", "nope"}, {"direction", "x"}}),
              ElementsAre("Direction must be one of: download, upload.", "Destination must be specified."));
  EXPECT_THAT(judge_file({{"sources", "x,/bin/sh"}, {"destination", "y"}}),
              ElementsAre("Bad source 'x': stat x: no such file or directory"));
  EXPECT_THAT(judge_file({{"source", "/bin/sh"}, {"content", "x"}, {"destination", "y"}}),
              ElementsAre("source(s) conflicts with content."));
  EXPECT_THAT(judge_file({{"source", "x"}, {"destination", "y"}, {"generated", true}}), ElementsAre());
  EXPECT_THAT(judge_file({{"source", "x"}, {"destination", "y"}, {"direction", "download"}}), ElementsAre());
}

TEST(File, IsQuickWhenItSendsALittle) {
  TestStage stage;
  std::string little = (stage.directory.path() / "little").string();
  std::string large = (stage.directory.path() / "large").string();
  write_file_atomically(little, "1");
  write_file_atomically(large, std::string((1 << 20) + 1, 'x'));
  auto is_quick = [&](Value::Object config) {
    config.push_back({"destination", "y"});
    auto file = file_provisioner().make();
    stage.prepare(*file, Value(std::move(config)));
    return file->is_quick();
  };
  EXPECT_TRUE(is_quick({{"source", little}}));
  EXPECT_TRUE(is_quick({{"content", "x"}}));
  EXPECT_FALSE(is_quick({{"source", large}}));
  EXPECT_FALSE(is_quick({{"source", stage.directory.path().string()}}));
  EXPECT_FALSE(is_quick({{"source", "{{ build `ID` }}"}}));
  EXPECT_FALSE(is_quick({{"source", little}, {"generated", true}}));
  EXPECT_FALSE(is_quick({{"source", little}, {"direction", "download"}}));
}

struct FileRun {
  FileRun() {
    root = stage.directory.path();
    fs::create_directories(root / "tree/sub");
    write_file_atomically(root / "tree/a", "1");
    fs::permissions(root / "tree/a", fs::perms(0755));
    write_file_atomically(root / "tree/sub/b", "22");
    // What exists on the machine as a directory.
    communicator.answer = [this](const std::string& command) {
      return Answer{command == "test -d '" + there + "'" ? 0 : 1};
    };
  }
  std::string run(Value::Object config) {
    auto file = file_provisioner().make();
    stage.prepare(*file, Value(std::move(config)));
    EXPECT_THAT(stage.complaints(), ElementsAre());
    try {
      file->run(communicator, stage.context);
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }
  std::string path(const std::string& name) const { return (root / name).string(); }
  TestStage stage;
  ScriptedCommunicator communicator;
  fs::path root;
  std::string there = "/dst";
};

TEST(File, SendsAFileWithItsMode) {
  FileRun file;
  EXPECT_EQ(file.run({{"source", file.path("tree/a")}, {"destination", "/dst/x"}}), "");
  EXPECT_EQ(file.communicator.files["/dst/x"], "1");
  EXPECT_EQ(file.communicator.modes["/dst/x"], 0755);
  EXPECT_THAT(file.stage.lines(), ElementsAre("say: Uploading " + file.path("tree/a") + " => /dst/x"));
}

TEST(File, ASlashAtTheEndMeansInto) {
  FileRun file;
  EXPECT_EQ(
      file.run({{"sources", file.path("tree/a") + "," + file.path("tree/sub/b")}, {"destination", "/dst/"}}),
      "");
  EXPECT_EQ(file.communicator.files["/dst/a"], "1");
  EXPECT_EQ(file.communicator.files["/dst/b"], "22");
}

// What Packer 1.6.6's scp makes of the slashes, from running it.
TEST(File, DirectoriesFollowScp) {
  auto sent = [](const std::string& slash, const std::string& destination) {
    FileRun file;
    EXPECT_EQ(file.run({{"source", file.path("tree") + slash}, {"destination", destination}}), "");
    std::string call = file.communicator.calls.back();
    return call.substr(call.rfind(' ') + 1);
  };
  EXPECT_EQ(sent("", "/dst"), "/dst/tree");
  EXPECT_EQ(sent("/", "/dst"), "/dst");
  EXPECT_EQ(sent("", "/dst/new"), "/dst/new");
  EXPECT_EQ(sent("/", "/dst/"), "/dst/");
  EXPECT_EQ(sent("", "/dst/new/"), "/dst/new/");
}

TEST(File, ContentBecomesAFile) {
  FileRun file;
  EXPECT_EQ(file.run({{"content", "hello"}, {"destination", "/dst/motd"}}), "");
  EXPECT_EQ(file.communicator.files["/dst/motd"], "hello");
  EXPECT_THAT(file.stage.lines()[0], HasSubstr("pkr-file-content"));
}

TEST(File, StopsBeforeAnythingIsSentWhenAPointerIsAmongIt) {
  FileRun file;
  write_file_atomically(file.root / "tree/sub/installer.bin",
                        "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n");
  std::string error =
      file.run({{"sources", file.path("tree/a") + "," + file.path("tree/")}, {"destination", "/dst/"}});
  EXPECT_THAT(error, HasSubstr(file.path("tree/sub/installer.bin")));
  EXPECT_THAT(error, HasSubstr("git lfs pull"));
  EXPECT_THAT(file.communicator.calls, ElementsAre());
}

TEST(File, TellsAFailedUpload) {
  FileRun file;
  file.communicator.failing_uploads = 1;
  EXPECT_EQ(file.run({{"source", file.path("tree/a")}, {"destination", "/dst/x"}}), "connection refused");
  EXPECT_EQ(file.stage.lines().back(), "error: Upload failed: connection refused");
}

TEST(File, RendersAtRunTime) {
  FileRun file;
  file.stage.build.scope.build_data = Value(Value::Object{{"User", ""}});
  file.stage.context.scope.build_data.set("User", "joe");
  EXPECT_EQ(file.run({{"source", file.path("tree/a")}, {"destination", "/home/{{build `User`}}/"}}), "");
  EXPECT_EQ(file.communicator.files.count("/home/joe/a"), 1u);
}

TEST(File, FetchesAFileWhole) {
  FileRun file;
  file.communicator.files["/etc/hostname"] = "vm\n";
  EXPECT_EQ(
      file.run({{"direction", "download"}, {"source", "/etc/hostname"}, {"destination", file.path("dl/x")}}),
      "");
  EXPECT_EQ(read_file(file.path("dl/x")), "vm\n");
  struct stat status {};
  ::stat(file.path("dl/x").c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777, 0644u);
  EXPECT_EQ(
      file.run({{"direction", "download"}, {"source", "/etc/hostname"}, {"destination", file.path("dl/")}}),
      "");
  EXPECT_TRUE(fs::exists(file.path("dl/hostname")));
  EXPECT_EQ(
      file.run({{"direction", "download"}, {"source", "/etc/hostname"}, {"destination", file.path("dl")}}),
      "open " + file.path("dl") + ": is a directory");
  EXPECT_EQ(file.run({{"direction", "download"}, {"source", "/no"}, {"destination", file.path("dl/no")}}),
            "scp: /no: No such file or directory");
  EXPECT_FALSE(fs::exists(file.path("dl/no"))) << "no empty file is left where nothing came";
  EXPECT_THAT(file.stage.lines().back(), StartsWith("error: Download failed: scp: /no"));
}

TEST(File, FetchesDirectoriesAndPatterns) {
  FileRun file;
  EXPECT_EQ(file.run({{"direction", "download"}, {"source", "/var/log/"}, {"destination", file.path("dl")}}),
            "");
  EXPECT_EQ(file.communicator.calls.back(), "download_tree /var/log " + file.path("dl/log"));
  file.communicator.files["/var/log/a b"] = "x";
  file.communicator.answer = [](const std::string& command) -> Answer {
    EXPECT_THAT(command, HasSubstr("for f in /var/log/*; do"));
    return {0, "x /var/log/a b\nd /var/log/apt\n"};
  };
  EXPECT_EQ(
      file.run({{"direction", "download"}, {"source", "/var/log/*"}, {"destination", file.path("dl2")}}), "");
  EXPECT_EQ(read_file(file.path("dl2/a b")), "x");
  EXPECT_EQ(fs::status(file.path("dl2/a b")).permissions(), fs::perms(0755));
  EXPECT_EQ(file.communicator.calls.back(), "download_tree /var/log/apt " + file.path("dl2/apt"));
}

}  // namespace
}  // namespace kiln
