#include "endpoint/machine_thread.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/file.h"
#include "base/text.h"
#include "endpoint/disks.h"

namespace kiln::ec2 {

namespace {

/// A guest that still boots takes no notice of its power button: it is pressed again, soon and then ever later.
constexpr auto press_again = Millis(300);
constexpr auto press_again_at_most = Millis(3000);
constexpr auto renew_keys = std::chrono::hours(1);       ///< how often an instance's keys are looked at
constexpr auto look_for_role = std::chrono::minutes(1);  ///< a profile may be given its role later
constexpr auto look_again = std::chrono::seconds(1);  ///< whether a guest has come up, or may go on
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

/// QEMU is gone. A journal that cannot be written has a row too many: `gc` finds nothing behind it.
void Machine::forget_process() {
  if (journal_id_ == 0) return;
  try {
    all_.journal_.remove(std::exchange(journal_id_, 0));
  } catch (const Error& error) {
    all_.options_.log(fmt::format("{}: {}", id_, error.message()));
  }
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
    instance.booted = now_text();
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
      qemu_->wait_for_news(bell_.get(), watchful ? Deadline::in(look_again) : renew_, all_.stop_);
      if (!qemu_->alive()) break;
      look_after();
      if (renew_.passed()) refresh();
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
  for (Millis pause = press_again; qemu_->alive(); pause = std::min(pause * 2, press_again_at_most)) {
    if (deadline.passed() || is_urgent()) return false;
    qemu_->press_power_button(all_.stop_);
    for (Deadline again = deadline.at_most(pause); qemu_->alive() && !again.passed() && !is_urgent();) {
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
  forget_process();
  boot();
}

void Machine::copy(const CopyJob& job) {
  if (job.reboot) {
    switch_off(false, std::chrono::minutes(3));
    copy_parts(state_, all_.journal_, job, all_.stop_);
    forget_process();
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

/// Writes the metadata anew, and lets in what the groups let in now. Metadata that cannot be written stays as it was
/// for a running machine, and is tried again.
void Machine::refresh() {
  std::string text;
  std::vector<Forward> wanted;
  std::string address;
  {
    auto lock = state_.lock();
    const Instance& instance = state_.instances.at(id_);
    auto groups = groups_of(instance);
    auto role = role_of_instance(state_, instance, all_.options_.account);
    renew_ = role ? Deadline::in(renew_keys) : Deadline::never();
    if (!role && !instance.profile_id.empty()) renew_ = Deadline::in(look_for_role);
    text = metadata_to_json(metadata_of(instance, groups, state_.tags_of(id_), all_.options_.account, role));
    wanted = forwards_of(groups, may_listen_low());
    address = instance.address;
  }
  try {
    write_file_atomically(directory() / "metadata.json", text, 0600);
  } catch (const Error& error) {
    if (!qemu_) throw;
    all_.options_.log(fmt::format("{}: {}", id_, error.message()));
    renew_ = Deadline::in(look_again);
  }
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
    std::ofstream(file).flush();  // empty: there is none
  }
  auto lock = state_.lock();
  state_.notify();
}

/// QEMU is gone: as ordered, by the guest's own doing, or by accident.
void Machine::ended() {
  bool by_guest = qemu_->guest_shut_down();
  forget_process();
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
  bool by_accident = instance.state_reason_code == "Server.InternalError";
  all_.options_.log(fmt::format("{} is {}{}", id_, instance.state, by_accident ? ": " + instance.state_reason : ""));
}

/// It could not be started: EC2 then terminates a new instance and leaves one that was stopped as it was.
void Machine::failed(const std::string& why) {
  if (qemu_) qemu_->kill();
  forget_process();
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

}  // namespace kiln::ec2
