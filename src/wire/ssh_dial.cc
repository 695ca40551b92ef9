#include "wire/ssh_dial.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/file.h"

namespace kiln {

namespace {

using namespace std::chrono_literals;

constexpr auto retry_after = 100ms;
constexpr auto longest_silence = 90s;  // longer than any user-mode network keeps trying to reach its guest
constexpr size_t most_tries = 24;

std::string at(const std::string& host, int port) {
  return host.find(':') == host.npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

int socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

struct ResolvedDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Resolved = std::unique_ptr<addrinfo, ResolvedDeleter>;

Resolved resolve(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  std::string bare = host.size() > 2 && host.front() == '[' ? host.substr(1, host.size() - 2) : host;
  int rc = getaddrinfo(bare.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (rc != 0) {
    hints.ai_flags = 0;  // "127.0.0.1" with no interface but lo
    rc = getaddrinfo(bare.c_str(), std::to_string(port).c_str(), &hints, &list);
  }
  if (rc != 0) throw Error(ErrorKind::remote, fmt::format("lookup {}: {}", host, gai_strerror(rc)));
  return Resolved(list);
}

void send_exactly(int fd, std::string_view bytes, const Deadline& deadline, const Stop& stop) {
  while (!bytes.empty()) {
    ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0)
      bytes.remove_prefix(static_cast<size_t>(n));
    else if (errno != EAGAIN && errno != EINTR)
      throw_errno("send to the proxy");
    else if (wait(fd, POLLOUT, deadline, stop) == Woke::deadline)
      throw Error(ErrorKind::timeout, "the proxy is silent");
  }
}

std::string receive_exactly(int fd, size_t size, const Deadline& deadline, const Stop& stop) {
  std::string out;
  while (out.size() < size) {
    std::array<char, 512> buffer;
    ssize_t n = ::recv(fd, buffer.data(), std::min(buffer.size(), size - out.size()), 0);
    if (n > 0)
      out.append(buffer.data(), static_cast<size_t>(n));
    else if (n == 0)
      throw Error(ErrorKind::remote, "the proxy closed the connection");
    else if (errno != EAGAIN && errno != EINTR)
      throw Error(ErrorKind::remote, "proxy: " + go_errno_text(errno));
    else if (wait(fd, POLLIN, deadline, stop) == Woke::deadline)
      throw Error(ErrorKind::timeout, "the proxy is silent");
  }
  return out;
}

std::string_view socks_failure(int code) {
  switch (code) {
    case 1:
      return "general SOCKS server failure";
    case 2:
      return "connection not allowed by ruleset";
    case 3:
      return "network unreachable";
    case 4:
      return "host unreachable";
    case 5:
      return "connection refused";
    case 6:
      return "TTL expired";
    case 7:
      return "command not supported";
    case 8:
      return "address type not supported";
  }
  return "unknown failure";
}

}  // namespace

void tune_ssh_socket(int fd) {
  int on = 1, idle = 5, interval = 5;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
}

void SshDialer::set_target(const std::string& host, int port) {
  if (host == host_ && port == port_ && !addresses_.empty()) return;
  tries_.clear();
  addresses_.clear();
  host_ = host;
  port_ = port;
  Resolved list;
  try {
    list = resolve(host, port);
  } catch (const Error& e) {
    last_failure_ = "tcp: " + e.message();
    throw;
  }
  for (addrinfo* item = list.get(); item; item = item->ai_next) {
    Address address;
    address.size = item->ai_addrlen;
    memcpy(&address.storage, item->ai_addr, item->ai_addrlen);
    addresses_.push_back(address);
  }
  started_ = Clock::now();
  next_open_ = started_;
  last_failure_.clear();
}

void SshDialer::failed(std::string what) {
  last_failure_ = std::move(what);
  last_closed_ = Clock::now();
  next_open_ = std::min(next_open_, last_closed_ + retry_after);
}

void SshDialer::open_one() {
  const Address& address = addresses_[next_address_++ % addresses_.size()];
  auto now = Clock::now();
  // Once something was refused or closed, the machine's network is alive: silence then means that it is slow,
  // and more connections would only make it slower. Before, silence may mean that nobody will ever answer
  // this one.
  auto since = now - started_;
  auto interval = std::clamp<Clock::duration>(since / 4, 200ms, 1500ms);
  if (last_closed_ != Clock::time_point{}) interval = 3s;
  next_open_ = now + interval;
  if (tries_.size() >= most_tries) tries_.erase(tries_.begin());
  Fd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.is_open()) throw_errno("socket");
  tune_ssh_socket(fd.get());
  int rc = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size);
  if (rc != 0 && errno != EINPROGRESS) {
    int error = errno;
    next_open_ = now + retry_after;
    return failed(fmt::format("tcp: connect to {}: {}", at(host_, port_), go_errno_text(error)));
  }
  tries_.push_back({std::move(fd), rc == 0, now});
}

bool SshDialer::check(Try& attempt) {
  if (!attempt.connected) {
    if (int error = socket_error(attempt.fd.get())) {
      failed(fmt::format("tcp: connect to {}: {}", at(host_, port_), go_errno_text(error)));
      attempt.fd.reset();
      return false;
    }
    attempt.connected = true;
    return false;
  }
  char byte;
  ssize_t n = ::recv(attempt.fd.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n > 0) return true;
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  failed(fmt::format("banner: {} accepted the connection and closed it without an ssh version line",
                     at(host_, port_)));
  attempt.fd.reset();
  return false;
}

std::optional<Fd> SshDialer::try_for(std::chrono::nanoseconds duration, const Stop& stop) {
  Deadline deadline = Deadline::in(duration);
  do {
    auto now = Clock::now();
    if (now >= next_open_) open_one();
    std::vector<pollfd> fds;
    for (const auto& attempt : tries_) {
      fds.push_back({attempt.fd.get(), static_cast<short>(attempt.connected ? POLLIN : POLLOUT), 0});
    }
    auto until_open = std::max<Clock::duration>(next_open_ - Clock::now(), 1ms);
    wait(fds, deadline.at_most(until_open), stop);
    for (size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].revents == 0 || !check(tries_[i])) continue;
      Fd winner = std::move(tries_[i].fd);
      tries_.clear();
      last_failure_.clear();
      return winner;
    }
    std::erase_if(tries_, [&](const Try& t) { return !t.fd.is_open() || now - t.since > longest_silence; });
  } while (!deadline.passed());
  return std::nullopt;
}

std::string SshDialer::state() const {
  auto silent = std::find_if(tries_.begin(), tries_.end(), [](const Try& t) { return t.connected; });
  if (silent != tries_.end()) {
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - silent->since).count();
    return fmt::format("banner: {} accepts connections, but no ssh version line has come in {} s",
                       at(host_, port_), seconds);
  }
  if (!tries_.empty()) return fmt::format("tcp: connect to {}: no answer", at(host_, port_));
  return last_failure_;
}

Fd dial_tcp(const std::string& host, int port, const Deadline& deadline, const Stop& stop) {
  Resolved list = resolve(host, port);
  std::string failure;
  for (addrinfo* item = list.get(); item; item = item->ai_next) {
    Fd fd(::socket(item->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.is_open()) throw_errno("socket");
    tune_ssh_socket(fd.get());
    int rc = ::connect(fd.get(), item->ai_addr, item->ai_addrlen);
    int error = rc == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      if (wait(fd.get(), POLLOUT, deadline, stop) == Woke::deadline) {
        throw Error(ErrorKind::timeout, fmt::format("connect to {}: no answer", at(host, port)));
      }
      error = socket_error(fd.get());
    }
    if (error == 0) return fd;
    failure = fmt::format("connect to {}: {}", at(host, port), go_errno_text(error));
  }
  throw Error(ErrorKind::remote, failure);
}

Fd dial_socks5(const Socks5Proxy& proxy, const std::string& host, int port, const Deadline& deadline,
               const Stop& stop) {
  Fd fd = dial_tcp(proxy.host, proxy.port, deadline, stop);
  bool with_password = !proxy.user.empty();
  send_exactly(fd.get(), with_password ? std::string("\x05\x02\x00\x02", 4) : std::string("\x05\x01\x00", 3),
               deadline, stop);
  std::string chosen = receive_exactly(fd.get(), 2, deadline, stop);
  if (chosen[0] != 5) throw Error(ErrorKind::remote, "the proxy does not speak SOCKS5");
  if (chosen[1] == 2 && with_password) {
    if (proxy.user.size() > 255 || proxy.password.size() > 255) {
      throw Error(ErrorKind::user, "ssh_proxy_username and ssh_proxy_password may have 255 bytes");
    }
    std::string login = "\x01";
    login += static_cast<char>(proxy.user.size()) + proxy.user;
    login += static_cast<char>(proxy.password.size()) + proxy.password;
    send_exactly(fd.get(), login, deadline, stop);
    if (receive_exactly(fd.get(), 2, deadline, stop)[1] != 0) {
      throw Error(ErrorKind::remote, fmt::format("the proxy refused user {}", proxy.user));
    }
  } else if (chosen[1] != 0) {
    throw Error(ErrorKind::remote, "the proxy wants a way of authentication that was not given");
  }
  if (host.size() > 255) throw Error(ErrorKind::user, "the host's name is too long for SOCKS5");
  std::string request("\x05\x01\x00\x03", 4);
  request += static_cast<char>(host.size()) + host;
  request += static_cast<char>(port >> 8);
  request += static_cast<char>(port & 255);
  send_exactly(fd.get(), request, deadline, stop);
  std::string reply = receive_exactly(fd.get(), 4, deadline, stop);
  if (reply[1] != 0) {
    throw Error(ErrorKind::remote, fmt::format("proxy {}: connect to {}: {}", at(proxy.host, proxy.port),
                                               at(host, port), socks_failure(reply[1])));
  }
  size_t rest = reply[3] == 1   ? 4
                : reply[3] == 4 ? 16
                                : static_cast<unsigned char>(receive_exactly(fd.get(), 1, deadline, stop)[0]);
  receive_exactly(fd.get(), rest + 2, deadline, stop);
  return fd;
}

}  // namespace kiln
