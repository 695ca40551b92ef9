#include "endpoint/machine.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "base/file.h"
#include "base/text.h"
#include "endpoint/disks.h"
#include "endpoint/machine_thread.h"
#include "endpoint/session_keys.h"

namespace kiln::ec2 {

namespace {

constexpr size_t console_size = 64 * 1024;
constexpr auto by_force_limit =
    std::chrono::seconds(45);  ///< for a machine that hangs: quit, then two signals

}  // namespace

struct Machines::Worker {
  std::thread thread;
  std::shared_ptr<std::atomic<bool>> over = std::make_shared<std::atomic<bool>>(false);
};

Machines::Machines(State& state, Journal& journal, MachineOptions options)
    : state_(state), journal_(journal), options_(std::move(options)) {}

Machines::~Machines() {
  stop_.request();
  machines_.clear();
  for (auto& worker : workers_) worker->thread.join();
}

void Machines::reap() {
  std::erase_if(machines_, [](auto& machine) { return machine->over(); });
  std::erase_if(workers_, [](auto& worker) {
    if (*worker->over) worker->thread.join();
    return !worker->thread.joinable();
  });
}

Machine* Machines::find(const std::string& instance_id) {
  for (auto& machine : machines_) {
    if (machine->id() == instance_id && !machine->over()) return machine.get();
  }
  return nullptr;
}

void Machines::work(std::function<void()> f) {
  state_.when_kept([this, f = std::move(f)] {
    reap();
    workers_.push_back(std::make_unique<Worker>());
    Worker& worker = *workers_.back();
    worker.thread = std::thread([f, over = worker.over, log = options_.log] {
      try {
        only_errors(f);
      } catch (const Error& error) {
        log(error.message());
      }
      *over = true;
    });
  });
}

void Machines::start(const std::string& instance_id) {
  state_.when_kept([this, instance_id] {
    reap();
    machines_.push_back(std::make_unique<Machine>(*this, instance_id));
    machines_.back()->begin();
  });
}

bool Machines::give(const std::string& instance_id, Order order) {
  if (!find(instance_id)) return false;
  state_.when_kept([this, instance_id, order = std::move(order)] {
    if (Machine* machine = find(instance_id)) machine->give(order);
  });
  return true;
}

void Machines::copy(const std::string& instance_id, CopyJob job) {
  const Instance* instance = state_.find<Instance>(instance_id);
  if (instance && instance->pid != 0 && give(instance_id, {.what = Order::What::copy, .copy = job})) return;
  work([this, job] { copy_parts(state_, journal_, job, stop_); });
}

void Machines::take_upload(const std::string& snapshot_id, int64_t journal_id) {
  work([this, snapshot_id, journal_id] {
    finish_upload(state_, journal_, snapshot_id, stop_);
    journal_.remove(journal_id);
  });
}

void Machines::make_volume(const std::string& volume_id) {
  work([this, volume_id] {
    Volume volume;
    {
      auto lock = state_.lock();
      auto* found = state_.find<Volume>(volume_id);
      if (!found) return;
      volume = *found;
    }
    std::string state = "available";
    try {
      ec2::make_volume(state_, volume, stop_);
    } catch (const Error& error) {
      options_.log(fmt::format("{}: {}", volume_id, error.message()));
      state = "error";
    }
    auto lock = state_.lock();
    auto* found = state_.find<Volume>(volume_id);
    if (!found || found->state != "creating") return;
    volume = *found;
    volume.state = state;
    state_.put(volume);
  });
}

void Machines::adopt() {
  std::vector<Instance> instances;
  {
    auto lock = state_.lock();
    for (const auto& [id, instance] : state_.instances) {
      if (instance.state != "stopped" && instance.state != "terminated") instances.push_back(instance);
    }
    forget_unfinished(state_);
  }
  for (const auto& instance : instances) adopt_one(instance);
}

void Machines::adopt_one(const Instance& instance) {
  auto qemu = QemuProcess::adopt(instance.pid, instance.pid_start, directory_of(instance.id), stop_);
  if (!qemu && instance.journal_id != 0) {
    for (const auto& resource : journal_.all()) {
      if (resource.id != instance.journal_id) continue;
      remove_resource(resource);  // started, and we died before we knew its number
      journal_.remove(resource.id);
    }
  }
  auto lock = state_.lock();
  if (qemu) {
    journal_.take_over(instance.journal_id);
    machines_.push_back(std::make_unique<Machine>(*this, instance.id));
    Machine& machine = *machines_.back();
    if (instance.state == "stopping") machine.give({.what = Order::What::stop});
    if (instance.state == "shutting-down") machine.give({.what = Order::What::terminate});
    machine.begin(std::move(qemu), instance.journal_id);
    options_.log(instance.id + " runs still");
    return;
  }
  Instance changed = instance;
  changed.pid = changed.pid_start = changed.journal_id = 0;
  if (instance.state == "pending") {
    state_.put(changed);
    return start(instance.id);
  }
  changed.state = instance.state == "shutting-down" ? "terminated" : "stopped";
  if (instance.state == "running") {
    changed.state_reason_code = "Server.InternalError";
    changed.state_reason = "Server.InternalError: the virtual machine ended while the endpoint was down";
    changed.transition_reason = changed.state_reason;
  }
  if (changed.state == "terminated") release_instance(state_, changed);
  state_.put(changed);
  options_.log(fmt::format("{} is {}", instance.id, changed.state));
}

void Machines::shut_down(std::chrono::seconds grace) {
  std::vector<std::string> ids;
  {
    auto lock = state_.lock();
    for (auto& machine : machines_) {
      if (machine->over()) continue;
      ids.push_back(machine->id());
      if (Instance* found = state_.find<Instance>(machine->id()); found && found->state == "running") {
        Instance stopping = *found;
        stopping.state = "stopping";
        stopping.transition_reason = "Server.ScheduledStop: the endpoint was taken down";
        state_.put(stopping);
      }
      machine->give({.what = Order::What::stop, .grace = grace});
    }
  }
  auto all_over = [&] {
    auto lock = state_.lock();
    return std::all_of(ids.begin(), ids.end(), [&](auto& id) { return find(id) == nullptr; });
  };
  Deadline deadline = Deadline::in(grace + by_force_limit);
  State::Waiter waiter(state_);
  while (!all_over() && !deadline.passed()) waiter.wait_for_change(deadline.at_most(Millis(200)), Stop());
}

std::string Machines::console(const std::string& instance_id) const {
  Fd file(::open((directory_of(instance_id) / "serial.log").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return "";
  off_t size = ::lseek(file.get(), 0, SEEK_END);
  ::lseek(file.get(), std::max<off_t>(0, size - static_cast<off_t>(console_size)), SEEK_SET);
  std::string out;
  for (std::string part = read_some(file.get()); !part.empty() && out.size() < console_size;
       part = read_some(file.get()))
    out += part;
  return out;
}

fs::path Machines::directory_of(const std::string& instance_id) const {
  return state_.directory() / "instances" / instance_id;
}

void release_instance(State& state, Instance& instance) {
  instance.ended = now_text();
  instance.pid = instance.pid_start = instance.journal_id = 0;
  std::vector<fs::path> gone = {state.directory() / "instances" / instance.id / "metadata.json"};
  for (const auto& attachment : instance.attachments) {
    auto* volume = state.find<Volume>(attachment.volume_id);
    if (!volume) continue;
    if (attachment.delete_on_termination) {
      gone.push_back(volume_file(state, attachment.volume_id));
      state.erase<Volume>(attachment.volume_id);
    } else {
      Volume free = *volume;
      free.state = "available";
      state.put(free);
    }
  }
  instance.attachments.clear();
  end_keys_of_instance(state, instance.id);
  for (auto address : std::map(state.addresses)) {
    if (address.second.instance_id != instance.id) continue;
    address.second.instance_id = address.second.association_id = "";
    state.put(address.second);
  }
  remove_when_kept(state, std::move(gone));
  sweep_snapshots(state);
}

bool may_listen_low() {
  if (::geteuid() == 0) return true;
  auto first = read_file_if_exists("/proc/sys/net/ipv4/ip_unprivileged_port_start");
  return first && std::atoi(first->c_str()) <= 22;
}

std::string transition_text(const std::string& who) {
  std::time_t now = std::time(nullptr);
  std::string time = fmt::format("({:%Y-%m-%d %H:%M:%S} GMT)", fmt::gmtime(now));
  return who.empty() ? time : who + " " + time;
}

}  // namespace kiln::ec2