// Finding an ssh server that may not be up yet: connections are tried until one shows a version line.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/wait.h"

namespace kiln {

/// Keeps trying one address. A refused or closed connection is tried again after 0.1 s. One that stays silent
/// may be a user-mode network that accepts before the guest is there, or a guest that is slow: it is kept,
/// and others are opened beside it at growing intervals; the first that speaks wins.
class SshDialer {
 public:
  /// Resolves the name; forgets open tries when the target changes. Throws Error{remote} when it cannot.
  void set_target(const std::string& host, int port);
  /// A connection whose server has sent its version line (not yet read), or nullopt after `duration`.
  std::optional<Fd> try_for(std::chrono::nanoseconds duration, const Stop& stop);
  /// What is the matter with the tries since the last that spoke: "tcp: connect to h:1: connection refused",
  /// "banner: ..."; "" when there was none.
  std::string state() const;
  /// Closes all other tries.
  void drop_all() { tries_.clear(); }
  /// Not before then another try is made.
  void hold_for(std::chrono::nanoseconds duration) { next_open_ = Clock::now() + duration; }

 private:
  struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
  };
  struct Try {
    Fd fd;
    bool connected = false;
    Clock::time_point since = Clock::now();
  };
  void open_one();
  void failed(std::string what);
  bool check(Try& attempt);  ///< true: it speaks. Closes it when it failed.

  std::string host_;
  int port_ = 0;
  std::vector<Address> addresses_;
  size_t next_address_ = 0;
  std::vector<Try> tries_;
  Clock::time_point started_ = Clock::now();
  Clock::time_point next_open_ = Clock::now();
  Clock::time_point last_closed_{};
  std::string last_failure_;
};

/// One connection, waited for. Throws Error{remote} or Error{timeout}.
Fd dial_tcp(const std::string& host, int port, const Deadline& deadline, const Stop& stop);

struct Socks5Proxy {
  std::string host;
  int port = 1080;
  std::string user;  ///< empty: no authentication
  std::string password;
};
/// A connection to host:port through the proxy (RFC 1928, 1929; the proxy resolves the name).
Fd dial_socks5(const Socks5Proxy& proxy, const std::string& host, int port, const Deadline& deadline,
               const Stop& stop);

/// Keep-alives and no delay, as an ssh connection wants.
void tune_ssh_socket(int fd);

}  // namespace kiln
