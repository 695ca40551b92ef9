#include "endpoint/http_service.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <charconv>
#include <list>
#include <thread>

#include "base/error.h"
#include "base/text.h"

namespace kiln::ec2 {

namespace {

constexpr size_t most_connections = 2000;
constexpr auto idle_limit = std::chrono::minutes(5);
constexpr auto write_limit = std::chrono::seconds(60);

const char* reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Payload Too Large";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Answer";
  }
}

HttpReading bad_request(int status, std::string complaint) {
  HttpReading out;
  out.state = HttpReading::State::bad;
  out.status = status;
  out.complaint = std::move(complaint);
  return out;
}

bool is_token(std::string_view text) {
  for (char c : text) {
    if (c <= ' ' || c == 127 || c == ':') return false;
  }
  return !text.empty();
}

/// Fills method, path and query from "POST /?x=1 HTTP/1.1".
bool read_request_line(std::string_view line, HttpCall& call) {
  auto words = split(line, ' ');
  if (words.size() != 3 || !words[2].starts_with("HTTP/1.") || !is_token(words[0])) return false;
  std::string target = words[1];
  // The absolute form, as through a proxy.
  if (size_t scheme = target.find("://"); scheme != std::string::npos && !target.starts_with('/')) {
    size_t slash = target.find('/', scheme + 3);
    target = slash == std::string::npos ? "/" : target.substr(slash);
  }
  if (!target.starts_with('/')) return false;
  call.method = words[0];
  size_t question = target.find('?');
  call.path = target.substr(0, question);
  if (question != std::string::npos) call.query = target.substr(question + 1);
  return true;
}

bool wants_close(const HttpCall& call) { return lower(call.header("connection")) == "close"; }

void write_fully(int fd, std::string_view bytes, const Stop& stop) {
  Deadline deadline = Deadline::in(write_limit);
  while (!bytes.empty()) {
    if (wait(fd, POLLOUT, deadline, stop) == Woke::deadline)
      throw Error(ErrorKind::timeout, "the client does not read");
    ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    // A pipe that is ready takes this much without waiting.
    if (n < 0 && errno == ENOTSOCK) n = ::write(fd, bytes.data(), std::min<size_t>(bytes.size(), 4096));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) throw_errno("write to a client");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

HttpReply reply_of(const HttpService::Handler& handler, const HttpCall& call, const Stop& stop) {
  try {
    return handler(call, stop);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    return {500, "text/plain", error.message() + "\n", {}};
  } catch (const std::exception& error) {
    return {500, "text/plain", std::string(error.what()) + "\n", {}};
  }
}

}  // namespace

std::string HttpCall::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (lower(key) == lower(name)) return value;
  }
  return "";
}

HttpReading read_http_call(std::string_view buffer) {
  size_t end = buffer.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (buffer.size() > longest_head) return bad_request(431, "the request's head is too long");
    return {};
  }
  if (end > longest_head) return bad_request(431, "the request's head is too long");
  HttpReading out;
  auto lines = split(buffer.substr(0, end), std::string_view("\r\n"));
  if (!read_request_line(lines[0], out.call))
    return bad_request(400, "the request line is not one of HTTP/1.1");
  size_t length = 0;
  bool has_length = false;
  for (size_t i = 1; i < lines.size(); ++i) {
    size_t colon = lines[i].find(':');
    if (colon == std::string::npos || !is_token(lines[i].substr(0, colon))) {
      return bad_request(400, "a header is not of the form Name: value");
    }
    std::string name = lines[i].substr(0, colon);
    std::string value(trim(lines[i].substr(colon + 1)));
    if (lower(name) == "content-length") {
      size_t before = length;
      auto [rest, error] = std::from_chars(value.data(), value.data() + value.size(), length);
      bool good =
          error == std::errc() && rest == value.data() + value.size() && (!has_length || before == length);
      if (!good) return bad_request(400, "Content-Length is no number");
      has_length = true;
    }
    if (lower(name) == "transfer-encoding")
      return bad_request(411, "a body must come with its Content-Length");
    if (lower(name) == "expect" && lower(value) == "100-continue") out.expects_continue = true;
    out.call.headers.emplace_back(std::move(name), std::move(value));
  }
  if (length > longest_body) return bad_request(413, "the body is too long");
  if (buffer.size() < end + 4 + length) return out;
  out.call.body = buffer.substr(end + 4, length);
  out.used = end + 4 + length;
  out.state = HttpReading::State::whole;
  return out;
}

std::string http_reply_text(const HttpReply& reply, bool close) {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n", reply.status,
                                reason_of(reply.status), reply.type, reply.body.size());
  for (const auto& [name, value] : reply.headers) out += name + ": " + value + "\r\n";
  out += close ? "Connection: close\r\n\r\n" : "\r\n";
  return out + reply.body;
}

void serve_http(int in, int out, const HttpService::Handler& handler, const Stop& stop) {
  std::string buffer;
  bool continued = false;
  for (;;) {
    HttpReading reading = read_http_call(buffer);
    if (reading.state == HttpReading::State::bad) {
      return write_fully(
          out, http_reply_text({reading.status, "text/plain", reading.complaint + "\n", {}}, true), stop);
    }
    if (reading.state == HttpReading::State::whole) {
      buffer.erase(0, reading.used);
      continued = false;
      reading.call.socket = in;
      bool close = wants_close(reading.call);
      write_fully(out, http_reply_text(reply_of(handler, reading.call, stop), close), stop);
      if (close) return;
      continue;
    }
    if (reading.expects_continue && !continued) {
      write_fully(out, "HTTP/1.1 100 Continue\r\n\r\n", stop);
      continued = true;
    }
    if (wait(in, POLLIN, Deadline::in(idle_limit), stop) == Woke::deadline) return;
    std::string bytes = read_some(in);
    if (bytes.empty()) return;
    buffer += bytes;
  }
}

struct HttpService::Impl {
  struct Connection {
    Fd socket;
    std::thread thread;
    std::shared_ptr<std::atomic<bool>> ended;
  };

  Handler handler;
  Fd listener;
  Stop stop;
  std::thread thread;
  std::list<Connection> connections;

  void serve();
  void begin(Fd client);
  void reap();
};

void HttpService::Impl::begin(Fd client) {
  int one = 1;
  ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  auto ended = std::make_shared<std::atomic<bool>>(false);
  int fd = client.get();
  connections.push_back({.socket = std::move(client), .ended = ended});
  connections.back().thread = std::thread([this, fd, ended] {
    try {
      serve_http(fd, fd, handler, stop);
    } catch (const Error&) {
      // The client went, or we stop.
    }
    ::shutdown(fd, SHUT_RDWR);
    *ended = true;
  });
}

void HttpService::Impl::reap() {
  for (auto it = connections.begin(); it != connections.end();) {
    if (!*it->ended) {
      ++it;
      continue;
    }
    it->thread.join();
    it = connections.erase(it);
  }
}

void HttpService::Impl::serve() {
  for (;;) {
    wait(listener.get(), POLLIN, Deadline::in(std::chrono::seconds(10)), stop);
    reap();
    Fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client.is_open()) continue;
    if (connections.size() >= most_connections) continue;  // closed at once: the client tries again
    begin(std::move(client));
  }
}

HttpService::HttpService(const std::string& address, int port, Handler handler)
    : impl_(std::make_unique<Impl>()) {
  impl_->handler = std::move(handler);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<uint16_t>(port));
  if (::inet_pton(AF_INET, address.c_str(), &name.sin_addr) != 1) {
    throw Error(ErrorKind::user, "cannot listen on " + go_quote(address) + ": it is no IPv4 address");
  }
  impl_->listener = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!impl_->listener.is_open()) throw_errno("socket");
  int one = 1;
  ::setsockopt(impl_->listener.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  socklen_t size = sizeof name;
  auto* generic = reinterpret_cast<sockaddr*>(&name);
  if (::bind(impl_->listener.get(), generic, size) != 0 || ::listen(impl_->listener.get(), 256) != 0) {
    throw_errno(fmt::format("listen on {}:{}", address, port));
  }
  ::getsockname(impl_->listener.get(), generic, &size);
  port_ = ntohs(name.sin_port);
  impl_->thread = std::thread([impl = impl_.get()] {
    try {
      impl->serve();
    } catch (const Error&) {
      // Asked to stop.
    }
  });
}

HttpService::~HttpService() {
  impl_->stop.request();
  impl_->thread.join();
  for (auto& connection : impl_->connections) connection.thread.join();
}

}  // namespace kiln::ec2
