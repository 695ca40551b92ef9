#include "post_processor/artifice/artifice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/test_stage.h"

namespace kiln {
namespace {

using ::testing::ElementsAre;

TEST(Artifice, TakesOtherFiles) {
  TestStage stage;
  auto one = (stage.directory.path() / "one.txt").string();
  auto two = (stage.directory.path() / "two.txt").string();
  write_file_atomically(one, "1");
  write_file_atomically(two, "2");
  auto artifice = artifice_post_processor().make();
  auto pattern = (stage.directory.path() / "*.txt").string();
  stage.prepare(*artifice, Value(Value::Object{{"files", Value(Value::List{pattern, "/no/such*"})}}));
  Artifact input;
  input.files = {"old.img"};
  auto result = artifice->run(input, stage.context);
  EXPECT_THAT(result.artifact->files, ElementsAre(one, two));
  EXPECT_EQ(result.artifact->description, "Created artifact from files: " + one + ", " + two);
  EXPECT_TRUE(result.keep_input);
  EXPECT_FALSE(result.force_keep);
  EXPECT_THAT(stage.lines(), ElementsAre("say: Discarding files from artifact: old.img",
                                         "say: Using these artifact files: " + one + ", " + two));
  result.artifact->destroy();
  EXPECT_FALSE(fs::exists(one));
}

TEST(Artifice, NeedsFiles) {
  TestStage stage;
  auto artifice = artifice_post_processor().make();
  stage.prepare(*artifice, Value::empty_object());
  EXPECT_THAT(stage.complaints(), ElementsAre("No files specified in artifice configuration"));
}

}  // namespace
}  // namespace kiln
