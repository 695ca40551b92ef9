// A QEMU process that runs a virtual machine: its control connection, its death, its evidence.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/guarded.h"
#include "base/process.h"
#include "core/communicator.h"
#include "core/stage_context.h"
#include "wire/qmp.h"

namespace kiln::qemu {

/// The descriptor at which QEMU finds our control connection.
constexpr int control_fd_number = 3;
/// And another one, at which it tells what happens to the machine.
constexpr int events_fd_number = 4;
/// And the one that is its memory, where that is a file.
constexpr int memory_fd_number = 5;

/// Owned by its stage; used by the stage's thread only, but for the watcher inside.
class Vm {
 public:
  /// Journals and starts QEMU with this argv (which names control_fd_number), stderr going to `log`, and waits
  /// until it answers. Throws Error{environment} with QEMU's own words when it dies at once.
  /// `memory` (borrowed; -1: none) becomes memory_fd_number.
  static std::unique_ptr<Vm> start(std::vector<std::string> argv, const fs::path& log, int memory,
                                   StageContext& context);
  ~Vm();

  QmpClient& qmp() { return *qmp_; }
  pid_t pid() const { return process_.pid(); }  ///< of qemu_binary, which may be a script around QEMU
  bool alive() { return !process_.poll(); }
  /// Exit status once it has ended.
  std::optional<ExitStatus> status() { return process_.poll(); }
  /// The same after a connection broke: connections end a moment before the process does.
  std::optional<ExitStatus> status_after_break();
  /// "QEMU ended unexpectedly (exit status 1): what it said last".
  std::string last_words();
  /// Whether it ends by itself before the deadline. A guest that powered off although QEMU was told to stay
  /// (-no-shutdown) counts as ended.
  bool wait_off(const Deadline& deadline, const Stop& stop);
  /// Ends it now: QMP quit, and by signal when that does not help. Never throws for a dead one.
  void force_off();
  /// The screen as PNG (PPM with a QEMU before 7.1). Throws.
  fs::path screenshot(const fs::path& directory, const Stop& stop);

  /// Runs f(stop') where stop' also ends when QEMU dies; then the error is QEMU's last words. A QEMU that ended
  /// well (the guest switched itself off) ends f too, with Error{remote}; and one that stands still because its disk
  /// cannot be written, with Error{environment}.
  template <class F>
  auto while_alive(const Stop& stop, F&& f) {
    Stop child = stop.child();
    Watch watch(*this, child);
    try {
      return f(child);
    } catch (const Error& error) {
      explain(error, stop);
      throw;
    }
  }

 private:
  struct Watched {
    bool dead = false;
    std::string stuck;  ///< why the machine stands still for good; empty: it does not
    std::vector<const Stop*> stops;
  };
  struct Watch {
    Watch(Vm& vm, const Stop& stop);
    ~Watch();
    Vm& vm;
    const Stop& stop;
  };

  Vm(Process process, fs::path log, Fd events, Journal& journal, int64_t journal_id);
  void watch(int pidfd, Fd events);
  void explain(const Error& error, const Stop& stop);

  Process process_;
  fs::path log_;
  Journal& journal_;
  int64_t journal_id_;
  std::unique_ptr<QmpClient> qmp_;
  Guarded<Watched> watched_;
  Stop watcher_stop_;
  std::thread watcher_;
};

/// A communicator into a VM: what it waits for ends when QEMU dies, with QEMU's last words as the reason.
class VmCommunicator : public Communicator {
 public:
  VmCommunicator(std::unique_ptr<Communicator> inner, Vm& vm) : inner_(std::move(inner)), vm_(vm) {}
  int run(const std::string& command, const Sink& out, const Sink& err, const Deadline& deadline,
          const Stop& stop) override;
  void upload(const RemoteFile& file, const ByteSource& source, const Deadline& deadline, const Stop& stop) override;
  void upload_tree(const fs::path& from, const std::string& to, const ProgressFn& progress, const Deadline& deadline,
                   const Stop& stop) override;
  void download(const std::string& path, const Sink& out, const Deadline& deadline, const Stop& stop) override;
  void download_tree(const std::string& from, const fs::path& to, const Deadline& deadline,
                     const Stop& stop) override;
  void disconnect() override { inner_->disconnect(); }
  bool speaks_windows() const override { return inner_->speaks_windows(); }
  Communicator& inner() { return *inner_; }

 private:
  std::unique_ptr<Communicator> inner_;
  Vm& vm_;
};

}  // namespace kiln::qemu
