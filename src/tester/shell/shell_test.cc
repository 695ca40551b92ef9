#include "tester/shell/shell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/host_communicator.h"
#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"
#include "tester/shell/tap.h"

namespace kiln {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Value list(const std::vector<std::string>& items) {
  Value::List out;
  for (const auto& item : items) out.emplace_back(item);
  return Value(out);
}

struct ShellTestStage {
  TestStage stage;
  HostCommunicator host;
  Artifact artifact;
  std::unique_ptr<Tester> tester = shell_tester().make();

  std::string write(const std::string& name, const std::string& text) {
    auto path = stage.directory.path() / name;
    write_file_atomically(path, text);
    return path.string();
  }
  TestReport run(Value::Object config, Communicator* communicator = nullptr) {
    config.push_back({"remote_folder", stage.directory.path().string(), {}});
    stage.prepare(*tester, Value(std::move(config)));
    EXPECT_THAT(stage.complaints(), ElementsAre());
    TestTarget target{communicator != nullptr ? *communicator : host, Value::empty_object(), artifact, {}};
    return tester->run(target, stage.context);
  }
};

std::string line_of(const CheckResult& check) {
  std::string out = std::string(to_string(check.status)) + " " + check.name;
  if (!check.expected.empty() || !check.found.empty())
    out += " (" + check.expected + " / " + check.found + ")";
  if (!check.message.empty()) out += ": " + check.message;
  if (!check.place.empty()) out += " at " + check.place;
  return out;
}
std::vector<std::string> lines_of(const TestReport& report) {
  std::vector<std::string> out;
  for (const auto& check : report.checks) out.push_back(line_of(check));
  return out;
}

TEST(ShellTester, EveryScriptIsACheck) {
  ShellTestStage shell;
  std::string good = shell.write("good.sh", "#!/bin/sh\ntest \"$COLOUR\" = 'blue sky'\n");
  std::string bad =
      shell.write("bad.sh", "for i in $(seq 30); do echo line $i; done\necho oops >&2\nexit 3\n");
  auto report = shell.run({{"scripts", list({good, bad})}, {"environment_vars", list({"COLOUR=blue sky"})}});
  ASSERT_EQ(report.checks.size(), 2u);
  EXPECT_EQ(line_of(report.checks[0]), "passed " + good);
  const auto& failed = report.checks[1];
  EXPECT_EQ(failed.found, "exit status 3");
  EXPECT_EQ(split(failed.message, '\n').size(), 20u);
  EXPECT_THAT(failed.message, HasSubstr("line 30"));
  EXPECT_THAT(failed.message, HasSubstr("oops"));
  EXPECT_FALSE(report.passed());
}

TEST(ShellTester, InlineIsOneCheck) {
  ShellTestStage shell;
  EXPECT_THAT(lines_of(shell.run({{"inline", list({"test 1 = 1", "false", "true"})}})),
              ElementsAre("failed inline: test 1 = 1; false; true (exit status 0 / exit status 1)"));
}

TEST(ShellTester, TapBecomesChecks) {
  ShellTestStage shell;
  std::string tap = shell.write("t.sh", R"(#!/bin/sh
cat <<'X'
TAP version 14
1..6
ok 1 - input file opened
not ok 2 - first line of it # with a hash
  ---
  message: 'it is empty'
  expected: 3
  actual: [1, 2]
  at:
    file: t/x.t
    line: 7
  ...
ok 3 - read the rest # SKIP no such thing
not ok 4 - summarized # TODO not written yet
# Subtest: five
    not ok 1 - inner
    1..1
not ok 5 - five
# Failed test
ok 6
X
exit 1
)");
  auto report = shell.run({{"script", tap}});
  EXPECT_THAT(lines_of(report),
              ElementsAre("passed input file opened",
                          "failed first line of it # with a hash (3 / [1,2]): it is empty at t/x.t:7",
                          "skipped read the rest: no such thing", "skipped summarized: TODO not written yet",
                          "failed five: not ok 1 - inner\nFailed test", "passed test 6"));
  EXPECT_EQ(report.checks[0].group, tap);
}

std::vector<std::string> read_tap(const std::string& text, int status) {
  std::vector<std::string> out;
  TapReader reader("", [&](const CheckResult& result) { out.push_back(line_of(result)); });
  for (const auto& line : split(text, '\n')) reader.line(line);
  reader.finish(status);
  return out;
}

TEST(Tap, WhatThePlanPromises) {
  EXPECT_THAT(read_tap("1..3\nok 1 a\nok 2 b", 0),
              ElementsAre("passed a", "passed b", "failed plan: 3 tests were planned, 2 ran"));
  EXPECT_THAT(read_tap("TAP version 13\nok 1 a", 0),
              ElementsAre("passed a", "failed plan: there is no plan"));
  EXPECT_THAT(read_tap("1..0 # SKIP no network", 0), ElementsAre("skipped all tests: SKIP no network"));
  EXPECT_THAT(read_tap("1..2\nok 1\nBail out! no disk", 1),
              ElementsAre("passed test 1", "failed Bail out!: no disk"));
  EXPECT_THAT(read_tap("1..1\nok 1 a", 2),
              ElementsAre("passed a", "failed exit status: the script exited with 2"));
  EXPECT_THAT(read_tap("1..1\nok 1 a \\# b # TODO done already", 0), ElementsAre("passed a # b"));
  EXPECT_THAT(read_tap("1..1\nnot ok 1 a\n  ---\n  broken: [\n", 1), ElementsAre("failed a: broken: ["));
}

TEST(Tap, IsKnownByItsFirstLine) {
  EXPECT_TRUE(begins_tap("1..4"));
  EXPECT_TRUE(begins_tap("1..0 # Skipped"));
  EXPECT_TRUE(begins_tap("TAP version 14"));
  EXPECT_FALSE(begins_tap("ok 1"));
  EXPECT_FALSE(begins_tap("1...4"));
}

TEST(ShellTester, AMachineThatGoesAwayIsAnError) {
  ShellTestStage shell;
  ScriptedCommunicator machine;
  machine.answer = [](const std::string&) {
    return ScriptedCommunicator::Answer{disconnected_status, "bye\n", ""};
  };
  EXPECT_THROW(shell.run({{"inline", list({"x"})}}, &machine), Error);
  EXPECT_THAT(machine.calls[1], HasSubstr("PACKER_BUILD_NAME='vm1'"));
}

TEST(ShellTester, ReportsMistakes) {
  ShellTestStage shell;
  shell.stage.prepare(*shell.tester, Value(Value::Object{{"script", "/no/such"}, {"zork", 1}}));
  EXPECT_THAT(shell.stage.complaints(),
              ElementsAre("unknown configuration key: '\"zork\"'",
                          "Bad script '/no/such': stat /no/such: no such file or directory"));
}

}  // namespace
}  // namespace kiln
