// Instances as virtual machines: a thread each, which starts QEMU, does what it is told and sees it end.
#pragma once
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/journal.h"
#include "endpoint/copy_job.h"
#include "endpoint/qemu_process.h"
#include "endpoint/state.h"

namespace kiln::ec2 {

struct MachineOptions {
  std::string account = "123456789012";
  std::string qemu = "qemu-system-x86_64";
  std::string accelerator;                    ///< "tcg", "kvm"; "": KVM where it works
  std::vector<std::string> metadata_command;  ///< gets the file to serve as its last word
  bool outbound = false;                      ///< guests may reach the network, and with it this host
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

/// Something for an instance's thread to do.
struct Order {
  enum class What {
    screenshot,
    resize,
    stop,
    force_stop,
    terminate,
    reboot,
    copy,
    attach,
    detach,
    refresh
  } what = What::stop;
  CopyJob copy = {};
  std::string volume_id = {};
  std::chrono::seconds grace =
      std::chrono::minutes(3);  ///< of stop: then the machine is switched off by force
};

/// Contract: start(), give() and copy() are called with the state's lock held, and only begin the work, within
/// State::Changes once these are kept: how it goes is seen in the state. The others are called without it.
class Machines {
 public:
  Machines(State& state, Journal& journal, MachineOptions options);
  /// Ends all threads; machines run on.
  ~Machines();
  Machines(const Machines&) = delete;
  Machines& operator=(const Machines&) = delete;

  /// Boots an instance whose state is "pending".
  void start(const std::string& instance_id);
  /// False when the instance has no machine that could obey.
  bool give(const std::string& instance_id, Order order);
  /// Makes snapshots of volumes: by the thread of the machine that uses them, or of no machine at all.
  void copy(const std::string& instance_id, CopyJob job);
  /// Makes a snapshot of what was uploaded for it; then `journal_id`, of the upload's file, is done with.
  void take_upload(const std::string& snapshot_id, int64_t journal_id);
  /// Makes a volume's file; then it is "available".
  void make_volume(const std::string& volume_id);

  /// After a start of the endpoint: machines that still run are taken over, those that have gone are told as
  /// stopped.
  void adopt();
  /// Shuts all machines down, by force after `grace`; returns when they are off. One that does not even end
  /// so is left to the next adopt().
  void shut_down(std::chrono::seconds grace);

  /// Where an ordered screenshot is, once it is taken.
  std::filesystem::path screenshot_file(const std::string& instance_id) const {
    return directory_of(instance_id) / "screen.png";
  }
  /// The last 64 KiB of the serial console.
  std::string console(const std::string& instance_id) const;
  /// Where an instance's files are.
  std::filesystem::path directory_of(const std::string& instance_id) const;
  const MachineOptions& options() const { return options_; }

 private:
  friend class Machine;
  class Machine* find(const std::string& instance_id);
  void reap();
  void work(std::function<void()> f);
  void adopt_one(const Instance& instance);

  State& state_;
  Journal& journal_;
  MachineOptions options_;
  Stop stop_;
  std::list<std::unique_ptr<class Machine>> machines_;
  struct Worker;
  std::list<std::unique_ptr<Worker>> workers_;
};

/// An instance has ended for good: its disks go as they say, its place is free. Called with the state's lock
/// held.
void release_instance(State& state, Instance& instance);

/// Whether this user may listen on ports below 1024; where not, instances are reached at others
/// (forwards_of).
bool may_listen_low();

/// "User initiated (2026-11-27 10:20:30 GMT)".
std::string transition_text(const std::string& who);

}  // namespace kiln::ec2
