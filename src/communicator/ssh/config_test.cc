// The communicator's options: defaults and Packer's diagnostics.
#include "communicator/ssh/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "communicator/ssh/servers_for_test.h"

namespace kiln {
namespace {

using namespace testing_ssh;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

struct Prepared {
  CommunicatorConfig config;
  std::vector<std::string> errors;
};

Prepared prepare(Value::Object options) {
  Prepared out;
  BuildInfo build;
  Diagnostics diagnostics;
  Value value(std::move(options));
  PrepareInput input{value, build, diagnostics};
  DecodeContext context = input.decode("builder null");
  communicator_options().decode(value, out.config, context);
  prepare_communicator(out.config, input);
  for (const auto& item : diagnostics.items()) out.errors.push_back(item.summary);
  return out;
}

TEST(CommunicatorConfig, DefaultsArePackers) {
  auto [config, errors] = prepare({{"ssh_username", "me"}});
  EXPECT_THAT(errors, IsEmpty());
  EXPECT_EQ(config.ssh_port, 22);
  EXPECT_EQ(config.ssh_timeout, 5min);
  EXPECT_EQ(config.ssh_handshake_attempts, 10);
  EXPECT_EQ(config.ssh_keep_alive_interval, 5s);
}

TEST(CommunicatorConfig, TimeoutAndAttemptsExcludeEachOthersDefault) {
  EXPECT_EQ(prepare({{"ssh_username", "me"}, {"ssh_timeout", "1m"}}).config.ssh_handshake_attempts, 0);
  EXPECT_EQ(prepare({{"ssh_username", "me"}, {"ssh_handshake_attempts", "3"}}).config.ssh_timeout, 0s);
  EXPECT_EQ(
      prepare({{"ssh_username", "me"}, {"ssh_timeout", "1m"}, {"ssh_wait_timeout", "2m"}}).config.ssh_timeout,
      2min);
}

TEST(CommunicatorConfig, ErrorsComeAllAtOnceInPackersWords) {
  auto errors = prepare({{"ssh_bastion_host", "b"},
                         {"ssh_proxy_host", "p"},
                         {"ssh_file_transfer_method", "ftp"},
                         {"ssh_local_tunnels", Value::List{"a", "1:h:x", "x:h:1", "1:2:3:4"}},
                         {"ssh_remote_tunnels", Value::List{"zz"}}})
                    .errors;
  EXPECT_THAT(
      errors,
      testing::UnorderedElementsAre(
          "An ssh_username must be specified\n  Note: some builders used to default ssh_username to "
          "\"root\".",
          "please specify either ssh_bastion_host or ssh_proxy_host, not both",
          "ssh_bastion_password or ssh_bastion_private_key_file must be specified",
          "ssh_file_transfer_method ('ftp') is invalid, valid methods: sftp, scp",
          "ssh_local_tunnels ('a') is invalid: Error parsing tunnel 'a': [a]",
          "ssh_local_tunnels ('1:h:x') is invalid: Error parsing forwarding port, must be a valid port: "
          "strconv.Atoi: parsing \"x\": invalid syntax",
          "ssh_local_tunnels ('x:h:1') is invalid: Error parsing listening port, must be a valid port: "
          "strconv.Atoi: parsing \"x\": invalid syntax",
          "ssh_local_tunnels ('1:2:3:4') is invalid: Error parsing forwarding, must be a tcp address: "
          "address "
          "2:3:4: too many colons in address",
          "ssh_remote_tunnels ('zz') is invalid: Error parsing tunnel 'zz': [zz]"));
}

TEST(CommunicatorConfig, KeysAreReadBeforeAnythingIsMade) {
  TempDir dir;
  auto error = [&](const std::string& path) {
    auto errors = prepare({{"ssh_username", "me"}, {"ssh_private_key_file", path}}).errors;
    return errors.empty() ? std::string() : errors[0];
  };
  EXPECT_EQ(error("/nope/key"), "ssh_private_key_file is invalid: stat /nope/key: no such file or directory");
  std::string bad = dir.path() / "bad", enc = dir.path() / "enc", pem = dir.path() / "pem",
              good = dir.path() / "good";
  write_file_atomically(bad, "garbage\n");
  EXPECT_EQ(error(bad), "ssh_private_key_file is invalid: Error setting up SSH config: Failed to read key '" +
                            bad + "': no key found");
  run_checked({{"ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", enc}}, Deadline::in(10s), Stop());
  run_checked({{"ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "secret", "-f", pem}},
              Deadline::in(20s), Stop());
  for (const auto& path : {enc, pem}) {
    EXPECT_EQ(error(path),
              "ssh_private_key_file is invalid: Error setting up SSH config: Failed to read key '" + path +
                  "': password protected keys are\nnot supported. Please decrypt the key prior to use.");
  }
  run_checked({{"ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", good}}, Deadline::in(10s),
              Stop());
  EXPECT_EQ(error(good), "");
}

TEST(CommunicatorConfig, UnknownAndUnsupportedCommunicators) {
  EXPECT_THAT(prepare({{"communicator", "zork"}}).errors, ElementsAre("Communicator type zork is invalid"));
  EXPECT_THAT(prepare({{"communicator", "none"}}).errors, IsEmpty());
  EXPECT_THAT(prepare({{"communicator", "winrm"}, {"winrm_use_ssl", true}}).errors,
              ElementsAre("winrm_username must be specified."));
  EXPECT_THAT(prepare({{"ssh_username", "me"}, {"temporary_key_pair_type", "dsa"}}).errors,
              ElementsAre(StartsWith("temporary_key_pair_type dsa is not supported")));
}

}  // namespace
}  // namespace kiln
