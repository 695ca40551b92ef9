#include "communicator/guest/guest_link.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/text.h"

namespace kiln {

namespace {

using namespace std::chrono_literals;

constexpr auto connect_interval = 20ms;  // QEMU may be about to listen
constexpr auto hello_interval = 1s;      // a guest that rebooted has lost what lay in its port
constexpr auto silence_before_asking = 5s;
constexpr auto silence_of_the_dead = 60s;  // a guest under load is slow to answer, but does
constexpr auto farewell = 500ms;
constexpr size_t receive_size = 256 << 10;

sockaddr_un guest_socket_address(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string name = path.string();
  if (name.size() >= sizeof address.sun_path) {
    throw Error(ErrorKind::user, "the socket's path is too long: " + name);
  }
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  return address;
}

/// Not open when nobody listens (yet).
Fd try_connect(const sockaddr_un& address) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) throw_errno("socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
  if (errno != ENOENT && errno != ECONNREFUSED && errno != EAGAIN && errno != EINTR) {
    throw_errno(std::string("connect to ") + address.sun_path);
  }
  return {};
}

}  // namespace

GuestLink::GuestLink(Fd socket, std::string token)
    : socket_(std::move(socket)),
      token_(std::move(token)),
      decoder_(token_),
      unsent_(guest_greeting(token_)),
      buffer_(receive_size, '\0') {}

std::unique_ptr<GuestLink> GuestLink::connect(const std::filesystem::path& path, const Deadline& deadline,
                                              const Stop& stop) {
  sockaddr_un address = guest_socket_address(path);
  for (;;) {
    if (Fd socket = try_connect(address); socket.is_open()) {
      std::unique_ptr<GuestLink> link(new GuestLink(std::move(socket), random_bytes(guest_token_size)));
      if (link->greet(deadline, stop)) return link;
    }
    if (deadline.passed()) return nullptr;
    sleep_for(connect_interval, stop);
  }
}

bool GuestLink::greet(const Deadline& deadline, const Stop& stop) {
  try {
    for (Deadline again = Deadline::in(hello_interval);;) {
      if (auto message = decoder_.next()) {
        agent_can_ = static_cast<uint8_t>(message->payload.back());
        return true;
      }
      if (deadline.passed()) return false;
      wait(deadline.at_most(again.left()), stop);
      if (!again.passed()) continue;
      if (unsent_.empty() && peer_has_read_all()) unsent_ = guest_hello(token_);
      again = Deadline::in(hello_interval);
    }
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::remote) throw;
    return false;
  }
}

bool GuestLink::peer_has_read_all() const {
  int unread = 0;
  return ::ioctl(socket_.get(), SIOCOUTQ, &unread) == 0 && unread == 0;
}

Woke GuestLink::wait(const Deadline& deadline, const Stop& stop) {
  if (!alive()) throw Error(ErrorKind::remote, why_lost_);
  stop.check();
  if (deadline.passed()) return Woke::deadline;  // also of one who talks without end
  flush();
  short events = unsent_.empty() ? POLLIN : POLLIN | POLLOUT;
  if (kiln::wait(socket_.get(), events, deadline.at_most(silence_before_asking), stop) == Woke::ready) {
    flush();
    receive();
  } else if (!deadline.passed()) {
    ask_for_life();
  }
  return Woke::ready;
}

void GuestLink::flush() {
  size_t sent = 0;
  while (sent < unsent_.size()) {
    ssize_t n = ::send(socket_.get(), unsent_.data() + sent, unsent_.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) lose("the guest channel was closed");
    sent += static_cast<size_t>(n);
  }
  unsent_.erase(0, sent);
}

void GuestLink::receive() {
  ssize_t n = ::recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) lose("the guest channel was closed");
  last_received_ = Clock::now();
  asked_.reset();
  decoder_.feed(std::string_view(buffer_).substr(0, static_cast<size_t>(n)));
}

void GuestLink::ask_for_life() {
  if (!decoder_.has_answer()) return;
  if (!asked_) {
    asked_ = Clock::now();
    send(GuestFrame::ping);
  } else if (Clock::now() - *asked_ > silence_of_the_dead) {
    lose("the guest's agent no longer answers");
  }
}

void GuestLink::lose(const std::string& why) {
  why_lost_ = why;
  socket_.reset();
  throw Error(ErrorKind::remote, why);
}

std::optional<GuestMessage> GuestLink::next() {
  for (;;) {
    std::optional<GuestMessage> message;
    try {
      message = decoder_.next();
    } catch (const Error& e) {
      lose(e.message());
    }
    if (!message) return message;
    if (message->type == GuestFrame::bye) lose("the guest's agent has ended");
    if (message->type == GuestFrame::ended) command_runs_ = false;
    if (message->type != GuestFrame::pong && message->type != GuestFrame::answer) return message;
  }
}

void GuestLink::start(std::string_view line) {
  KILN_CHECK(!command_runs_);
  for (; !line.empty(); line.remove_prefix(std::min(line.size(), guest_payload_limit))) {
    send(GuestFrame::command, line.substr(0, guest_payload_limit));
  }
  start(GuestFrame::start, {});
}

void GuestLink::start(GuestFrame type, std::string_view payload) {
  KILN_CHECK(!command_runs_);
  send(type, payload);
  command_runs_ = true;
}

void GuestLink::abandon() noexcept {
  try {
    if (!alive() || !command_runs_) return;
    send(GuestFrame::cancel);
    // Whoever gives up has no time left; the word gets through all the same, or waits for the next call.
    Stop none;
    for (Deadline soon = Deadline::in(farewell); !unsent_.empty() && wait(soon, none) == Woke::ready;) {
      while (next()) {
      }
    }
  } catch (const Error&) {
    // The guest is gone, and its command with it.
  }
}

void GuestLink::settle(const Deadline& deadline, const Stop& stop) {
  while (command_runs_) {
    if (wait(deadline, stop) == Woke::deadline) {
      throw Error(ErrorKind::timeout, "the command before has not ended in the guest");
    }
    while (next()) {
    }
  }
}

bool GuestLink::probe(const Deadline& deadline, const Stop& stop) {
  auto before = last_received_;
  send(GuestFrame::ping);
  while (last_received_ == before) {
    if (wait(deadline, stop) == Woke::deadline) return false;
  }
  return true;
}

}  // namespace kiln
