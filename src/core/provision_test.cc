#include "core/provision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/scripted.h"

namespace kiln {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// Fails the first `failures` times, each with its own number.
void fail_first(ScriptedRun& run, int failures) {
  auto tries = std::make_shared<int>(0);
  run.script->provision = [&run, tries, failures](const std::string&, StageContext&) {
    run.story.add("try");
    if (++*tries <= failures) throw Error(ErrorKind::remote, "failure " + std::to_string(*tries));
  };
}

struct RetryCase {
  int max_retries;
  int failures;
  size_t tries;
  bool succeeds;
};

class RetryMatrix : public testing::TestWithParam<RetryCase> {};

TEST_P(RetryMatrix, TriesAndTellsTheFirstError) {
  const RetryCase& expected = GetParam();
  ScriptedRun run;
  fail_first(run, expected.failures);
  run.parsed.build().provisioners.push_back(scripted_provisioner(""));
  run.parsed.build().provisioners[0].max_retries = Value(expected.max_retries);
  StageResult result = run.run_one();
  EXPECT_EQ(run.story.count("try"), expected.tries);
  EXPECT_EQ(result.error, expected.succeeds ? "" : "failure 1");
  std::vector<std::string> lines;
  int told = expected.succeeds ? expected.failures : expected.max_retries;
  for (int i = 0; i < told; ++i) {
    lines.push_back("Provisioner failed with \"failure " + std::to_string(i + 1) + "\", retrying with " +
                    std::to_string(expected.max_retries - i) + " trie(s) left");
  }
  if (!expected.succeeds && expected.max_retries > 0) lines.push_back("retry limit reached.");
  if (!expected.succeeds)
    lines.push_back("Provisioning step had errors: Running the cleanup provisioner, if present...");
  EXPECT_EQ(run.sink.texts(), lines);
}

INSTANTIATE_TEST_SUITE_P(All, RetryMatrix,
                         testing::Values(RetryCase{0, 0, 1, true}, RetryCase{0, 1, 1, false}, RetryCase{1, 0, 1, true},
                                         RetryCase{1, 1, 2, true}, RetryCase{1, 2, 2, false}, RetryCase{2, 1, 2, true},
                                         RetryCase{2, 2, 3, true}, RetryCase{2, 3, 3, false},
                                         RetryCase{3, 9, 4, false}));

TEST(Provision, TimeoutStopsTheProvisionerAndNotTheBuild) {
  ScriptedRun run;
  run.script->provision = [](const std::string&, StageContext& context) {
    sleep_for(std::chrono::hours(1), context.stop);
  };
  run.parsed.build().provisioners.push_back(scripted_provisioner(""));
  run.parsed.build().provisioners[0].timeout = std::chrono::milliseconds(5);
  StageResult result = run.run_one();
  EXPECT_FALSE(result.cancelled);
  EXPECT_EQ(result.error, "the provisioner scripted did not end within its timeout of 5ms");
  EXPECT_THAT(
      run.sink.texts(),
      ElementsAre("Setting a 5ms timeout for the next provisioner...", "Cancelling provisioner after a timeout...",
                  "Provisioning step had errors: Running the cleanup provisioner, if present..."));
}

TEST(Provision, TimeoutIsTriedAgain) {
  ScriptedRun run;
  auto tries = std::make_shared<int>(0);
  run.script->provision = [tries](const std::string&, StageContext& context) {
    if (++*tries == 1) sleep_for(std::chrono::hours(1), context.stop);
  };
  run.parsed.build().provisioners.push_back(scripted_provisioner(""));
  run.parsed.build().provisioners[0].timeout = std::chrono::milliseconds(5);
  run.parsed.build().provisioners[0].max_retries = Value("1");
  EXPECT_EQ(run.run_one().error, "");
  EXPECT_EQ(*tries, 2);
}

TEST(Provision, PauseComesFirstAndTurnsTheTimeoutOff) {
  ScriptedRun run;
  run.script->provision = [&](const std::string&, StageContext& context) {
    run.story.add(context.stop.requested() ? "stopped" : "runs");
  };
  run.parsed.build().provisioners.push_back(scripted_provisioner(""));
  run.parsed.build().provisioners[0].pause_before = std::chrono::milliseconds(2);
  run.parsed.build().provisioners[0].timeout = std::chrono::nanoseconds(1);
  EXPECT_EQ(run.run_one().error, "");
  EXPECT_THAT(run.sink.texts(), ElementsAre("Pausing 2ms before the next provisioner..."));
  EXPECT_THAT(run.story.lines(), ElementsAre("runs"));
}

TEST(Provision, ContinueOnErrorGoesOnAfterRetries) {
  ScriptedRun run;
  fail_first(run, 2);
  run.parsed.build().provisioners.push_back(scripted_provisioner("a"));
  run.parsed.build().provisioners[0].max_retries = Value(1);
  run.parsed.build().provisioners[0].continue_on_error = true;
  run.parsed.build().provisioners.push_back(scripted_provisioner("b"));
  EXPECT_EQ(run.run_one().error, "");
  EXPECT_EQ(run.story.count("try"), 3u);
  EXPECT_THAT(run.sink.texts(),
              Contains("Warning: Provisioner failed with \"failure 1\", but continue_on_error is set; "
                       "continuing the build."));
}

TEST(Provision, CancellingEndsRetriesAndContinueOnError) {
  ScriptedRun run;
  run.script->provision = [&](const std::string&, StageContext& context) {
    run.story.add("try");
    run.stop.request();
    context.stop.check();
  };
  run.parsed.build().provisioners.push_back(scripted_provisioner(""));
  run.parsed.build().provisioners[0].max_retries = Value(5);
  run.parsed.build().provisioners[0].continue_on_error = true;
  StageResult result = run.run_one();
  EXPECT_TRUE(result.cancelled);
  EXPECT_EQ(result.error, "context canceled");
  EXPECT_EQ(run.story.count("try"), 1u);
}

TEST(Provision, PreparesAgainWithTheMachinesData) {
  ScriptedRun run;
  run.script->build_data.set("Host", "10.0.0.9");
  run.script->provision = [&](const std::string& argument, StageContext&) { run.story.add(argument); };
  run.parsed.build().provisioners.push_back(scripted_provisioner("{{ build `Host` }} {{ build `ID` }}"));
  EXPECT_EQ(run.run_one().error, "");
  EXPECT_THAT(run.story.lines(), ElementsAre("10.0.0.9 ERR_ID_NOT_IMPLEMENTED_BY_BUILDER"));
}

TEST(Provision, TurnedDownWithRealDataIsAFailure) {
  ScriptedRun run;
  run.script->prepare = [&](const std::string&, const PrepareInput& input) {
    if (input.build.scope.build_data_known) input.diagnostics.error("not with this host");
  };
  run.parsed.build().provisioners.push_back(scripted_provisioner(""));
  EXPECT_EQ(run.run_one().error, "not with this host");
}

}  // namespace
}  // namespace kiln
