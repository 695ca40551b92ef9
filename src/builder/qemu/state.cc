#include "builder/qemu/state.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/digest.h"
#include "base/fd.h"
#include "base/text.h"
#include "builder/qemu/arguments.h"
#include "builder/qemu/guest_way.h"
#include "builder/qemu/layer.h"
#include "builder/qemu/memory_beside.h"

namespace kiln::qemu {

namespace {

using Json = nlohmann::json;

constexpr auto qmp_limit = std::chrono::seconds(20);
constexpr auto device_limit = std::chrono::minutes(2);
constexpr const char* save_devices = "xen-save-devices-state";
constexpr const char* memory_file = "memory.zst";
constexpr const char* device_file = "devices";
constexpr std::string_view variables_file = "efivars.fd";
constexpr const char* private_key_file = "key";
constexpr const char* public_key_file = "key.pub";

/// Files that the machine has open and that were made for it: the name in the state, and where the machine
/// has it.
std::vector<std::pair<std::string_view, std::string RunValues::*>> extra_files() {
  return {{"cd.iso", &RunValues::cd_image},
          {"seed.iso", &RunValues::seed_image},
          {"floppy.img", &RunValues::floppy},
          {variables_file, &RunValues::efi_vars}};
}

/// What the state says of itself, yes or no.
bool says(const MachineState& state, const char* name) {
  const Value* told = state.details.find(name);
  return told && told->kind() == Value::Kind::boolean && told->as_bool();
}

Json execute(Vm& vm, const std::string& command, const Json& arguments, const Stop& stop) {
  return vm.qmp().execute(command, arguments, Deadline::in(qmp_limit), stop);
}

/// Waits for the end of a migration, in or out.
void wait_migrated(Vm& vm, const std::string& what, const Stop& stop) {
  Deadline limit = Deadline::in(device_limit);
  for (;;) {
    Json info = execute(vm, "query-migrate", {}, stop);
    std::string status = info.value("status", "");
    if (status == "completed") return;
    if (status == "failed" || status == "cancelled") {
      throw Error(ErrorKind::environment,
                  fmt::format("QEMU could not {}: {}", what, info.value("error-desc", status)));
    }
    if (limit.passed()) throw Error(ErrorKind::timeout, fmt::format("QEMU did not {} in time", what));
    sleep_for(Millis(1), stop);
  }
}

/// Once for a machine: each question has QEMU and the guest take turns.
void make_ready_for_states(Running& running, const Stop& stop) {
  if (!running.qemu_version.empty()) return;
  Vm& vm = *running.vm;
  execute(vm, "migrate-set-capabilities",
          {{"capabilities", Json::array({{{"capability", "x-ignore-shared"}, {"state", true}}})}}, stop);
  Json info = execute(vm, "query-version", {}, stop);
  const Json& number = info.at("qemu");
  running.qemu_version = fmt::format("{}.{}.{} {}", number.value("major", 0), number.value("minor", 0),
                                     number.value("micro", 0), info.value("package", ""));
  Json blocked = execute(vm, "query-migrate", {}, stop).value("blocked-reasons", Json::array());
  if (!blocked.empty())
    throw Error(ErrorKind::environment, "QEMU cannot save this machine: " + blocked.front().get<std::string>());
}

/// A QEMU may be built without it.
bool saves_devices_alone(Vm& vm, const Stop& stop) {
  Json commands = execute(vm, "query-commands", {}, stop);
  return std::any_of(commands.begin(), commands.end(),
                     [](const Json& one) { return one.value("name", "") == save_devices; });
}

/// Once for a machine whose devices are there.
void find_memories(Running& running, const Stop& stop) {
  if (!running.beside && saves_devices_alone(*running.vm, stop))
    running.beside = MemoryBeside::find(*running.vm, *running.memory, stop);
  if (!running.values.memory_private || running.forked) return;
  if (!running.beside) throw Error(ErrorKind::environment, "the memory of QEMU's process cannot be read");
  const ProcessMemory& process = running.beside->process();
  running.forked.emplace(process, process.mapped_at(), running.memory);
}

/// QEMU's name of the drive whose file this is.
std::string device_of(Vm& vm, const fs::path& file, const Stop& stop) {
  for (const auto& block : execute(vm, "query-block", {}, stop)) {
    if (block.contains("inserted") && block["inserted"].value("file", "") == file.string())
      return block.value("device", "");
  }
  throw Error(ErrorKind::environment, "QEMU does not know the disk " + file.string());
}

struct NextLayer {
  std::string device;
  fs::path path;
};

std::vector<NextLayer> make_next_layers(Running& running, StageContext& context) {
  std::vector<NextLayer> out;
  for (auto& disk : running.disks) {
    // Asked once: later QEMU tells the file in words of its own.
    if (disk.device.empty()) disk.device = device_of(*running.vm, disk.working, context.stop);
    NextLayer next{disk.device, context.states->new_layer(".qcow2")};
    make_layer(next.path, disk.working);
    out.push_back(std::move(next));
  }
  return out;
}

/// All disks go on in new layers, at one instant.
void switch_layers(Vm& vm, const std::vector<NextLayer>& layers, const Stop& stop) {
  Json actions = Json::array();
  for (const auto& layer : layers) {
    actions.push_back({{"type", "blockdev-snapshot-sync"},
                       {"data",
                        {{"device", layer.device},
                         {"snapshot-file", layer.path.string()},
                         {"format", "qcow2"},
                         {"mode", "existing"}}}});
  }
  execute(vm, "transaction", {{"actions", actions}}, stop);
}

/// Lends QEMU a file, which it then knows as fd:NAME.
std::string lend_file(Vm& vm, const fs::path& file, int flags, const Stop& stop) {
  Fd fd(::open(file.c_str(), flags | O_CLOEXEC, 0600));
  if (!fd.is_open()) throw_errno("open " + file.string());
  vm.qmp().execute("getfd", {{"fdname", "kiln-state"}}, Deadline::in(qmp_limit), stop, fd.get());
  return "fd:kiln-state";
}

bool flush_guest(Running& running, StageContext& context) {
  try {
    return running.vm->while_alive(context.stop, [&](const Stop& stop) {
      return running.guest ? running.guest->flush(stop) : flush_by_command(*running.communicator, stop);
    });
  } catch (const Error&) {
    if (context.stop.requested()) throw;
    return false;
  }
}

/// What is taken of a machine while it stands still, besides files.
struct Taken {
  PageChanges memory;
  std::vector<PageChanges> beside;  ///< of its firmware and display
};

/// QEMU saves the devices alone, by a command made for Xen; memories are read by us. It is quick, and the machine's own
/// memory may be private.
Taken take_devices_alone(Running& running, const fs::path& devices, const Stop& stop) {
  execute(*running.vm, save_devices, {{"filename", devices.string()}, {"live", true}}, stop);
  Taken out{running.forked ? running.forked->take_changes() : running.memory->take_changes(), {}};
  out.beside = running.beside->take();
  return out;
}

/// Where we may not look into QEMU it migrates the devices and the memories beside; only memory that is shared it knows
/// to leave out.
Taken take_by_migration(Running& running, const std::string& devices, const Stop& stop) {
  execute(*running.vm, "migrate", {{"uri", devices}}, stop);
  Taken out{running.memory->take_changes(), {}};
  wait_migrated(*running.vm, "save the devices' state", stop);
  return out;
}

class FrozenState : public PendingState {
 public:
  FrozenState(Taken taken, fs::path directory, std::vector<std::string> layers, std::vector<std::string> depends,
              Value details)
      : taken_(std::move(taken)),
        directory_(std::move(directory)),
        layers_(std::move(layers)),
        depends_(std::move(depends)),
        details_(std::move(details)) {}
  void write(MachineState& state, const Stop& stop) override {
    taken_.memory.write(directory_ / memory_file, stop);
    for (size_t i = 0; i < taken_.beside.size(); ++i) taken_.beside[i].write(MemoryBeside::file(directory_, i), stop);
    state.layers = std::move(layers_);
    state.depends = std::move(depends_);
    state.details = std::move(details_);
  }

 private:
  Taken taken_;
  fs::path directory_;
  std::vector<std::string> layers_, depends_;
  Value details_;
};

}  // namespace

std::string host_cpu_for(const std::string& accelerator) {
  if (accelerator == "tcg" || accelerator == "none") return "";  // emulated: the same everywhere
  std::string model, flags;
  for (const auto& line : split(read_file_if_exists("/proc/cpuinfo").value_or(""), '\n')) {
    size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string_view name = trim(std::string_view(line).substr(0, colon));
    if (name == "model name") model = trim(line.substr(colon + 1));
    if (name == "flags") flags = trim(line.substr(colon + 1));
  }
  return model + " " + digest_hex("sha256", flags).substr(0, 16);
}

std::unique_ptr<PendingState> freeze(Running& running, const Config& config, const fs::path& directory,
                                     StageContext& context) {
  Vm& vm = *running.vm;
  bool flushed = flush_guest(running, context);
  std::vector<NextLayer> next = make_next_layers(running, context);
  make_ready_for_states(running, context.stop);
  keep_extras(running, directory);
  find_memories(running, context.stop);
  fs::path devices = directory / device_file;
  std::string lent = running.beside ? "" : lend_file(vm, devices, O_WRONLY | O_CREAT | O_EXCL, context.stop);
  if (running.forked)
    running.forked->copy_ahead();
  else
    running.memory->copy_ahead();
  auto start = Clock::now();
  execute(vm, "stop", {}, context.stop);
  std::optional<Taken> taken;
  try {
    switch_layers(vm, next, context.stop);
    taken = running.beside ? take_devices_alone(running, devices, context.stop)
                           : take_by_migration(running, lent, context.stop);
    keep_variables(running, directory);
  } catch (const Error&) {
    execute(vm, "cont", {}, context.stop);
    throw;
  }
  execute(vm, "cont", {}, context.stop);
  auto pause = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
  context.log.line(fmt::format("state: the machine stood still for {:.1f} ms; {} pages changed", pause.count() / 1000.0,
                               taken->memory.pages()));

  std::vector<std::string> layers, depends;
  Value disks = Value::empty_list();
  for (size_t i = 0; i < running.disks.size(); ++i) {
    Disk& disk = running.disks[i];
    layers.push_back(disk.working.filename().string());
    disks.as_list().emplace_back(layers.back());
    running.layers.push_back(std::exchange(disk.working, next[i].path));
  }
  if (!running.base.empty()) depends.push_back(running.base.string());
  Value details = Value::empty_object();
  details.set("disks", std::move(disks));
  details.set("bootable", flushed);
  details.set("accelerator", running.values.accelerator);
  details.set("qemu", running.qemu_version);
  details.set("cpu", host_cpu_for(running.values.accelerator));
  details.set("machine", digest_hex("sha256", machine_definition(config, running.values, context.scope)));
  details.set("devices_alone", running.beside.has_value());
  details.set("memory", static_cast<int64_t>(running.memory->size()));
  details.set("whole_memory", !std::exchange(running.memory_known, true));
  details.set("changed_pages", static_cast<int64_t>(taken->memory.pages()));
  details.set("pause_us", static_cast<int64_t>(pause.count()));
  return std::make_unique<FrozenState>(std::move(*taken), directory, std::move(layers), std::move(depends),
                                       std::move(details));
}

void keep_extras(const Running& running, const fs::path& directory) {
  for (const auto& [name, member] : extra_files()) {
    const std::string& path = running.values.*member;
    if (!path.empty() && name != variables_file) fs::copy_file(path, directory / name);
  }
  if (running.private_key.empty()) return;
  write_file_atomically(directory / private_key_file, running.private_key, 0600);
  write_file_atomically(directory / public_key_file, running.public_key, 0600);
}

void keep_variables(const Running& running, const fs::path& directory) {
  if (!running.values.efi_vars.empty()) fs::copy_file(running.values.efi_vars, directory / variables_file);
}

void bring_extras(const Config& config, Running& running, const MachineState& first,
                  const MachineState& last) {
  for (const auto& [name, member] : extra_files()) {
    bool variables = name == variables_file;
    fs::path from = (variables ? last : first).directory / name;
    std::error_code error;
    if (!fs::exists(from, error)) continue;
    fs::path to = running.directory / name;
    if (variables && !config.efi_drop_efivars) to = fs::absolute(fs::path(config.output_directory) / name);
    fs::copy_file(from, to);
    running.values.*member = to.string();
  }
  if (!running.values.efi_vars.empty()) running.values.efi_code = config.efi_firmware_code;
  running.private_key = read_file_if_exists(first.directory / private_key_file).value_or("");
  running.public_key = read_file_if_exists(first.directory / public_key_file).value_or("");
}

void layer_disks(Running& running, const MachineState& last, StageContext& context) {
  const Value* layers = last.details.find("disks");
  if (!layers || !layers->is_list() || layers->as_list().size() != running.disks.size()) {
    throw Error(ErrorKind::environment, "it has another number of disks");
  }
  for (size_t i = 0; i < running.disks.size(); ++i) {
    Disk& disk = running.disks[i];
    disk.working = context.states->new_layer(".qcow2");
    disk.format = "qcow2";
    disk.rewrite = true;
    const Value& below = layers->as_list()[i];
    if (!below.is_string()) throw Error(ErrorKind::environment, "its list of disks is damaged");
    make_layer(disk.working, context.states->layers_directory() / below.as_string());
  }
}

bool can_boot(const MachineState& state) { return says(state, "bootable"); }

std::string why_not_hot(const MachineState& last, const std::string& accelerator,
                        const std::string& definition) {
  std::string was = state_detail(last, "accelerator");
  if (was != accelerator)
    return fmt::format("it was made with {} and this machine runs with {}", was, accelerator);
  if (state_detail(last, "cpu") != host_cpu_for(accelerator)) return "it was made on another CPU";
  if (state_detail(last, "machine") != digest_hex("sha256", definition))
    return "the machine is defined otherwise (memory, CPUs or devices)";
  return "";
}

namespace {

/// Where the memory begins: a machine that was booted in between, from the disks of a state, has another one.
std::vector<MachineState>::const_iterator first_of_memory(const std::vector<MachineState>& line) {
  auto whole = [](const MachineState& state) { return says(state, "whole_memory"); };
  auto found = std::find_if(line.rbegin(), line.rend(), whole);
  if (found == line.rend()) throw Error(ErrorKind::environment, "it does not say where its memory begins");
  return std::prev(found.base());
}

}  // namespace

std::shared_ptr<PageFile> memory_of(const std::vector<MachineState>& line, bool share, const Stop& stop) {
  struct All {
    std::map<std::string, std::weak_ptr<PageFile>> of_state;
    std::shared_ptr<PageFile> last;  // stays between two forks that are not up at the same time
  };
  static auto* known = new Guarded<All>();
  const MachineState& last = line.back();
  const Value* size = last.details.find("memory");
  if (!size || size->kind() != Value::Kind::number)
    throw Error(ErrorKind::environment, "it does not say how much memory it has");
  auto make = [&] {
    auto memory = std::make_shared<PageFile>(
        PageFile::memory(std::strtoull(size->as_number().text.c_str(), nullptr, 10)));
    for (auto state = first_of_memory(line); state != line.end(); ++state)
      memory->apply(state->directory / memory_file, stop);
    return memory;
  };
  if (!share) return make();
  return known->with([&](All& all) {
    std::weak_ptr<PageFile>& one = all.of_state[last.instance];
    auto memory = one.lock();
    if (!memory) {
      all.last.reset();  // before there is another
      one = memory = make();
    }
    all.last = memory;
    return memory;
  });
}

bool has_devices_alone(const MachineState& state) { return says(state, "devices_alone"); }

void thaw(Running& running, const MachineState& last, StageContext& context) {
  Vm& vm = *running.vm;
  make_ready_for_states(running, context.stop);
  const std::string& version = running.qemu_version;
  if (std::string was = state_detail(last, "qemu"); was != version) {
    throw Error(ErrorKind::environment,
                fmt::format("it was made by QEMU {} and this is QEMU {}", trim(was), trim(version)));
  }
  execute(vm, "migrate-incoming",
          {{"uri", lend_file(vm, last.directory / device_file, O_RDONLY, context.stop)}}, context.stop);
  wait_migrated(vm, "load the devices' state", context.stop);
  if (has_devices_alone(last)) {
    running.beside = MemoryBeside::find(vm, *running.memory, context.stop);
    if (!running.beside) throw Error(ErrorKind::environment, "the memory of QEMU's process cannot be read");
    running.beside->bring(last.directory, context.stop);
  }
  execute(vm, "cont", {}, context.stop);  // it stood still when it was frozen
}

}  // namespace kiln::qemu
