#include "post_processor/checksum/checksum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using ::testing::ElementsAre;

struct ChecksumRun {
  ChecksumRun() {
    file = (stage.directory.path() / "x.txt").string();
    write_file_atomically(file, "hello\n");
    artifact.files = {file};
  }
  PostProcessed run(Value::Object config) {
    auto checksum = checksum_post_processor().make();
    stage.prepare(*checksum, Value(std::move(config)));
    EXPECT_TRUE(stage.complaints().empty());
    return checksum->run(artifact, stage.context);
  }
  std::string path(const std::string& name) const { return (stage.directory.path() / name).string(); }
  TestStage stage;
  Artifact artifact;
  std::string file;
};

TEST(ChecksumPostProcessor, AppendsPackersLines) {
  ChecksumRun checksum;
  Value::Object config{{"output", checksum.path("out/{{.BuildName}}_{{.BuilderType}}.{{.ChecksumType}}")}};
  auto first = checksum.run(config);
  std::string output = checksum.path("out/vm1_null.md5");
  EXPECT_EQ(read_file(output), "b1946ac92492d2347c6235b4d2611184\tx.txt\n");
  EXPECT_THAT(first.artifact->files, ElementsAre(checksum.file, output));
  EXPECT_EQ(first.artifact->description, "Created artifact from files: " + checksum.file + ", " + output);
  EXPECT_EQ(first.artifact->builder_id, "packer.post-processor.checksum");
  EXPECT_TRUE(first.keep_input && first.force_keep);
  auto second = checksum.run(config);
  EXPECT_EQ(read_file(output),
            "b1946ac92492d2347c6235b4d2611184\tx.txt\nb1946ac92492d2347c6235b4d2611184\tx.txt\n");
  EXPECT_THAT(second.artifact->files, ElementsAre(checksum.file));
  first.artifact->destroy();
  EXPECT_FALSE(fs::exists(output) || fs::exists(checksum.file));
}

TEST(ChecksumPostProcessor, KnowsAllTypes) {
  ChecksumRun checksum;
  checksum.run({{"output", checksum.path("{{.ChecksumType}}")},
                {"checksum_types", "md5,sha1,sha224,sha256,sha384,sha512"}});
  EXPECT_EQ(read_file(checksum.path("sha1")), "f572d396fae9206628714fb2ce00f72e94f2258f\tx.txt\n");
  EXPECT_EQ(read_file(checksum.path("sha512")).find('\t'), 128u);
}

TEST(ChecksumPostProcessor, ReportsMistakes) {
  TestStage stage;
  auto checksum = checksum_post_processor().make();
  stage.prepare(*checksum, Value(Value::Object{{"checksum_types", "foo,md5"}, {"output", "{{.Foo}"}}));
  auto complaints = stage.complaints();
  ASSERT_EQ(complaints.size(), 2u);
  EXPECT_EQ(complaints[0], "Unrecognized checksum type: foo");
  EXPECT_TRUE(complaints[1].starts_with("invalid 'output': template: root:1: ")) << complaints[1];
}

TEST(ChecksumPostProcessor, AMissingFileIsAnError) {
  ChecksumRun checksum;
  checksum.artifact.files = {"/no/such"};
  EXPECT_THROW(checksum.run({{"output", checksum.path("x")}}), Error);
  EXPECT_FALSE(fs::exists(checksum.path("x")));
}

}  // namespace
}  // namespace kiln
