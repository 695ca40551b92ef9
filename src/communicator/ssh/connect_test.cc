// Waiting for a machine, ways to it, ways of logging in, and what is said when it does not work.
#include "communicator/ssh/connect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include <atomic>
#include <optional>
#include <thread>

#include "base/text.h"
#include "communicator/ssh/servers_for_test.h"

namespace kiln {
namespace {

using namespace testing_ssh;
using testing::HasSubstr;

/// Accepts connections and hands each to `serve` in one thread.
class FakeServer {
 public:
  explicit FakeServer(std::function<void(Fd)> serve, int port = 0)
      : port_(port), listener_(listen_here(&port_)) {
    thread_ = std::thread([this, serve = std::move(serve)] {
      for (;;) {
        pollfd fds[] = {{listener_.get(), POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
        ::poll(fds, 2, -1);
        if (stop_.requested()) return;
        Fd fd(::accept(listener_.get(), nullptr, nullptr));
        ++accepted_;
        serve(std::move(fd));
      }
    });
  }
  ~FakeServer() {
    stop_.request();
    thread_.join();
  }
  int port() const { return port_; }
  int accepted() const { return accepted_; }

 private:
  int port_;
  Fd listener_;
  Stop stop_;
  std::atomic<int> accepted_ = 0;
  std::thread thread_;
};

struct SshConnect : testing::Test {
  Ground ground;
  Scene scene;
  CommunicatorConfig config = config_with_key(ground);
  std::vector<Fd> kept;

  std::string failure(int port, std::chrono::nanoseconds timeout = 700ms) {
    config.ssh_timeout = timeout;
    auto start = Clock::now();
    Error e = error_of([&] { connect_ssh(config, {"127.0.0.1", port}, scene.context); });
    EXPECT_LT(Clock::now() - start, timeout + 2s);
    EXPECT_EQ(e.kind(), ErrorKind::timeout);
    EXPECT_TRUE(e.message().starts_with("Timeout waiting for SSH.\n")) << e.message();
    EXPECT_EQ(scene.said().back(), e.message());
    return e.message();
  }
};

TEST_F(SshConnect, TimeoutSaysTcpWhenNobodyListens) {
  EXPECT_THAT(failure(free_port()), HasSubstr("phase tcp: connect to 127.0.0.1:"));
  EXPECT_THAT(failure(free_port()), HasSubstr("connection refused"));
}

TEST_F(SshConnect, TimeoutSaysBannerWhenNothingIsSaid) {
  FakeServer silent([&](Fd fd) { kept.push_back(std::move(fd)); });
  EXPECT_THAT(failure(silent.port()), HasSubstr("phase banner: 127.0.0.1:"));
  EXPECT_LT(silent.accepted(), 8);
}

TEST_F(SshConnect, TimeoutSaysBannerWhenItIsClosed) {
  FakeServer closing([](Fd) {});
  EXPECT_THAT(failure(closing.port()), HasSubstr("closed it without an ssh version line"));
}

TEST_F(SshConnect, TimeoutSaysKeyExchangeWhenOnlyTheBannerComes) {
  FakeServer stuck([&](Fd fd) {
    write_all(fd.get(), "SSH-2.0-Stuck\r\n");
    kept.push_back(std::move(fd));
  });
  EXPECT_THAT(failure(stuck.port()), HasSubstr("phase key exchange: 127.0.0.1:"));
}

TEST_F(SshConnect, TimeoutSaysWhoTriedWhichKey) {
  OpenSshd server(ground, "PasswordAuthentication no\nKbdInteractiveAuthentication no");
  generate_key(ground.dir.path() / "other");
  config.ssh_private_key_file = ground.dir.path() / "other";
  std::string text = failure(server.port());
  EXPECT_THAT(text, HasSubstr("phase authentication: 127.0.0.1:"));
  EXPECT_THAT(text, HasSubstr("user \"" + me() + "\" was not let in; tried " + config.ssh_private_key_file));
  EXPECT_THAT(text, HasSubstr(SshKey::load_private(config.ssh_private_key_file).fingerprint()));
  EXPECT_THAT(text, HasSubstr("the server offers publickey"));
}

TEST_F(SshConnect, NoCommonCipherIsTold) {
  OpenSshd server(ground, "Ciphers aes256-ctr");
  config.ssh_ciphers = {"aes128-ctr"};
  EXPECT_THAT(failure(server.port()), HasSubstr("phase key exchange"));
}

TEST_F(SshConnect, FirstAttemptMayBeTheLast) {
  OpenSshd server(ground);
  generate_key(ground.dir.path() / "other");
  config.ssh_private_key_file = ground.dir.path() / "other";
  config.ssh_timeout = 0ns;
  config.ssh_handshake_attempts = 1;
  Error e = error_of([&] { connect_ssh(config, server.target(), scene.context); });
  EXPECT_TRUE(e.message().starts_with("Error waiting for SSH: Packer experienced an authentication error"))
      << e.message();
  EXPECT_THAT(e.message(), HasSubstr("phase authentication"));
}

TEST_F(SshConnect, StopEndsTheWaitingAtOnce) {
  std::thread stopper([&] {
    sleep_for(200ms, Stop());
    scene.stop.request();
  });
  auto start = Clock::now();
  Error e = error_of([&] { connect_ssh(config, {"127.0.0.1", free_port()}, scene.context); });
  EXPECT_EQ(e.kind(), ErrorKind::cancelled);
  EXPECT_LT(Clock::now() - start, 1500ms);
  stopper.join();
}

TEST_F(SshConnect, ConnectsSoonAfterTheServerIsUp) {
  int port = free_port();
  std::optional<OpenSshd> server;
  Clock::time_point up;
  std::thread later([&] {
    sleep_for(700ms, Stop());
    server.emplace(ground, "", port);
    up = Clock::now();
  });
  auto ssh = connect_ssh(config, {"127.0.0.1", port}, scene.context);
  auto connected = Clock::now();
  later.join();
  RecordProperty("milliseconds", static_cast<int>((connected - up) / 1ms));
  EXPECT_LT(connected - up, 1500ms);  // 0.3 s on a quiet machine
}

// A user-mode network accepts for a guest that is not there: the first connection will never be answered.
TEST_F(SshConnect, ASilentFirstConnectionDoesNotHoldUpTheRest) {
  OpenSshd server(ground);
  std::atomic<bool> up = false;
  std::vector<std::thread> carried;
  std::optional<FakeServer> slirp;
  slirp.emplace([&](Fd fd) {
    if (!up) return kept.push_back(std::move(fd));
    auto shared = std::make_shared<Fd>(std::move(fd));
    carried.emplace_back([&, shared] {
      Fd there = dial_tcp("127.0.0.1", server.port(), Deadline::in(5s), Stop());
      pollfd fds[] = {{shared->get(), POLLIN, 0}, {there.get(), POLLIN, 0}};
      set_nonblocking(there.get(), false);
      for (;;) {
        ::poll(fds, 2, -1);
        for (int i = 0; i < 2; ++i) {
          if (fds[i].revents == 0) continue;
          std::string bytes = read_some(fds[i].fd);
          if (bytes.empty()) return;
          write_all(fds[1 - i].fd, bytes);
        }
      }
    });
  });
  std::thread later([&] {
    sleep_for(800ms, Stop());
    up = true;
  });
  auto start = Clock::now();
  {
    auto ssh = connect_ssh(config, {"127.0.0.1", slirp->port()}, scene.context);
    EXPECT_LT(Clock::now() - start, 4s);
    EXPECT_EQ(run_remote(*ssh, "echo through").out, "through\n");
  }
  later.join();
  slirp.reset();  // its thread fills `carried`
  for (auto& thread : carried) thread.join();
}

TEST_F(SshConnect, TheHostMayBeLearntLate) {
  OpenSshd server(ground);
  auto known_at = Clock::now() + 300ms;
  auto ssh = connect_ssh(
      config,
      [&]() -> std::optional<SshTarget> {
        if (Clock::now() < known_at) return std::nullopt;
        return server.target();
      },
      scene.context);
  EXPECT_EQ(run_remote(*ssh, "echo ok").out, "ok\n");
  Error dead = error_of([&] {
    connect_ssh(
        config, [&]() -> std::optional<SshTarget> { throw Error(ErrorKind::environment, "qemu died"); },
        scene.context);
  });
  EXPECT_THAT(dead.message(), HasSubstr("qemu died"));
}

struct Agent {
  fs::path socket;
  std::optional<Process> process;
  explicit Agent(const Ground& ground) : socket(ground.dir.path() / "agent") {
    Process::Streams streams;
    streams.out = streams.err = Process::Stdio::null;
    process.emplace(Process::start({{"ssh-agent", "-D", "-a", socket.string()}, {}, {}, true}, streams));
    while (!fs::exists(socket)) sleep_for(5ms, Stop());
    run_checked({{"ssh-add", "-q", ground.key.string()}, {{"SSH_AUTH_SOCK", socket.string()}}},
                Deadline::in(10s), Stop());
    ::setenv("SSH_AUTH_SOCK", socket.c_str(), 1);
  }
  ~Agent() { ::unsetenv("SSH_AUTH_SOCK"); }
};

TEST_F(SshConnect, AgentLogsInAndIsForwarded) {
  OpenSshd server(ground);
  Agent agent(ground);
  config.ssh_private_key_file.clear();
  config.ssh_agent_auth = true;
  auto ssh = connect_ssh(config, server.target(), scene.context);
  Ran ran = run_remote(*ssh, "ssh-add -l");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr(SshKey::load_private(ground.key).fingerprint()));
  config.ssh_disable_agent_forwarding = true;
  EXPECT_NE(run_remote(*connect_ssh(config, server.target(), scene.context), "ssh-add -l").status, 0);
}

TEST_F(SshConnect, CertificateLogsIn) {
  fs::path dir = ground.dir.path();
  generate_key(dir / "ca");
  generate_key(dir / "user");
  auto sign = [&](const std::string& validity, const std::string& key) {
    run_checked({{"ssh-keygen", "-q", "-s", dir / "ca", "-I", "test", "-n", me(), "-V", validity,
                  dir / (key + ".pub")}},
                Deadline::in(10s), Stop());
  };
  sign("-1h:+1h", "user");
  OpenSshd server(ground, "TrustedUserCAKeys " + (dir / "ca.pub").string());
  config.ssh_private_key_file = dir / "user";
  config.ssh_certificate_file = dir / "user-cert.pub";
  EXPECT_EQ(run_remote(*connect_ssh(config, server.target(), scene.context), "echo ok").out, "ok\n");

  SshKey key = SshKey::load_private(dir / "user");
  sign("-2h:-1h", "user");
  EXPECT_THAT(error_of([&] { key.with_certificate(dir / "user-cert.pub"); }).message(),
              HasSubstr("has expired"));
  sign("+1h:+2h", "user");
  EXPECT_THAT(error_of([&] { key.with_certificate(dir / "user-cert.pub"); }).message(),
              HasSubstr("not valid yet"));
  EXPECT_THAT(error_of([&] { key.with_certificate(dir / "user.pub"); }).message(),
              HasSubstr("no OpenSSH certificate"));
}

TEST_F(SshConnect, GoesThroughABastion) {
  OpenSshd server(ground), bastion(ground);
  config.ssh_bastion_host = "127.0.0.1";
  config.ssh_bastion_port = bastion.port();
  config.ssh_bastion_username = me();
  config.ssh_bastion_private_key_file = ground.key;
  auto ssh = connect_ssh(config, server.target(), scene.context);
  EXPECT_EQ(run_remote(*ssh, "echo $SSH_CONNECTION | cut -d' ' -f4").out,
            std::to_string(server.port()) + "\n");
  EXPECT_THAT(bastion.log(), HasSubstr("Accepted publickey"));
  std::string big(3'000'000, 'x');
  fs::path path = ground.dir.path() / "big";
  ssh->upload({path, big.size(), 0644}, source_of(big), Deadline::in(20s), scene.stop);
  EXPECT_EQ(download_text(*ssh, path), big);
  // The target is down: the text says where it failed.
  std::string text = failure(free_port(), 1500ms);
  EXPECT_THAT(text, HasSubstr("bastion 127.0.0.1:"));
}

TEST_F(SshConnect, GoesThroughSocksProxies) {
  OpenSshd server(ground), carrier(ground);
  int port = free_port();
  Process::Streams streams;
  streams.out = streams.err = Process::Stdio::null;
  Process proxy =
      Process::start({{"ssh", "-N", "-D", "127.0.0.1:" + std::to_string(port), "-p",
                       std::to_string(carrier.port()), "-i", ground.key, "-o", "StrictHostKeyChecking=no",
                       "-o", "UserKnownHostsFile=/dev/null", "-F", "none", me() + "@127.0.0.1"},
                      {},
                      {},
                      true},
                     streams);
  wait_for_port(port);
  config.ssh_proxy_host = "127.0.0.1";
  config.ssh_proxy_port = port;
  EXPECT_EQ(run_remote(*connect_ssh(config, server.target(), scene.context), "echo ok").out, "ok\n");
  EXPECT_THAT(failure(free_port(), 1500ms), HasSubstr("phase "));

  // With a user name: what RFC 1929 says goes over the wire, and a refusal is told.
  std::string login;
  FakeServer strict([&](Fd fd) {
    read_some(fd.get(), 4);
    write_all(fd.get(), std::string("\x05\x02", 2));
    login = read_some(fd.get(), 100);
    write_all(fd.get(), std::string("\x01\x01", 2));
  });
  config.ssh_proxy_port = strict.port();
  config.ssh_proxy_username = "who";
  config.ssh_proxy_password = "pass";
  EXPECT_THAT(failure(server.port()), HasSubstr("the proxy refused user who"));
  EXPECT_EQ(login, "\x01\x03who\x04pass");
}

TEST_F(SshConnect, TunnelsCarryBothWays) {
  OpenSshd server(ground);
  FakeServer greeter([](Fd fd) { write_all(fd.get(), "hello\n"); });
  int local = free_port(), remote = free_port();
  config.ssh_local_tunnels = {std::to_string(local) + ":127.0.0.1:" + std::to_string(greeter.port())};
  config.ssh_remote_tunnels = {std::to_string(remote) + ":127.0.0.1:" + std::to_string(greeter.port())};
  auto ssh = connect_ssh(config, server.target(), scene.context);
  for (int port : {local, remote}) {  // the "machine" is this one, so both ends are here
    Fd fd = dial_tcp("127.0.0.1", port, Deadline::in(5s), Stop());
    ASSERT_EQ(wait(fd.get(), POLLIN, Deadline::in(5s), Stop()), Woke::ready);
    EXPECT_EQ(read_some(fd.get()), "hello\n");
  }
  ssh.reset();
  EXPECT_THROW(dial_tcp("127.0.0.1", local, Deadline::in(1s), Stop()), Error);
}

/// A server made of libssh: passwords, questions, and commands that end without an exit status.
class OddServer {
 public:
  explicit OddServer(const Ground& ground, int ways)
      : ways_(ways), port_(free_port()), bind_(ssh_bind_new()) {
    ssh_bind_options_set(bind_, SSH_BIND_OPTIONS_BINDADDR, "127.0.0.1");
    ssh_bind_options_set(bind_, SSH_BIND_OPTIONS_BINDPORT, &port_);
    ssh_bind_options_set(bind_, SSH_BIND_OPTIONS_HOSTKEY, (ground.dir.path() / "host").c_str());
    EXPECT_EQ(ssh_bind_listen(bind_), SSH_OK) << ssh_get_error(bind_);
    thread_ = std::thread([this] { serve(); });
  }
  ~OddServer() {
    done_ = true;
    try {
      dial_tcp("127.0.0.1", port_, Deadline::in(1s), Stop());
    } catch (const Error&) {
    }
    thread_.join();
    ssh_bind_free(bind_);
  }
  SshTarget target() const { return {"127.0.0.1", port_}; }

 private:
  void serve() {
    while (!done_) {
      ssh_session session = ssh_new();
      if (ssh_bind_accept(bind_, session) == SSH_OK && !done_ && ssh_handle_key_exchange(session) == SSH_OK)
        talk(session);
      ssh_disconnect(session);
      ssh_free(session);
    }
  }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // the callbacks that replace it are no shorter
  bool auth(ssh_session session, ssh_message message) {
    int way = ssh_message_subtype(message);
    if (way == SSH_AUTH_METHOD_PASSWORD && (ways_ & way))
      return std::string(ssh_message_auth_password(message)) == "secret";
    if (way == SSH_AUTH_METHOD_INTERACTIVE && (ways_ & way)) {
      if (!ssh_message_auth_kbdint_is_response(message)) {
        const char* prompts[] = {"Password: ", "Again: "};
        char echo[] = {0, 0};
        ssh_message_auth_interactive_request(message, "name", "instruction", 2, prompts, echo);
        asked_ = true;
        return false;
      }
      return ssh_userauth_kbdint_getnanswers(session) == 2 &&
             std::string(ssh_userauth_kbdint_getanswer(session, 0)) == "secret" &&
             std::string(ssh_userauth_kbdint_getanswer(session, 1)) == "secret";
    }
    return false;
  }
#pragma GCC diagnostic pop
  void talk(ssh_session session) {
    ssh_channel channel = nullptr;
    while (ssh_message message = ssh_message_get(session)) {
      asked_ = false;
      int type = ssh_message_type(message), sub = ssh_message_subtype(message);
      if (type == SSH_REQUEST_AUTH) {
        if (auth(session, message))
          ssh_message_auth_reply_success(message, 0);
        else if (!asked_) {
          ssh_message_auth_set_methods(message, ways_);
          ssh_message_reply_default(message);
        }
      } else if (type == SSH_REQUEST_CHANNEL_OPEN && sub == SSH_CHANNEL_SESSION) {
        channel = ssh_message_channel_request_open_reply_accept(message);
      } else if (type == SSH_REQUEST_CHANNEL && sub == SSH_CHANNEL_REQUEST_EXEC) {
        std::string command = ssh_message_channel_request_command(message);
        ssh_message_channel_request_reply_success(message);
        ssh_channel_write(channel, "said\n", 5);
        if (command.starts_with("status")) ssh_channel_request_send_exit_status(channel, 3);
        ssh_channel_send_eof(channel);
        ssh_channel_close(channel);
      } else {
        ssh_message_reply_default(message);
      }
      ssh_message_free(message);
    }
  }
  int ways_;
  int port_;
  ssh_bind bind_;
  std::atomic<bool> done_ = false;
  bool asked_ = false;
  std::thread thread_;
};

TEST_F(SshConnect, PasswordLogsInAndAMissingStatusIsNoSuccess) {
  OddServer server(ground, SSH_AUTH_METHOD_PASSWORD);
  config.ssh_private_key_file.clear();
  config.ssh_password = "secret";
  auto ssh = connect_ssh(config, server.target(), scene.context);
  Ran ran = run_remote(*ssh, "status");
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.out, "said\n");
  ran = run_remote(*ssh, "vanish");
  EXPECT_EQ(ran.status, disconnected_status);
  EXPECT_EQ(ran.out, "said\n");
}

TEST_F(SshConnect, QuestionsAreAnsweredWithThePassword) {
  OddServer server(ground, SSH_AUTH_METHOD_INTERACTIVE);
  config.ssh_private_key_file.clear();
  config.ssh_password = "secret";
  EXPECT_EQ(run_remote(*connect_ssh(config, server.target(), scene.context), "status").status, 3);
}

TEST_F(SshConnect, AWrongPasswordIsToldWithoutBeingShown) {
  OddServer server(ground, SSH_AUTH_METHOD_PASSWORD | SSH_AUTH_METHOD_INTERACTIVE);
  config.ssh_private_key_file.clear();
  config.ssh_password = "wrong-one";
  std::string text = failure(server.target().port);
  EXPECT_THAT(
      text,
      HasSubstr("tried password, keyboard-interactive; the server offers password,keyboard-interactive"));
  EXPECT_THAT(text, testing::Not(HasSubstr("wrong-one")));
}

}  // namespace
}  // namespace kiln
