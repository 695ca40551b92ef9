// An ssh connection that only carries other connections: a bastion's, or tunnels'. It has a thread of its
// own, for it must work while the stage's thread does something else.
#pragma once
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "communicator/ssh/config.h"
#include "wire/ssh_session.h"

namespace kiln {

/// Owns the session and serves it until destroyed or the connection ends (then everything carried is closed).
class SshForwarder {
 public:
  /// Serves the bridges the session already has.
  explicit SshForwarder(std::unique_ptr<SshSession> session);
  /// Opens the tunnels first. Throws Error when one cannot be.
  SshForwarder(std::unique_ptr<SshSession> session, const std::vector<SshTunnel>& local,
               const std::vector<SshTunnel>& remote, const Deadline& deadline, const Stop& stop);
  ~SshForwarder();

 private:
  struct Listener {
    Fd fd;
    SshTunnel tunnel;
  };
  void start();
  void serve();
  void accept_local(const Listener& listener);
  void accept_remote();

  std::unique_ptr<SshSession> session_;
  std::vector<Listener> listeners_;
  std::vector<SshTunnel> remote_;
  Stop stop_;
  std::thread thread_;
};

}  // namespace kiln
