#include "endpoint/machine.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <deque>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/guarded.h"
#include "base/text.h"
#include "endpoint/disks.h"
#include "endpoint/machine_plan.h"

namespace kiln::ec2 {

namespace {

constexpr auto press_again =
    std::chrono::seconds(3);  ///< a guest that still boots takes no notice of its power button
constexpr auto look_again = std::chrono::seconds(1);  ///< whether a guest has come up, or may go on
constexpr size_t console_size = 64 * 1024;
constexpr const char* uefi_code = "/usr/share/OVMF/OVMF_CODE_4M.fd";
constexpr const char* uefi_variables = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// Half of what this host has, so that one instance cannot take it all.
int64_t most_memory() {
  int64_t pages = ::sysconf(_SC_PHYS_PAGES);
  int64_t size = ::sysconf(_SC_PAGE_SIZE);
  return std::max<int64_t>(256, pages * size / 2 / 1024 / 1024);
}

int host_cpus() { return std::max(1, static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN))); }

}  // namespace

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
  Deadline next_try_ = Deadline::in(Millis(0));  ///< to let it go on
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

struct Machines::Worker {
  std::thread thread;
  std::shared_ptr<std::atomic<bool>> over = std::make_shared<std::atomic<bool>>(false);
};

void Machine::run() {
  try {
    only_errors([&] {
      if (adopted_) {
        forwards_ = plan().forwards;  // its groups cannot have changed while nobody could change them
      } else {
        boot();
      }
      supervise();
      ended();
    });
  } catch (const Error& error) {
    if (!all_.stop_.requested()) failed(error.message());
  }
  over_ = true;
}

std::vector<SecurityGroup> Machine::groups_of(const Instance& instance) {
  std::vector<SecurityGroup> out;
  for (const auto& id : instance.groups) {
    if (const auto* group = state_.find<SecurityGroup>(id)) out.push_back(*group);
  }
  return out;
}

MachinePlan Machine::plan() {
  auto lock = state_.lock();
  const Instance& instance = state_.instances.at(id_);
  MachinePlan out;
  out.qemu = all_.options_.qemu;
  out.accelerator = all_.options_.accelerator;
  out.name = id_;
  out.type = instance.type;
  out.uuid = instance.uuid;
  out.mac = instance.mac;
  out.private_ip = private_ip_of(instance.address);
  out.address = instance.address;
  out.shape = shape_of(instance.type).value_or(Shape());
  out.shape.memory = std::min(out.shape.memory, most_memory());
  out.shape.cpus = std::min(out.shape.cpus, host_cpus());
  for (const auto& attachment : instance.attachments) {
    MachineDisk disk{attachment.volume_id, volume_file(state_, attachment.volume_id).string()};
    bool root = attachment.device == instance.root_device;
    out.disks.insert(root ? out.disks.begin() : out.disks.end(), std::move(disk));
  }
  out.forwards = forwards_of(groups_of(instance), may_listen_low());
  out.metadata_command = all_.options_.metadata_command;
  out.metadata_command.push_back((directory() / "metadata.json").string());
  out.directory = directory().string();
  out.outbound = all_.options_.outbound;
  if (instance.boot_mode == "uefi") {
    out.firmware = uefi_code;
    out.firmware_variables = (directory() / "uefi-variables.fd").string();
  }
  return out;
}

void Machine::boot() {
  fs::create_directories(directory());
  refresh();
  std::vector<Volume> volumes;
  {
    auto lock = state_.lock();
    for (const auto& attachment : state_.instances.at(id_).attachments)
      volumes.push_back(state_.volumes.at(attachment.volume_id));
  }
  for (const auto& volume : volumes) make_volume(state_, volume, all_.stop_);
  MachinePlan machine = plan();
  if (!machine.firmware.empty() && !fs::exists(machine.firmware_variables)) {
    if (!fs::exists(uefi_variables))
      throw Error(ErrorKind::environment, "UEFI firmware is missing (Debian: apt install ovmf)");
    fs::copy_file(uefi_variables, machine.firmware_variables);
  }
  Resource resource = all_.journal_.append(ResourceKind::process, "QEMU of instance " + id_, id_);
  journal_id_ = resource.id;
  update([&](Instance& instance) {
    instance.journal_id = resource.id;
    instance.pid = 0;
  });
  qemu_ = QemuProcess::start(machine_arguments(machine), resource.token, directory(), all_.stop_);
  forwards_ = machine.forwards;
  update([&](Instance& instance) {
    instance.pid = qemu_->pid();
    instance.pid_start = qemu_->start_time();
    instance.reachable = false;
    instance.impaired.clear();
    if (instance.state == "pending") instance.state = "running";
  });
  reachable_ = impaired_ = false;
  all_.options_.log(fmt::format("{} runs: {}", id_, machine.address));
}

void Machine::supervise() {
  while (qemu_->alive()) {
    eventfd_t count = 0;
    ::eventfd_read(bell_.get(), &count);
    auto order = orders_.with([](auto& queue) -> std::optional<Order> {
      if (queue.empty()) return std::nullopt;
      Order first = std::move(queue.front());
      queue.pop_front();
      return first;
    });
    if (order) {
      obey(*order);
    } else {
      bool watchful = !reachable_ || impaired_ || qemu_->stands_still();
      qemu_->wait_for_news(bell_.get(), watchful ? Deadline::in(look_again) : Deadline::never(), all_.stop_);
      if (qemu_->alive()) look_after();
    }
  }
}

/// Sees a guest come up, and one that stands still because the host's disk is full go on when it can.
void Machine::look_after() {
  if (!reachable_ && qemu_->guest_drives_network(all_.stop_)) {
    reachable_ = true;
    update([](Instance& instance) { instance.reachable = true; });
  }
  bool stands_still = qemu_->stands_still();
  if (!stands_still && !impaired_) return;
  if (!next_try_.passed()) return;  // whether it has gone on well is not known before
  if (stands_still != impaired_) {
    impaired_ = stands_still;
    std::string why = stands_still ? "a disk of this host is full: the machine stands still" : "";
    all_.options_.log(fmt::format("{}: {}", id_, stands_still ? why : "goes on"));
    update([&](Instance& instance) { instance.impaired = why; });
  }
  if (stands_still) qemu_->go_on(all_.stop_);
  next_try_ = Deadline::in(look_again);
}

void Machine::obey(const Order& order) {
  switch (order.what) {
    case Order::What::stop:
      return switch_off(false, order.grace);
    case Order::What::force_stop:
      return switch_off(true, order.grace);
    case Order::What::terminate: {
      bool all_go = true;  // nothing on a disk outlives the machine: no need to be gentle
      {
        auto lock = state_.lock();
        for (const auto& one : state_.instances.at(id_).attachments) all_go &= one.delete_on_termination;
      }
      return switch_off(all_go, order.grace);
    }
    case Order::What::reboot:
      return reboot();
    case Order::What::copy:
      return copy(order.copy);
    case Order::What::attach:
      return attach(order.volume_id);
    case Order::What::detach:
      return detach(order.volume_id);
    case Order::What::refresh:
      return refresh();
    case Order::What::resize:
      return resize(order.volume_id);
    case Order::What::screenshot:
      return screenshot();
  }
}

/// Whether an order waits that makes patience pointless.
bool Machine::is_urgent() {
  return orders_.with([](auto& queue) {
    return std::any_of(queue.begin(), queue.end(), [](const Order& order) {
      return order.what == Order::What::force_stop || order.what == Order::What::terminate;
    });
  });
}

/// Presses the power button until the machine is off; false at the deadline or when something urgent comes.
bool Machine::power_down(const Deadline& deadline) {
  while (qemu_->alive()) {
    if (deadline.passed() || is_urgent()) return false;
    qemu_->press_power_button(all_.stop_);
    for (Deadline again = deadline.at_most(press_again); qemu_->alive() && !again.passed() && !is_urgent();) {
      eventfd_t count = 0;
      ::eventfd_read(bell_.get(), &count);
      qemu_->wait_for_news(bell_.get(), again, all_.stop_);
    }
  }
  return true;
}

void Machine::switch_off(bool force, std::chrono::seconds grace) {
  if (!force && power_down(Deadline::in(grace))) return;
  qemu_->quit(all_.stop_);
}

void Machine::reboot() {
  switch_off(false, std::chrono::minutes(3));
  if (journal_id_ != 0) all_.journal_.remove(std::exchange(journal_id_, 0));
  boot();
}

void Machine::copy(const CopyJob& job) {
  if (job.reboot) {
    switch_off(false, std::chrono::minutes(3));
    copy_parts(state_, all_.journal_, job, all_.stop_);
    if (journal_id_ != 0) all_.journal_.remove(std::exchange(journal_id_, 0));
    boot();
    return;
  }
  // Stopped, QEMU has written all it knows into the files.
  qemu_->execute("stop", {}, all_.stop_);
  copy_parts(state_, all_.journal_, job, all_.stop_);
  qemu_->execute("cont", {}, all_.stop_);
}

void Machine::attach(const std::string& volume_id) {
  Volume volume;
  {
    auto lock = state_.lock();
    volume = state_.volumes.at(volume_id);
  }
  std::string name = node_name(volume_id);
  try {
    make_volume(state_, volume, all_.stop_);
    qemu_->execute("blockdev-add", blockdev_of({volume_id, volume_file(state_, volume_id).string()}),
                   all_.stop_);
    qemu_->execute("device_add",
                   {{"driver", "virtio-blk-pci"}, {"drive", name}, {"id", "dev-" + name}, {"serial", name}},
                   all_.stop_);
  } catch (const Error& error) {
    if (all_.stop_.requested()) throw;
    all_.options_.log(fmt::format("{}: {} cannot be attached: {}", id_, volume_id, error.message()));
    update([&](Instance& instance) {
      std::erase_if(instance.attachments, [&](auto& one) { return one.volume_id == volume_id; });
    });
    auto lock = state_.lock();
    volume.state = "available";
    state_.put(volume);
  }
}

void Machine::detach(const std::string& volume_id) {
  std::string name = node_name(volume_id);
  try {
    qemu_->execute("device_del", {{"id", "dev-" + name}}, all_.stop_);
    qemu_->wait_for_event("DEVICE_DELETED", "dev-" + name, Deadline::in(std::chrono::seconds(20)),
                          all_.stop_);
    qemu_->execute("blockdev-del", {{"node-name", name}}, all_.stop_);
  } catch (const Error& error) {
    if (all_.stop_.requested()) throw;
    all_.options_.log(fmt::format("{}: {} cannot be detached: {}", id_, volume_id, error.message()));
    return;
  }
  update([&](Instance& instance) {
    std::erase_if(instance.attachments, [&](auto& one) { return one.volume_id == volume_id; });
  });
  auto lock = state_.lock();
  if (auto* volume = state_.find<Volume>(volume_id)) {
    Volume free = *volume;
    free.state = "available";
    state_.put(free);
  }
}

/// Writes the metadata anew, and lets in what the groups let in now.
void Machine::refresh() {
  std::string text;
  std::vector<Forward> wanted;
  std::string address;
  {
    auto lock = state_.lock();
    const Instance& instance = state_.instances.at(id_);
    auto groups = groups_of(instance);
    text = metadata_to_json(metadata_of(instance, groups, state_.tags_of(id_), all_.options_.account));
    wanted = forwards_of(groups, may_listen_low());
    address = instance.address;
  }
  write_file_atomically(directory() / "metadata.json", text, 0600);
  if (!qemu_) return;
  auto change = [&](const std::vector<Forward>& from, const std::vector<Forward>& to, const char* command) {
    std::vector<Forward> difference;
    std::set_difference(from.begin(), from.end(), to.begin(), to.end(), std::back_inserter(difference));
    for (const auto& one : difference) {
      std::string rest =
          std::string_view(command) == "hostfwd_add" ? fmt::format("-:{}", one.guest_port) : "";
      std::string said = qemu_->monitor(
          fmt::format("{} net0 tcp:{}:{}{}", command, address, one.host_port, rest), all_.stop_);
      if (contains(said, "could not") || contains(said, "invalid"))
        all_.options_.log(id_ + ": " + std::string(trim(said)));
    }
  };
  change(forwards_, wanted, "hostfwd_remove");
  change(wanted, forwards_, "hostfwd_add");
  forwards_ = wanted;
}

/// The volume's record says the new size already.
void Machine::resize(const std::string& volume_id) {
  int64_t size = 0;
  {
    auto lock = state_.lock();
    if (const Volume* volume = state_.find<Volume>(volume_id)) size = volume->size;
  }
  if (size == 0) return;
  try {
    qemu_->execute("block_resize", {{"node-name", node_name(volume_id)}, {"size", size << 30}}, all_.stop_);
  } catch (const Error& error) {
    if (all_.stop_.requested()) throw;
    all_.options_.log(fmt::format("{}: {} cannot be resized: {}", id_, volume_id, error.message()));
  }
}

void Machine::screenshot() {
  fs::path file = all_.screenshot_file(id_);
  fs::path part = file.string() + ".part";
  try {
    qemu_->execute("screendump", {{"filename", part.string()}, {"format", "png"}}, all_.stop_);
    fs::rename(part, file);
  } catch (const std::exception& error) {
    all_.stop_.check();
    all_.options_.log(fmt::format("{}: no screenshot: {}", id_, error.what()));
    write_file_atomically(file, "");
  }
  auto lock = state_.lock();
  state_.notify();
}

/// QEMU is gone: as ordered, by the guest's own doing, or by accident.
void Machine::ended() {
  bool by_guest = qemu_->guest_shut_down();
  if (journal_id_ != 0) all_.journal_.remove(std::exchange(journal_id_, 0));
  auto lock = state_.lock();
  Instance* found = state_.find<Instance>(id_);
  if (!found) return;
  Instance instance = *found;
  bool terminate = instance.state == "shutting-down";
  if (instance.state == "running" || instance.state == "pending") {
    terminate = by_guest && instance.shutdown_behavior == "terminate";
    instance.state_reason_code = by_guest ? "Client.InstanceInitiatedShutdown" : "Server.InternalError";
    instance.state_reason = by_guest ? "Client.InstanceInitiatedShutdown: Instance initiated shutdown"
                                     : "Server.InternalError: the virtual machine ended unexpectedly";
    instance.transition_reason = by_guest ? transition_text("") : instance.state_reason;
  }
  instance.pid = instance.pid_start = instance.journal_id = 0;
  instance.state = terminate ? "terminated" : "stopped";
  if (terminate) release_instance(state_, instance);
  state_.put(instance);
  all_.options_.log(fmt::format("{} is {}", id_, instance.state));
}

/// It could not be started: EC2 then terminates a new instance and leaves one that was stopped as it was.
void Machine::failed(const std::string& why) {
  if (qemu_) qemu_->kill();
  if (journal_id_ != 0) all_.journal_.remove(std::exchange(journal_id_, 0));
  all_.options_.log(fmt::format("{} failed: {}", id_, why));
  auto lock = state_.lock();
  Instance* found = state_.find<Instance>(id_);
  if (!found) return;
  Instance instance = *found;
  bool never_ran = instance.transition_reason.empty() && !qemu_;
  instance.state_reason_code = "Server.InternalError";
  instance.state_reason = "Server.InternalError: " + why;
  instance.transition_reason = instance.state_reason;
  instance.pid = instance.pid_start = instance.journal_id = 0;
  instance.state = never_ran || instance.state == "shutting-down" ? "terminated" : "stopped";
  if (instance.state == "terminated") release_instance(state_, instance);
  state_.put(instance);
}

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
  reap();
  workers_.push_back(std::make_unique<Worker>());
  Worker& worker = *workers_.back();
  worker.thread = std::thread([f = std::move(f), over = worker.over, log = options_.log] {
    try {
      only_errors(f);
    } catch (const Error& error) {
      log(error.message());
    }
    *over = true;
  });
}

void Machines::start(const std::string& instance_id) {
  reap();
  machines_.push_back(std::make_unique<Machine>(*this, instance_id));
  machines_.back()->begin();
}

bool Machines::give(const std::string& instance_id, Order order) {
  Machine* machine = find(instance_id);
  if (machine) machine->give(std::move(order));
  return machine != nullptr;
}

void Machines::copy(const std::string& instance_id, CopyJob job) {
  const Instance* instance = state_.find<Instance>(instance_id);
  if (instance && instance->pid != 0 && give(instance_id, {.what = Order::What::copy, .copy = job})) return;
  work([this, job] { copy_parts(state_, journal_, job, stop_); });
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
  Deadline deadline = Deadline::in(grace + std::chrono::seconds(20));
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
  std::error_code ignored;
  for (const auto& attachment : instance.attachments) {
    auto* volume = state.find<Volume>(attachment.volume_id);
    if (!volume) continue;
    if (attachment.delete_on_termination) {
      fs::remove(volume_file(state, attachment.volume_id), ignored);
      state.erase<Volume>(attachment.volume_id);
    } else {
      Volume free = *volume;
      free.state = "available";
      state.put(free);
    }
  }
  instance.attachments.clear();
  for (auto address : std::map(state.addresses)) {
    if (address.second.instance_id != instance.id) continue;
    address.second.instance_id = address.second.association_id = "";
    state.put(address.second);
  }
  fs::remove(state.directory() / "instances" / instance.id / "metadata.json", ignored);
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
