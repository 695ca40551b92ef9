// One instance's machine and its thread. Inner to machine.h: made and told by Machines alone.
#pragma once
#include <sys/eventfd.h>

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/guarded.h"
#include "endpoint/machine.h"
#include "endpoint/machine_plan.h"

namespace kiln::ec2 {

/// One instance's machine and its thread.
class Machine {
 public:
  Machine(Machines& all, std::string id)
      : all_(all), state_(all.state_), id_(std::move(id)), bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!bell_.is_open()) throw_errno("eventfd");
  }
  ~Machine() {
    if (thread_.joinable()) thread_.join();
  }
  /// Boots, or takes over a QEMU that runs already.
  void begin(std::unique_ptr<QemuProcess> running = nullptr, int64_t journal_id = 0) {
    qemu_ = std::move(running);
    adopted_ = qemu_ != nullptr;
    journal_id_ = journal_id;
    thread_ = std::thread([this] { run(); });
  }
  void give(Order order) {
    orders_.with([&](auto& queue) { queue.push_back(std::move(order)); });
    ::eventfd_write(bell_.get(), 1);
  }
  const std::string& id() const { return id_; }
  bool over() const { return over_; }

 private:
  void run();
  void supervise();
  void boot();
  MachinePlan plan();
  void obey(const Order& order);
  void switch_off(bool force, std::chrono::seconds grace);
  bool power_down(const Deadline& deadline);
  bool is_urgent();
  void reboot();
  void copy(const CopyJob& job);
  void attach(const std::string& volume_id);
  void detach(const std::string& volume_id);
  void refresh();
  void resize(const std::string& volume_id);
  void screenshot();
  void look_after();
  void forget_process();
  void ended();
  void failed(const std::string& why);
  std::vector<SecurityGroup> groups_of(const Instance& instance);
  fs::path directory() const { return all_.directory_of(id_); }
  /// Changes the instance in the state, if it is still there.
  template <class F>
  void update(F&& f) {
    auto lock = state_.lock();
    Instance* instance = state_.find<Instance>(id_);
    if (!instance) return;
    Instance changed = *instance;
    f(changed);
    state_.put(changed);
  }

  Machines& all_;
  State& state_;
  std::string id_;
  Fd bell_;
  Guarded<std::deque<Order>> orders_;
  std::unique_ptr<QemuProcess> qemu_;
  std::vector<Forward> forwards_;
  int64_t journal_id_ = 0;
  bool adopted_ = false;
  bool reachable_ = false;
  bool impaired_ = false;                        ///< it stood still when last looked at
  Deadline renew_ = Deadline::in(Millis(0));     ///< the keys of its role in its metadata
  Deadline next_try_ = Deadline::in(Millis(0));  ///< to let it go on
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

}  // namespace kiln::ec2
