#include "provisioner/windows_restart/windows_restart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"
#include "wire/encoded_powershell.h"

namespace kiln {
namespace {

using Answer = ScriptedCommunicator::Answer;
using ::testing::ElementsAre;
using ::testing::StartsWith;

const std::string restart = R"(shutdown /r /f /t 0 /c "packer restart")";
const std::string again = R"(shutdown /r /f /t 60 /c "packer restart test")";
const std::string echo = encoded_powershell(R"(echo ("{0} restarted." -f [System.Net.Dns]::GetHostName()))");

struct WindowsRestartRun {
  WindowsRestartRun() {
    communicator.answer = [this](const std::string& command) {
      auto planned = answers.find(command);
      if (planned != answers.end() && !planned->second.empty()) {
        Answer answer = planned->second.front();
        planned->second.erase(planned->second.begin());
        return answer;
      }
      return command == echo ? Answer{0, "WIN restarted.\r\n"} : Answer{};
    };
  }
  std::string run(Value::Object config) {
    auto provisioner = windows_restart_provisioner().make();
    stage.prepare(*provisioner, Value(std::move(config)));
    EXPECT_THAT(stage.complaints(), ElementsAre());
    try {
      provisioner->run(communicator, stage.context);
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }
  std::map<std::string, std::vector<Answer>> answers;  ///< what commands answer first
  TestStage stage;
  ScriptedCommunicator communicator;
};

TEST(WindowsRestart, RestartsAndWaits) {
  WindowsRestartRun machine;
  EXPECT_EQ(machine.run({}), "");
  EXPECT_THAT(machine.communicator.calls,
              ElementsAre("run " + restart, "disconnect", "run " + again, "run shutdown /a", "run " + echo));
  EXPECT_THAT(machine.stage.lines(),
              ElementsAre("say: Restarting Machine", "say: Waiting for machine to restart...",
                          "say: WIN restarted.", "say: Machine successfully restarted, moving on"));
}

TEST(WindowsRestart, ALineThatBreaksIsTheRestart) {
  WindowsRestartRun machine;
  machine.answers[restart] = {Answer{disconnected_status}};
  EXPECT_EQ(machine.run({}), "");
}

TEST(WindowsRestart, WaitsWhileTheShutdownGoesOn) {
  WindowsRestartRun machine;
  machine.answers[restart] = {Answer{1190}};
  machine.answers[again] = {Answer{1115}};
  EXPECT_EQ(machine.run({}), "");
  EXPECT_EQ(machine.communicator.calls.size(), 6u);
}

TEST(WindowsRestart, AsksTheRegistryAndTheOwnCommand) {
  WindowsRestartRun machine;
  std::string key = encoded_powershell("Test-Path \"HKLM:k\"");
  machine.answers[key] = {Answer{0, "True\r\n"}, Answer{0, "False\r\n"}};
  EXPECT_EQ(machine.run({{"check_registry", true},
                         {"registry_keys", Value(Value::List{"HKLM:k"})},
                         {"restart_check_command", "mine"}}),
            "");
  EXPECT_THAT(machine.communicator.calls,
              ElementsAre("run " + restart, "disconnect", "run " + again, "run shutdown /a", "run mine",
                          "run " + echo, "run " + key, "run mine", "run " + echo, "run " + key));
}

TEST(WindowsRestart, Failures) {
  WindowsRestartRun refused;
  refused.answers["mine"] = {Answer{3, "out\n"}};
  EXPECT_EQ(refused.run({{"restart_command", "mine"}}), "Restart script exited with non-zero exit status: 3");
  WindowsRestartRun silent;
  silent.answers[echo] = {Answer{0, "nothing"}};
  EXPECT_EQ(silent.run({{"restart_timeout", "1s"}}), "Timeout waiting for machine to restart.");
}

TEST(WindowsRestart, ReportsMistakes) {
  TestStage stage;
  auto provisioner = windows_restart_provisioner().make();
  stage.prepare(*provisioner, Value(Value::Object{{"restart_timeout", "x"}, {"zork", 1}}));
  EXPECT_THAT(stage.complaints(), ElementsAre(StartsWith("error decoding 'restart_timeout'"),
                                              "unknown configuration key: '\"zork\"'"));
}

TEST(EncodedPowershell, IsUtf16InBase64) {
  EXPECT_EQ(encoded_powershell("é"),
            "powershell.exe -EncodedCommand "
            "JABQAHIAbwBnAHIAZQBzAHMAUAByAGUAZgBlAHIAZQBuAGMAZQAgAD0AIAAnAFMAaQBsAGUAbgB0"
            "AGwAeQBDAG8AbgB0AGkAbgB1AGUAJwA7AOkA");
}

}  // namespace
}  // namespace kiln
