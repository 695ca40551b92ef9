// A guest's root run as a container by systemd-nspawn: started, entered, restarted when it reboots, stopped.
#pragma once
#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/wait.h"
#include "communicator/container/cgroup.h"
#include "communicator/container/root_tree.h"

namespace kiln {

/// What the container sees of the network.
enum class ContainerNetwork {
  isolated_user,  ///< a name space of its own, connected outward by slirp4netns: no port of the guest is taken here
  host,           ///< the host's own
  none,           ///< loopback only
};

struct ContainerSpec {
  std::filesystem::path root;         ///< the mounted root
  std::string machine;                ///< nspawn's machine name: letters, digits, hyphens
  std::string hostname;
  bool boot = true;                   ///< the root's init as PID 1; else only a placeholder process
  ContainerNetwork network = ContainerNetwork::isolated_user;
  std::filesystem::path console_log;  ///< appended to
  std::string token;                  ///< KILN_RESOURCE of every process that is started for it
};

/// Arguments of systemd-nspawn. `network_process` holds the name space (0: none); `keep_unit`: it runs in the
/// control group it finds itself in (a host without systemd), else in a scope of its own. Pure.
std::vector<std::string> nspawn_arguments(const ContainerSpec& spec, pid_t network_process, bool keep_unit);
/// Arguments that run `inner` in the name spaces of `leader` with a clean environment. Pure.
std::vector<std::string> enter_arguments(pid_t leader, const std::vector<std::string>& inner);
/// What `systemctl is-system-running` said, as far as we care. Pure.
enum class GuestState { starting, up, stopping, silent };
GuestState guest_state_of(const std::string& systemctl_output);

/// One container. Made stopped; the destructor kills it and everything that was started for it.
/// Used by one thread at a time: the one that calls start() (its death ends the container).
class Container {
 public:
  explicit Container(ContainerSpec spec);
  ~Container();
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  /// Brings it up and waits until its init says so. Throws Error{timeout, remote, environment} with the console's
  /// last lines.
  void start(const Deadline& deadline, const Stop& stop);
  /// Waits until it is up, starting it again after a reboot. Throws Error{remote} when it was powered off.
  void ensure_up(const Deadline& deadline, const Stop& stop);
  /// Runs a program inside. `input` goes to its standard input. Returns its exit status, or disconnected_status
  /// when the container went down under it.
  int run(const std::vector<std::string>& inner, const Sink& out, const Sink& err, const Deadline& deadline,
          const Stop& stop, std::string_view input = {});
  /// For a person's terminal. The container must be up.
  Command shell_command(const Deadline& deadline, const Stop& stop);
  /// The root as the container sees it, its mounts included. The container must be up.
  RootTree tree() const;
  /// Orderly power-off, then force when the deadline passes.
  void shut_down(const Deadline& deadline, const Stop& stop);
  /// Ends it at once.
  void kill();
  bool is_running() { return nspawn_ && !nspawn_->poll(); }
  int boots() const { return boots_; }
  /// The console's last lines.
  std::string console_tail(size_t lines = 15) const;

 private:
  void start_network(const Deadline& deadline, const Stop& stop);
  void start_nspawn();
  bool find_leader();
  void wait_until_up(const Deadline& deadline, const Stop& stop);
  GuestState state(const Deadline& deadline, const Stop& stop);
  ExitStatus run_entered(const std::vector<std::string>& inner, const Sink& out, const Sink& err,
                         const Deadline& deadline, const Stop& stop, std::string_view input);
  bool is_going_down(const Deadline& deadline, const Stop& stop);
  void nudge() const;
  Command tagged(std::vector<std::string> argv) const;

  ContainerSpec spec_;
  ContainerCgroup cgroup_;
  std::optional<Process> nspawn_;
  std::optional<Process> network_holder_;
  std::optional<Process> slirp_;
  Fd holder_life_;  ///< closing it (or our death) ends the holder and slirp4netns
  Fd slirp_life_;
  pid_t leader_ = 0;
  int boots_ = 0;
};

}  // namespace kiln
