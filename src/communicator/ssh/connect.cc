#include "communicator/ssh/connect.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

using namespace std::chrono_literals;

constexpr auto round = 200ms;          // the resolver is asked again this often
constexpr auto handshake_limit = 60s;  // key exchange and log-in of one connection, as Packer's
constexpr auto carried_silence = 20s;  // through a proxy or bastion: so long for a version line
constexpr auto packer_pace = 7s;  // between two failed log-ins in Packer: its attempts mean this much time

std::string at(const std::string& host, int port) {
  return host.find(':') == host.npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

std::string agent_from_environment() {
  auto socket = get_env("SSH_AUTH_SOCK");
  return socket ? *socket : std::string();
}

SshLogin::Key load_key(const std::string& path, const std::string& certificate) {
  SshKey key = SshKey::load_private(path);
  return {certificate.empty() ? key : key.with_certificate(certificate), path};
}

}  // namespace

SshConnector::SshConnector(const CommunicatorConfig& config, SshTargetResolver resolver,
                           const std::optional<std::string>& private_key, Ui ui, const Log& log)
    : config_(config), resolver_(std::move(resolver)), ui_(std::move(ui)), log_(log) {
  login_.user = config_.ssh_username;
  login_.password = config_.ssh_password;
  if (config_.ssh_agent_auth) {
    login_.agent_socket = agent_from_environment();
    if (login_.agent_socket.empty()) throw Error(ErrorKind::user, "SSH_AUTH_SOCK is not set");
  }
  if (!config_.ssh_private_key_file.empty()) {
    login_.keys.push_back(load_key(config_.ssh_private_key_file, config_.ssh_certificate_file));
  }
  auto add_text = [&](const std::string& text) {
    if (text.empty()) return;
    SshKey key = SshKey::parse_private(text, "temporary key");
    bool certified = !config_.ssh_certificate_file.empty() && config_.ssh_private_key_file.empty();
    login_.keys.push_back(
        {certified ? key.with_certificate(config_.ssh_certificate_file) : key, "temporary key"});
  };
  if (private_key) add_text(*private_key);
  if (!private_key || *private_key != config_.ssh_private_key) add_text(config_.ssh_private_key);

  bastion_login_.user = config_.ssh_bastion_username;
  bastion_login_.password = config_.ssh_bastion_password;
  bastion_login_.ask = config_.ssh_bastion_interactive;
  if (!config_.ssh_bastion_host.empty()) {
    if (config_.ssh_bastion_agent_auth) bastion_login_.agent_socket = agent_from_environment();
    if (!config_.ssh_bastion_private_key_file.empty()) {
      bastion_login_.keys.push_back(
          load_key(config_.ssh_bastion_private_key_file, config_.ssh_bastion_certificate_file));
    }
  }
  if (!config_.ssh_disable_agent_forwarding) forwarded_agent_ = agent_from_environment();
}

void SshConnector::note(std::string phase, std::string text) {
  if (failure_.text != text) log_.line(fmt::format("ssh: {}: {}", phase, text));
  failure_ = {std::move(phase), std::move(text)};
}

void SshConnector::note_state(const SshDialer& dialer, const std::string& whose) {
  std::string state = dialer.state();
  size_t colon = state.find(": ");
  if (colon != state.npos) note(state.substr(0, colon), whose + state.substr(colon + 2));
}

std::string SshConnector::last_failure_text() const {
  if (failure_.text.empty()) return "  Nothing was tried: the machine's address is not known yet.";
  return fmt::format("  Last failure in phase {}: {}", failure_.phase, failure_.text);
}

/// Counts a failed log-in. Packer's limit of N attempts is N-1 of its pauses long: as long as that is waited
/// here, too, however often is tried, for a machine may only be about to get its user and key.
void SshConnector::count_refusal() {
  auto now = Clock::now();
  if (refusals_++ == 0) first_refusal_ = now;
  int limit = config_.ssh_handshake_attempts;
  if (limit > 0 && refusals_ >= limit && now - first_refusal_ >= (limit - 1) * packer_pace) {
    throw Error(
        ErrorKind::remote,
        fmt::format(
            "Error waiting for SSH: Packer experienced an authentication error when trying to connect "
            "via SSH. This can happen if your username/password are wrong. You may want to "
            "double-check your credentials as part of your debugging process.\n{}",
            last_failure_text()));
  }
  // sshd since 9.8 shuts out an address for which failed log-ins add up: 5 s each, from 15 s on. This stays
  // below.
  auto pause = refusals_ == 1 ? 1s : refusals_ == 2 ? 2s : refusals_ == 3 ? 4s : 5s;
  dialer_.hold_for(pause);
  bastion_dialer_.hold_for(pause);
}

SshLink SshConnector::connect(const Deadline& deadline, const Stop& stop) {
  refusals_ = 0;
  failure_ = {};
  budget_ = deadline;
  // With a proxy or a bastion there is no readiness to wait for between two tries.
  bool carried = !config_.ssh_bastion_host.empty() || !config_.ssh_proxy_host.empty();
  while (!deadline.passed()) {
    stop.check();
    std::optional<SshTarget> target = resolver_();
    if (!target || target->host.empty()) {
      sleep_for(std::min<std::chrono::nanoseconds>(round, deadline.left()), stop);
      continue;
    }
    SshLink link;
    link.target = *target;
    try {
      std::optional<Fd> fd = reach(*target, link, stop);
      if (!fd) {
        if (carried) sleep_for(round, stop);
        continue;
      }
      link.session = log_in(std::move(*fd), login_, at(target->host, target->port), true, stop);
      log_.line(
          fmt::format("ssh: connected to {}: {}", at(target->host, target->port), link.session->describe()));
      return link;
    } catch (const Refused&) {
      count_refusal();
      if (carried) sleep_for(std::min<std::chrono::nanoseconds>(2s, deadline.left()), stop);
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::cancelled || e.kind() == ErrorKind::user) throw;
      dialer_.hold_for(round);
      sleep_for(std::min<std::chrono::nanoseconds>(round, deadline.left()), stop);
    }
  }
  dialer_.drop_all();
  throw Error(ErrorKind::timeout, "Timeout waiting for SSH.\n" + last_failure_text());
}

/// A connection to the target that has shown a version line; nullopt: not yet.
std::optional<Fd> SshConnector::reach(const SshTarget& target, SshLink& link, const Stop& stop) {
  if (!config_.ssh_bastion_host.empty()) return reach_by_bastion(target, link, stop);
  try {
    if (config_.ssh_proxy_host.empty()) {
      dialer_.set_target(target.host, target.port);
      std::optional<Fd> fd = dialer_.try_for(round, stop);
      if (!fd) {
        note_state(dialer_, "");
      }
      return fd;
    }
    Socks5Proxy proxy{config_.ssh_proxy_host, config_.ssh_proxy_port, config_.ssh_proxy_username,
                      config_.ssh_proxy_password};
    return await_banner(dial_socks5(proxy, target.host, target.port, budget_.at_most(15s), stop), stop);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::cancelled) note("tcp", e.message());
    throw;
  }
}

std::optional<Fd> SshConnector::await_banner(Fd fd, const Stop& stop) {
  if (wait(fd.get(), POLLIN, budget_.at_most(carried_silence), stop) == Woke::deadline) {
    note("banner", "connected, but no ssh version line has come");
    return std::nullopt;
  }
  char byte;
  if (::recv(fd.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) return fd;
  note("banner", "the connection was closed without an ssh version line");
  return std::nullopt;
}

std::optional<Fd> SshConnector::reach_by_bastion(const SshTarget& target, SshLink& link, const Stop& stop) {
  std::string where = fmt::format("bastion {}", at(config_.ssh_bastion_host, config_.ssh_bastion_port));
  bastion_dialer_.set_target(config_.ssh_bastion_host, config_.ssh_bastion_port);
  std::optional<Fd> fd = bastion_dialer_.try_for(round, stop);
  if (!fd) {
    note_state(bastion_dialer_, "bastion: ");
    return std::nullopt;
  }
  std::unique_ptr<SshSession> bastion = log_in(std::move(*fd), bastion_login_, where, false, stop);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw_errno("socketpair");
  Fd ours(ends[0]), theirs(ends[1]);
  set_nonblocking(ours.get());
  try {
    bastion->add_bridge(bastion->open_forward(target.host, target.port, budget_.at_most(20s), stop),
                        std::move(theirs));
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::cancelled) throw;
    note("tcp", fmt::format("{}: {}", where, e.message()));
    return std::nullopt;
  }
  Deadline silence = budget_.at_most(carried_silence);
  pollfd ready{ours.get(), POLLIN, 0};
  while (ready.revents == 0 && !silence.passed()) bastion->wait(silence, stop, std::span(&ready, 1));
  char byte;
  if (ready.revents != 0 && ::recv(ours.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
    link.bastion = std::make_unique<SshForwarder>(std::move(bastion));
    return ours;
  }
  note("banner", fmt::format("{}: {} sent no ssh version line", where, at(target.host, target.port)));
  bastion->bridges().clear();
  return std::nullopt;
}

std::unique_ptr<SshSession> SshConnector::log_in(Fd fd, const SshLogin& login, const std::string& where,
                                                 bool forward_agent, const Stop& stop) {
  SshSessionOptions options;
  options.user = login.user;
  options.ciphers = config_.ssh_ciphers;
  options.key_exchanges = config_.ssh_key_exchange_algorithms;
  options.keep_alive_interval = config_.ssh_keep_alive_interval;
  options.silence_limit = config_.ssh_read_write_timeout;
  if (forward_agent) options.agent_socket = forwarded_agent_;
  auto session = std::make_unique<SshSession>(std::move(fd), std::move(options));
  Deadline deadline = budget_.at_most(handshake_limit);
  try {
    session->handshake(deadline, stop);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::cancelled) {
      note(session->has_banner() ? "key exchange" : "banner", fmt::format("{}: {}", where, e.message()));
    }
    throw;
  }
  std::vector<std::string> tried;
  std::string ended;
  try {
    if (try_ways(*session, login, tried, deadline, stop)) return session;
    ended = fmt::format("; the server offers {}", session->offered_methods());
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::cancelled) throw;
    ended = "; " + e.message();
  }
  note("authentication",
       fmt::format("{}: user \"{}\" was not let in; tried {}{}", where, login.user,
                   tried.empty() ? "nothing, as nothing was given" : join(tried, ", "), ended));
  throw Refused();
}

bool SshConnector::try_ways(SshSession& session, const SshLogin& login, std::vector<std::string>& tried,
                            const Deadline& deadline, const Stop& stop) {
  if (session.authenticate_none(deadline, stop) == SshAuth::success) return true;
  auto offered = [&](std::string_view way) {
    return contains("," + session.offered_methods() + ",", fmt::format(",{},", way));
  };
  if (!login.agent_socket.empty() && offered("publickey")) {
    tried.push_back("agent");
    if (session.authenticate_agent(login.agent_socket, deadline, stop) == SshAuth::success) return true;
  }
  for (const auto& [key, name] : login.keys) {
    if (!offered("publickey")) break;
    tried.push_back(fmt::format("{} ({} {})", name, key.type_name(), key.fingerprint()));
    if (session.authenticate_key(key, deadline, stop) == SshAuth::success) return true;
  }
  if (!login.password.empty() && offered("password")) {
    tried.push_back("password");
    if (session.authenticate_password(login.password, deadline, stop) == SshAuth::success) return true;
  }
  if ((!login.password.empty() || login.ask) && offered("keyboard-interactive")) {
    tried.push_back("keyboard-interactive");
    auto answer = [&](const std::string& prompt) {
      return login.ask ? ui_.ask(prompt, stop) : login.password;
    };
    if (session.authenticate_interactive(answer, deadline, stop) == SshAuth::success) return true;
  }
  return false;
}

}  // namespace kiln
