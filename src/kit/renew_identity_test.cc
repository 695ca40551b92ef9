#include "kit/renew_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"

namespace kiln {
namespace {

using testing::MatchesRegex;

/// A directory that is taken for the machine's root.
class RenewIdentity : public ::testing::TestWithParam<const char*> {
 protected:
  void put(const std::string& name, const std::string& text) {
    fs::create_directories((root_.path() / name).parent_path());
    write_file_atomically(root_.path() / name, text);
  }
  std::string at(const std::string& name) {
    return read_file_if_exists(root_.path() / name).value_or("gone");
  }
  void renew(const std::vector<std::string>& what) {
    std::vector<std::string> argv{"/bin/sh"};
    if (GetParam() == std::string("busybox")) argv = {"busybox", "sh"};
    argv.insert(argv.end(), {"-c", renew_identity_script(what)});
    run_checked({.argv = argv, .env = {{"ROOT", root_.path().string()}}},
                Deadline::in(std::chrono::minutes(2)), Stop());
  }
  void SetUp() override {
    if (!find_program(GetParam())) GTEST_SKIP() << GetParam() << " is not installed";
  }
  TempDir root_;
};

INSTANTIATE_TEST_SUITE_P(Shells, RenewIdentity, testing::Values("sh", "busybox"));

TEST_P(RenewIdentity, TheMachineIdIsAnotherEachTime) {
  put("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
  put("var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n");
  renew({renewable_machine_id});
  std::string first = at("etc/machine-id");
  EXPECT_THAT(first, MatchesRegex("[0-9a-f]+\n"));
  EXPECT_EQ(first.size(), 33U);
  EXPECT_NE(first, "0123456789abcdef0123456789abcdef\n");
  EXPECT_EQ(at("var/lib/dbus/machine-id"), first);
  renew({renewable_machine_id});
  EXPECT_NE(at("etc/machine-id"), first);
}

TEST_P(RenewIdentity, WhatIsNotThereIsNotMade) {
  put("etc/machine-id", "");
  fs::create_directories(root_.path() / "etc/ssh");
  renew({renewable_machine_id, renewable_host_keys, renewable_leases});
  EXPECT_EQ(at("etc/machine-id"), "");
  EXPECT_TRUE(fs::is_empty(root_.path() / "etc/ssh"));
  put("etc/machine-id", "uninitialized\n");
  renew({renewable_machine_id});
  EXPECT_EQ(at("etc/machine-id"), "uninitialized\n");
}

TEST_P(RenewIdentity, HostKeysAreOfTheirKind) {
  if (!find_program("ssh-keygen")) GTEST_SKIP() << "ssh-keygen is not installed";
  put("etc/ssh/ssh_host_ed25519_key", "old");
  put("etc/ssh/ssh_host_ecdsa_key", "old");
  renew({renewable_host_keys});
  EXPECT_THAT(at("etc/ssh/ssh_host_ed25519_key.pub"), testing::StartsWith("ssh-ed25519 "));
  EXPECT_THAT(at("etc/ssh/ssh_host_ecdsa_key.pub"), testing::StartsWith("ecdsa-sha2-nistp256 "));
  struct stat made {};
  ASSERT_EQ(::stat((root_.path() / "etc/ssh/ssh_host_ed25519_key").c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 07777U, 0600U);
  EXPECT_EQ(at("etc/ssh/ssh_host_rsa_key"), "gone");
  EXPECT_EQ(at("etc/machine-id"), "gone");
}

TEST_P(RenewIdentity, LeasesGo) {
  put("var/lib/dhcp/dhclient.eth0.leases", "lease {}");
  put("var/lib/NetworkManager/x-eth0.lease", "lease");
  renew({renewable_leases});
  EXPECT_EQ(at("var/lib/dhcp/dhclient.eth0.leases"), "gone");
  EXPECT_EQ(at("var/lib/NetworkManager/x-eth0.lease"), "gone");
}

TEST_P(RenewIdentity, WhatCannotBeRenewedIsAnError) {
  if (!find_program("ssh-keygen")) GTEST_SKIP() << "ssh-keygen is not installed";
  put("etc/ssh/ssh_host_unheardof_key", "old");
  EXPECT_THROW(renew({renewable_host_keys}), Error);
  EXPECT_EQ(at("etc/ssh/ssh_host_unheardof_key"), "old");
}

}  // namespace
}  // namespace kiln
