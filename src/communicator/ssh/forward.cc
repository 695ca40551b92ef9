#include "communicator/ssh/forward.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/file.h"
#include "wire/ssh_dial.h"

namespace kiln {

namespace {

using namespace std::chrono_literals;

Fd listen_on_loopback(int port) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), 16) != 0) {
    throw Error(ErrorKind::environment,
                fmt::format("ssh_local_tunnels: listen on 127.0.0.1:{}: {}", port, go_errno_text(errno)));
  }
  return fd;
}

}  // namespace

SshForwarder::SshForwarder(std::unique_ptr<SshSession> session) : session_(std::move(session)) { start(); }

SshForwarder::SshForwarder(std::unique_ptr<SshSession> session, const std::vector<SshTunnel>& local,
                           const std::vector<SshTunnel>& remote, const Deadline& deadline, const Stop& stop)
    : session_(std::move(session)), remote_(remote) {
  for (const auto& tunnel : local) listeners_.push_back({listen_on_loopback(tunnel.listen_port), tunnel});
  for (const auto& tunnel : remote) {
    for (int attempt = 1;; ++attempt) {  // after a reconnection the old server may still hold the port
      try {
        session_->listen_forward(tunnel.listen_port, deadline, stop);
        break;
      } catch (const Error& e) {
        if (attempt == 5 || !session_->alive() || e.kind() != ErrorKind::remote) {
          throw e.with_context("ssh_remote_tunnels");
        }
        sleep_for(1s, stop);
      }
    }
  }
  start();
}

SshForwarder::~SshForwarder() {
  stop_.request("closed");
  if (thread_.joinable()) thread_.join();
}

void SshForwarder::start() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  thread_ = std::thread([this] { serve(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void SshForwarder::serve() {
  try {
    for (;;) {
      std::vector<pollfd> fds;
      for (const auto& listener : listeners_) fds.push_back({listener.fd.get(), POLLIN, 0});
      session_->wait(Deadline::never(), stop_, fds);
      for (size_t i = 0; i < fds.size(); ++i) {
        if (fds[i].revents != 0) accept_local(listeners_[i]);
      }
      if (!remote_.empty()) accept_remote();
    }
  } catch (const Error&) {
    // Stopped, or the connection ended: whoever was carried sees its end closed.
  }
  listeners_.clear();
  session_.reset();
}

void SshForwarder::accept_local(const Listener& listener) {
  Fd fd(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.is_open()) return;
  try {
    auto channel =
        session_->open_forward(listener.tunnel.host, listener.tunnel.port, Deadline::in(15s), stop_);
    session_->add_bridge(std::move(channel), std::move(fd));
  } catch (const Error&) {
    if (!session_->alive() || stop_.requested()) throw;  // else: only this one could not be carried
  }
}

void SshForwarder::accept_remote() {
  int port = 0;
  while (auto channel = session_->accept_forward(&port)) {
    for (const auto& tunnel : remote_) {
      if (tunnel.listen_port != port) continue;
      try {
        Fd fd = dial_tcp(tunnel.host, tunnel.port, Deadline::in(15s), stop_);
        session_->add_bridge(std::move(channel), std::move(fd));
      } catch (const Error&) {
        if (stop_.requested()) throw;
      }
      break;
    }
  }
}

}  // namespace kiln
