#include "builder/file/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/error.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Config = std::map<std::string, std::string>;

struct FileRun : TestStage {
  std::unique_ptr<Builder> builder = file_builder().make();
  fs::path target = directory.path() / "sub" / "dir" / "out";
  std::optional<Artifact> build(const Config& config) {
    prepare(*builder, Value(config));
    auto machine = builder->start(context);
    return builder->finish(*machine, context);
  }
  mode_t mode() const {
    struct stat status{};
    EXPECT_EQ(::stat(target.c_str(), &status), 0);
    return status.st_mode & 07777;
  }
};

TEST(FileBuilder, Validates) {
  auto complaints = [](const Config& config) {
    FileRun run;
    run.prepare(*run.builder, Value(config));
    return run.complaints();
  };
  EXPECT_THAT(complaints({{"content", "a"}, {"source", "b"}}),
              ElementsAre("target required", "Cannot specify source file AND content"));
  EXPECT_THAT(complaints({{"target", "x"}}),
              ElementsAre("Both source file and contents are blank; target will have no content"));
  EXPECT_THAT(complaints({{"target", "x"}, {"content", "c"}}), IsEmpty());
}

TEST(FileBuilder, WritesContent) {
  FileRun run;
  auto artifact = run.build({{"target", run.target.string()}, {"content", "hello"}});
  EXPECT_EQ(read_file(run.target), "hello");
  EXPECT_EQ(run.mode(), 0600u);
  ASSERT_TRUE(artifact);
  EXPECT_EQ(artifact->builder_id, "packer.file");
  EXPECT_EQ(artifact->id, "File");
  EXPECT_EQ(artifact->description, "Stored file: " + run.target.string());
  EXPECT_THAT(artifact->files, ElementsAre(run.target.string()));
  EXPECT_EQ(run.journal.live.size(), 1u);
  run.undo.run(Outcome::succeeded, [](const std::string&) {});
  EXPECT_THAT(run.journal.live, IsEmpty());
  EXPECT_TRUE(fs::exists(run.target));
  artifact->destroy();
  EXPECT_FALSE(fs::exists(run.target));
  EXPECT_THROW(artifact->destroy(), Error);
}

TEST(FileBuilder, CopiesTheSource) {
  FileRun run;
  fs::path source = run.directory.path() / "source";
  std::string big(3 << 20, 'k');
  write_file_atomically(source, big);
  run.build({{"target", run.target.string()}, {"source", source.string()}});
  EXPECT_EQ(read_file(run.target), big);
  EXPECT_THAT(run.lines(), ElementsAre("say: Copying " + source.string() + " to " + run.target.string(),
                                       "say: Copied 3145728 bytes"));
}

TEST(FileBuilder, AFailedBuildTakesANewFileBackAndLeavesAnOldOne) {
  FileRun run;
  run.build({{"target", run.target.string()}, {"content", "hello"}});
  run.undo.run(Outcome::failed, [](const std::string& problem) { FAIL() << problem; });
  EXPECT_FALSE(fs::exists(run.target));
  EXPECT_THAT(run.journal.live, IsEmpty());

  FileRun again;
  fs::create_directories(again.target.parent_path());
  write_file_atomically(again.target, "old", 0644);
  again.build({{"target", again.target.string()}, {"content", "new"}});
  again.undo.run(Outcome::failed, [](const std::string& problem) { FAIL() << problem; });
  EXPECT_EQ(read_file(again.target), "new");
  EXPECT_EQ(again.mode(), 0644u);
}

TEST(FileBuilder, TellsWhyItCannot) {
  auto failure = [](FileRun& run, const Config& config) -> std::string {
    try {
      run.build(config);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::user);
      return error.message();
    }
    return "";
  };
  FileRun missing;
  EXPECT_EQ(failure(missing, {{"target", missing.target.string()}, {"source", "/no/such"}}),
            "open /no/such: no such file or directory");
  FileRun directory;
  fs::create_directories(directory.target);
  EXPECT_EQ(failure(directory, {{"target", directory.target.string()}, {"content", "x"}}),
            "open " + directory.target.string() + ": is a directory");
}

}  // namespace
}  // namespace kiln
