#include "provisioner/shell/shell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"
#include "provisioner/shell/config.h"

namespace kiln {
namespace {

using Answer = ScriptedCommunicator::Answer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<std::string> judge(Value::Object config) {
  TestStage stage;
  auto shell = shell_provisioner().make();
  stage.prepare(*shell, Value(std::move(config)));
  return stage.complaints();
}

Value list(const std::vector<std::string>& items) {
  Value::List out;
  for (const auto& item : items) out.emplace_back(item);
  return Value(out);
}

// The texts and their order are those of Packer 1.6.6.
TEST(Shell, ReportsMistakesInPackersWords) {
  EXPECT_THAT(judge({}), ElementsAre("Either a script file or inline script must be specified."));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"script", "x"}}),
              ElementsAre("Only a script file or an inline script can be specified, not both.",
                          "Bad script 'x': stat x: no such file or directory"));
  EXPECT_THAT(judge({{"script", "x"}, {"scripts", list({"/bin/sh"})}}),
              ElementsAre("Only one of script or scripts can be specified.",
                          "Bad script 'x': stat x: no such file or directory"));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"environment_vars", list({"a=b", "nofoo", "=x"})}}),
              ElementsAre("Environment variable not in format 'key=value': nofoo",
                          "Environment variable not in format 'key=value': =x"));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"zork", 1}}),
              ElementsAre("unknown configuration key: '\"zork\"'"));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"execute_command", "{{.Zork}"}}),
              ElementsAre(StartsWith("invalid 'execute_command': template: root:1: ")));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"execute_command", "sudo {{.Vars}} {{.Path}}"}}),
              ElementsAre());
}

struct ShellRun {
  ShellRun() {
    communicator.answer = [](const std::string&) { return Answer{}; };
  }
  void run(Value::Object config) {
    config.push_back({"remote_file", "s.sh", {}});
    auto shell = shell_provisioner().make();
    stage.prepare(*shell, Value(std::move(config)));
    ASSERT_THAT(stage.complaints(), ElementsAre());
    shell->run(communicator, stage.context);
  }
  std::string error_of(Value::Object config) {
    try {
      run(std::move(config));
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }
  TestStage stage;
  ScriptedCommunicator communicator;
};

TEST(Shell, SendsRunsAndRemoves) {
  ShellRun shell;
  shell.communicator.answer = [](const std::string& command) {
    return contains(command, "chmod") ? Answer{0, "hello\n", "careful\n"} : Answer{};
  };
  shell.run({{"inline", list({"echo hello", "echo x"})}, {"environment_vars", list({"Z=it's", "A=1"})}});
  EXPECT_THAT(shell.communicator.calls,
              ElementsAre("upload /tmp/s.sh",
                          "run chmod +x /tmp/s.sh; A='1' PACKER_BUILDER_TYPE='null' PACKER_BUILD_NAME='vm1' "
                          "Z='it'\"'\"'s'  /tmp/s.sh",
                          "run rm -f /tmp/s.sh"));
  EXPECT_EQ(shell.communicator.files["/tmp/s.sh"], "#!/bin/sh -e\necho hello\necho x\n");
  EXPECT_EQ(shell.communicator.modes["/tmp/s.sh"], 0755);
  auto lines = shell.stage.lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], HasSubstr("Provisioning with shell script: /tmp/packer-shell"));
  EXPECT_EQ(lines[1], "say: hello");
  EXPECT_EQ(lines[2], "error: careful");
}

TEST(Shell, ShebangRules) {
  ShellConfig config;
  config.inline_shebang = "/bin/sh -e";
  EXPECT_EQ(inline_script(config, {"a"}), "#!/bin/sh -e\na\n");
  EXPECT_EQ(inline_script(config, {"#!/bin/bash", "a"}), "#!/bin/bash\na\n");
  config.inline_shebang_set = true;
  EXPECT_EQ(inline_script(config, {"#!/bin/bash"}), "#!/bin/sh -e\n#!/bin/bash\n");
}

TEST(Shell, ScriptsKeepTheirBytesOnlyWhenBinary) {
  TempDir dir;
  auto script = (dir.path() / "a.sh").string();
  write_file_atomically(script, "#!/bin/sh\r\necho a");
  ShellRun text;
  text.run({{"script", script}, {"skip_clean", true}});
  EXPECT_EQ(text.communicator.files["/tmp/s.sh"], "#!/bin/sh\necho a\n");
  EXPECT_EQ(text.stage.lines()[0], "say: Provisioning with shell script: " + script);
  ShellRun binary;
  binary.run({{"script", script}, {"binary", true}, {"skip_clean", true}});
  EXPECT_EQ(binary.communicator.files["/tmp/s.sh"], "#!/bin/sh\r\necho a");
  EXPECT_EQ(binary.communicator.calls.size(), 2u);
}

TEST(Shell, VariablesByFile) {
  ShellRun shell;
  shell.run({{"inline", list({"true"})},
             {"use_env_var_file", true},
             {"env", Value(Value::Object{{"PASS", "s3'x"}})}});
  auto& calls = shell.communicator.calls;
  ASSERT_EQ(calls.size(), 5u);
  EXPECT_THAT(calls[0], StartsWith("upload /tmp/varfile_"));
  std::string file = calls[0].substr(7);
  EXPECT_EQ(calls[2], "run chmod +x /tmp/s.sh; . " + file + " && /tmp/s.sh");
  EXPECT_EQ(calls[4], "run rm -f " + file);
  EXPECT_EQ(shell.communicator.files[file],
            "export PACKER_BUILDER_TYPE='null'\nexport PACKER_BUILD_NAME='vm1'\nexport PASS='s3'\"'\"'x'\n");
  EXPECT_EQ(shell.communicator.modes[file], 0600);
}

TEST(Shell, RendersWithBuildData) {
  ShellRun shell;
  shell.stage.context.scope.build_data.set("User", "root");
  shell.stage.context.scope.build_data.set("PackerHTTPAddr", "10.0.2.2:8001");
  shell.stage.build.scope.build_data = Value(Value::Object{{"User", ""}});
  shell.run({{"inline", list({"echo {{build `User`}}"})},
             {"environment_vars", list({"WHO={{build `User`}}"})},
             {"execute_command", "{{.Vars}} sudo -u {{.User}} {{.Path}}"}});
  EXPECT_EQ(shell.communicator.files["/tmp/s.sh"], "#!/bin/sh -e\necho root\n");
  EXPECT_EQ(shell.communicator.calls[1],
            "run PACKER_BUILDER_TYPE='null' PACKER_BUILD_NAME='vm1' PACKER_HTTP_ADDR='10.0.2.2:8001' "
            "WHO='root'  sudo -u "
            "root /tmp/s.sh");
}

TEST(Shell, ExitCodes) {
  auto exits = [](int status) {
    return [status](const std::string& command) { return Answer{contains(command, "chmod") ? status : 0}; };
  };
  ShellRun three;
  three.communicator.answer = exits(3);
  EXPECT_EQ(three.error_of({{"inline", list({"x"})}}),
            "Script exited with non-zero exit status: 3. Allowed exit codes are: [0]");
  ShellRun allowed;
  allowed.communicator.answer = exits(3);
  EXPECT_EQ(allowed.error_of({{"inline", list({"x"})}, {"valid_exit_codes", Value(Value::List{0, 3})}}), "");
  ShellRun lost;
  lost.communicator.answer = exits(disconnected_status);
  EXPECT_THAT(lost.error_of({{"inline", list({"x"})}}),
              StartsWith("Script disconnected unexpectedly. If you expected"));
}

TEST(Shell, ARestartIsWaitedFor) {
  ShellRun shell;
  int probes = 0;
  shell.communicator.answer = [&](const std::string& command) -> Answer {
    if (contains(command, "boot_id")) {
      ++probes;
      if (probes == 1) return {0, "boot-id:one\n"};
      if (probes == 2) return {0, "", "connection refused", true};
      return {0, "boot-id:two\n"};
    }
    return {contains(command, "chmod") ? disconnected_status : 0};
  };
  shell.run({{"inline", list({"reboot"})}, {"expect_disconnect", true}});
  EXPECT_EQ(probes, 3);
  EXPECT_EQ(shell.communicator.calls.back(), "run rm -f /tmp/s.sh");
  EXPECT_EQ(shell.stage.lines().back(), "say: The machine has restarted.");
}

TEST(Shell, AShellEndedByItsOwnRebootIsNoFailure) {
  ShellRun shell;
  int probes = 0;
  shell.communicator.answer = [&](const std::string& command) -> Answer {
    if (contains(command, "boot_id")) return {0, ++probes == 1 ? "boot-id:one\n" : "boot-id:two\n"};
    return {contains(command, "chmod") ? 143 : 0};
  };
  EXPECT_EQ(shell.error_of({{"inline", list({"reboot"})}, {"expect_disconnect", true}}), "");
}

TEST(Shell, AMachineThatStaysAwayIsAnError) {
  ShellRun shell;
  shell.communicator.answer = [](const std::string& command) -> Answer {
    if (contains(command, "chmod")) return {disconnected_status};
    static int probes = 0;
    if (++probes == 1) return {0, "boot-id:one\n"};
    return {0, "", "no route to host", true};
  };
  EXPECT_THAT(shell.error_of(
                  {{"inline", list({"reboot"})}, {"expect_disconnect", true}, {"start_retry_timeout", "1s"}}),
              StartsWith("The machine did not come back within 1s"));
}

TEST(Shell, SwitchingOffWithSkipCleanWaitsForNothing) {
  ShellRun shell;
  shell.communicator.answer = [](const std::string& command) -> Answer {
    if (contains(command, "chmod")) return {disconnected_status};
    return {0, "boot-id:one\n"};
  };
  shell.run({{"inline", list({"shutdown -P now"})}, {"expect_disconnect", true}, {"skip_clean", true}});
  EXPECT_EQ(shell.communicator.calls.size(), 3u);
  EXPECT_FALSE(turns_machine_off("sudo reboot"));
}

TEST(Shell, StartIsRetried) {
  ShellRun shell;
  shell.communicator.failing_uploads = 1;
  shell.run({{"inline", list({"true"})}});
  EXPECT_EQ(shell.communicator.calls.size(), 4u);
  ShellRun never;
  never.communicator.failing_uploads = 100;
  EXPECT_EQ(never.error_of({{"inline", list({"true"})}, {"start_retry_timeout", "1s"}}),
            "Error uploading script: connection refused");
}

TEST(Shell, AScriptThatRanIsNotStartedAgain) {
  ShellRun shell;
  int starts = 0;
  shell.communicator.answer = [&](const std::string& command) -> Answer {
    if (!contains(command, "chmod")) return {};
    ++starts;
    return {0, "half of it\n", "the channel broke", true};
  };
  EXPECT_THAT(shell.error_of({{"inline", list({"true"})}}), StartsWith("Script disconnected unexpectedly"));
  EXPECT_EQ(starts, 1);
}

TEST(Shell, PausesAfter) {
  ShellRun shell;
  shell.run({{"inline", list({"true"})}, {"pause_after", "10ms"}});
  EXPECT_EQ(shell.stage.lines().back(), "say: Pausing 10ms after this provisioner...");
}

TEST(Shell, StopEndsIt) {
  ShellRun shell;
  shell.stage.stop.request("interrupted");
  EXPECT_EQ(shell.error_of({{"inline", list({"true"})}}), "Error uploading script: interrupted");
}

TEST(Shell, IsPreparedAnewEachTime) {
  TestStage stage;
  auto shell = shell_provisioner().make();
  stage.prepare(*shell, Value(Value::Object{{"script", "/bin/true"}}));
  stage.prepare(*shell, Value(Value::Object{{"inline", list({"a"})}}));
  EXPECT_THAT(stage.complaints(), ElementsAre());
}

}  // namespace
}  // namespace kiln
