// Seals a real machine, the tiny guest of tests/support: busybox, dropbear, no systemd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "builder/qemu/qemu.h"
#include "kit/test_stage.h"
#include "provisioner/seal/seal.h"

namespace kiln {
namespace {

constexpr const char* tiny_guest_script = KILN_SOURCE_DIR "/tests/support/tiny_guest/make.sh";

/// The tiny guest's directory; made when it is not there yet.
fs::path tiny_guest_directory() {
  if (auto given = get_env("KILN_TINY_GUEST")) return *given;
  fs::path cache = get_env("XDG_CACHE_HOME") ? fs::path(*get_env("XDG_CACHE_HOME")) : expand_home("~/.cache");
  fs::path out = cache / "kiln" / "tiny-guest";
  fs::create_directories(out.parent_path());
  run_checked({{"bash", tiny_guest_script, out.string()}}, Deadline::in(std::chrono::minutes(5)), Stop());
  return out;
}

/// A machine that is up until the test ends.
struct SealedGuest {
  TestStage stage;
  std::unique_ptr<Builder> builder = qemu_builder().make();
  std::unique_ptr<Machine> machine;

  explicit SealedGuest(const fs::path& guest) {
    stage.build.builder_type = "qemu";
    Value options(Value::Object{{"output_directory", (stage.directory.path() / "out").string()},
                                {"iso_url", (guest / "tiny-bios.qcow2").string()},
                                {"iso_checksum", "none"},
                                {"disk_image", true},
                                {"use_backing_file", true},
                                {"headless", true},
                                {"memory", 256},
                                {"ssh_username", "root"},
                                {"ssh_timeout", "180s"},
                                {"ssh_private_key_file", (guest / "id_ed25519").string()}});
    stage.prepare(*builder, options);
    machine = builder->start(stage.context);
    stage.context.scope.build_data = machine->build_data();
  }
  ~SealedGuest() { stage.undo.run(Outcome::failed, [](const std::string& text) { ADD_FAILURE() << text; }); }

  std::string shell(const std::string& command) {
    std::string out;
    Sink keep = [&](std::string_view bytes) { out += bytes; };
    machine->communicator().run(command, keep, keep, Deadline::in(std::chrono::seconds(60)), stage.stop);
    return out;
  }
  /// The error, or "".
  std::string seal(Value::Object config) {
    auto seal = seal_provisioner().make();
    stage.prepare(*seal, Value(std::move(config)));
    try {
      seal->run(machine->communicator(), stage.context);
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }
};

TEST(VmSeal, ABusyboxMachineIsSealed) {
  if (!get_env("KILN_TINY_GUEST") && !fs::exists(tiny_guest_script)) GTEST_SKIP() << "no tiny guest to be had";
  SealedGuest guest(tiny_guest_directory());
  std::string key = "ssh-ed25519 AAAAC3NzaBuildKey packer_x";
  guest.stage.context.scope.build_data.set("SSHPublicKey", Value(key));
  guest.shell("mkdir -p /root/.ssh /var/log /var/tmp; echo '" + key +
              "' >> /root/.ssh/authorized_keys; echo secret > /root/.ash_history; "
              "echo x > /tmp/left; echo x > /var/tmp/left; echo 0123 > /etc/machine-id; echo x > /var/log/messages.1");
  std::string looked = guest.seal({{"only_check", true}});
  for (auto path : {"/root/.ssh/authorized_keys", "/root/.ash_history", "/var/tmp/left", "/etc/machine-id",
                    "/var/log/messages.1", "/etc/dropbear/dropbear_ed25519_host_key"}) {
    EXPECT_THAT(looked, testing::HasSubstr(std::string("\n  ") + path + ": "));
  }
  // Its start script makes no host keys, so they stay and are told.
  std::string sealed = guest.seal({});
  EXPECT_THAT(sealed, testing::HasSubstr("2 things are left over"));
  EXPECT_THAT(sealed, testing::HasSubstr(
                          "dropbear_rsa_host_key: an ssh host key: nothing on this machine would make a new one"));
  EXPECT_EQ(guest.seal({{"host_keys", false}}), "");
  EXPECT_EQ(
      trim(guest.shell(
          "ls /root/.ash_history /tmp/left /var/tmp/left /etc/machine-id /var/log/messages.1 /tmp/seal_* 2>/dev/null; "
          "grep -c BuildKey /root/.ssh/authorized_keys")),
      "0");
}

}  // namespace
}  // namespace kiln
