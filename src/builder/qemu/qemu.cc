#include "builder/qemu/qemu.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "base/file.h"
#include "base/text.h"
#include "builder/qemu/accelerator.h"
#include "builder/qemu/machine.h"
#include "builder/qemu/state.h"
#include "core/journal.h"
#include "kit/key_pair.h"
#include "kit/renew_identity.h"

namespace kiln {

namespace qemu {

namespace {

constexpr auto renew_limit = std::chrono::minutes(5);  // keys take their time under emulation

bool mentions_public_key(const Config& config) {
  auto has = [](const std::string& text) { return contains(text, "SSHPublicKey"); };
  for (const auto& text : config.boot.boot_command) {
    if (has(text)) return true;
  }
  for (const auto& step : config.boot.boot_steps) {
    for (const auto& text : step) {
      if (has(text)) return true;
    }
  }
  for (const auto& [path, text] : config.http.http_content) {
    if (has(text)) return true;
  }
  return false;
}

class QemuBuilder : public Builder {
 public:
  explicit QemuBuilder(std::shared_ptr<KvmProbe> probe) : probe_(std::move(probe)) {}

  void prepare(const PrepareInput& input) override {
    written_ = input.config;
    config_ = qemu::prepare(input);
  }
  std::optional<Value> fresh_machine(const Artifact& artifact, const fs::path& scratch) const override {
    return fresh_machine_config(written_, artifact, scratch);
  }
  std::vector<std::string> generated_data_names() const override {
    return {"PackerHTTPIP", "PackerHTTPPort", "PackerHTTPAddr", "SSHHostPort", "HTTPIP", "HTTPPort"};
  }
  std::unique_ptr<Machine> start(StageContext& context) override;
  std::string keeps_no_states() const override { return why_no_states(config_); }
  std::unique_ptr<Machine> restore(const std::vector<MachineState>& line, bool goes_on, StageContext& context) override;
  std::optional<Artifact> finish(Machine& machine, StageContext& context) override;

 private:
  void check_program() const;
  void start_steps(const std::shared_ptr<Running>& running, StageContext& context);
  void restore_steps(const std::shared_ptr<Running>& running, const std::vector<MachineState>& line, bool hot,
                     bool goes_on, StageContext& context);
  std::unique_ptr<Machine> bring_up(StageContext& context,
                                    const std::function<void(const std::shared_ptr<Running>&)>& steps);
  std::string choose_accelerator(StageContext& context);
  void make_keys(Running& running, StageContext& context);
  uint64_t memory_bytes() const { return static_cast<uint64_t>(config_.memory) << 20U; }
  /// The machine works on layers of qcow2 when its states are kept, whatever it ends as.
  Config working_config(const StageContext& context) const {
    Config out = config_;
    if (!context.states) return out;
    out.format = "qcow2";
    // A layer is written to the disk when its state is kept, and a half-built one is worth nothing: the guest
    // need not wait for the disk each time. What it no longer uses is left out of states and images. A chosen
    // option stays.
    auto choose = [this](const char* option, std::string& value, const char* ours) {
      if (!written_.find(option)) value = ours;
    };
    choose("disk_cache", out.disk_cache, "unsafe");
    choose("disk_discard", out.disk_discard, "unmap");
    choose("disk_detect_zeroes", out.disk_detect_zeroes, "unmap");
    return out;
  }
  void keep_states_of(Running& running, const fs::path& source, StageContext& context) const;
  void shut_down(Running& running, StageContext& context);
  Artifact make_artifact(Running& running);

  Value written_;  ///< the configuration as prepare() got it
  Config config_;
  std::shared_ptr<KvmProbe> probe_;
  std::shared_ptr<Running> running_;  ///< also kept here, so that -on-error=abort leaves a half-started machine alone
};

std::string QemuBuilder::choose_accelerator(StageContext& context) {
  if (!config_.accelerator.empty() && config_.accelerator != "kvm") return config_.accelerator;
  KvmVerdict verdict = probe_->probe(config_.qemu_binary, config_.cpu_model, context);
  if (verdict.works) {
    context.log.line("KVM works: it was tried");
    return "kvm";
  }
  if (!config_.accelerator.empty()) {
    throw Error(ErrorKind::environment,
                fmt::format("accelerator \"kvm\" cannot be used here: {}. Leave accelerator out to have the best one "
                            "found, or set it to \"tcg\".", verdict.why));
  }
  context.ui.message(fmt::format("KVM does not work here ({}): the machine is emulated (tcg).", verdict.why));
  return "tcg";
}

/// A key pair for this build, when there is no other way in or the template asks for its public half.
void QemuBuilder::make_keys(Running& running, StageContext& context) {
  const CommunicatorConfig& comm = config_.comm;
  if (comm.communicator != "ssh" || !comm.ssh_private_key_file.empty() || comm.ssh_agent_auth) return;
  if (!comm.ssh_password.empty() && !mentions_public_key(config_)) return;
  context.ui.say(fmt::format("Creating temporary {} SSH key for instance...", upper(comm.temporary_key_pair_type)));
  KeyPair pair = make_key_pair(comm.temporary_key_pair_type, comm.temporary_key_pair_bits,
                               comm.temporary_key_pair_name);
  running.public_key = pair.public_text;
  running.private_key = pair.private_text;
}

/// Memory and disks where their states can be taken.
void QemuBuilder::keep_states_of(Running& running, const fs::path& source, StageContext& context) const {
  running.memory = std::make_shared<PageFile>(PageFile::memory(memory_bytes()));
  for (auto& disk : running.disks) {
    disk.working = context.states->new_layer(".qcow2");
    disk.format = "qcow2";
    disk.rewrite = true;
  }
  if (config_.disk_image) running.base = fs::absolute(source);
}

void QemuBuilder::check_program() const {
  if (find_program(config_.qemu_binary)) return;
  throw Error(ErrorKind::environment, "Failed creating Qemu driver: the program \"" + config_.qemu_binary +
                                          "\" was not found on PATH (Debian: apt install qemu-system-x86)");
}

void QemuBuilder::start_steps(const std::shared_ptr<Running>& running, StageContext& context) {
  check_program();
  make_private_directory(running, context);
  fs::path source;
  context.step("StepDownload", [&] {
    source = config_.iso_skip_cache ? fs::path(config_.iso.urls.at(0)) : download(config_.iso.request(), context);
  });
  context.step("stepPrepareOutputDir", [&] { prepare_output_directory(config_, running, context); });
  context.step("StepSSHKeyGen", [&] { make_keys(*running, context); });
  context.step("stepCreateDisk", [&] {
    make_extra_images(config_, *running, context);
    make_seed_image(config_, *running, context);
    running->disks = plan_disks(config_);
    if (context.states) keep_states_of(*running, source, context);
    create_disks(working_config(context), running->disks, config_.disk_image ? source : fs::path(), context);
    if (!config_.disk_image) running->values.cdrom = source.string();
  });
  context.step("StepHTTPServer", [&] { start_http_server(config_, *running, context); });
  context.step("stepRun", [&] {
    start_tpm(config_, running, context);
    choose_display(config_, *running, context);
    start_vm(working_config(context), choose_accelerator(context), running, context);
  });
  if (config_.boot.has_command() || config_.boot.boot_wait_set) {
    context.step("stepTypeBootCommand", [&] { type_boot_command(config_, *running, context); });
  }
  context.step("StepConnect", [&] { connect_machine(config_, *running, context); });
}

/// Not as steps of the build: when this fails the machine is started in another way.
void QemuBuilder::restore_steps(const std::shared_ptr<Running>& running, const std::vector<MachineState>& line,
                                bool hot, bool goes_on, StageContext& context) {
  const MachineState& last = line.back();
  check_program();
  make_private_directory(running, context);
  RunValues& values = running->values;
  if (!config_.disk_image && hot) values.cdrom = download(config_.iso.request(), context).string();
  prepare_output_directory(config_, running, context);
  running->disks = plan_disks(config_);
  layer_disks(*running, last, context);
  bring_extras(config_, *running, line.front(), last);
  if (!last.depends.empty()) running->base = last.depends.front();
  start_http_server(config_, *running, context);
  choose_display(config_, *running, context);
  values.accelerator = choose_accelerator(context);
  values.installed = !hot;
  values.incoming = hot;
  values.devices_alone = hot && has_devices_alone(last);
  values.memory_private = hot && (!goes_on || (values.devices_alone && ProcessMemory::can_be_seen()));
  if (hot) {
    std::string why = why_not_hot(last, values.accelerator, machine_definition(config_, values, context.scope));
    if (!why.empty()) throw Error(ErrorKind::environment, why);
    running->memory = memory_of(line, values.memory_private, context.stop);
    running->memory_known = true;
  } else {
    running->memory = std::make_shared<PageFile>(PageFile::memory(memory_bytes()));
  }
  start_vm(working_config(context), values.accelerator, running, context);
  if (hot) {
    thaw(*running, last, context);
    reconnect_machine(config_, *running, context);
  } else {
    connect_machine(config_, *running, context);
  }
  if (config_.renew.empty()) return;
  renew_identity(*running->communicator, config_.renew, Deadline::in(renew_limit), context.stop);
  context.ui.message("Made anew in this copy of the machine: " + join(config_.renew, ", "));
}

std::unique_ptr<Machine> QemuBuilder::restore(const std::vector<MachineState>& line, bool goes_on,
                                              StageContext& context) {
  size_t undo_before = context.undo.size();
  try {
    return bring_up(context, [&](const auto& running) { restore_steps(running, line, true, goes_on, context); });
  } catch (const Error& error) {
    if (context.stop.requested() || !can_boot(line.back())) throw;
    context.ui.say(fmt::format("Boots from the disks of the state, without its memory: {}", error.message()));
    context.undo.run_down_to(undo_before, Outcome::cancelled,
                             [&](const std::string& problem) { context.ui.error("Error cleaning up: " + problem); });
  }
  return bring_up(context, [&](const auto& running) { restore_steps(running, line, false, goes_on, context); });
}

std::unique_ptr<Machine> QemuBuilder::start(StageContext& context) {
  return bring_up(context, [&](const auto& running) { start_steps(running, context); });
}

std::unique_ptr<Machine> QemuBuilder::bring_up(StageContext& context,
                                               const std::function<void(const std::shared_ptr<Running>&)>& steps) {
  running_ = std::make_shared<Running>();
  auto running = running_;
  auto machine = std::make_unique<QemuMachine>(running, config_, context.stop);
  try {
    steps(running);
  } catch (const Error&) {
    collect_vm_evidence(*running, context.evidence_directory);
    throw;
  }
  return machine;
}

void QemuBuilder::shut_down(Running& running, StageContext& context) {
  Vm& vm = *running.vm;
  Deadline limit = Deadline::in(config_.shutdown.shutdown_timeout);
  auto too_late = [] { return Error(ErrorKind::timeout, "Timeout while waiting for machine to shutdown."); };
  if (config_.comm.communicator == "none") {
    context.ui.say("Waiting for shutdown...");
    if (!vm.wait_off(limit, context.stop)) throw too_late();
  } else if (!config_.shutdown.shutdown_command.empty()) {
    context.ui.say("Gracefully halting virtual machine...");
    std::string note;
    auto drop = [&](std::string_view bytes) { note += bytes; };
    try {
      auto& shell = static_cast<VmCommunicator&>(*running.communicator);
      int status = shell.run(config_.shutdown.shutdown_command, drop, drop, limit, context.stop);
      if (status != 0 && status != disconnected_status) note += fmt::format("\n(exit status {})", status);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::cancelled) throw;
      if (vm.alive()) note += "\n" + error.message();
    }
    context.log.line("shutdown_command said: " + note);
    if (!vm.wait_off(limit, context.stop)) {
      if (trim(note).empty()) throw too_late();
      throw Error(ErrorKind::timeout, too_late().message() + " shutdown_command said: " + std::string(trim(note)));
    }
  } else {
    context.ui.say("Halting the virtual machine...");
  }
  vm.force_off();
}

Artifact QemuBuilder::make_artifact(Running& running) {
  Artifact artifact;
  artifact.builder_id = "transcend.qemu";
  artifact.id = "VM";
  artifact.description = "VM files in directory: " + config_.output_directory;
  for (const auto& entry : fs::recursive_directory_iterator(config_.output_directory)) {
    if (entry.is_regular_file()) artifact.files.push_back(entry.path().string());
  }
  std::sort(artifact.files.begin(), artifact.files.end());
  Value::List paths;
  for (const auto& disk : running.disks) paths.emplace_back(disk.final.string());
  artifact.state = Value::empty_object();
  artifact.state.set("diskName", config_.vm_name);
  artifact.state.set("diskPaths", Value(paths));
  artifact.state.set("diskType", config_.format);
  artifact.state.set("diskSize", config_.disk_size);
  artifact.state.set("domainType", running.values.accelerator == "kvm" ? "kvm" : "qemu");
  artifact.destroy = [directory = config_.output_directory] {
    std::error_code error;
    fs::remove_all(directory, error);
    if (error) throw Error(ErrorKind::environment, "cannot delete " + directory + ": " + error.message());
  };
  return artifact;
}

std::optional<Artifact> QemuBuilder::finish(Machine& machine, StageContext& context) {
  auto& running = static_cast<QemuMachine&>(machine).running();
  context.step("stepShutdown", [&] { shut_down(running, context); });
  running.communicator.reset();
  context.step("stepConvertDisk", [&] { finish_disks(config_, running.disks, context); });
  std::error_code ignored;
  if (config_.qmp_enable) fs::remove(config_.qmp_socket_path, ignored);
  Artifact artifact = make_artifact(running);
  running.finished = true;
  context.journal.remove(running.output_journal_id);
  return artifact;
}

}  // namespace

}  // namespace qemu

ComponentEntry<Builder> qemu_builder() {
  auto probe = std::make_shared<qemu::KvmProbe>();
  return {"qemu", "Builds machines with QEMU, from an installation ISO or a disk image.", 
          qemu::options,
          [probe] { return std::make_unique<qemu::QemuBuilder>(probe); }};
}

}  // namespace kiln
