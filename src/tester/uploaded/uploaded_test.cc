#include "tester/uploaded/uploaded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/host_communicator.h"
#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct UploadStage {
  TestStage stage;
  HostCommunicator host;
  Artifact artifact;
  std::unique_ptr<Tester> tester = uploaded_tester().make();
  fs::path here = stage.directory.path() / "here", there = stage.directory.path() / "there";

  void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    write_file_atomically(path, text);
  }
  TestReport run(std::vector<std::pair<std::string, std::string>> uploads, Value ignore = Value::empty_list(),
                 Communicator* communicator = nullptr) {
    stage.prepare(*tester, Value(Value::Object{{"ignore", ignore}, {"remote_folder", stage.directory.path().string()}}));
    EXPECT_EQ(render_diagnostics(stage.diagnostics), "");
    TestTarget target{communicator != nullptr ? *communicator : host, Value::empty_object(), artifact, std::move(uploads)};
    return tester->run(target, stage.context);
  }
  std::vector<std::string> verdicts(const TestReport& report) {
    std::vector<std::string> out;
    for (const auto& check : report.checks) {
      std::string name = check.name.starts_with(there.string()) ? check.name.substr(there.string().size()) : check.name;
      out.push_back(std::string(to_string(check.status)) + " " + name + (check.message.empty() ? "" : ": " + check.message));
    }
    return out;
  }
};

TEST(Uploaded, FilesAndTreesAreCompared) {
  UploadStage uploads;
  uploads.write(uploads.here / "a b.conf", "one");
  uploads.write(uploads.here / "tree/x", "x");
  uploads.write(uploads.here / "tree/sub/y", "y");
  uploads.write(uploads.here / "tree/sub/z", "z");
  fs::create_symlink("x", uploads.here / "tree/link");
  fs::copy(uploads.here, uploads.there, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  uploads.write(uploads.there / "tree/sub/y", "other");
  fs::remove(uploads.there / "tree/sub/z");
  auto report = uploads.run({{(uploads.here / "a b.conf").string(), (uploads.there / "a b.conf").string()},
                             {(uploads.here / "a b.conf").string(), uploads.there.string() + "/"},
                             {(uploads.here / "a b.conf").string(), uploads.there.string()},
                             {(uploads.here / "tree/").string(), (uploads.there / "tree").string()},
                             {(uploads.here / "tree/sub").string(), (uploads.there / "tree").string()}});
  EXPECT_THAT(uploads.verdicts(report),
              ElementsAre("passed /a b.conf", "passed /a b.conf", "passed ", "passed /tree/link",
                          "failed /tree/sub/y: its content is another",
                          "failed /tree/sub/z: it is not in the machine", "passed /tree/x",
                          "failed /tree/y: its content is another", "failed /tree/z: it is not in the machine"));
  EXPECT_EQ(report.checks[4].expected, "file a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa");
  EXPECT_EQ(uploads.host.commands.size(), 1u);
}

TEST(Uploaded, DirectoriesGoWhereScpPutsThem) {
  UploadStage uploads;
  uploads.write(uploads.here / "conf/d/x", "x");
  uploads.write(uploads.there / "as-it-is/d/x", "x");
  uploads.write(uploads.there / "below/conf/d/x", "x");
  std::string local = (uploads.here / "conf").string();
  EXPECT_THAT(uploads.verdicts(uploads.run({{local, (uploads.there / "as-it-is").string()},
                                            {local, (uploads.there / "below").string()},
                                            {local + "/", (uploads.there / "below").string() + "/"}})),
              ElementsAre("passed /as-it-is/d/x", "passed /below/d/x", "failed /below/d/x: it is not in the machine"));
}

TEST(Uploaded, WhatWasOnlyPassingThroughIsLeftOut) {
  UploadStage uploads;
  uploads.write(uploads.here / "x", "x");
  EXPECT_THAT(uploads.verdicts(uploads.run({{(uploads.here / "x").string(), "/tmp/x"}}, Value(Value::List{"/tmp/*"}))),
              ElementsAre("skipped /tmp/x: it need not be there any more (ignore)"));
  auto report = uploads.run({});
  EXPECT_THAT(uploads.verdicts(report), ElementsAre(HasSubstr("failed uploads: the template sends no files")));
  EXPECT_FALSE(report.passed());
}

TEST(Uploaded, AnAnswerThatBreaksOffIsAnError) {
  UploadStage uploads;
  uploads.write(uploads.here / "x", "x");
  ScriptedCommunicator machine;
  machine.answer = [](const std::string&) { return ScriptedCommunicator::Answer{2, "", "no shell"}; };
  EXPECT_THROW(uploads.run({{(uploads.here / "x").string(), "/x"}}, Value::empty_list(), &machine), Error);
}

}  // namespace
}  // namespace kiln
