#include "wire/qmp.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "base/error.h"

namespace kiln {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(QmpDecoder, CutsLinesHoweverTheyArrive) {
  std::string text = "{\"QMP\": {}}\r\n\r\n{\"return\": {\"a\": \"b\\n\"}}\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    QmpDecoder decoder;
    std::vector<nlohmann::json> got;
    for (size_t at = 0; at < text.size(); at += piece) {
      decoder.feed(std::string_view(text).substr(at, piece));
      while (auto message = decoder.next()) got.push_back(*message);
    }
    ASSERT_EQ(got.size(), 2U) << piece;
    EXPECT_EQ(got[1]["return"]["a"], "b\n");
  }
}

TEST(QmpDecoder, RubbishIsAnError) {
  for (const auto* text : {"hello\n", "[1]\n", "{\"a\":\n", "\x80\xff\n"}) {
    QmpDecoder decoder;
    EXPECT_THROW(decoder.feed(text), Error) << text;
  }
}

/// A QEMU that says what it is told to: for each line that comes, the next answer.
struct FakeQemu {
  Fd ours;
  std::thread thread;
  std::vector<std::string> heard;

  FakeQemu(std::string greeting, std::vector<std::string> answers) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ours = Fd(ends[0]);
    thread = std::thread([this, fd = Fd(ends[1]), greeting = std::move(greeting), answers = std::move(answers)] {
      write_all(fd.get(), greeting);
      for (const auto& answer : answers) {
        std::string line;
        while (!line.ends_with('\n')) {
          std::string more = read_some(fd.get());
          if (more.empty()) return;
          line += more;
        }
        heard.push_back(line);
        write_all(fd.get(), answer);
      }
    });
  }
  ~FakeQemu() { thread.join(); }
};

constexpr const char* greeting = "{\"QMP\": {\"version\": {}}}\n";

TEST(QmpClient, NegotiatesExecutesAndKeepsEvents) {
  FakeQemu qemu(greeting, {"{\"return\": {}, \"id\": 1}\n",
                           "{\"event\": \"RESUME\"}\n{\"return\": {\"status\": \"running\"}, \"id\": 2}\n",
                           "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}, \"id\": 3}\n"});
  Stop stop;
  Deadline limit = Deadline::in(seconds(5));
  QmpClient client(std::move(qemu.ours), limit, stop);
  EXPECT_EQ(client.execute("query-status", {}, limit, stop)["status"], "running");
  auto event = client.poll_event();
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ((*event)["event"], "RESUME");
  try {
    client.execute("eject", {{"device", "cd"}}, limit, stop);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "eject: no such thing");
    EXPECT_EQ(error.kind(), ErrorKind::remote);
  }
  // The peer is gone now: an event is awaited in vain, a command fails.
  EXPECT_FALSE(client.next_event(limit, stop).has_value());
  EXPECT_TRUE(client.closed());
  EXPECT_THROW(client.execute("quit", {}, limit, stop), Error);
}

TEST(QmpClient, DescriptorsGoAlong) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  Fd ours(ends[0]), theirs(ends[1]);
  int received = -1;
  std::thread qemu([&] {
    write_all(theirs.get(), greeting);
    for (const char* answer : {"{\"return\": {}, \"id\": 1}\n", "{\"return\": {}, \"id\": 2}\n"}) {
      char text[4096], control[256];
      iovec part{text, sizeof text};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      ASSERT_GT(::recvmsg(theirs.get(), &message, 0), 0);
      if (cmsghdr* head = CMSG_FIRSTHDR(&message)) std::memcpy(&received, CMSG_DATA(head), sizeof received);
      write_all(theirs.get(), answer);
    }
  });
  Stop stop;
  Deadline limit = Deadline::in(seconds(5));
  QmpClient client(std::move(ours), limit, stop);
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  Fd reader(pipe_ends[0]), writer(pipe_ends[1]);
  client.execute("getfd", {{"fdname", "it"}}, limit, stop, writer.get());
  qemu.join();
  ASSERT_GE(received, 0);
  Fd given(received);
  EXPECT_NE(given.get(), writer.get());
  write_all(given.get(), "through it");
  EXPECT_EQ(read_some(reader.get()), "through it");
}

TEST(QmpClient, DeadlinesAndStopEndTheWait) {
  FakeQemu qemu(greeting, {"{\"return\": {}}\n", "", ""});
  Stop stop;
  {
    QmpClient client(std::move(qemu.ours), Deadline::in(seconds(5)), stop);
    try {
      client.execute("query-status", {}, Deadline::in(milliseconds(20)), stop);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::timeout);
    }
    EXPECT_FALSE(client.next_event(Deadline::in(milliseconds(1)), stop).has_value());
    stop.request();
    EXPECT_THROW(client.next_event(Deadline::in(seconds(5)), stop), Error);
  }
}

TEST(QmpClient, ASilentPeerIsTold) {
  FakeQemu qemu("{\"return\": {}}\n", {});
  EXPECT_THROW(QmpClient(std::move(qemu.ours), Deadline::in(seconds(5)), Stop()), Error);
}

}  // namespace
}  // namespace kiln
