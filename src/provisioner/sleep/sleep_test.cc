#include "provisioner/sleep/sleep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

TEST(Sleep, SleepsSoLong) {
  TestStage stage;
  auto sleep = sleep_provisioner().make();
  stage.prepare(*sleep, Value(Value::Object{{"duration", "30ms"}}));
  ASSERT_TRUE(stage.complaints().empty());
  ScriptedCommunicator communicator;
  auto start = Clock::now();
  sleep->run(communicator, stage.context);
  EXPECT_GE(Clock::now() - start, Millis(30));
}

TEST(Sleep, StopWakesIt) {
  TestStage stage;
  auto sleep = sleep_provisioner().make();
  stage.prepare(*sleep, Value(Value::Object{{"duration", "1h"}}));
  stage.stop.request();
  ScriptedCommunicator communicator;
  EXPECT_THROW(sleep->run(communicator, stage.context), Error);
}

TEST(Sleep, ABadDurationIsTold) {
  TestStage stage;
  auto sleep = sleep_provisioner().make();
  stage.prepare(*sleep, Value(Value::Object{{"duration", "x"}}));
  EXPECT_THAT(stage.complaints(),
              ::testing::ElementsAre("error decoding 'duration': time: invalid duration \"x\""));
}

}  // namespace
}  // namespace kiln
