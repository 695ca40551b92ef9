// For tests: the real agent on this machine, behind a pseudo-terminal as behind a virtio port.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "communicator/guest/guest_channel.h"

namespace kiln::testing_guest {

using namespace std::chrono_literals;

inline sockaddr_un unix_address(const fs::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return address;
}

inline Fd listen_at(const fs::path& path) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = unix_address(path);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) throw_errno("bind");
  ::listen(fd.get(), 8);
  return fd;
}

inline Fd connect_to(const fs::path& path) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = unix_address(path);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) throw_errno("connect");
  return fd;
}

/// What QEMU does with a socket chardev: one client at a time, its bytes to the port and back. Without a client nothing
/// is read from the port.
class PortServer {
 public:
  PortServer(const fs::path& path, int port) : listener_(listen_at(path)), port_(port), thread_([this] { serve(); }) {}
  ~PortServer() {
    ended_.request();
    thread_.join();
  }
  /// Hangs up on the client there is.
  void drop_client() {
    std::lock_guard lock(mutex_);
    drop_.request();
  }

 private:
  void serve() {
    try {
      for (;;) {
        wait(listener_.get(), POLLIN, Deadline::never(), ended_);
        Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        try {
          exchange(client.get(), renewed_drop());
        } catch (const Error&) {
          ended_.check();
        }
      }
    } catch (const Error&) {
    }
  }

  Stop renewed_drop() {
    std::lock_guard lock(mutex_);
    return drop_ = ended_.child();
  }

  void exchange(int client, const Stop& drop) {
    std::string to_port, to_client;
    for (;;) {
      auto events = [](const std::string& from, const std::string& to) {
        return static_cast<short>((from.empty() ? POLLIN : 0) | (to.empty() ? 0 : POLLOUT));
      };
      pollfd fds[] = {{client, events(to_port, to_client), 0}, {port_, events(to_client, to_port), 0}};
      wait(fds, Deadline::never(), drop);
      if (fds[1].revents & POLLHUP && !(fds[1].revents & POLLIN)) {  // no agent has it open
        sleep_for(5ms, drop);
        if (fds[0].revents & POLLHUP) return;
        if (to_client.empty()) continue;
      }
      if (fds[0].revents & (POLLIN | POLLHUP) && to_port.empty() && !take(client, to_port)) return;
      if (fds[1].revents & POLLIN && to_client.empty()) take(port_, to_client);
      give(port_, to_port);
      if (!give(client, to_client)) return;
    }
  }

  static bool take(int fd, std::string& bytes) {
    char buffer[16384];
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n > 0) bytes.assign(buffer, static_cast<size_t>(n));
    return n > 0 || (n < 0 && errno == EAGAIN);
  }

  static bool give(int fd, std::string& bytes) {
    if (bytes.empty()) return true;
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n > 0) bytes.erase(0, static_cast<size_t>(n));
    return n >= 0 || errno == EAGAIN;
  }

  Stop ended_;
  std::mutex mutex_;
  Stop drop_;
  Fd listener_;
  int port_;
  std::thread thread_;
};

struct Ran {
  int status = -1;
  std::string out;
  std::string err;
};
inline Ran run_there(Communicator& communicator, const std::string& command, Deadline deadline = Deadline::in(20s),
                     const Stop& stop = Stop()) {
  Ran ran;
  ran.status = communicator.run(
      command, [&](std::string_view b) { ran.out += b; }, [&](std::string_view b) { ran.err += b; }, deadline, stop);
  return ran;
}

/// Runs f and returns the Error it throws.
template <class F>
Error error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e;
  }
  ADD_FAILURE() << "no error";
  return Error(ErrorKind::internal, "no error");
}

/// A port, its socket and, once started, an agent. The agent ends with the port.
struct LocalAgent {
  TempDir dir{"kiln-guest"};
  fs::path socket = dir.path() / "socket";
  fs::path program = dir.path() / "agent";
  std::string terminal;
  Fd master;
  std::optional<PortServer> server;

  LocalAgent() {
    ::signal(SIGPIPE, SIG_IGN);  // as main does
    master = Fd(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    if (!master.is_open() || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) throw_errno("a terminal");
    terminal = ::ptsname(master.get());
    // Until an agent makes it so itself: nothing is echoed, nothing interpreted.
    Fd slave(::open(terminal.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    termios raw{};
    ::tcgetattr(slave.get(), &raw);
    ::cfmakeraw(&raw);
    ::tcsetattr(slave.get(), TCSANOW, &raw);
    server.emplace(socket, master.get());
    put_program();
  }
  void put_program() { write_file_atomically(program, guest_agent_program(), 0755); }
  LocalAgent& start(const std::map<std::string, std::string>& env = {}) {
    run_checked({.argv = {program.string(), "--port", terminal}, .env = env, .directory = dir.path()},
                Deadline::in(20s), Stop());
    return *this;
  }
  std::unique_ptr<GuestChannel> connect(Deadline deadline = Deadline::in(20s)) {
    auto channel = connect_guest_channel(socket, deadline, Stop());
    if (!channel) throw Error(ErrorKind::remote, "the test's agent does not answer");
    return channel;
  }
};

}  // namespace kiln::testing_guest
