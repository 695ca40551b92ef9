#include "kit/http_directory.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <random>
#include <thread>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/guarded.h"
#include "base/text.h"
#include "base/wait.h"
#include "kit/boot_command.h"

namespace kiln {

const OptionTable<HttpConfig>& http_options() {
  static const OptionTable<HttpConfig> table = [] {
    OptionTable<HttpConfig> t;
    t.add(&HttpConfig::http_directory,
          {.name = "http_directory", .doc = "A directory the machine can read by HTTP.", .reads = true});
    t.add(&HttpConfig::http_content,
          {.name = "http_content", .doc = "Instead of a directory: path to text. The path starts with a slash.",
           .raw = true});
    t.add(&HttpConfig::http_port_min,
          {.name = "http_port_min", .default_text = "8000", .doc = "The lowest port.", .in_key = false});
    t.add(&HttpConfig::http_port_max,
          {.name = "http_port_max", .default_text = "9000", .doc = "Ports below this one.", .in_key = false});
    t.add(&HttpConfig::http_bind_address,
          {.name = "http_bind_address", .default_text = "as far as the machine needs",
           .doc = "The address to listen on.", .in_key = false});
    t.add(&HttpConfig::http_interface,
          {.name = "http_interface", .doc = "The network interface to listen on.", .in_key = false});
    t.add(&HttpConfig::http_network_protocol,
          {.name = "http_network_protocol", .default_text = "tcp", .doc = "tcp, tcp4 or tcp6.", .in_key = false});
    return t;
  }();
  return table;
}

void prepare_http(const Value& object, HttpConfig& http, const TemplateScope& scope, Diagnostics& diagnostics) {
  auto error = [&](const char* option, std::string text) {
    diagnostics.error(std::move(text), "", option_range(object, option));
  };
  if (http.http_port_min == 0) http.http_port_min = 8000;
  if (http.http_port_max == 0) http.http_port_max = 9000;
  if (http.http_port_min > http.http_port_max) error("http_port_min", "http_port_min must be less than http_port_max");
  if (http.http_port_min < 0 || http.http_port_max > 65535) error("http_port_max", "http ports are 1 to 65535");
  if (!http.http_directory.empty() && !http.http_content.empty()) {
    error("http_content", "http_content cannot be used in conjunction with http_dir. Consider using the file function "
                          "to load file in memory and serve them with http_content.");
  }
  if (!http.http_bind_address.empty() && !http.http_interface.empty()) {
    error("http_interface", "either http_interface or http_bind_address can be specified");
  }
  bool known = false;
  for (auto word : {"", "tcp", "tcp4", "tcp6", "unix", "unixpacket"}) known |= http.http_network_protocol == word;
  if (!known) error("http_network_protocol", "http_network_protocol must be one of tcp, tcp4, tcp6, unix, unixpacket");
  std::error_code ignored;
  if (!http.http_directory.empty() && !fs::is_directory(http.http_directory, ignored)) {
    // Packer serves nothing then, without a word; a template may name one that it does not need.
    diagnostics.warning(
        fmt::format("http_directory: stat {}: no such file or directory", http.http_directory), "",
        option_range(object, "http_directory"), "Until it is there, what the machine asks for is not found.");
  }
  for (const auto& [path, text] : http.http_content) {
    if (auto wrong = validate_template(text, scope)) error("http_content", "invalid 'http_content': " + *wrong);
  }
}

std::string interface_address(const std::string& interface) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) throw_errno("getifaddrs");
  std::string v4, v6;
  for (ifaddrs* a = all; a != nullptr; a = a->ifa_next) {
    if (a->ifa_addr == nullptr || interface != a->ifa_name) continue;
    char text[INET6_ADDRSTRLEN] = "";
    if (a->ifa_addr->sa_family == AF_INET && v4.empty()) {
      ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(a->ifa_addr)->sin_addr, text, sizeof text);
      v4 = text;
    } else if (a->ifa_addr->sa_family == AF_INET6 && v6.empty()) {
      ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6*>(a->ifa_addr)->sin6_addr, text, sizeof text);
      v6 = text;
    }
  }
  ::freeifaddrs(all);
  return v4.empty() ? v6 : v4;
}

std::string http_listen_address(const HttpConfig& http, const std::string& fallback) {
  if (!http.http_bind_address.empty()) return http.http_bind_address;
  if (http.http_interface.empty()) return http.http_network_protocol == "tcp6" ? "::1" : fallback;
  std::string address = interface_address(http.http_interface);
  if (address.empty()) {
    throw Error(ErrorKind::environment, "http_interface " + http.http_interface + " has no address");
  }
  return address;
}

HttpSite make_http_site(const HttpConfig& http, const TemplateScope& scope, const Value& dot) {
  HttpSite site;
  if (!http.http_directory.empty()) site.directory = fs::absolute(http.http_directory);
  for (const auto& [path, text] : http.http_content) {
    Rendered rendered = render_template_once(text, scope, dot);
    if (!rendered.ok()) throw Error(ErrorKind::user, "http_content " + path + ": " + *rendered.error);
    site.content[path] = rendered.text;
  }
  return site;
}

namespace {

constexpr size_t longest_request = size_t{64} * 1024;
constexpr auto idle_limit = std::chrono::minutes(5);

/// A listening socket at address:port, or nothing when the port is taken.
Fd listen_at(const std::string& address, int port) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    size = sizeof *v4;
  } else if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(port));
    size = sizeof *v6;
  } else {
    throw Error(ErrorKind::user, "the HTTP server cannot listen on " + go_quote(address) + ": it is no address");
  }
  Fd socket(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) throw_errno("socket");
  int one = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&storage), size) == 0 && ::listen(socket.get(), 64) == 0) {
    return socket;
  }
  if (errno != EADDRINUSE && errno != EACCES) throw_errno("HTTP server on " + address);
  return {};
}

std::string head_of(const HttpAnswer& answer, uint64_t length, bool close) {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", answer.status, answer.reason);
  for (const auto& [name, value] : answer.headers) out += fmt::format("{}: {}\r\n", name, value);
  if (answer.status != 304) out += fmt::format("Content-Length: {}\r\n", length);
  out += close ? "Connection: close\r\n\r\n" : "\r\n";
  return out;
}

bool wants_close(std::string_view head) {
  std::string folded = lower(head);
  size_t line = folded.find("\r\n");
  bool old = folded.substr(0, line).ends_with("http/1.0");
  if (contains(folded, "\r\nconnection: close")) return true;
  return old && !contains(folded, "\r\nconnection: keep-alive");
}

}  // namespace

struct HttpServer::Impl {
  /// One client. Reads a request, writes its answer, and again.
  struct Connection {
    Fd socket;
    std::string in;
    std::string out;
    Fd file;
    off_t offset = 0;
    uint64_t left = 0;
    bool close = false;
    Deadline idle = Deadline::in(idle_limit);
    bool writing() const { return !out.empty() || left > 0; }
  };

  HttpSite site;
  Fd listener;
  Stop stop;
  Guarded<std::vector<std::string>> log;
  std::thread thread;
  std::list<Connection> connections;

  void serve();
  void answer(Connection& connection);
  bool advance(Connection& connection, short events);
  bool flush(Connection& connection);
};

/// Answers the first whole request in the buffer.
void HttpServer::Impl::answer(Connection& connection) {
  size_t end = connection.in.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (connection.in.size() > longest_request) connection.close = true;
    return;
  }
  std::string head = connection.in.substr(0, end + 2);
  connection.in.erase(0, end + 4);
  HttpAnswer answer = answer_http(site, head);
  bool has_file = !answer.file.empty();
  if (has_file) {
    connection.file = Fd(::open(answer.file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!connection.file.is_open()) {
      answer = HttpAnswer{.status = 403, .reason = "Forbidden", .body = "403 Forbidden\n"};
      has_file = false;
    }
  }
  bool body = !head.starts_with("HEAD ");
  uint64_t length = has_file ? answer.length : answer.body.size();
  if (answer.status == 405 || answer.status == 400) connection.close = true;  // a body may follow
  connection.close |= wants_close(head);
  connection.out = head_of(answer, length, connection.close);
  if (body && !has_file) connection.out += answer.body;
  connection.left = body && has_file ? answer.length : 0;
  connection.offset = static_cast<off_t>(answer.offset);
  size_t first_line = head.find(" HTTP/");
  log.with([&](auto& lines) {
    lines.push_back(fmt::format("{} {}", head.substr(0, std::min<size_t>(first_line, 200)), answer.status));
  });
}

/// Writes what can be written now. False: the connection is over.
bool HttpServer::Impl::flush(Connection& connection) {
  while (!connection.out.empty()) {
    ssize_t n = ::send(connection.socket.get(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    connection.out.erase(0, static_cast<size_t>(n));
  }
  while (connection.left > 0) {
    size_t part = static_cast<size_t>(std::min<uint64_t>(connection.left, 1U << 20U));
    ssize_t n = ::sendfile(connection.socket.get(), connection.file.get(), &connection.offset, part);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return false;  // the file has shrunk: its announced length cannot be kept
    connection.left -= static_cast<uint64_t>(n);
  }
  connection.file.reset();
  return !connection.close;
}

bool HttpServer::Impl::advance(Connection& connection, short events) {
  if (events == 0) return !connection.idle.passed();
  connection.idle = Deadline::in(idle_limit);
  if (!connection.writing()) {
    char buffer[16384];
    ssize_t n = ::recv(connection.socket.get(), buffer, sizeof buffer, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return false;
    connection.in.append(buffer, static_cast<size_t>(n));
  } else if (!flush(connection)) {
    return false;
  }
  while (!connection.writing()) {
    size_t before = connection.in.size();
    answer(connection);
    if (connection.in.size() == before) break;
    if (!flush(connection)) return false;
  }
  return !(connection.close && !connection.writing());
}

void HttpServer::Impl::serve() {
  for (;;) {
    std::vector<pollfd> fds{{listener.get(), POLLIN, 0}};
    for (const auto& connection : connections) {
      fds.push_back({connection.socket.get(), static_cast<short>(connection.writing() ? POLLOUT : POLLIN), 0});
    }
    wait(fds, Deadline::in(std::chrono::minutes(1)), stop);
    size_t i = 1;
    for (auto it = connections.begin(); it != connections.end(); ++i) {
      it = advance(*it, fds[i].revents) ? std::next(it) : connections.erase(it);
    }
    if (fds[0].revents == 0) continue;
    Fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.is_open()) continue;
    int one = 1;
    ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connections.push_back({.socket = std::move(client)});
  }
}

HttpServer::HttpServer(HttpSite site, const std::string& address, int port_min, int port_max)
    : impl_(std::make_unique<Impl>()) {
  impl_->site = std::move(site);
  int count = std::max(1, port_max - port_min);
  std::random_device random;
  int first = std::uniform_int_distribution<int>(0, count - 1)(random);
  for (int i = 0; i < count && !impl_->listener.is_open(); ++i) {
    port_ = port_min + (first + i) % count;
    impl_->listener = listen_at(address, port_);
  }
  if (!impl_->listener.is_open()) {
    throw Error(ErrorKind::environment,
                fmt::format("no port for the HTTP server is free on {} from {} to {}", address, port_min, port_max));
  }
  impl_->thread = std::thread([impl = impl_.get()] {
    try {
      impl->serve();
    } catch (const Error&) {
      // Asked to stop.
    }
  });
}

HttpServer::~HttpServer() {
  impl_->stop.request();
  impl_->thread.join();
}

std::vector<std::string> HttpServer::take_log() {
  return impl_->log.with([](auto& lines) { return std::exchange(lines, {}); });
}

}  // namespace kiln
