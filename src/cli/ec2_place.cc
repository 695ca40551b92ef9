#include "cli/ec2_place.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "builder/qemu/accelerator.h"
#include "core/process_table.h"

namespace kiln {

namespace {

constexpr auto kvm_patience = std::chrono::seconds(3);
constexpr int kvm_probe_status = 85;  ///< how QEMU ends when the probe's program has run

fs::path process_file() { return ec2_directory() / "endpoint.json"; }

/// Whether KVM runs a program of a millisecond within seconds: where it is nested without support, it does
/// not.
bool kvm_works(const Stop& stop) {
  if (::access("/dev/kvm", R_OK | W_OK) != 0) return false;
  TempDir directory("kiln-kvm");
  fs::path rom = directory.path() / "probe.rom";
  write_file_atomically(rom, qemu::kvm_probe_rom());
  Command command{{"qemu-system-x86_64", "-machine", "pc,accel=kvm", "-cpu", "max", "-m", "16", "-display",
                   "none", "-nodefaults", "-no-user-config", "-bios", rom.string(), "-device",
                   "isa-debug-exit,iobase=0xf4,iosize=1"}};
  try {
    return run(command, Deadline::in(kvm_patience), stop).status.code == kvm_probe_status;
  } catch (const Error&) {
    stop.check();
    return false;
  }
}

}  // namespace

fs::path ec2_directory() { return state_directory() / "ec2"; }

std::string ec2_region(const std::string& option) {
  if (!option.empty()) return option;
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (auto value = get_env(name); value && !value->empty()) return *value;
  }
  return "us-east-1";
}

bool Ec2Process::alive() const { return pid > 1 && process_start_time(static_cast<pid_t>(pid)) == start; }

std::string Ec2Process::url() const { return fmt::format("http://{}:{}", address, port); }

std::optional<Ec2Process> read_ec2_process() {
  auto text = read_file_if_exists(process_file());
  if (!text) return std::nullopt;
  auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  try {
    return Ec2Process{json.at("pid"), json.at("start"), json.at("address"), json.at("port")};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

void write_ec2_process(const Ec2Process& process) {
  nlohmann::json json = {
      {"pid", process.pid}, {"start", process.start}, {"address", process.address}, {"port", process.port}};
  write_file_atomically(process_file(), json.dump() + "\n", 0600);
}

std::string ec2_accelerator(const std::string& option, const Stop& stop) {
  if (!option.empty()) return option;
  return kvm_works(stop) ? "kvm" : "tcg";
}

ec2::MachineOptions ec2_machine_options(const Invocation& invocation, const Ec2Options& options,
                                        const Stop& stop) {
  if (!find_program("qemu-system-x86_64") || !find_program("qemu-img")) {
    throw Error(ErrorKind::environment,
                "QEMU is not installed (Debian: apt install qemu-system-x86 qemu-utils)");
  }
  ec2::MachineOptions out;
  out.account = ec2_account;
  out.accelerator = ec2_accelerator(options.accelerator, stop);
  out.metadata_command = {fs::read_symlink("/proc/self/exe").string(), "ec2", "imds"};
  out.outbound = options.outbound;
  out.log = [log = invocation.log](const std::string& line) { log->line("[INFO] ec2: " + line); };
  return out;
}

std::unique_ptr<ec2::State> open_ec2_state() {
  if (!fs::exists(ec2_directory() / "ec2.db")) {
    throw Error(ErrorKind::user,
                "There is nothing yet: begin with `kiln ec2 import IMAGE -name NAME` and `kiln ec2 up`.");
  }
  return std::make_unique<ec2::State>(ec2_directory());
}

const ec2::Image& find_ec2_image(const ec2::State& state, const std::string& reference) {
  const ec2::Image* found = nullptr;
  for (const auto& [id, image] : state.images) {
    if (id == reference) return image;
    if (image.name == reference && (!found || found->created < image.created)) found = &image;
  }
  if (!found) throw Error(ErrorKind::user, "There is no AMI " + go_quote(reference) + " (`kiln ec2 ls` shows them).");
  return *found;
}

std::string instance_state_now(const ec2::Instance& instance) {
  bool has_ended =
      instance.pid > 0 && process_start_time(static_cast<pid_t>(instance.pid)) != instance.pid_start;
  if (!has_ended) return instance.state;
  if (instance.state == "shutting-down") return "terminated";
  return instance.state == "running" || instance.state == "stopping" ? "stopped" : instance.state;
}

}  // namespace kiln
