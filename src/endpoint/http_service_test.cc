#include "endpoint/http_service.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/error.h"

namespace kiln::ec2 {
namespace {

using State = HttpReading::State;
using testing::HasSubstr;

TEST(HttpService, ReadsARequestOnceItIsWhole) {
  std::string text = "POST /a?b=c HTTP/1.1\r\nHost: x:1\r\nContent-Length: 5\r\n\r\nhello";
  for (size_t n = 0; n < text.size(); ++n)
    EXPECT_EQ(read_http_call(text.substr(0, n)).state, State::more) << n;
  HttpReading reading = read_http_call(text + "POST / HTTP/1.1");
  ASSERT_EQ(reading.state, State::whole);
  EXPECT_EQ(reading.used, text.size());
  EXPECT_EQ(reading.call.method, "POST");
  EXPECT_EQ(reading.call.path, "/a");
  EXPECT_EQ(reading.call.query, "b=c");
  EXPECT_EQ(reading.call.header("hOsT"), "x:1");
  EXPECT_EQ(reading.call.body, "hello");
}

TEST(HttpService, RefusesWhatItCannotRead) {
  auto status = [](const std::string& text) {
    HttpReading reading = read_http_call(text);
    return reading.state == State::bad ? reading.status : 0;
  };
  EXPECT_EQ(status("nonsense\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/2\r\n\r\n"), 400);
  EXPECT_EQ(status("GET x HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nno colon\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\n folded: x\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400);
  EXPECT_EQ(status("POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), 413);
  EXPECT_EQ(status("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 411);
  EXPECT_EQ(status(std::string(100 * 1024, 'x')), 431);
}

TEST(HttpService, TakesTheAbsoluteForm) {
  EXPECT_EQ(read_http_call("GET http://127.0.0.1:1/x?y HTTP/1.1\r\n\r\n").call.path, "/x");
  EXPECT_EQ(read_http_call("GET http://127.0.0.1:1 HTTP/1.1\r\n\r\n").call.path, "/");
}

Fd connect_to(int port) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<uint16_t>(port));
  ::inet_pton(AF_INET, "127.0.0.1", &name.sin_addr);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  return socket;
}

std::string read_until(const Fd& socket, const std::string& end) {
  std::string out;
  while (!out.ends_with(end)) {
    std::string part = read_some(socket.get());
    if (part.empty()) break;
    out += part;
  }
  return out;
}

TEST(HttpService, AnswersSeveralRequestsOfAConnectionAndWaitersSideBySide) {
  Stop go;
  HttpService service("127.0.0.1", 0, [&](const HttpCall& call, const Stop& stop) {
    if (call.path == "/slow") wait(go.fd(), POLLIN, Deadline::in(std::chrono::seconds(30)), stop);
    if (call.path == "/bad") throw Error(ErrorKind::internal, "broken");
    return HttpReply{200, "text/plain", call.path + "!", {}};
  });
  Fd slow = connect_to(service.port());
  write_all(slow.get(), "GET /slow HTTP/1.1\r\n\r\n");
  Fd quick = connect_to(service.port());
  write_all(
      quick.get(),
      "GET /one HTTP/1.1\r\n\r\nGET /bad HTTP/1.1\r\n\r\nGET /two HTTP/1.1\r\nConnection: close\r\n\r\n");
  std::string answers = read_until(quick, "/two!");
  EXPECT_THAT(answers, HasSubstr("/one!"));
  EXPECT_THAT(answers, HasSubstr("HTTP/1.1 500 "));
  EXPECT_THAT(answers, HasSubstr("Connection: close"));
  EXPECT_EQ(read_some(quick.get()), "");
  go.request();
  EXPECT_THAT(read_until(slow, "/slow!"), HasSubstr("200 OK"));
}

TEST(HttpService, EndsWhileSomebodyWaits) {
  auto service = std::make_unique<HttpService>("127.0.0.1", 0, [](const HttpCall&, const Stop& stop) {
    wait({}, Deadline::never(), stop);
    return HttpReply{};
  });
  Fd socket = connect_to(service->port());
  write_all(socket.get(), "GET / HTTP/1.1\r\n\r\n");
  Fd idle = connect_to(service->port());
  service.reset();
  try {
    EXPECT_EQ(read_some(socket.get()), "");
  } catch (const Error&) {
    // Or it was never taken from the queue, and is reset.
  }
}

TEST(HttpService, SaysContinueToThoseWhoWaitForIt) {
  HttpService service("127.0.0.1", 0, [](const HttpCall& call, const Stop&) {
    return HttpReply{200, "text/plain", call.body, {}};
  });
  Fd socket = connect_to(service.port());
  write_all(socket.get(), "POST / HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(read_until(socket, "\r\n\r\n"), HasSubstr("100 Continue"));
  write_all(socket.get(), "body");
  EXPECT_THAT(read_until(socket, "body"), HasSubstr("200 OK"));
}

}  // namespace
}  // namespace kiln::ec2
