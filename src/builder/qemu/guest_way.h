// The way into a machine whose states are kept: the guest channel where it works, else the network.
#pragma once
#include <functional>
#include <memory>

#include "base/file.h"
#include "communicator/guest/guest_channel.h"
#include "core/stage_context.h"
#include "wire/qmp.h"

namespace kiln::qemu {

/// The channel outlives a freeze and its thaw, and costs the guest no key exchange; a connection over the
/// network is only made when it is needed. After a reboot the agent is put in again.
class GuestWay : public Communicator {
 public:
  using Connect = std::function<std::unique_ptr<Communicator>()>;
  /// `channel_socket`: QEMU's. `log` says why there is no channel.
  GuestWay(Connect connect, fs::path channel_socket, QmpClient& qmp, const Log& log)
      : connect_(std::move(connect)), socket_(std::move(channel_socket)), qmp_(qmp), log_(log) {}
  /// Connects over the network, then puts the agent in.
  void open(const Stop& stop);
  /// Connects to the agent that the restored machine has in its memory; false: there is none.
  bool find_agent(const Stop& stop);
  /// Fresh randomness and the right time, for a machine that was restored. Throws Error when the guest will
  /// not take it.
  void renew(const Stop& stop);
  /// What is written within the guest is on its disk, and nothing that steps may have put aside for later is
  /// in memory alone or deleted at the next boot: the disk by itself is worth something, too. False: it is
  /// not.
  bool flush(const Stop& stop);

  int run(const std::string& command, const Sink& out, const Sink& err, const Deadline& deadline,
          const Stop& stop) override;
  void upload(const RemoteFile& file, const ByteSource& source, const Deadline& deadline,
              const Stop& stop) override;
  void upload_tree(const fs::path& from, const std::string& to, const ProgressFn& progress,
                   const Deadline& deadline, const Stop& stop) override;
  void download(const std::string& path, const Sink& out, const Deadline& deadline,
                const Stop& stop) override;
  void download_tree(const std::string& from, const fs::path& to, const Deadline& deadline,
                     const Stop& stop) override;
  void disconnect() override;
  std::optional<Command> shell_command() override;

 private:
  static constexpr int most_tries = 3;
  Communicator& way(const Stop& stop);
  bool answers(const Stop& stop);
  Communicator& network();
  void put_agent_in(const Stop& stop);
  bool takes_disks(const Stop& stop);
  bool upload_by_disk(const RemoteFile& file, const Deadline& deadline, const Stop& stop);

  Connect connect_;
  fs::path socket_;
  QmpClient& qmp_;
  const Log& log_;
  std::unique_ptr<Communicator> network_;
  std::unique_ptr<GuestChannel> channel_;
  Clock::time_point last_used_ = Clock::now();
  std::optional<bool> takes_disks_;  ///< whether disks can be lent to it; nullopt: not known yet
  int tries_left_ = most_tries;  ///< to put the agent in: a guest that is just up may not know its port yet
};

/// GuestWay::flush for any way in.
bool flush_by_command(Communicator& way, const Stop& stop);

}  // namespace kiln::qemu
