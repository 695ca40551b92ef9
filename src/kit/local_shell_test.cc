#include "kit/local_shell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"
#include "base/text.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Value lines_of(const std::vector<std::string>& items) {
  Value::List out;
  for (const auto& item : items) out.emplace_back(item);
  return Value(out);
}

struct LocalRun {
  std::vector<std::string> judge(Value::Object object,
                                 const std::string& component = "provisioner shell-local") {
    Value config(std::move(object));
    prepared = prepare_local_shell({config, stage.build, stage.diagnostics}, component);
    return stage.complaints();
  }
  std::string run(Value::Object object, const std::string& component = "provisioner shell-local") {
    EXPECT_THAT(judge(std::move(object), component), ElementsAre());
    try {
      run_local_shell(prepared, stage.context);
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }
  TestStage stage;
  LocalShellConfig prepared;
};

// The texts are those of Packer 1.6.6.
TEST(LocalShell, ReportsMistakesInPackersWords) {
  const std::string one_only =
      "You may only specify one of the following options: Command, Inline, Script or Scripts. Please "
      "consolidate these "
      "options in your config.";
  EXPECT_THAT(LocalRun().judge({}),
              ElementsAre("Command, Inline, Script and Scripts options cannot all be empty."));
  EXPECT_THAT(LocalRun().judge({{"inline", "a"}, {"script", "x"}}), ElementsAre(one_only));
  EXPECT_THAT(LocalRun().judge({{"inline", "a"}, {"command", "x"}}), ElementsAre(one_only));
  EXPECT_THAT(LocalRun().judge({{"script", "x"}}),
              ElementsAre("Bad script 'x': stat x: no such file or directory"));
  EXPECT_THAT(
      LocalRun().judge({{"inline", "a"}, {"only_on", "foo"}}),
      ElementsAre(
          "Invalid OS specified in only_on: 'foo'\nSupported OS names: darwin, freebsd, linux, openbsd, "
          "solaris, windows"));
  EXPECT_THAT(LocalRun().judge({{"inline", "a"}, {"use_linux_pathing", true}}),
              ElementsAre(StartsWith("Packer is unable to use the Command and Inline features")));
}

TEST(LocalShell, RunsAnInlineScript) {
  LocalRun local;
  EXPECT_EQ(local.run({{"inline", lines_of({"#!/bin/bash", "echo \"$A $PACKER_BUILD_NAME $PACKER_RUN_UUID\"",
                                            "head -1 $0", "echo e >&2"})},
                       {"environment_vars", lines_of({"A=it's $x"})}}),
            "");
  auto lines = local.stage.lines();
  std::sort(lines.begin() + 1, lines.end());
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_THAT(lines[0], HasSubstr("Running local shell script: /tmp/packer-shell"));
  EXPECT_EQ(lines[1], "error: e");
  EXPECT_EQ(lines[2], "say: #!/bin/sh -e");
  EXPECT_EQ(lines[3], "say: it's $x vm1 11111111-2222-3333-4444-555555555555");
  EXPECT_FALSE(fs::exists(lines[0].substr(lines[0].find("/tmp/"))));
  EXPECT_TRUE(local.stage.journal.live.empty());
}

TEST(LocalShell, ExitCodes) {
  EXPECT_EQ(LocalRun().run({{"inline", "exit 3"}}),
            "Script exited with non-zero exit status: 3. Allowed exit codes are: [0]");
  EXPECT_EQ(LocalRun().run({{"inline", "exit 3"}, {"valid_exit_codes", "2,3"}}), "");
  EXPECT_EQ(LocalRun().run({{"inline", "kill -9 $$"}}),
            "Script exited with non-zero exit status: 137. Allowed exit codes are: [0]");
}

TEST(LocalShell, OtherWaysToRun) {
  LocalRun echo;
  echo.stage.context.scope.build_data.set("User", "root");
  EXPECT_EQ(echo.run({{"inline", "x"},
                      {"tempfile_extension", ".foo"},
                      {"execute_command", lines_of({"echo", "{{.Vars}}", "{{.User}}", "{{.Script}}"})}}),
            "");
  EXPECT_THAT(echo.stage.lines()[1],
              StartsWith("say: PACKER_BUILDER_TYPE='null' PACKER_BUILD_NAME='vm1'  root /tmp/packer-shell"));
  EXPECT_TRUE(echo.stage.lines()[1].ends_with(".foo"));
  LocalRun text;
  EXPECT_EQ(text.run({{"inline", "x"}, {"execute_command", "echo a, b"}}, "post-processor shell-local"), "");
  EXPECT_EQ(text.stage.lines()[1], "say: a, b");
  LocalRun missing;
  EXPECT_THAT(missing.run({{"inline", "x"}, {"execute_command", lines_of({"/nope", "{{.Script}}"})}}),
              StartsWith("Error executing script: /tmp/packer-shell"));
  LocalRun elsewhere;
  EXPECT_EQ(elsewhere.run({{"inline", "x"}, {"only_on", "darwin"}}), "");
  EXPECT_THAT(elsewhere.stage.lines(), ElementsAre("say: Skipping shell-local due to runtime OS"));
}

TEST(LocalShell, RunsScriptsAndCommands) {
  LocalRun local;
  auto script = (local.stage.directory.path() / "s.sh").string();
  write_file_atomically(script, "#!/bin/sh\necho script $B\n", 0755);
  EXPECT_EQ(local.run({{"scripts", lines_of({script, script})}, {"env", Value(Value::Object{{"B", "b"}})}}),
            "");
  EXPECT_THAT(local.stage.lines(),
              ElementsAre("say: Running local shell script: " + script, "say: script b",
                          "say: Running local shell script: " + script, "say: script b"));
  LocalRun command;
  EXPECT_EQ(command.run({{"command", "echo foo"}}), "");
  EXPECT_EQ(command.stage.lines()[1], "say: foo");
}

TEST(LocalShell, RendersWithBuildData) {
  LocalRun local;
  local.stage.build.scope.build_data = Value(Value::Object{{"ID", ""}});
  local.stage.context.scope.build_data.set("ID", "image-7");
  EXPECT_EQ(local.run({{"inline", "echo {{build `ID`}} $V"},
                       {"env", Value(Value::Object{{"V", "{{build `ID`}}"}})}}),
            "");
  EXPECT_EQ(local.stage.lines()[1], "say: image-7 image-7");
}

TEST(LocalShell, StopEndsItWithItsChildren) {
  LocalRun local;
  std::thread later([&] {
    std::this_thread::sleep_for(Millis(200));
    local.stage.stop.request("timed out");
  });
  auto start = Clock::now();
  EXPECT_EQ(local.run({{"inline", "sleep 60"}}), "timed out");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
  EXPECT_TRUE(local.stage.journal.live.empty());
  later.join();
}

}  // namespace
}  // namespace kiln
