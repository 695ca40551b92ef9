#include "provisioner/windows_shell/windows_shell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using Answer = ScriptedCommunicator::Answer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Value list(const std::vector<std::string>& items) {
  Value::List out;
  for (const auto& item : items) out.emplace_back(item);
  return Value(out);
}

std::vector<std::string> judge(Value::Object config) {
  TestStage stage;
  auto shell = windows_shell_provisioner().make();
  stage.prepare(*shell, Value(std::move(config)));
  return stage.complaints();
}

TEST(WindowsShell, ReportsMistakesInPackersWords) {
  EXPECT_THAT(judge({}), ElementsAre("Either a script file or inline script must be specified."));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"script", "/bin/sh"}}),
              ElementsAre("Only a script file or an inline script can be specified, not both."));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"environment_vars", list({"x", "=y"})}}),
              ElementsAre("Environment variable not in format 'key=value': x",
                          "Environment variable not in format 'key=value': =y"));
  EXPECT_THAT(judge({{"inline", list({"a"})}, {"execute_command", "{{.Zork}"}}),
              ElementsAre(StartsWith("invalid 'execute_command': template: root:1: ")));
  for (const char* other : {"skip_clean", "use_env_var_file", "remote_folder", "pause_after"}) {
    EXPECT_THAT(judge({{"inline", list({"a"})}, {other, "1s"}}),
                ElementsAre(StartsWith("unknown configuration key")));
  }
}

struct WindowsShellRun {
  void run(Value::Object config) {
    auto shell = windows_shell_provisioner().make();
    stage.prepare(*shell, Value(std::move(config)));
    ASSERT_THAT(stage.complaints(), ElementsAre());
    shell->run(communicator, stage.context);
  }
  TestStage stage;
  ScriptedCommunicator communicator;
};

TEST(WindowsShell, SendsAndRuns) {
  WindowsShellRun shell;
  shell.run({{"inline", list({"dir", "echo %A%"})},
             {"environment_vars", list({"A=1 2"})},
             {"env", Value(Value::Object{{"B", "%x"}})}});
  EXPECT_THAT(shell.communicator.calls,
              ElementsAre("upload c:/Windows/Temp/script.bat",
                          "run set \"A=1 2\" && set \"B=%x\" && set \"PACKER_BUILDER_TYPE=null\" && "
                          "set \"PACKER_BUILD_NAME=vm1\" && \"c:/Windows/Temp/script.bat\""));
  EXPECT_EQ(shell.communicator.files["c:/Windows/Temp/script.bat"], "dir\necho %A%\n");
  EXPECT_EQ(shell.stage.lines()[0], "say: Provisioning with windows-shell...");
  EXPECT_THAT(shell.stage.lines()[1], HasSubstr("Provisioning with shell script: "));
}

TEST(WindowsShell, OwnCommandAndPath) {
  TempDir dir;
  auto script = (dir.path() / "a.bat").string();
  write_file_atomically(script, "dir\r\nver");
  WindowsShellRun shell;
  shell.run({{"script", script},
             {"remote_path", "c:/q.bat"},
             {"binary", true},
             {"env_var_format", "<%s|%s>"},
             {"execute_command", "do {{.Vars}} {{.Path}}"}});
  EXPECT_THAT(
      shell.communicator.calls,
      ElementsAre("upload c:/q.bat", "run do <PACKER_BUILDER_TYPE|null><PACKER_BUILD_NAME|vm1> c:/q.bat"));
  EXPECT_EQ(shell.communicator.files["c:/q.bat"], "dir\r\nver");
}

TEST(WindowsShell, ExitCodesAndRetries) {
  WindowsShellRun shell;
  shell.communicator.failing_uploads = 1;
  shell.communicator.answer = [](const std::string&) { return Answer{3}; };
  try {
    shell.run({{"inline", list({"exit 3"})}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "Script exited with non-zero exit status: 3. Allowed exit codes are: [0]");
  }
  EXPECT_EQ(shell.communicator.calls.size(), 3u);
}

}  // namespace
}  // namespace kiln
