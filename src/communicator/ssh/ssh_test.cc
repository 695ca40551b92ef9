// Commands over the ssh communicator, against real servers.
#include "communicator/ssh/ssh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "base/text.h"
#include "communicator/ssh/servers_for_test.h"

namespace kiln {
namespace {

using namespace testing_ssh;
using testing::ElementsAre;
using testing::HasSubstr;

struct SshTest : testing::Test {
  Ground ground;
  Scene scene;
  std::unique_ptr<Communicator> connect(const OpenSshd& server, const CommunicatorConfig& config) {
    return connect_ssh(config, server.target(), scene.context);
  }
};

TEST_F(SshTest, RunsCommandsAndSaysWhatPackerSays) {
  OpenSshd server(ground);
  auto ssh = connect(server, config_with_key(ground));
  EXPECT_THAT(scene.said(), ElementsAre("Using SSH communicator to connect: 127.0.0.1",
                                        "Waiting for SSH to become available...", "Connected to SSH!"));
  Ran ran = run_remote(*ssh, "echo out; echo err >&2; exit 7");
  EXPECT_EQ(ran.status, 7);
  EXPECT_EQ(ran.out, "out\n");
  EXPECT_EQ(ran.err, "err\n");
  EXPECT_EQ(run_remote(*ssh, "kill -9 $$").status, 128 + 9);
  EXPECT_EQ(run_remote(*ssh, "true").status, 0);
}

TEST_F(SshTest, StandardInputIsEmpty) {
  OpenSshd server(ground);
  auto ssh = connect(server, config_with_key(ground));
  Ran ran = run_remote(*ssh, "cat; echo done");
  EXPECT_EQ(ran.out, "done\n");
}

TEST_F(SshTest, MuchOutputArrivesWhole) {
  OpenSshd server(ground);
  auto ssh = connect(server, config_with_key(ground));
  Ran ran = run_remote(*ssh, "seq 1 400000; seq 1 20000 >&2");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 400000);
  EXPECT_TRUE(ran.out.ends_with("\n400000\n"));
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 20000);
}

TEST_F(SshTest, PtyIsGivenWhenAskedFor) {
  OpenSshd server(ground);
  auto config = config_with_key(ground);
  EXPECT_EQ(run_remote(*connect(server, config), "test -t 1").status, 1);
  config.ssh_pty = true;
  Ran ran = run_remote(*connect(server, config), "test -t 1 && stty size && echo $TERM");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.out, "40 80\r\nxterm\r\n");
}

TEST_F(SshTest, KilledConnectionIsNeverASuccess) {
  OpenSshd server(ground);
  auto ssh = connect(server, config_with_key(ground));
  auto start = Clock::now();
  Ran ran = run_remote(*ssh, "echo before; kill -9 $PPID; sleep 30");
  EXPECT_EQ(ran.status, disconnected_status);
  EXPECT_LT(Clock::now() - start, 5s);
  // The next use makes a new connection.
  EXPECT_EQ(run_remote(*ssh, "echo again").out, "again\n");
}

TEST_F(SshTest, DisconnectMakesANewConnection) {
  OpenSshd server(ground);
  auto ssh = connect(server, config_with_key(ground));
  std::string first = run_remote(*ssh, "echo $SSH_CONNECTION").out;
  EXPECT_EQ(run_remote(*ssh, "echo $SSH_CONNECTION").out, first);
  ssh->disconnect();
  EXPECT_NE(run_remote(*ssh, "echo $SSH_CONNECTION").out, first);
}

TEST_F(SshTest, ReconnectsWhenTheServerComesBack) {
  OpenSshd server(ground);
  auto ssh = connect(server, config_with_key(ground));
  EXPECT_EQ(run_remote(*ssh, "kill -9 $PPID; sleep 5").status, disconnected_status);
  server.kill_all();
  std::thread later([&] {
    sleep_for(400ms, Stop());
    server.start();
  });
  EXPECT_EQ(run_remote(*ssh, "echo back").out, "back\n");
  later.join();
}

TEST_F(SshTest, DeadlineAndStopEndACommand) {
  OpenSshd server(ground);
  auto ssh = connect(server, config_with_key(ground));
  Error late = error_of([&] { run_remote(*ssh, "sleep 30", Deadline::in(200ms)); });
  EXPECT_EQ(late.kind(), ErrorKind::timeout);
  Stop stop;
  std::thread stopper([&] {
    sleep_for(200ms, Stop());
    stop.request();
  });
  Error stopped = error_of([&] { ssh->run("sleep 30", nullptr, nullptr, Deadline::in(20s), stop); });
  EXPECT_EQ(stopped.kind(), ErrorKind::cancelled);
  stopper.join();
  EXPECT_EQ(run_remote(*ssh, "echo fine").out, "fine\n");
}

TEST_F(SshTest, KeepAlivesAreSentWhileACommandIsSilent) {
  OpenSshd server(ground, "LogLevel DEBUG3");
  auto config = config_with_key(ground);
  config.ssh_keep_alive_interval = 100ms;
  EXPECT_EQ(run_remote(*connect(server, config), "sleep 1; echo ok").out, "ok\n");
  std::string log = server.log();
  size_t count = 0;
  for (size_t at = log.find("keepalive@openssh.com"); at != log.npos;
       at = log.find("keepalive@openssh.com", at + 1))
    ++count;
  EXPECT_GE(count, 4u) << log.substr(log.size() > 3000 ? log.size() - 3000 : 0);
}

TEST_F(SshTest, ReadWriteTimeoutGivesASilentConnectionUp) {
  OpenSshd server(ground);
  auto config = config_with_key(ground);
  config.ssh_keep_alive_interval = -1s;
  config.ssh_read_write_timeout = 300ms;
  auto ssh = connect(server, config);
  auto start = Clock::now();
  EXPECT_EQ(run_remote(*ssh, "sleep 20").status, disconnected_status);
  EXPECT_LT(Clock::now() - start, 3s);
  // With keep-alives the server's answers count.
  config.ssh_keep_alive_interval = 100ms;
  EXPECT_EQ(run_remote(*connect(server, config), "sleep 1").status, 0);
}

TEST_F(SshTest, RekeyingInTheMiddleOfALongCommandIsUnseen) {
  OpenSshd server(ground, "RekeyLimit 1M");
  auto ssh = connect(server, config_with_key(ground));
  Ran ran = run_remote(*ssh, "head -c 12000000 /dev/zero");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.out.size(), 12000000u);
}

TEST_F(SshTest, PauseBeforeConnectingConnectsTwice) {
  OpenSshd server(ground, "LogLevel VERBOSE");
  auto config = config_with_key(ground);
  config.pause_before_connecting = 100ms;
  auto ssh = connect(server, config);
  EXPECT_EQ(run_remote(*ssh, "echo ok").out, "ok\n");
  EXPECT_THAT(scene.said(), testing::Contains("Pausing 100ms before connecting..."));
  std::string log = server.log();
  size_t first = log.find("Accepted publickey");
  EXPECT_NE(log.find("Accepted publickey", first + 1), log.npos);
}

TEST_F(SshTest, CiphersAndKeyExchangesAreTheOnesNamed) {
  OpenSshd server(ground, "LogLevel DEBUG1");
  auto config = config_with_key(ground);
  config.ssh_ciphers = {"aes256-ctr"};
  config.ssh_key_exchange_algorithms = {"ecdh-sha2-nistp384"};
  EXPECT_EQ(run_remote(*connect(server, config), "echo ok").out, "ok\n");
  EXPECT_THAT(server.log(), HasSubstr("kex: algorithm: ecdh-sha2-nistp384"));
  EXPECT_THAT(server.log(), HasSubstr("cipher: aes256-ctr"));
}

TEST_F(SshTest, TheTemporaryKeyIsRemovedFromAuthorizedKeys) {
  OpenSshd server(ground);
  fs::path file = ground.dir.path() / ".ssh/authorized_keys";  // HOME is there
  fs::create_directories(file.parent_path());
  auto config = config_with_key(ground);
  config.temporary_key_pair_name = "packer_1.2";
  auto ssh = connect(server, config);
  std::string text = "ssh-rsa AAAA packer_1.2\nssh-rsa BBBB packer_1x2\nssh-rsa CCCC me\n";
  write_file_atomically(file, text, 0600);
  // Root's own file is not touched by this test: only a command that has no sudo may run.
  remove_temporary_key(config, *ssh, scene.context);
  EXPECT_EQ(read_file(file), text);
  config.ssh_clear_authorized_keys = true;
  struct UserOnly : Communicator {
    Communicator& inner;
    explicit UserOnly(Communicator& c) : inner(c) {}
    int run(const std::string& command, const Sink& out, const Sink& err, const Deadline& deadline,
            const Stop& stop) override {
      return command.starts_with("sudo") ? 1 : inner.run(command, out, err, deadline, stop);
    }
    void upload(const RemoteFile&, const ByteSource&, const Deadline&, const Stop&) override {}
    void upload_tree(const fs::path&, const std::string&, const ProgressFn&, const Deadline&,
                     const Stop&) override {}
    void download(const std::string&, const Sink&, const Deadline&, const Stop&) override {}
    void download_tree(const std::string&, const fs::path&, const Deadline&, const Stop&) override {}
  } user_only(*ssh);
  remove_temporary_key(config, user_only, scene.context);
  EXPECT_EQ(read_file(file), "ssh-rsa BBBB packer_1x2\nssh-rsa CCCC me\n");
  EXPECT_FALSE(fs::exists(file.string() + ".bak"));
}

TEST_F(SshTest, DropbearsRefusalIsTold) {
  TempDir home;
  fs::create_directories(home.path() / ".ssh");
  int port = free_port();
  run_checked({{"dropbearkey", "-t", "ed25519", "-f", home.path() / "host"}}, Deadline::in(20s), Stop());
  // dropbear takes keys only from the real home: log in with no way but "none" is refused, which must be
  // told.
  Process::Streams streams;
  streams.out = streams.err = Process::Stdio::null;
  Process dropbear =
      Process::start({{"dropbear", "-F", "-E", "-s", "-p", "127.0.0.1:" + std::to_string(port), "-r",
                       (home.path() / "host").string(), "-P", (home.path() / "pid").string()},
                      {},
                      {},
                      true},
                     streams);
  wait_for_port(port);
  auto config = config_with_key(ground);
  config.ssh_timeout = 1500ms;
  Error e = error_of([&] { connect_ssh(config, {"127.0.0.1", port}, scene.context); });
  EXPECT_THAT(e.message(), HasSubstr("Timeout waiting for SSH.\n"));
  EXPECT_THAT(e.message(), HasSubstr("phase authentication"));
}

}  // namespace
}  // namespace kiln
