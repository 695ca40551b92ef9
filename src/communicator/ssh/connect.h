// From a configuration to a logged-in ssh connection, whichever way it goes.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "communicator/ssh/forward.h"
#include "communicator/ssh/ssh.h"
#include "core/event.h"
#include "wire/ssh_dial.h"
#include "wire/ssh_session.h"

namespace kiln {

/// A connection and what carries it. Destroyed in the right order.
struct SshLink {
  std::unique_ptr<SshForwarder> bastion;
  std::unique_ptr<SshSession> session;
  SshTarget target;
};

/// How to log in somewhere.
struct SshLogin {
  std::string user;
  std::string agent_socket;  ///< empty: the agent is not used
  struct Key {
    SshKey key;
    std::string name;
  };
  std::vector<Key> keys;
  std::string password;
  bool ask = false;  ///< keyboard-interactive questions go to the person
};

/// Why no connection came about; `phase` is tcp, banner, key exchange, authentication.
struct SshFailure {
  std::string phase;
  std::string text;
};

/// Makes connections. Used by one thread.
class SshConnector {
 public:
  /// Reads keys. Throws Error{user} when one cannot be read.
  SshConnector(const CommunicatorConfig& config, SshTargetResolver resolver,
               const std::optional<std::string>& private_key, Ui ui, const Log& log);

  /// Tries until it works, the deadline passes (Error{timeout} "Timeout waiting for SSH." and the last
  /// failure) or log-in failed too often (Error{remote} "Error waiting for SSH: ...").
  SshLink connect(const Deadline& deadline, const Stop& stop);
  const CommunicatorConfig& config() const { return config_; }
  /// The agent that is forwarded; empty: none.
  const std::string& forwarded_agent() const { return forwarded_agent_; }

 private:
  struct Refused {};  ///< log-in failed
  std::optional<Fd> reach(const SshTarget& target, SshLink& link, const Stop& stop);
  std::optional<Fd> reach_by_bastion(const SshTarget& target, SshLink& link, const Stop& stop);
  std::optional<Fd> await_banner(Fd fd, const Stop& stop);
  std::unique_ptr<SshSession> log_in(Fd fd, const SshLogin& login, const std::string& where,
                                     bool forward_agent, const Stop& stop);
  bool try_ways(SshSession& session, const SshLogin& login, std::vector<std::string>& tried,
                const Deadline& deadline, const Stop& stop);
  void note(std::string phase, std::string text);
  void note_state(const SshDialer& dialer, const std::string& whose);
  void count_refusal();
  std::string last_failure_text() const;

  CommunicatorConfig config_;
  SshTargetResolver resolver_;
  Ui ui_;
  const Log& log_;
  SshLogin login_;
  SshLogin bastion_login_;
  std::string forwarded_agent_;
  SshDialer dialer_;
  SshDialer bastion_dialer_;
  SshFailure failure_;
  Deadline budget_ = Deadline::never();  ///< of the connect() that runs
  int refusals_ = 0;
  Clock::time_point first_refusal_{};
};

}  // namespace kiln
