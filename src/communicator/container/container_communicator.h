// The way into a container: commands by nsenter, files straight into its root.
#pragma once
#include "communicator/container/container.h"
#include "core/communicator.h"

namespace kiln {

/// Communicator over a Container that the caller owns and that outlives it. Commands run as root in /root by
/// /bin/sh. A reboot inside is followed: the next call waits (at most `reboot_timeout`) until it is up again.
class ContainerCommunicator : public Communicator {
 public:
  ContainerCommunicator(Container& container, std::chrono::nanoseconds reboot_timeout)
      : container_(container), reboot_timeout_(reboot_timeout) {}

  int run(const std::string& command, const Sink& out, const Sink& err, const Deadline& deadline,
          const Stop& stop) override;
  void upload(const RemoteFile& file, const ByteSource& source, const Deadline& deadline, const Stop& stop) override;
  void upload_tree(const std::filesystem::path& from, const std::string& to, const ProgressFn& progress,
                   const Deadline& deadline, const Stop& stop) override;
  void download(const std::string& path, const Sink& out, const Deadline& deadline, const Stop& stop) override;
  void download_tree(const std::string& from, const std::filesystem::path& to, const Deadline& deadline,
                     const Stop& stop) override;
  std::optional<Command> shell_command() override {
    return container_.shell_command(Deadline::in(reboot_timeout_), Stop());
  }

 private:
  RootTree tree_when_up(const Deadline& deadline, const Stop& stop);
  Container& container_;
  std::chrono::nanoseconds reboot_timeout_;
};

/// "/root/x" for "x" and "~/x". Pure.
std::string guest_path(const std::string& path);

}  // namespace kiln
