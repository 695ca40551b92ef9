#include "builder/qemu/accelerator.h"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "core/journal.h"

namespace kiln::qemu {

namespace {

// The program, at F000:0000: lgdt; protected mode; identity map of 16 MiB in 2 MiB pages at 0x10000; long mode;
// sixteen passes of 8-byte stores over 1 MiB at 1 MiB (2 million stores: 1 ms natively, 10 ms by TCG); then
// 0x2a to port 0xF4, where isa-debug-exit makes QEMU end with status 85.
constexpr unsigned char probe_program[] = {
    0xfa, 0x2e, 0x66, 0x0f, 0x01, 0x16, 0xd8, 0x00, 0x0f, 0x20, 0xc0, 0x66, 0x83, 0xc8, 0x01, 0x0f, 0x22,
    0xc0, 0x66, 0xea, 0x1a, 0x00, 0x0f, 0x00, 0x08, 0x00, 0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xc0,
    0x8e, 0xd0, 0xbf, 0x00, 0x00, 0x01, 0x00, 0x31, 0xc0, 0xb9, 0x00, 0x0c, 0x00, 0x00, 0xfc, 0xf3, 0xab,
    0xc7, 0x05, 0x00, 0x00, 0x01, 0x00, 0x03, 0x10, 0x01, 0x00, 0xc7, 0x05, 0x00, 0x10, 0x01, 0x00, 0x03,
    0x20, 0x01, 0x00, 0xbf, 0x00, 0x20, 0x01, 0x00, 0xb8, 0x83, 0x00, 0x00, 0x00, 0xb9, 0x08, 0x00, 0x00,
    0x00, 0x89, 0x07, 0x05, 0x00, 0x00, 0x20, 0x00, 0x83, 0xc7, 0x08, 0xe2, 0xf4, 0xb8, 0x00, 0x00, 0x01,
    0x00, 0x0f, 0x22, 0xd8, 0x0f, 0x20, 0xe0, 0x83, 0xc8, 0x20, 0x0f, 0x22, 0xe0, 0xb9, 0x80, 0x00, 0x00,
    0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x01, 0x00, 0x00, 0x0f, 0x30, 0x0f, 0x20, 0xc0, 0x0d, 0x00, 0x00, 0x00,
    0x80, 0x0f, 0x22, 0xc0, 0xea, 0x93, 0x00, 0x0f, 0x00, 0x18, 0x00, 0xba, 0x10, 0x00, 0x00, 0x00, 0xbf,
    0x00, 0x00, 0x10, 0x00, 0xb9, 0x00, 0x00, 0x02, 0x00, 0x48, 0x89, 0x0f, 0x48, 0x83, 0xc7, 0x08, 0xff,
    0xc9, 0x75, 0xf5, 0xff, 0xca, 0x75, 0xe7, 0xb0, 0x2a, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00,
    0x00, 0x92, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xaf, 0x00, 0x1f, 0x00, 0xb8, 0x00, 0x0f,
    0x00,
};
constexpr unsigned char probe_reset_vector[] = {0xea, 0x00, 0x00, 0x00, 0xf0};  // jmp F000:0000
constexpr size_t probe_rom_size = 65536;
constexpr int probe_good_status = (0x2a << 1) | 1;
// Wall time is no measure on a loaded machine; CPU time is.
constexpr double probe_cpu_seconds = 0.3;
constexpr auto probe_wall_limit = std::chrono::seconds(8);

/// User and system seconds a process has used, from /proc/PID/stat.
double cpu_seconds(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  size_t end = text.rfind(')');
  if (end == std::string::npos) return 0;
  std::istringstream fields(text.substr(end + 1));
  std::string field;
  double ticks = 0;
  for (int i = 3; i <= 15 && fields >> field; ++i) {
    if (i >= 14) ticks += std::strtod(field.c_str(), nullptr);
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::string last_line(std::string_view text) {
  auto lines = split(trim(text), '\n');
  return lines.empty() ? "" : lines.back();
}

KvmVerdict try_kvm(const std::string& qemu_binary, const std::string& cpu_model, StageContext& context) {
  Fd device(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!device.is_open()) return {false, "/dev/kvm: " + go_errno_text(errno)};
  utsname host{};
  ::uname(&host);
  std::string name = fs::path(qemu_binary).filename().string();
  bool x86 = name == "qemu-system-x86_64" || name == "qemu-system-i386";
  if (name.starts_with("qemu-system-") && !x86 && name != "qemu-system-" + std::string(host.machine)) {
    return {false, name + " emulates another kind of processor than this machine's"};
  }
  if (!x86) return {true, ""};  // no program for it: taken at its word

  TempDir directory("kiln-kvm");
  fs::path rom = directory.path() / "probe.rom";
  write_file_atomically(rom, kvm_probe_rom());
  Command command{{qemu_binary, "-machine", "pc,accel=kvm", "-m", "16", "-display", "none", "-nodefaults",
                   "-no-user-config", "-bios", rom.string(), "-device", "isa-debug-exit,iobase=0xf4,iosize=1"}};
  if (!cpu_model.empty()) command.argv.insert(command.argv.end(), {"-cpu", cpu_model});
  fs::path log = directory.path() / "log";
  Fd log_fd(::open(log.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  // Journaled, since on a machine where KVM crawls it would run for ever if we were killed now.
  Resource resource = context.journal.append(ResourceKind::process, "QEMU that tries KVM", context.build.display_name);
  struct Forget {
    Journal& journal;
    int64_t id;
    ~Forget() { journal.remove(id); }
  } forget{context.journal, resource.id};
  command.env["KILN_RESOURCE"] = resource.token;
  Process process = Process::start(command, {.out = Process::Stdio::null, .err_fd = log_fd.get()});
  Deadline limit = Deadline::in(probe_wall_limit);
  while (!limit.passed()) {
    if (auto status = process.wait(limit.at_most(std::chrono::milliseconds(50)), context.stop)) {
      if (status->code == probe_good_status) return {true, ""};
      std::string words = last_line(read_file(log));
      return {false, words.empty() ? "QEMU ended with status " + std::to_string(status->code) : words};
    }
    if (cpu_seconds(process.pid()) > probe_cpu_seconds) {
      process.kill(SIGKILL);
      return {false, "virtual machines start but run slower than by emulation"};
    }
  }
  process.kill(SIGKILL);
  return {false, "QEMU with KVM did not get anywhere"};
}

}  // namespace

std::string kvm_probe_rom() {
  std::string rom(probe_rom_size, '\xf4');
  rom.replace(0, sizeof probe_program, reinterpret_cast<const char*>(probe_program), sizeof probe_program);
  rom.replace(0xfff0, sizeof probe_reset_vector, reinterpret_cast<const char*>(probe_reset_vector),
              sizeof probe_reset_vector);
  return rom;
}

KvmVerdict KvmProbe::probe(const std::string& qemu_binary, const std::string& cpu_model, StageContext& context) {
  std::string key = qemu_binary + "\n" + cpu_model;
  // Held while trying: a second build waits for the first one's answer.
  return known_.with([&](auto& known) {
    auto found = known.find(key);
    if (found == known.end()) found = known.emplace(key, try_kvm(qemu_binary, cpu_model, context)).first;
    return found->second;
  });
}

}  // namespace kiln::qemu
