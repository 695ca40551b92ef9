#include "provisioner/seal/seal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/process.h"
#include "base/text.h"
#include "kit/host_keys_unit.h"
#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"
#include "provisioner/seal/script.h"

namespace kiln {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr const char* build_key = "ssh-ed25519 AAAAC3NzaBuildKey packer_1.2";

/// A root directory as a build leaves it, with the script run in it.
struct SealedRoot {
  TempDir directory{"kiln-seal"};
  fs::path root = directory.path() / "a root";
  SealConfig config;
  std::string key = build_key;
  std::string shell = "/bin/sh";

  SealedRoot() {
    write("/etc/passwd",
          "root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\nbin:x:1:1::/nonexistent:/x\n");
    fs::create_directories(root / "tmp");
    fs::create_directories(root / "var/log");
  }
  void write(const std::string& path, const std::string& content = "x\n") const {
    fs::path file = root / path.substr(1);
    fs::create_directories(file.parent_path());
    write_file_atomically(file, content);
  }
  std::string read(const std::string& path) const {
    return read_file_if_exists(root / path.substr(1)).value_or("<missing>");
  }
  bool exists(const std::string& path) const {
    return fs::symlink_status(root / path.substr(1)).type() != fs::file_type::not_found;
  }
  SealReport run() const {
    std::string script = seal_script({config, key, "", root.string()});
    fs::path file = directory.path() / "seal.sh";
    write_file_atomically(file, script);
    std::vector<std::string> argv = split(shell, ' ');
    argv.push_back(file.string());
    auto result = kiln::run({.argv = argv}, Deadline::in(std::chrono::minutes(1)), Stop());
    EXPECT_EQ(result.err, "");
    SealReport report = read_seal_report(result.out);
    EXPECT_TRUE(report.complete) << result.out;
    EXPECT_THAT(report.notes, IsEmpty());
    return report;
  }
};

std::vector<std::string> paths_of(const SealReport& report) {
  std::vector<std::string> out;
  for (const auto& one : report.leftovers) out.push_back(one.path);
  std::sort(out.begin(), out.end());
  return out;
}

/// Something of every part.
void use(const SealedRoot& machine) {
  machine.write("/root/.ssh/authorized_keys", std::string(build_key) + "\n");
  machine.write("/home/me/.ssh/authorized_keys",
                "ssh-rsa AAAAB3Mine me@home\ncommand=\"echo no\" " + std::string(build_key) +
                    "\nssh-rsa AAAAB3Old packer_6a1b2c3d-1111-2222-3333-444455556666\n");
  for (auto path : {"/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_rsa_key.pub", "/usr/bin/ssh-keygen",
                    "/etc/systemd/system/x.service", "/etc/ssh/sshd_config", "/var/lib/cloud/instances/i-1/sem",
                    "/var/lib/cloud/scripts/per-boot/mine", "/var/log/cloud-init.log", "/root/.bash_history",
                    "/home/me/.local/share/fish/fish_history", "/var/cache/apt/archives/a b.deb",
                    "/var/cache/apt/archives/partial/c.deb", "/var/lib/apt/lists/deb.example_Packages",
                    "/var/lib/apt/lists/lock", "/var/cache/dnf/repo/x", "/var/log/journal/abc/system.journal",
                    "/var/log/syslog.1", "/var/log/apt/history.log", "/tmp/.hidden/deep", "/var/tmp/file",
                    "/var/lib/dhcp/dhclient.eth0.leases", "/var/lib/systemd/random-seed", "/var/lib/dbus/machine-id"}) {
    machine.write(path);
  }
  machine.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
  machine.write("/var/log/syslog", std::string(40000, 'x'));
  fs::create_directories(machine.root / "tmp/systemd-private-abc/tmp");
}

TEST(SealScript, CleansAUsedMachineAndFindsNothingAfterwards) {
  SealedRoot machine;
  use(machine);
  SealReport report = machine.run();
  EXPECT_THAT(paths_of(report), IsEmpty());
  EXPECT_FALSE(machine.exists("/root/.ssh/authorized_keys"));
  EXPECT_EQ(machine.read("/home/me/.ssh/authorized_keys"), "ssh-rsa AAAAB3Mine me@home\n");
  for (auto path : {"/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_rsa_key.pub", "/var/lib/cloud/instances",
                    "/var/log/cloud-init.log", "/root/.bash_history", "/home/me/.local/share/fish/fish_history",
                    "/var/cache/apt/archives/a b.deb", "/var/cache/apt/archives/partial/c.deb",
                    "/var/lib/apt/lists/deb.example_Packages", "/var/cache/dnf/repo", "/var/log/journal/abc",
                    "/var/log/syslog.1", "/tmp/.hidden", "/var/tmp/file", "/var/lib/dhcp/dhclient.eth0.leases",
                    "/var/lib/systemd/random-seed"}) {
    EXPECT_FALSE(machine.exists(path)) << path;
  }
  for (auto path : {"/etc/ssh/sshd_config", "/var/lib/cloud/scripts/per-boot/mine", "/var/lib/apt/lists/lock",
                    "/tmp/systemd-private-abc/tmp", "/var/log/apt/history.log"}) {
    EXPECT_TRUE(machine.exists(path)) << path;
  }
  EXPECT_EQ(machine.read("/etc/machine-id"), "");
  EXPECT_EQ(fs::read_symlink(machine.root / "var/lib/dbus/machine-id"), "/etc/machine-id");
  EXPECT_EQ(machine.read("/var/log/syslog"), "");
  EXPECT_EQ(machine.read(std::string("/etc/systemd/system/") + host_keys_unit_name), host_keys_unit_text);
  EXPECT_TRUE(machine.exists(std::string("/etc/systemd/system/multi-user.target.wants/") + host_keys_unit_name));
  EXPECT_THAT(report.done, Contains("emptied /etc/machine-id"));
  EXPECT_THAT(report.done, Contains("removed the build's ssh key from /home/me/.ssh/authorized_keys"));
  EXPECT_THAT(report.done, Contains("removed ssh host keys (2)"));
}

TEST(SealScript, ASecondRunHasNothingToDo) {
  SealedRoot machine;
  use(machine);
  machine.run();
  SealReport again = machine.run();
  EXPECT_THAT(again.done, IsEmpty());
  EXPECT_THAT(again.leftovers, IsEmpty());
}

TEST(SealScript, OnlyCheckNamesEveryLeftoverAndTouchesNothing) {
  SealedRoot machine;
  use(machine);
  machine.config.only_check = true;
  SealReport report = machine.run();
  EXPECT_THAT(paths_of(report),
              UnorderedElementsAre("/root/.ssh/authorized_keys", "/home/me/.ssh/authorized_keys",
                                   "/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_rsa_key.pub",
                                   "/var/lib/cloud/instances", "/var/log/cloud-init.log", "/root/.bash_history",
                                   "/home/me/.local/share/fish/fish_history", "/var/cache/apt/archives/a b.deb",
                                   "/var/cache/apt/archives/partial/c.deb", "/var/lib/apt/lists/deb.example_Packages",
                                   "/var/cache/dnf/repo", "/var/log/journal/abc", "/var/log/syslog.1",
                                   "/var/log/syslog", "/tmp/.hidden", "/var/tmp/file",
                                   "/var/lib/dhcp/dhclient.eth0.leases", "/var/lib/systemd/random-seed",
                                   "/var/lib/dbus/machine-id", "/etc/machine-id"));
  EXPECT_THAT(report.done, IsEmpty());
  EXPECT_TRUE(machine.exists("/root/.bash_history"));
  EXPECT_EQ(machine.read("/etc/machine-id"), "0123456789abcdef0123456789abcdef\n");
}

TEST(SealScript, BusyboxWillDo) {
  if (!find_program("busybox")) GTEST_SKIP() << "no busybox here";
  SealedRoot machine;
  use(machine);
  machine.shell = "busybox sh";
  EXPECT_THAT(paths_of(machine.run()), IsEmpty());
  EXPECT_FALSE(machine.exists("/tmp/.hidden"));
  EXPECT_EQ(machine.read("/home/me/.ssh/authorized_keys"), "ssh-rsa AAAAB3Mine me@home\n");
}

TEST(SealScript, WhatIsKeptStaysAndIsNoLeftover) {
  SealedRoot machine;
  use(machine);
  machine.config.keep = {"/var/cache/dnf/repo/x", "/etc/machine-id", "/root/it's", "/tmp"};
  SealReport report = machine.run();
  EXPECT_THAT(paths_of(report), IsEmpty());
  EXPECT_TRUE(machine.exists("/var/cache/dnf/repo/x"));
  EXPECT_TRUE(machine.exists("/tmp/.hidden/deep"));
  EXPECT_EQ(machine.read("/etc/machine-id"), "0123456789abcdef0123456789abcdef\n");
  EXPECT_FALSE(machine.exists("/var/tmp/file"));
}

TEST(SealScript, AnOptionThatIsOffIsNeitherDoneNorLookedAt) {
  SealedRoot machine;
  use(machine);
  machine.config.history = machine.config.logs = false;
  SealReport report = machine.run();
  EXPECT_THAT(paths_of(report), IsEmpty());
  EXPECT_TRUE(machine.exists("/root/.bash_history"));
  EXPECT_TRUE(machine.exists("/var/log/syslog.1"));
  EXPECT_FALSE(machine.exists("/var/tmp/file"));
}

TEST(SealScript, HostKeysThatNothingWouldMakeStayAndAreTold) {
  SealedRoot machine;
  machine.write("/etc/ssh/ssh_host_rsa_key");
  machine.write("/etc/dropbear/dropbear_rsa_host_key");
  SealReport report = machine.run();
  EXPECT_THAT(paths_of(report), ElementsAre("/etc/dropbear/dropbear_rsa_host_key", "/etc/ssh/ssh_host_rsa_key"));
  EXPECT_EQ(report.leftovers[0].what, "an ssh host key: nothing on this machine would make a new one");
  EXPECT_TRUE(machine.exists("/etc/ssh/ssh_host_rsa_key"));
  machine.write("/etc/init.d/sshd", "#!/sbin/openrc-run\nssh-keygen -A\n");
  machine.write("/etc/default/dropbear", "DROPBEAR_EXTRA_ARGS=\"-R\"\n");
  EXPECT_THAT(paths_of(machine.run()), IsEmpty());
  EXPECT_FALSE(machine.exists("/etc/ssh/ssh_host_rsa_key"));
  EXPECT_FALSE(machine.exists("/etc/dropbear/dropbear_rsa_host_key"));
}

TEST(SealScript, ADistributionsOwnUnitForHostKeysIsEnough) {
  SealedRoot machine;
  use(machine);
  machine.write("/usr/lib/systemd/system/sshd.service", "[Unit]\nWants=sshd-keygen.target\n");
  machine.run();
  EXPECT_FALSE(machine.exists("/etc/ssh/ssh_host_rsa_key"));
  EXPECT_FALSE(machine.exists(std::string("/etc/systemd/system/") + host_keys_unit_name));
}

TEST(SealScript, WithoutSystemdAMissingMachineIdIsMadeAnew) {
  SealedRoot machine;
  machine.write("/etc/machine-id", "0123\n");
  machine.run();
  EXPECT_FALSE(machine.exists("/etc/machine-id"));
}

TEST(SealScript, WithoutAKeyOfItsOwnABuildLeavesForeignKeysAlone) {
  SealedRoot machine;
  use(machine);
  machine.key = "";
  SealReport report = machine.run();
  EXPECT_THAT(machine.read("/root/.ssh/authorized_keys"), HasSubstr("AAAAC3NzaBuildKey"));
  EXPECT_THAT(machine.read("/home/me/.ssh/authorized_keys"), Not(HasSubstr("AAAAB3Old")));
}

TEST(SealReport, IsReadFromTheScriptsLines) {
  SealReport report = read_seal_report(
      "sudo: a lecture\r\n"
      "kiln-seal\tdone\temptied logs (3)\t\n"
      "kiln-seal\tleft\t/etc/machine-id\tthis machine's id\n"
      "kiln-seal\tend\t\t\n");
  EXPECT_THAT(report.done, ElementsAre("emptied logs (3)"));
  ASSERT_EQ(report.leftovers.size(), 1U);
  EXPECT_EQ(report.leftovers[0].path, "/etc/machine-id");
  EXPECT_EQ(report.leftovers[0].what, "this machine's id");
  EXPECT_THAT(report.notes, ElementsAre("sudo: a lecture"));
  EXPECT_TRUE(report.complete);
  EXPECT_FALSE(read_seal_report("kiln-seal\tdone\tx\t\n").complete);
  EXPECT_EQ(leftovers_text(report.leftovers),
            "the machine is not fit to be an image, 1 thing is left over:\n  /etc/machine-id: this machine's id");
}

struct SealRun {
  TestStage stage;
  ScriptedCommunicator communicator;
  std::string told = "kiln-seal\tend\t\t\n";
  std::string script;

  std::string run(Value::Object config = {}) {
    communicator.answer = [this](const std::string& command) {
      if (!command.starts_with("rm ")) script = communicator.files.empty() ? "" : communicator.files.begin()->second;
      return ScriptedCommunicator::Answer{0, command.starts_with("rm ") ? "" : told, "", false};
    };
    auto seal = seal_provisioner().make();
    stage.prepare(*seal, Value(std::move(config)));
    EXPECT_THAT(stage.complaints(), IsEmpty());
    try {
      seal->run(communicator, stage.context);
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }
};

TEST(Seal, RunsOneScriptAndSaysWhatItDid) {
  SealRun seal;
  seal.told = "kiln-seal\tdone\temptied logs (3)\t\nkiln-seal\tend\t\t\n";
  seal.stage.context.scope.build_data.set("SSHPublicKey", Value(std::string(build_key)));
  EXPECT_EQ(seal.run(), "");
  ASSERT_EQ(seal.communicator.calls.size(), 2U);
  std::string path = seal.communicator.calls[0].substr(std::string("upload ").size());
  EXPECT_EQ(seal.communicator.calls[1], "run /bin/sh " + path);
  EXPECT_TRUE(contains(seal.script, "\nKEY='AAAAC3NzaBuildKey'\n"));
  EXPECT_TRUE(contains(seal.script, "\nROOT=''\nSELF='" + path + "'\n"));
  EXPECT_THAT(seal.stage.lines(), ElementsAre("say: Sealing the machine...", "message: emptied logs (3)",
                                              "say: The machine is fit to be an image."));
}

TEST(Seal, LeftoversFailTheBuild) {
  SealRun seal;
  seal.told = "kiln-seal\tleft\t/tmp/x\ta temporary file\nkiln-seal\tend\t\t\n";
  EXPECT_EQ(seal.run({{"only_check", true}}),
            "the machine is not fit to be an image, 1 thing is left over:\n  /tmp/x: a temporary file");
}

TEST(Seal, AScriptThatDoesNotEndIsNoSuccess) {
  SealRun seal;
  seal.told = "sh: syntax error\n";
  EXPECT_THAT(seal.run({{"execute_command", "sudo sh {{.Path}}"}, {"remote_folder", "/var/tmp"}}),
              HasSubstr("the sealing script did not come to its end (exit status 0): sh: syntax error"));
  EXPECT_THAT(seal.communicator.calls.back(), HasSubstr("run rm -f '/var/tmp/seal_"));
}

TEST(Seal, SaysWhyItWasRefused) {
  SealRun seal;
  seal.told = "kiln-seal\trefused\tit must run as root\n";
  EXPECT_EQ(seal.run(), "cannot seal the machine: it must run as root");
}

TEST(Seal, MistakesAreTold) {
  TestStage stage;
  auto seal = seal_provisioner().make();
  stage.prepare(*seal, Value(Value::Object{{"keep", Value(Value::List{Value("etc/x")})},
                                           {"only_check", true},
                                           {"check", false},
                                           {"execute_command", "{{.Zork}"}}));
  EXPECT_THAT(stage.complaints(),
              ElementsAre(HasSubstr("invalid 'execute_command'"), "keep: \"etc/x\" is no absolute path",
                          "only_check = true and check = false leave nothing to do"));
}

}  // namespace
}  // namespace kiln
