// The host's side against the real agent: commands, streams, ends of every kind.
#include "communicator/guest/guest_channel.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/digest.h"
#include "base/text.h"
#include "communicator/guest/agent_for_test.h"
#include "communicator/guest/guest_frames.h"

namespace kiln {
namespace {

using namespace testing_guest;
using testing::HasSubstr;

std::string random_text(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string text(size, '\0');
  for (auto& c : text) c = static_cast<char>(random());
  return text;
}

/// Waits until the file is there.
std::string await_file(const fs::path& path) {
  for (Deadline limit = Deadline::in(20s); !limit.passed(); sleep_for(5ms, Stop())) {
    if (auto text = read_file_if_exists(path); text && text->ends_with('\n')) return *text;
  }
  ADD_FAILURE() << path << " does not come";
  return "0";
}

bool is_gone(pid_t pid, std::chrono::seconds within = 20s) {
  for (Deadline limit = Deadline::in(within); !limit.passed(); sleep_for(5ms, Stop())) {
    if (::kill(pid, 0) != 0) return true;
    // Where this test runs nobody may reap orphans.
    if (contains(read_file_if_exists(fmt::format("/proc/{}/stat", pid)).value_or(") Z"), ") Z")) return true;
  }
  return false;
}

class GuestChannelTest : public testing::Test {
 protected:
  LocalAgent agent;
  std::unique_ptr<GuestChannel> channel;
  Stop stop;
  void SetUp() override {
    if (guest_agent_program().empty()) GTEST_SKIP() << "this Kiln was built without an agent";
    channel = agent.start().connect();
  }
};

TEST_F(GuestChannelTest, EveryExitStatusComesBack) {
  for (int status = 0; status < 256; ++status) {
    EXPECT_EQ(run_there(*channel, fmt::format("exit {}", status)).status, status);
  }
  EXPECT_EQ(run_there(*channel, "kill -9 $$").status, 128 + 9);
  EXPECT_EQ(run_there(*channel, "kill -TERM $$").status, 128 + 15);
  Ran unknown = run_there(*channel, "/no/such/program");
  EXPECT_EQ(unknown.status, 127);
  EXPECT_THAT(unknown.err, HasSubstr("/no/such/program"));
}

TEST_F(GuestChannelTest, StreamsAreApartWholeAndBinary) {
  Ran both = run_there(*channel, "echo out; echo err >&2; printf '\\000\\377\\r\\n\\021\\023\\004'; exit 3");
  EXPECT_EQ(both.out, "out\n" + std::string("\0\377\r\n\021\023\004", 7));
  EXPECT_EQ(both.err, "err\n");
  EXPECT_EQ(both.status, 3);
  EXPECT_EQ(run_there(*channel, "cat; echo the input is empty").out, "the input is empty\n");
  Ran much = run_there(*channel, "head -c 20000000 /dev/zero; head -c 3000000 /dev/zero >&2");
  EXPECT_EQ(much.out.size(), 20'000'000U);
  EXPECT_EQ(much.err.size(), 3'000'000U);
  EXPECT_EQ(much.out.find_first_not_of('\0'), std::string::npos);
  // As over ssh a command ends when nobody holds its output any more.
  EXPECT_EQ(run_there(*channel, "(sleep 0.2; echo late) & echo early").out, "early\nlate\n");
  channel->run("echo unheard", nullptr, nullptr, Deadline::in(20s), stop);
}

TEST_F(GuestChannelTest, CommandsFindWhatTheAgentFound) {
  channel->quit_agent(Deadline::in(20s), stop);
  agent.put_program();
  agent.start({{"KILN_TEST", "a 'b'\nc"}, {"SHELL", "/bin/sh"}, {"SHLVL", "7"}, {"OLDPWD", "/x"}});
  channel = agent.connect();
  EXPECT_EQ(run_there(*channel, "pwd -P").out, fs::canonical(agent.dir.path()).string() + "\n");
  EXPECT_EQ(run_there(*channel, "printf %s \"$KILN_TEST\"").out, "a 'b'\nc");
  EXPECT_EQ(run_there(*channel, "id -u; umask").out,
            run_checked({{"sh", "-c", "id -u; umask"}}, Deadline::in(20s), stop));
  EXPECT_EQ(run_there(*channel, "ps -o ppid= -p $$ >/dev/null 2>&1; ls /proc/self/fd | wc -l").out, "4\n")
      << "no descriptor of the agent's";
  EXPECT_EQ(run_there(*channel, "tr '\\0' '\\n' < /proc/$$/environ | grep -c -e ^SHLVL= -e ^OLDPWD=").out, "0\n");
}

TEST_F(GuestChannelTest, ALongCommandArrivesAndOneTooLongIsRefused) {
  std::string line = "printf %s '" + random_text(60'000, 1) + "' >/dev/null; echo arrived";
  std::replace_if(line.begin() + 11, line.end() - 26, [](char c) { return c == '\'' || c == '\0'; }, 'x');
  EXPECT_EQ(run_there(*channel, line).out, "arrived\n");
  Error e = error_of([&] { run_there(*channel, ": " + std::string(200'000, 'x')); });
  EXPECT_EQ(e.kind(), ErrorKind::remote);
  EXPECT_THAT(e.message(), HasSubstr("could not be started"));
  EXPECT_EQ(run_there(*channel, "echo usable").out, "usable\n");
}

TEST_F(GuestChannelTest, StopEndsTheCommandAndWhatItStarted) {
  fs::path pids = agent.dir.path() / "pids";
  std::string line = fmt::format("sleep 1000 & echo $! $$ > {0}.new; mv {0}.new {0}; wait", pids.string());
  std::thread stopper([&] {
    await_file(pids);
    stop.request();
  });
  Error e = error_of([&] { run_there(*channel, line, Deadline::in(60s), stop); });
  stopper.join();
  EXPECT_EQ(e.kind(), ErrorKind::cancelled);
  for (const auto& pid : split(trim(read_file(pids)), ' ')) EXPECT_TRUE(is_gone(std::stoi(pid))) << pid;
  EXPECT_EQ(run_there(*channel, "echo usable").out, "usable\n");
}

TEST_F(GuestChannelTest, ADeadlineEndsAlsoWhoTakesNoNotice) {
  fs::path pids = agent.dir.path() / "pids";
  std::string line = fmt::format(
      "trap '' TERM; sleep 1000 & echo $! $$ > {0}.new; mv {0}.new {0}; while :; do wait; done", pids.string());
  Error e = error_of([&] { run_there(*channel, line, Deadline::in(300ms)); });
  EXPECT_EQ(e.kind(), ErrorKind::timeout);
  EXPECT_EQ(run_there(*channel, "echo usable").out, "usable\n") << "after the command before was killed";
  for (const auto& pid : split(trim(await_file(pids)), ' ')) EXPECT_TRUE(is_gone(std::stoi(pid))) << pid;
}

TEST_F(GuestChannelTest, AThrowingSinkEndsTheCommand) {
  struct Enough {};
  EXPECT_THROW(channel->run("yes", [](std::string_view) { throw Enough(); }, nullptr, Deadline::in(20s), stop), Enough);
  EXPECT_EQ(run_there(*channel, "echo usable").out, "usable\n");
}

TEST_F(GuestChannelTest, ALostConnectionIsMadeAgainAndItsCommandIsGone) {
  fs::path pid = agent.dir.path() / "pid";
  std::string line =
      fmt::format("echo $$ > {0}.new; mv {0}.new {0}; exec yes a line of the session before", pid.string());
  std::thread dropper([&] {
    await_file(pid);
    agent.server->drop_client();
  });
  EXPECT_EQ(run_there(*channel, line).status, disconnected_status);
  dropper.join();
  EXPECT_FALSE(channel->is_connected());
  EXPECT_EQ(run_there(*channel, "echo fresh").out, "fresh\n") << "without what the port still held";
  EXPECT_TRUE(is_gone(std::stoi(read_file(pid))));
}

TEST_F(GuestChannelTest, WhatWasHalfSentBeforeDoesNoHarm) {
  channel.reset();
  std::string token(guest_token_size, 't');
  std::string started = guest_greeting(token) + guest_frame(GuestFrame::command, "cat > swallowed") +
                        guest_frame(GuestFrame::start);
  std::string input = guest_frame(GuestFrame::input, random_text(guest_payload_limit, 3));
  std::vector<std::string> befores = {
      std::string("\x02"), std::string("\x04\xff"), input.substr(0, 3), input.substr(0, 4), input.substr(0, 1000),
      started + input.substr(0, input.size() - 1), started + input.substr(0, 2), started + input + input.substr(0, 77),
      std::string(1000, '\xff'), guest_hello(token).substr(0, 15), guest_frame(GuestFrame::hello, "something else")};
  for (unsigned seed = 0; seed < 10; ++seed) befores.push_back(random_text(100'000, seed));
  for (unsigned seed = 0; seed < 10; ++seed) befores.push_back(started + random_text(50'000, seed));
  for (const auto& before : befores) {
    {
      Fd raw = connect_to(agent.socket);
      write_all(raw.get(), before);
    }
    channel = agent.connect();
    EXPECT_EQ(run_there(*channel, "echo usable").out, "usable\n") << go_quote(before.substr(0, 40));
    channel.reset();
  }
}

TEST_F(GuestChannelTest, OneHostAtATime) {
  EXPECT_EQ(connect_guest_channel(agent.socket, Deadline::in(100ms), stop), nullptr);
  channel.reset();
  channel = connect_guest_channel(agent.socket, Deadline::in(20s), stop);
  ASSERT_NE(channel, nullptr);
  EXPECT_EQ(run_there(*channel, "echo usable").out, "usable\n");
}

TEST_F(GuestChannelTest, AnAgentThatEndsSaysSo) {
  std::string pid = run_there(*channel, "echo $PPID").out;
  EXPECT_EQ(run_there(*channel, "kill -TERM $PPID; exec sleep 1000").status, disconnected_status);
  EXPECT_FALSE(channel->is_connected());
  EXPECT_TRUE(is_gone(std::stoi(pid)));
  EXPECT_FALSE(fs::exists(agent.program)) << "it removes itself when it starts";
}

TEST_F(GuestChannelTest, QuitEndsIt) {
  std::string pid = run_there(*channel, "echo $PPID").out;
  channel->quit_agent(Deadline::in(20s), stop);
  EXPECT_FALSE(channel->is_connected());
  EXPECT_TRUE(is_gone(std::stoi(pid)));
  channel->quit_agent(Deadline::in(20s), stop);
  EXPECT_EQ(connect_guest_channel(agent.socket, Deadline::in(100ms), stop), nullptr);
}

TEST_F(GuestChannelTest, ReseedingTellsWhetherItCould) {
  EXPECT_EQ(channel->can_reseed(), ::geteuid() == 0);
  bool done = channel->reseed(random_text(64, 1), std::nullopt, Deadline::in(20s), stop);
  EXPECT_TRUE(channel->can_reseed() || !done);
  EXPECT_EQ(run_there(*channel, "echo usable").out, "usable\n");
}

// Root's agent for somebody else: what the daemon started by sudo does. The sudo here keeps what it is given.
TEST_F(GuestChannelTest, UnderSudoCommandsAreStillTheCallers) {
  if (::geteuid() != 0 || !find_program("setpriv")) GTEST_SKIP() << "needs root and setpriv";
  channel->quit_agent(Deadline::in(20s), stop);
  ::chmod(agent.dir.path().c_str(), 0777);
  agent.put_program();
  fs::path bin = agent.dir.path() / "bin", given = agent.dir.path() / "given";
  fs::create_directories(bin);
  write_file_atomically(
      bin / "sudo", fmt::format("#!/bin/sh\necho \"$*\" > {0}.words; cat > {0}\n", given.string()), 0755);
  run_checked({.argv = {"setpriv", "--reuid=12345", "--regid=12346", "--groups=12347,12348", agent.program.string(),
                        "--port", agent.terminal},
               .env = {{"PATH", bin.string() + ":/usr/bin:/bin"}, {"KILN_TEST", "the caller's"}},
               .directory = agent.dir.path()},
              Deadline::in(20s), stop);
  EXPECT_EQ(read_file(given.string() + ".words"),
            fmt::format("-n -- {} --for-caller --port {}\n", agent.program.string(), agent.terminal));
  run_checked({.argv = {agent.program.string(), "--for-caller", "--port", agent.terminal}, .directory = "/"},
              Deadline::in(20s), stop, read_file(given));
  channel = agent.connect();
  EXPECT_TRUE(channel->can_reseed());
  EXPECT_EQ(run_there(*channel, "id -u; id -g; id -G; pwd; echo $KILN_TEST").out,
            fmt::format("12345\n12346\n12346 12347 12348\n{}\nthe caller's\n", agent.dir.path().string()));
  EXPECT_EQ(run_there(*channel, "kill -9 $PPID").status, 1) << "it is not the agent's user";

  // Files that the agent itself writes, too.
  auto upload = [&](const fs::path& path) {
    std::string_view left = "content";
    auto source = [&](char* buffer, size_t size) {
      size_t n = left.copy(buffer, size);
      left.remove_prefix(n);
      return n;
    };
    channel->upload({path.string(), left.size(), 0640}, source, Deadline::in(20s), stop);
  };
  fs::path theirs = agent.dir.path() / "theirs", ours = agent.dir.path() / "ours",
           open = agent.dir.path() / "open";
  upload(theirs);
  struct stat made {};
  ASSERT_EQ(::stat(theirs.c_str(), &made), 0);
  EXPECT_EQ(made.st_uid, 12345U);
  EXPECT_EQ(made.st_gid, 12346U);
  EXPECT_EQ(made.st_mode & 07777U, 0640U);
  write_file_atomically(ours, "root's", 0600);
  EXPECT_THAT(error_of([&] { upload(ours); }).message(), HasSubstr("Permission denied"));
  EXPECT_EQ(read_file(ours), "root's");
  write_file_atomically(open, "for all to write");
  ::chmod(open.c_str(), 0666);
  EXPECT_THAT(error_of([&] { upload(open); }).message(), HasSubstr("Operation not permitted"))
      << "its mode is root's";
  upload(theirs);  // and it goes on
}

TEST_F(GuestChannelTest, FlushingTellsOfFilesThatABootLoses) {
  TempDir there;  // in /tmp
  if (!there.path().string().starts_with("/tmp/")) GTEST_SKIP() << "TMPDIR is elsewhere";
  fs::create_directories(there.path() / "a/b");
  write_file_atomically(there.path() / "a/b/c", "");
  EXPECT_EQ(channel->flush(Deadline::in(300s), stop), std::optional(false));
  EXPECT_EQ(run_there(*channel, "echo usable").out, "usable\n");
}

TEST_F(GuestChannelTest, WithoutSudoOrTheRightToThePortItSaysSo) {
  if (::geteuid() != 0 || !find_program("setpriv")) GTEST_SKIP() << "needs root and setpriv";
  channel->quit_agent(Deadline::in(20s), stop);
  ::chmod(agent.dir.path().c_str(), 0777);
  agent.put_program();
  ::chmod(agent.terminal.c_str(), 0600);
  auto result = kiln::run({.argv = {"setpriv", "--reuid=12345", "--regid=12346", "--clear-groups",
                                    agent.program.string(), "--port", agent.terminal},
                           .env = {{"PATH", "/nowhere"}}},
                          Deadline::in(20s), stop);
  EXPECT_NE(result.status.code, 0);
  EXPECT_EQ(result.err, agent.terminal + ": Permission denied, and `sudo -n` does not work\n");
}

// ---- nobody, nothing, nonsense --------------------------------------------------------------------------------------

TEST(GuestChannelWithoutAgent, IsNoError) {
  TempDir dir;
  Stop stop;
  EXPECT_EQ(connect_guest_channel(dir.path() / "none", Deadline::in(100ms), stop), nullptr);
  Fd listener = listen_at(dir.path() / "silent");
  EXPECT_EQ(connect_guest_channel(dir.path() / "silent", Deadline::in(100ms), stop), nullptr);
  stop.request();
  Error e = error_of([&] { connect_guest_channel(dir.path() / "silent", Deadline::in(20s), stop); });
  EXPECT_EQ(e.kind(), ErrorKind::cancelled);
  Error long_path = error_of([&] { connect_guest_channel(std::string(200, 'x'), Deadline::in(20s), Stop()); });
  EXPECT_EQ(long_path.kind(), ErrorKind::user);
}

TEST(GuestChannelWithoutAgent, OneThatStartsLaterIsFound) {
  LocalAgent agent;
  if (guest_agent_program().empty()) GTEST_SKIP() << "this Kiln was built without an agent";
  std::thread later([&] {
    sleep_for(200ms, Stop());
    agent.start();
  });
  auto channel = connect_guest_channel(agent.socket, Deadline::in(20s), Stop());
  later.join();
  ASSERT_NE(channel, nullptr);
  EXPECT_EQ(run_there(*channel, "echo usable").out, "usable\n");
}

/// A guest that answers as it should and then says `rest`, for ever if asked to.
class BadGuest {
 public:
  BadGuest(const fs::path& socket, std::string rest, bool for_ever)
      : listener_(listen_at(socket)), thread_([this, rest, for_ever] { talk(rest, for_ever); }) {}
  ~BadGuest() {
    stop_.request();
    thread_.join();
  }

 private:
  void talk(const std::string& rest, bool for_ever) {
    try {
      wait(listener_.get(), POLLIN, Deadline::in(20s), stop_);
      Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      std::string heard, hello = guest_hello(std::string(guest_token_size, 'x')).substr(0, 12);
      while (heard.find(hello) == std::string::npos || heard.size() < heard.find(hello) + 28) {
        wait(client.get(), POLLIN, Deadline::in(20s), stop_);
        heard += read_some(client.get());
      }
      std::string token = heard.substr(heard.find(hello) + 12, guest_token_size);
      say(client.get(), "noise" + guest_frame(GuestFrame::answer, "KILNGST1" + token + '\1'));
      do say(client.get(), rest);
      while (for_ever);
      for (bool would_block = false; would_block || !heard.empty(); would_block = false) {
        wait(client.get(), POLLIN, Deadline::in(20s), stop_);
        heard = read_some(client.get(), 65536, &would_block);
      }
    } catch (const Error&) {
    }
  }
  void say(int fd, std::string_view text) {
    while (!text.empty()) {
      wait(fd, POLLOUT, Deadline::in(20s), stop_);
      ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN) throw_errno("send");
      if (n > 0) text.remove_prefix(static_cast<size_t>(n));
    }
  }
  Stop stop_;
  Fd listener_;
  std::thread thread_;
};

TEST(GuestChannelToBadGuest, NonsenseIsAnErrorOfTheMachine) {
  for (const std::string& rest :
       {std::string("what is no frame"), std::string("\x82\xff\xff\xff"), guest_frame(GuestFrame::hello),
        guest_frame(GuestFrame::window, "x"), random_text(5000, 1)}) {
    TempDir dir;
    BadGuest guest(dir.path() / "s", rest, false);
    auto channel = connect_guest_channel(dir.path() / "s", Deadline::in(20s), Stop());
    ASSERT_NE(channel, nullptr);
    // Before the command: the connection is made anew, to nobody. While it runs: it is lost.
    try {
      EXPECT_EQ(run_there(*channel, "true", Deadline::in(300ms)).status, disconnected_status);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::remote);
    }
  }
}

TEST(GuestChannelToBadGuest, NeitherASilentNorATalkativeOneHoldsTheHostUp) {
  std::string flood;
  for (int i = 0; i < 1000; ++i) flood += guest_frame(GuestFrame::pong, "x");
  for (const std::string& rest : {std::string(), flood, guest_frame(GuestFrame::window, "\xff\xff\xff\xff")}) {
    TempDir dir;
    BadGuest guest(dir.path() / "s", rest, !rest.empty());
    auto channel = connect_guest_channel(dir.path() / "s", Deadline::in(20s), Stop());
    ASSERT_NE(channel, nullptr);
    Error e = error_of([&] { run_there(*channel, "true", Deadline::in(200ms)); });
    EXPECT_EQ(e.kind(), ErrorKind::timeout) << e.message();
    Error sending = error_of([&] {
      channel->upload({"/x", 1U << 30, 0644}, [](char*, size_t size) { return size; }, Deadline::in(200ms), Stop());
    });
    EXPECT_THAT(sending.kind(), testing::AnyOf(ErrorKind::timeout, ErrorKind::remote)) << sending.message();
  }
}

TEST(GuestChannelToBadGuest, OneWhoTalksInsteadOfListeningIsLeft) {
  TempDir dir;
  std::string talk = guest_frame(GuestFrame::output, "kiln-ready\n");
  BadGuest guest(dir.path() / "s", talk + guest_frame(GuestFrame::output, random_text(30000, 1)), true);
  auto channel = connect_guest_channel(dir.path() / "s", Deadline::in(20s), Stop());
  ASSERT_NE(channel, nullptr);
  Error e = error_of([&] {
    channel->upload({"/x", 1U << 30, 0644}, [](char*, size_t size) { return size; }, Deadline::in(20s), Stop());
  });
  EXPECT_EQ(e.kind(), ErrorKind::remote);
  EXPECT_THAT(e.message(), HasSubstr("talks instead of listening"));
}

TEST(GuestFrames, TheAnswerIsFoundAndWhatFollowsIsCut) {
  std::string token = random_text(guest_token_size, 9);
  std::string answer = guest_frame(GuestFrame::answer, "KILNGST1" + token + '\0');
  std::string stream = "of before" + answer.substr(0, 20) + answer + guest_frame(GuestFrame::output, "ab") +
                       guest_frame(GuestFrame::bye);
  for (size_t piece = 1; piece < stream.size(); ++piece) {
    GuestDecoder decoder(token);
    std::vector<std::string> seen;
    for (size_t at = 0; at < stream.size(); at += piece) {
      decoder.feed(std::string_view(stream).substr(at, piece));
      while (auto message = decoder.next()) {
        seen.push_back(std::to_string(static_cast<int>(message->type)) + ":" + std::to_string(message->payload.size()));
      }
    }
    EXPECT_EQ(join(seen, " "), "129:25 130:2 136:0") << piece;
  }
}

}  // namespace
}  // namespace kiln
