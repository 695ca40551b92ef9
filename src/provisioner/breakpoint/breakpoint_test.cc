#include "provisioner/breakpoint/breakpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> run_breakpoint(TestStage& stage, Value::Object config) {
  auto breakpoint = breakpoint_provisioner().make();
  stage.prepare(*breakpoint, Value(std::move(config)));
  ScriptedCommunicator communicator;
  breakpoint->run(communicator, stage.context);
  return stage.lines();
}

TEST(Breakpoint, AsksAtATerminal) {
  AnsweringSink sink;
  TestStage stage(&sink);
  EXPECT_THAT(run_breakpoint(stage, {{"note", "N"}}),
              ElementsAre("say: Pausing at breakpoint provisioner with note \"N\"."));
  EXPECT_THAT(sink.questions, ElementsAre("Press enter to continue."));
}

TEST(Breakpoint, NeedsATerminal) {
  TestStage stage;
  try {
    run_breakpoint(stage, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "Error asking for input: no available tty");
  }
  EXPECT_THAT(stage.lines(), ElementsAre("say: Pausing at breakpoint provisioner."));
}

TEST(Breakpoint, CanBeDisabled) {
  TestStage one;
  EXPECT_THAT(run_breakpoint(one, {{"disable", true}}),
              ElementsAre("say: Breakpoint provisioner disabled; continuing..."));
  TestStage two;
  EXPECT_THAT(run_breakpoint(two, {{"disable", true}, {"note", "N"}}),
              ElementsAre("say: Breakpoint provisioner with note \"N\" disabled; continuing..."));
}

}  // namespace
}  // namespace kiln
