#include "provisioner/shell_local/shell_local.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

TEST(ShellLocalProvisioner, RunsHereAndLeavesTheMachineAlone) {
  TestStage stage;
  auto entry = shell_local_provisioner();
  EXPECT_EQ(entry.type, "shell-local");
  auto shell = entry.make();
  stage.prepare(*shell, Value(Value::Object{{"inline", Value(Value::List{"echo here"})}}));
  ASSERT_TRUE(stage.complaints().empty());
  ScriptedCommunicator communicator;
  shell->run(communicator, stage.context);
  EXPECT_TRUE(communicator.calls.empty());
  EXPECT_EQ(stage.lines().back(), "say: here");
}

}  // namespace
}  // namespace kiln
