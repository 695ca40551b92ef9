// One ssh connection and its channels over libssh. Non-blocking: the only waits are SshSession::wait's.
#pragma once
#include <poll.h>

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/wait.h"
#include "wire/ssh_key.h"

struct ssh_session_struct;
struct ssh_channel_struct;
struct ssh_event_struct;

namespace kiln {

struct SshSessionOptions {
  std::string user;
  std::vector<std::string> ciphers;                 ///< empty: cheapest_ciphers()
  std::vector<std::string> key_exchanges;           ///< empty: cheapest_key_exchanges()
  std::chrono::nanoseconds keep_alive_interval{0};  ///< <= 0: off
  std::chrono::nanoseconds silence_limit{0};  ///< no byte for so long: the connection is given up; 0: never
  std::string agent_socket;                   ///< forwarded to the machine when it asks; empty: not
};

/// What the server said to one way of logging in.
enum class SshAuth { success, partial, denied };

class SshSession;

/// A channel. Used by the session's thread; must not outlive the session.
class SshChannel {
 public:
  ~SshChannel();
  SshChannel(const SshChannel&) = delete;
  SshChannel& operator=(const SshChannel&) = delete;

  /// Takes as much as the server's window and our buffer allow now: 0 means wait() first. Throws when it is
  /// closed.
  size_t write(std::string_view bytes);
  /// Writes everything, pumping the session (received bytes gather in out and err).
  void write_all(std::string_view bytes, const Deadline& deadline, const Stop& stop);
  void send_eof();
  bool remote_eof() const;
  bool closed() const;
  /// The exit status, 128+signal if a signal killed it; nullopt when none came (yet).
  std::optional<int> exit_status() const { return exit_status_; }

  std::string out;  ///< received and not yet taken: the owner clears it
  std::string err;

 private:
  friend class SshSession;
  struct Callbacks;
  SshChannel(SshSession& session, ssh_channel_struct* channel);
  /// For a channel the other side opened: what arrived before our callbacks were there, libssh kept.
  void take_early();
  SshSession& session_;
  ssh_channel_struct* channel_;
  std::unique_ptr<Callbacks> callbacks_;
  std::optional<int> exit_status_;
};

/// Copies bytes between a channel and a descriptor until both directions have ended.
struct SshBridge {
  std::unique_ptr<SshChannel> channel;
  Fd fd;
  std::string to_channel;
  bool fd_ended = false;
  bool done = false;
};

/// A connection. Used by one thread. Errors of the transport are Error{remote}; after one, alive() is false.
class SshSession {
 public:
  /// Takes over a connected socket. Throws Error{user} when no cipher or key exchange is known.
  SshSession(Fd socket, SshSessionOptions options);
  ~SshSession();
  SshSession(const SshSession&) = delete;
  SshSession& operator=(const SshSession&) = delete;

  /// Banner and key exchange. The host key is not checked.
  void handshake(const Deadline& deadline, const Stop& stop);
  bool has_banner() const;       ///< whether the server has sent its version line
  std::string describe() const;  ///< "curve25519-sha256, aes128-ctr" as agreed

  // Ways of logging in; each is one try. Transport failures (the server hangs up after too many) throw.
  SshAuth authenticate_none(const Deadline& deadline, const Stop& stop);
  SshAuth authenticate_key(const SshKey& key, const Deadline& deadline, const Stop& stop);
  SshAuth authenticate_agent(const std::string& socket, const Deadline& deadline, const Stop& stop);
  SshAuth authenticate_password(const std::string& password, const Deadline& deadline, const Stop& stop);
  SshAuth authenticate_interactive(const std::function<std::string(const std::string& prompt)>& answer,
                                   const Deadline& deadline, const Stop& stop);
  /// Ways the server still offers, as in the protocol: "publickey,password".
  std::string offered_methods() const;

  struct Exec {
    std::string command;
    bool pty = false;
    bool subsystem = false;  ///< command is a subsystem's name ("sftp")
  };
  /// Starts a command; agent forwarding is asked for when options have a socket. Throws Error{remote} when
  /// refused.
  std::unique_ptr<SshChannel> exec(const Exec& what, const Deadline& deadline, const Stop& stop);
  /// A connection from the server to host:port. Throws Error{remote} when refused.
  std::unique_ptr<SshChannel> open_forward(const std::string& host, int port, const Deadline& deadline,
                                           const Stop& stop);
  /// Makes the server listen on its localhost:port.
  void listen_forward(int port, const Deadline& deadline, const Stop& stop);
  /// The next connection to a port asked for by listen_forward, or nullptr.
  std::unique_ptr<SshChannel> accept_forward(int* port);

  void add_bridge(std::unique_ptr<SshChannel> channel, Fd fd);
  std::list<SshBridge>& bridges() { return bridges_; }

  /// Waits until the connection or one of `extra` is ready, or the deadline; sends and checks keep-alives,
  /// pumps, serves bridges. Throws Error{remote} once the connection has ended.
  Woke wait(const Deadline& deadline, const Stop& stop, std::span<pollfd> extra = {});
  /// Asks the server for a sign of life: something will be received.
  void probe();
  /// Reads and writes what can be without waiting.
  void pump();
  bool alive() const;
  /// Bytes received since the connection was made.
  uint64_t received() const;

 private:
  friend class SshChannel;
  struct Callbacks;
  template <class F>
  int repeat(F&& call, int again, const Deadline& deadline, const Stop& stop);
  Woke wait_for_io(const Deadline& deadline, const Stop& stop);
  std::unique_ptr<SshChannel> new_channel(const Deadline& deadline, const Stop& stop);
  bool write_pending() const;
  short poll_events() const;
  void keep_alive();
  void give_up();
  void accept_agent();
  bool serve(SshBridge& bridge, short revents);
  bool backlogged() const;
  [[noreturn]] void fail(std::string_view doing) const;

  Fd socket_;
  SshSessionOptions options_;
  ssh_session_struct* session_ = nullptr;
  ssh_event_struct* event_ = nullptr;
  std::unique_ptr<Callbacks> callbacks_;
  std::list<SshBridge> bridges_;
  std::vector<std::unique_ptr<SshChannel>> agent_requests_;
  Clock::time_point last_received_ = Clock::now();
  Clock::time_point last_keep_alive_ = Clock::now();
  uint64_t seen_bytes_ = 0;
  bool keep_alive_pending_ = false;
  bool given_up_ = false;
  uint64_t inode_ = 0;  ///< of the socket
};

/// Cheapest first, measured; see the .cc.
const std::vector<std::string>& cheapest_ciphers();
const std::vector<std::string>& cheapest_key_exchanges();
/// The names libssh does not know, of a user's list.
bool ssh_knows_ciphers(const std::vector<std::string>& names);
bool ssh_knows_key_exchanges(const std::vector<std::string>& names);

}  // namespace kiln
