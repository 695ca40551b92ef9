#include "post_processor/shell_local/shell_local.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

TEST(ShellLocalPostProcessor, HandsItsInputOn) {
  TestStage stage;
  auto shell = shell_local_post_processor().make();
  // One string is a command line for sh -c, commas and all.
  stage.prepare(*shell, Value(Value::Object{{"inline", "exit 7"},
                                            {"execute_command", "echo a,b; . {{.Script}}"},
                                            {"valid_exit_codes", 7}}));
  ASSERT_TRUE(stage.complaints().empty());
  Artifact input;
  input.id = "image-1";
  auto result = shell->run(input, stage.context);
  EXPECT_EQ(result.artifact->id, "image-1");
  EXPECT_TRUE(result.keep_input && result.force_keep);
  EXPECT_EQ(stage.lines().back(), "say: a,b");
}

TEST(ShellLocalPostProcessor, AFailureIsAnError) {
  TestStage stage;
  auto shell = shell_local_post_processor().make();
  stage.prepare(*shell, Value(Value::Object{{"inline", "false"}}));
  EXPECT_THROW(shell->run({}, stage.context), Error);
}

}  // namespace
}  // namespace kiln
