// Who gets no agent, and what is said then. The scripts run here, by this machine's shell; that the agent gets into a
// machine that can have it, guest_vm_test.cc shows.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/process.h"
#include "communicator/guest/guest_channel.h"
#include "kit/scripted_communicator.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class InstallAgent : public testing::Test {
 protected:
  TempDir bin;
  ScriptedCommunicator machine;
  Stop stop;
  std::string before;  ///< a login shell's noise

  void SetUp() override {
    if (guest_agent_program().empty()) GTEST_SKIP() << "this Kiln was built without an agent";
    machine.answer = [this](const std::string& command) {
      std::string path = bin.path().string() + ":" + get_env("PATH").value_or("");
      auto ran = run({.argv = {"sh", "-c", command}, .env = {{"PATH", path}}}, Deadline::in(20s), stop);
      return ScriptedCommunicator::Answer{ran.status.code, before + ran.out, ran.err};
    };
  }
  void program(const std::string& name, const std::string& script) {
    write_file_atomically(bin.path() / name, "#!/bin/sh\n" + script + "\n", 0755);
  }
  void machine_is(const std::string& system, const std::string& processor) {
    program("uname", fmt::format("[ $1 = -s ] && echo {} || echo {}", system, processor));
  }
  /// As if the port were there, named in `name_file`; the rest of the script is the real one.
  fs::path name_file = bin.path() / "name";
  void machine_has_ports() {
    write_file_atomically(bin.path() / "device", "0x0003\n");
    auto local = machine.answer;
    machine.answer = [this, local](const std::string& command) {
      std::string here = replace_all(command, "/sys/class/virtio-ports/*/name", name_file.string());
      return local(replace_all(here, "/sys/bus/virtio/devices/*/device", (bin.path() / "device").string()));
    };
  }
  std::string why_not() {
    std::string why = "unset";
    EXPECT_FALSE(install_guest_agent(machine, why, Deadline::in(20s), stop));
    return why;
  }
  bool has_uploads() const { return !machine.files.empty(); }
};

TEST_F(InstallAgent, OtherSystemsProcessorsAndMachinesWithoutThePortAreNamed) {
  before = "Welcome to the machine!\n\n";
  machine_is("FreeBSD", "amd64");
  EXPECT_EQ(why_not(), "the machine runs FreeBSD");
  machine_is("Linux", "aarch64");
  EXPECT_EQ(why_not(), "the machine's processor is aarch64");
  machine_is("Linux", "x86_64");
  EXPECT_EQ(why_not(), "the machine has no virtio port named org.kiln.guest");
  EXPECT_FALSE(has_uploads());
}

TEST_F(InstallAgent, WithoutAPosixShellTheMachinesWordsAreTheReason) {
  machine.answer = [](const std::string&) {
    return ScriptedCommunicator::Answer{1, "", "'/bin/sh' is not recognized as an internal or external command\r\n"};
  };
  EXPECT_EQ(why_not(), "'/bin/sh' is not recognized as an internal or external command");
  machine.answer = [](const std::string&) { return ScriptedCommunicator::Answer{1, "", ""}; };
  EXPECT_EQ(why_not(), "the machine has no POSIX shell");
  machine.answer = [](const std::string&) {
    return ScriptedCommunicator::Answer{0, "kiln-agent-place /etc/passwd\n", ""};
  };
  why_not();
  EXPECT_FALSE(has_uploads()) << "a place that is not ours";
}

TEST_F(InstallAgent, TheProgramArrivesAsItIsAndWhyItDoesNotStartIsTold) {
  machine_is("Linux", "x86_64");
  machine_has_ports();
  write_file_atomically(name_file, "org.kiln.guest\n");
  std::string why = why_not();  // what was uploaded is only remembered: there is nothing to start
  EXPECT_THAT(why, HasSubstr("not found"));
  ASSERT_EQ(machine.files.size(), 1U);
  EXPECT_TRUE(machine.files.begin()->second == guest_agent_program());
  EXPECT_EQ(machine.modes.begin()->second, 0700);
  EXPECT_FALSE(fs::exists(machine.files.begin()->first)) << "the probe left something";
  machine.failing_uploads = 1;
  EXPECT_EQ(why_not(), "connection refused");
}

TEST_F(InstallAgent, APortThatComesAMomentLaterIsWaitedFor) {
  machine_is("Linux", "x86_64");
  machine_has_ports();
  program("sleep", fmt::format("echo org.kiln.guest > {}", name_file.string()));
  EXPECT_THAT(why_not(), HasSubstr("not found"));
  EXPECT_TRUE(has_uploads());
  fs::remove(name_file);
  program("sleep", "exit 0");
  EXPECT_EQ(why_not(), "the machine has no virtio port named org.kiln.guest");
}

TEST_F(InstallAgent, OnlyStopIsThrown) {
  stop.request();
  std::string why;
  EXPECT_THROW(install_guest_agent(machine, why, Deadline::in(20s), stop), Error);
}

}  // namespace
}  // namespace kiln
