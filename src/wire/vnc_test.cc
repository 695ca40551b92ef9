#include "wire/vnc.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "base/error.h"
#include "base/text.h"

namespace kiln {
namespace {

using std::chrono::seconds;
using namespace std::string_literals;

const std::string init = "\x03\x20\x02\x58"s + std::string(16, '\0') + "\0\0\0\x04QEMU"s;  // 800x600

TEST(RfbHandshake, VersionsAndSecurity) {
  RfbHandshake v8("");
  EXPECT_EQ(v8.feed("RFB 003.008\n"), "RFB 003.008\n");
  EXPECT_EQ(v8.feed("\x02\x02\x01"), "\x01");
  EXPECT_EQ(v8.feed("\0\0\0\0"s), "\x01");
  EXPECT_EQ(v8.feed(init), "");
  ASSERT_TRUE(v8.done());
  EXPECT_EQ(v8.width(), 800);
  EXPECT_EQ(v8.height(), 600);
  EXPECT_EQ(v8.name(), "QEMU");

  RfbHandshake v7("");
  EXPECT_EQ(v7.feed("RFB 003.007\n"), "RFB 003.007\n");
  EXPECT_EQ(v7.feed("\x01\x01"), "\x01\x01");  // no result for "none" in 3.7: the choice and ClientInit
  v7.feed(init);
  EXPECT_TRUE(v7.done());

  RfbHandshake v3("");
  EXPECT_EQ(v3.feed("RFB 003.003\n"), "RFB 003.003\n");
  EXPECT_EQ(v3.feed("\0\0\0\x01"s), "\x01");
  v3.feed(init);
  EXPECT_TRUE(v3.done());
}

TEST(RfbHandshake, ByteByByte) {
  RfbHandshake handshake("");
  std::string out;
  for (char c : "RFB 003.008\n\x01\x01\0\0\0\0"s + init) out += handshake.feed(std::string(1, c));
  EXPECT_TRUE(handshake.done());
  EXPECT_EQ(out, "RFB 003.008\n\x01\x01");
}

TEST(RfbHandshake, Password) {
  RfbHandshake handshake("secret12");
  handshake.feed("RFB 003.008\n");
  EXPECT_EQ(handshake.feed("\x01\x02"), "\x02");
  std::string challenge = "0123456789abcdef";
  EXPECT_EQ(handshake.feed(challenge), vnc_challenge_response(challenge, "secret12"));
  EXPECT_EQ(handshake.feed("\0\0\0\0"s), "\x01");
}

TEST(RfbHandshake, ChallengeResponseIsDesWithReversedBits) {
  // DES with key ff x 8 (reversing changes nothing) over zeros: FIPS 81's known answer for the all-ones key.
  EXPECT_EQ(hex_encode(vnc_challenge_response(std::string(8, '\0'), std::string(8, '\xff'))), "caaaaf4deaf1dbae");
  // Key bytes 80.. become 01..: DES with the weak zero key (parity ignored).
  EXPECT_EQ(hex_encode(vnc_challenge_response(std::string(8, '\0'), std::string(8, '\x80'))), "8ca64de9c1b123a7");
}

TEST(RfbHandshake, Refusals) {
  auto fails = [](const std::string& password, const std::vector<std::string>& pieces) -> std::string {
    RfbHandshake handshake(password);
    try {
      for (const auto& piece : pieces) handshake.feed(piece);
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  };
  EXPECT_EQ(fails("", {"SSH-2.0-open"}), "VNC: this is no VNC server");
  EXPECT_EQ(fails("", {"RFB 003.008\n", "\x01\x02"}), "VNC: the server wants a password");
  EXPECT_EQ(fails("", {"RFB 003.008\n", "\x01\x13"}), "VNC: the server offers no way to log in that is supported");
  EXPECT_EQ(fails("", {"RFB 003.008\n", "\0\0\0\0\x04" "busy"s}), "VNC: the server refused: busy");
  EXPECT_EQ(fails("p", {"RFB 003.008\n", "\x01\x02", std::string(16, 'c'), "\0\0\0\x01\0\0\0\x02no"s}),
            "VNC: the server refused: no");
  EXPECT_EQ(fails("p", {"RFB 003.003\n", "\0\0\0\x02"s, std::string(16, 'c'), "\0\0\0\x01"s}),
            "VNC: the server refused the password");
  EXPECT_NE(fails("", {"RFB 003.008\n", "\0\xff\xff\xff\xff"s}), "");
}

TEST(RfbClient, KeyEventsReachTheServer) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  std::string received;
  std::thread server([&received, fd = Fd(ends[1])] {
    auto expect = [&](size_t count) {
      std::string got;
      while (got.size() < count) got += read_some(fd.get(), count - got.size());
      return got;
    };
    write_all(fd.get(), "RFB 003.008\n");
    expect(12);
    write_all(fd.get(), "\x01\x01");
    expect(1);
    write_all(fd.get(), "\0\0\0\0"s);
    expect(1);
    write_all(fd.get(), init + "an unasked update");
    received = expect(16);
  });
  Stop stop;
  Deadline limit = Deadline::in(seconds(5));
  RfbClient client(Fd(ends[0]), "", limit, stop);
  client.key(0xFF0D, true, limit, stop);
  client.key(0xFF0D, false, limit, stop);
  server.join();
  EXPECT_EQ(hex_encode(received), "040100000000ff0d040000000000ff0d");
}

TEST(RfbClient, NobodyThere) {
  EXPECT_THROW(RfbClient::connect("127.0.0.1", 1, "", Deadline::in(seconds(5)), Stop()), Error);
}

}  // namespace
}  // namespace kiln
