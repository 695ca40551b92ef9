#include "provisioner/powershell/powershell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"
#include "provisioner/powershell/config.h"
#include "provisioner/powershell/elevated.h"

namespace kiln {
namespace {

using Answer = ScriptedCommunicator::Answer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

Value list(const std::vector<std::string>& items) {
  Value::List out;
  for (const auto& item : items) out.emplace_back(item);
  return Value(out);
}

std::vector<std::string> judge(Value::Object config) {
  TestStage stage;
  auto powershell = powershell_provisioner().make();
  stage.prepare(*powershell, Value(std::move(config)));
  return stage.complaints();
}

std::string quote(const std::string& text) { return "'" + text + "'"; }

// The texts and their order are those of Packer 1.16.
TEST(Powershell, ReportsMistakesInPackersWords) {
  EXPECT_THAT(judge({}), ElementsAre("Either a script file or inline script must be specified."));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"elevated_password", "p"}}),
              ElementsAre("Must supply an 'elevated_user' if 'elevated_password' provided"));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"elevated_user", "p"}}), ElementsAre());
  EXPECT_THAT(
      judge({{"inline", list({"a"})}, {"execution_policy", "zork"}}),
      ElementsAre("error decoding 'execution_policy': zork does not belong to ExecutionPolicy values"));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"execution_policy", ""}}),
              ElementsAre("error decoding 'execution_policy':  does not belong to ExecutionPolicy values"));
  EXPECT_THAT(
      judge({{"inline", list({"a"})}, {"execution_policy", 8}}),
      ElementsAre(StartsWith("Invalid execution policy provided. Please supply one of: \"bypass\", ")));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"elevated_execute_command", "{{.Zork}"}}),
              ElementsAre(StartsWith("invalid 'elevated_execute_command': template: root:1: ")));
  EXPECT_THAT(judge({{"script", "nope"},
                     {"elevated_password", "p"},
                     {"environment_vars", list({"x"})},
                     {"debug_mode", 5}}),
              ElementsAre("Must supply an 'elevated_user' if 'elevated_password' provided",
                          "Bad script 'nope': stat nope: no such file or directory",
                          "Environment variable not in format 'key=value': x",
                          "5 is an invalid Trace level for `debug_mode`; valid values are 0, 1, and 2"));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"use_env_var_file", true}}),
              ElementsAre("unknown configuration key: '\"use_env_var_file\"'"));
}

struct PowershellRun {
  void run(Value::Object config) {
    config.push_back({"remote_path", "c:/s.ps1", {}});
    config.push_back({"remote_env_var_path", "c:/env.ps1", {}});
    auto powershell = powershell_provisioner().make();
    stage.prepare(*powershell, Value(std::move(config)));
    ASSERT_THAT(stage.complaints(), ElementsAre());
    powershell->run(communicator, stage.context);
  }
  std::string error_of(Value::Object config) {
    try {
      run(std::move(config));
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }
  std::string first_command() const {
    for (const auto& call : communicator.calls) {
      if (call.starts_with("run ")) return call.substr(4);
    }
    return "";
  }
  TestStage stage;
  ScriptedCommunicator communicator;
};

struct CommandCase {
  Value::Object config;
  std::string command;
};

// As seen from Packer 1.16 by a WinRM server that writes everything down.
TEST(Powershell, CommandLines) {
  TempDir dir;
  auto script = (dir.path() / "a.ps1").string();
  write_file_atomically(script, "exit 3");
  const std::string block_start =
      "& { if (Test-Path variable:global:ProgressPreference){set-variable -name "
      "variable:global:ProgressPreference -value 'SilentlyContinue'};";
  const std::string block_end = ". c:/env.ps1; &'c:/s.ps1'; exit $LastExitCode }";
  const Value one = list({"one"});
  const CommandCase cases[] = {
      {{{"inline", one}}, "powershell -executionpolicy bypass -file c:/s.ps1"},
      {{{"inline", one}, {"use_pwsh", true}}, "pwsh -executionpolicy bypass -file c:/s.ps1"},
      {{{"inline", one}, {"execution_policy", "AllSigned"}},
       "powershell -executionpolicy allsigned -file c:/s.ps1"},
      {{{"inline", one}, {"execution_policy", 3}}, "powershell -executionpolicy remotesigned -file c:/s.ps1"},
      {{{"inline", one}, {"execution_policy", "none"}}, "-file c:/s.ps1"},
      {{{"script", script}}, "powershell -executionpolicy bypass \"" + block_start + block_end + "\""},
      {{{"script", script}, {"debug_mode", 1}},
       "powershell -executionpolicy bypass \"" + block_start + "Set-PsDebug -Trace 1;" + block_end + "\""},
      {{{"script", script}, {"use_pwsh", true}, {"execution_policy", "none"}}, block_start + block_end},
      {{{"script", script}, {"execute_command", "do {{.Vars}} {{.Path}} {{.User}}"}},
       "do c:/env.ps1 c:/s.ps1 me"},
      {{{"inline", one}, {"elevated_execute_command", "ignored"}},
       "powershell -executionpolicy bypass -file c:/s.ps1"},
  };
  for (const auto& test : cases) {
    PowershellRun powershell;
    powershell.stage.context.scope.build_data.set("User", "me");
    powershell.run(test.config);
    EXPECT_EQ(powershell.first_command(), test.command);
  }
}

TEST(Powershell, SendsRunsAndRemoves) {
  PowershellRun powershell;
  powershell.communicator.answer = [](const std::string& command) {
    return contains(command, "s.ps1") ? Answer{0, "hello\r\n", "careful\n"} : Answer{7};
  };
  powershell.run({{"inline", list({"echo hello"})}, {"environment_vars", list({"X=a$b\"c`d'e", "A=1"})}});
  const auto& calls = powershell.communicator.calls;
  ASSERT_EQ(calls.size(), 5u);
  EXPECT_EQ(calls[0], "upload c:/env.ps1");
  EXPECT_EQ(calls[1], "upload c:/s.ps1");
  EXPECT_EQ(calls[2], "run powershell -executionpolicy bypass -file c:/s.ps1");
  EXPECT_THAT(calls[3], MatchesRegex("upload c:/Windows/Temp/packer-cleanup-[-0-9a-f]*\\.ps1"));
  std::string clean_up = calls[3].substr(7);
  EXPECT_EQ(calls[4], "run powershell -executionpolicy bypass -file " + clean_up);
  EXPECT_EQ(
      powershell.communicator.files[clean_up],
      "if (Test-Path c:/env.ps1) {Remove-Item c:/env.ps1}\nif (Test-Path c:/s.ps1) {Remove-Item c:/s.ps1}\n"
      "if (Test-Path " +
          clean_up + ") {Remove-Item " + clean_up + "}\n");
  const std::string variables =
      "$env:A=\"1\"; $env:PACKER_BUILDER_TYPE=\"null\"; $env:PACKER_BUILD_NAME=\"vm1\"; "
      "$env:X=\"a`$b`\"c``d`'e\"; ";
  EXPECT_EQ(powershell.communicator.files["c:/env.ps1"], variables);
  EXPECT_THAT(powershell.communicator.files["c:/s.ps1"],
              HasSubstr("try {\n" + variables + "\necho hello\n} catch {"));
  auto lines = powershell.stage.lines();
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "say: Provisioning with Powershell...");
  EXPECT_THAT(lines[1], HasSubstr("Provisioning with powershell script: "));
  EXPECT_THAT(lines[1], HasSubstr("/powershell-provisioner"));
  EXPECT_EQ(lines[2], "say: hello");
  EXPECT_EQ(lines[3], "error: careful");
}

TEST(Powershell, ManyScriptsAreCleanedUpOnce) {
  TempDir dir;
  auto script = (dir.path() / "a.ps1").string();
  write_file_atomically(script, "exit 0");
  PowershellRun powershell;
  powershell.run({{"scripts", list({script, script})}, {"env_var_format", "%s=%s;"}});
  EXPECT_EQ(powershell.communicator.calls.size(), 8u);
  EXPECT_EQ(powershell.communicator.files["c:/env.ps1"], "PACKER_BUILDER_TYPE=null;PACKER_BUILD_NAME=vm1;");
  PowershellRun dirty;
  dirty.run({{"scripts", list({script})}, {"skip_clean", true}});
  EXPECT_EQ(dirty.communicator.calls.size(), 3u);
}

TEST(Powershell, ExitCodes) {
  PowershellRun powershell;
  powershell.communicator.answer = [](const std::string&) { return Answer{3}; };
  EXPECT_EQ(powershell.error_of({{"inline", list({"exit 3"})}}),
            "Script exited with non-zero exit status: 3. Allowed exit codes are: [0]");
  PowershellRun fine;
  fine.communicator.answer = [](const std::string&) { return Answer{3}; };
  EXPECT_EQ(fine.error_of({{"inline", list({"exit 3"})}, {"valid_exit_codes", Value(Value::List{0, 3})}}),
            "");
}

TEST(Powershell, StartIsRetried) {
  PowershellRun powershell;
  powershell.communicator.failing_uploads = 1;
  powershell.run({{"inline", list({"a"})}, {"skip_clean", true}});
  EXPECT_EQ(powershell.communicator.calls.size(), 4u);
}

TEST(Powershell, Elevated) {
  PowershellRun powershell;
  powershell.stage.context.scope.build_data.set("Password", "p'w");
  powershell.run({{"inline", list({"a"})},
                  {"elevated_user", "Ad$min"},
                  {"elevated_password", "{{.Password}}"},
                  {"elevated_env_var_format", "E %s %s\n"},
                  {"elevated_execute_command", "go {{.Vars}} {{.Path}}"}});
  const auto& calls = powershell.communicator.calls;
  ASSERT_EQ(calls.size(), 6u);
  EXPECT_THAT(calls[2], MatchesRegex("upload C:/Windows/Temp/packer-elevated-shell-[-0-9a-f]*\\.ps1"));
  std::string runner = calls[2].substr(7);
  EXPECT_EQ(calls[3], "run powershell -executionpolicy bypass -file \"" + runner + "\"");
  EXPECT_THAT(calls[5],
              StartsWith("run powershell -executionpolicy bypass -file c:/Windows/Temp/packer-cleanup-"));
  EXPECT_EQ(powershell.communicator.files["c:/env.ps1"],
            "E PACKER_BUILDER_TYPE null\nE PACKER_BUILD_NAME vm1\n");
  const std::string& text = powershell.communicator.files[runner];
  EXPECT_THAT(text, HasSubstr("$user = 'Ad$min'\n$password = 'p''w'\n"));
  EXPECT_THAT(text, HasSubstr("$command = 'go c:/env.ps1 c:/s.ps1 > %SYSTEMROOT%/Temp/packer-"));
  EXPECT_THAT(text, HasSubstr("$self = " + quote(runner)));
}

TEST(Powershell, ElevatedScriptQuotesWhatItIsGiven) {
  ElevatedTask task{"powershell \"& {'x' & $y}\"", "DOM\\u", "", "packer-1", "c:/r.ps1"};
  EXPECT_THAT(
      elevated_script(task),
      StartsWith("$name = 'packer-1'\n$user = 'DOM\\u'\n$password = ''\n"
                 "$command = 'powershell \"& {''x'' & $y}\" > %SYSTEMROOT%/Temp/packer-1.out 2>&1'\n"));
}

TEST(Powershell, InlineScriptTraces) {
  EXPECT_THAT(inline_powershell({"a"}, "", 2), HasSubstr("Set-PsDebug -Trace 2\n"));
  EXPECT_THAT(inline_powershell({"a"}, "", 0), Not(HasSubstr("Set-PsDebug")));
}

}  // namespace
}  // namespace kiln
