#include "communicator/ssh/ssh.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "communicator/ssh/command.h"
#include "communicator/ssh/connect.h"
#include "communicator/ssh/sftp.h"
#include "communicator/ssh/transfer.h"
#include "kit/shell_transfer.h"

namespace kiln {

namespace {

using namespace std::chrono_literals;

constexpr auto stale_after =
    10s;  // idle so long: ask whether the machine is still there before using the connection
constexpr auto answer_within = 15s;

class SshCommunicator : public Communicator {
 public:
  explicit SshCommunicator(std::unique_ptr<SshConnector> connector) : connector_(std::move(connector)) {}

  /// Makes the connection (again).
  void connect(const Deadline& deadline, const Stop& stop) {
    drop();
    link_ = connector_->connect(deadline, stop);
    open_tunnels(deadline, stop);
    last_use_ = Clock::now();
  }

  int run(const std::string& command, const Sink& out, const Sink& err, const Deadline& deadline,
          const Stop& stop) override {
    SshSession& session = ready(deadline, stop);
    try {
      return run_on(session, command, out, err, deadline, stop);
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::remote && !session.alive()) {
        drop();
        return disconnected_status;
      }
      abandon(e);
      throw;
    }
  }

  void upload(const RemoteFile& file, const ByteSource& source, const Deadline& deadline,
              const Stop& stop) override {
    transfer(deadline, stop, [&](const TransferContext& context) {
      const std::string& method = connector_->config().ssh_file_transfer_method;
      if (method.empty() && upload_by_shell(starter(context), file, source)) return;
      if (method != "sftp" && upload_by_scp(context, file, source)) return;
      if (method == "scp") no_scp();
      sftp(context).upload(file, source);
    });
  }

  void upload_tree(const std::filesystem::path& from, const std::string& to, const ProgressFn& progress,
                   const Deadline& deadline, const Stop& stop) override {
    transfer(deadline, stop, [&](const TransferContext& context) {
      const std::string& method = connector_->config().ssh_file_transfer_method;
      if (method.empty() && upload_tree_by_tar(starter(context), from, to, progress)) return;
      if (method != "sftp" && upload_tree_by_scp(context, from, to, progress)) return;
      if (method == "scp") no_scp();
      sftp(context).upload_tree(from, to, progress);
    });
  }

  void download(const std::string& path, const Sink& out, const Deadline& deadline,
                const Stop& stop) override {
    transfer(deadline, stop, [&](const TransferContext& context) {
      const std::string& method = connector_->config().ssh_file_transfer_method;
      if (method.empty() && download_by_shell(starter(context), path, out)) return;
      if (method != "sftp" && download_by_scp(context, path, out)) return;
      if (method == "scp") no_scp();
      sftp(context).download(path, out);
    });
  }

  void download_tree(const std::string& from, const std::filesystem::path& to, const Deadline& deadline,
                     const Stop& stop) override {
    transfer(deadline, stop, [&](const TransferContext& context) {
      const std::string& method = connector_->config().ssh_file_transfer_method;
      if (method.empty() && download_tree_by_tar(starter(context), from, to)) return;
      if (method != "sftp" && download_tree_by_scp(context, from, to)) return;
      if (method == "scp") no_scp();
      sftp(context).download_tree(from, to);
    });
  }

  void disconnect() override { drop(); }

 private:
  void drop() {
    tunnels_.reset();
    tunnel_bastion_.reset();
    link_.session.reset();
    link_.bastion.reset();
  }

  /// After a timeout or Stop the remote command still runs and its channel is half used: the connection goes,
  /// which also tells the machine.
  void abandon(const Error& e) {
    if (e.kind() == ErrorKind::timeout || e.kind() == ErrorKind::cancelled) drop();
  }

  SshSession& ready(const Deadline& deadline, const Stop& stop) {
    if (link_.session && !still_there(deadline, stop)) drop();
    if (!link_.session) {
      auto patience =
          connector_->config().ssh_timeout.count() > 0 ? connector_->config().ssh_timeout : Duration(5min);
      connect(deadline.at_most(patience), stop);
    }
    last_use_ = Clock::now();
    return *link_.session;
  }

  bool still_there(const Deadline& deadline, const Stop& stop) {
    SshSession& session = *link_.session;
    try {
      session.pump();
      if (Clock::now() - last_use_ < stale_after) return true;
      uint64_t before = session.received();
      session.probe();
      Deadline answer = deadline.at_most(answer_within);
      while (session.received() == before) {
        if (session.wait(answer, stop) == Woke::deadline) return false;
      }
      return true;
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::cancelled) throw;
      return false;
    }
  }

  int run_on(SshSession& session, const std::string& command, const Sink& out, const Sink& err,
             const Deadline& deadline, const Stop& stop) {
    auto channel = session.exec({command + "\n", connector_->config().ssh_pty, false}, deadline, stop);
    channel->send_eof();
    auto hand_over = [](std::string& bytes, const Sink& sink) {
      if (bytes.empty()) return;
      if (sink) sink(bytes);
      bytes.clear();
    };
    for (;;) {
      hand_over(channel->out, out);
      hand_over(channel->err, err);
      if (channel->closed()) return channel->exit_status().value_or(disconnected_status);
      Woke woke = Woke::ready;
      try {
        woke = session.wait(deadline, stop);
      } catch (const Error& e) {
        hand_over(channel->out, out);
        hand_over(channel->err, err);
        // The status may have come with the last bytes before the connection went.
        if (e.kind() == ErrorKind::remote && channel->exit_status()) return *channel->exit_status();
        throw;
      }
      if (woke == Woke::deadline) throw Error(ErrorKind::timeout, "the remote command took too long");
    }
  }

  template <class F>
  void transfer(const Deadline& deadline, const Stop& stop, F&& body) {
    SshSession& session = ready(deadline, stop);
    try {
      body(TransferContext{session, deadline, stop});
    } catch (const Error& e) {
      if (!session.alive()) drop();
      abandon(e);
      throw;
    }
    last_use_ = Clock::now();
  }

  static StartCommand starter(const TransferContext& context) {
    return [&context](const std::string& command) -> std::unique_ptr<RemoteCommand> {
      return std::make_unique<SshCommand>(context.session, command, context.deadline, context.stop);
    };
  }

  [[noreturn]] static void no_scp() {
    throw Error(
        ErrorKind::remote,
        "SCP failed to start. This usually means that SCP is not\nproperly installed on the remote system.");
  }

  static Sftp sftp(const TransferContext& context) {
    try {
      return Sftp(context);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::remote || !context.session.alive()) throw;
      throw Error(
          ErrorKind::remote,
          fmt::format(
              "files cannot be transferred: the machine has none of sh with cat and tar, scp, and sftp ({})",
              e.message()));
    }
  }

  void open_tunnels(const Deadline& deadline, const Stop& stop) {
    const auto& config = connector_->config();
    if (config.ssh_local_tunnels.empty() && config.ssh_remote_tunnels.empty()) return;
    std::vector<SshTunnel> local, remote;
    for (const auto& text : config.ssh_local_tunnels) local.push_back(parse_ssh_tunnel(text));
    for (const auto& text : config.ssh_remote_tunnels) remote.push_back(parse_ssh_tunnel(text));
    // A connection of its own: tunnels must also work while no command runs.
    SshLink link = connector_->connect(deadline, stop);
    tunnel_bastion_ = std::move(link.bastion);
    tunnels_ = std::make_unique<SshForwarder>(std::move(link.session), local, remote, deadline, stop);
  }

  std::unique_ptr<SshConnector> connector_;
  SshLink link_;
  std::unique_ptr<SshForwarder> tunnel_bastion_;
  std::unique_ptr<SshForwarder> tunnels_;
  Clock::time_point last_use_ = Clock::now();
};

}  // namespace

std::unique_ptr<Communicator> connect_ssh(const CommunicatorConfig& config, const SshTarget& target,
                                          StageContext& context,
                                          const std::optional<std::string>& private_key) {
  return connect_ssh(
      config, [target] { return std::optional(target); }, context, private_key);
}

std::unique_ptr<Communicator> connect_ssh(const CommunicatorConfig& config, const SshTargetResolver& resolver,
                                          StageContext& context,
                                          const std::optional<std::string>& private_key) {
  Deadline deadline = config.ssh_timeout.count() > 0 ? Deadline::in(config.ssh_timeout) : Deadline::never();
  // The host may only be known later; what is known now is what Packer shows.
  std::string host = config.ssh_host;
  if (auto known = resolver()) host = known->host;
  context.ui.say("Using SSH communicator to connect: " + host);
  context.ui.say("Waiting for SSH to become available...");
  try {
    auto connector = std::make_unique<SshConnector>(config, resolver, private_key, context.ui, context.log);
    auto communicator = std::make_unique<SshCommunicator>(std::move(connector));
    communicator->connect(deadline, context.stop);
    context.ui.say("Connected to SSH!");
    if (config.pause_before_connecting.count() > 0) {
      context.ui.say(
          fmt::format("Pausing {} before connecting...", format_go_duration(config.pause_before_connecting)));
      communicator->disconnect();
      sleep_for(config.pause_before_connecting, context.stop);
      communicator->connect(
          config.ssh_timeout.count() > 0 ? Deadline::in(config.ssh_timeout) : Deadline::never(),
          context.stop);
    }
    return communicator;
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::cancelled) throw;
    if (e.message().starts_with("Timeout waiting") || e.message().starts_with("Error waiting")) {
      context.ui.error(e.message());
      throw;
    }
    Error told = e.with_context("Error waiting for SSH");
    context.ui.error(told.message());
    throw told;
  }
}

void remove_temporary_key(const CommunicatorConfig& config, Communicator& communicator,
                          StageContext& context) {
  const std::string& name = config.temporary_key_pair_name;
  if (!config.ssh_clear_authorized_keys || name.empty() || config.communicator != "ssh") return;
  context.ui.say("Trying to remove ephemeral keys from authorized_keys files");
  remove_key_lines(name, communicator, context);
}

void remove_key_lines(const std::string& name, Communicator& communicator, StageContext& context) {
  if (name.empty()) return;
  std::string pattern;
  for (char c : name)
    pattern += contains(".*[]^$/\\", std::string(1, c)) ? std::string("\\") + c : std::string(1, c);
  std::string line = shell_quote("/ " + pattern + "$/d");
  // Each may fail (no sudo, no such file): then the key stays, which the log tells.
  for (const auto& [sudo, home] : {std::pair("", "~"), std::pair("sudo -n ", "/root")}) {
    std::string file = fmt::format("{}/.ssh/authorized_keys", home);
    std::string command = fmt::format("{0}sed -i.bak {1} {2}; {0}rm {2}.bak", sudo, line, file);
    try {
      int status = communicator.run(command, nullptr, nullptr, Deadline::in(1min), context.stop);
      if (status != 0)
        context.log.line(fmt::format("cleaning up {} ended with exit status {}", file, status));
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::cancelled) throw;
      context.log.line(fmt::format("cleaning up {}: {}", file, e.message()));
    }
  }
}

}  // namespace kiln
