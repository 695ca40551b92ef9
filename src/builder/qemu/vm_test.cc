// Builds with real machines: the tiny guest of tests/support.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "builder/qemu/accelerator.h"
#include "builder/qemu/machine.h"
#include "builder/qemu/qemu.h"
#include "kit/test_stage.h"

namespace kiln::qemu {
namespace {

constexpr const char* tiny_guest_maker = KILN_SOURCE_DIR "/tests/support/tiny_guest/make.sh";

/// The tiny guest's directory; made when it is not there yet.
const fs::path& tiny_guest() {
  static const fs::path directory = [] {
    if (auto given = get_env("KILN_TINY_GUEST")) return fs::path(*given);
    fs::path cache = get_env("XDG_CACHE_HOME") ? fs::path(*get_env("XDG_CACHE_HOME")) : expand_home("~/.cache");
    fs::path out = cache / "kiln" / "tiny-guest";
    fs::create_directories(out.parent_path());
    run_checked({{"bash", tiny_guest_maker, out.string()}},
                Deadline::in(std::chrono::minutes(5)), Stop());
    return out;
  }();
  return directory;
}

/// A build of the qemu builder on a temporary directory.
struct QemuBuild {
  TestStage stage;
  std::unique_ptr<Builder> builder = qemu_builder().make();
  std::unique_ptr<Machine> machine;
  Value options = Value::empty_object();
  fs::path output = stage.directory.path() / "out";

  QemuBuild() {
    stage.build.builder_type = "qemu";
    options.set("output_directory", output.string());
    options.set("vm_name", "tiny");
    options.set("ssh_username", "root");
    options.set("ssh_private_key_file", (tiny_guest() / "id_ed25519").string());
    options.set("ssh_timeout", "180s");
    options.set("memory", 256);
    options.set("headless", true);
    options.set("iso_checksum", "none");
  }
  void from_disk(const fs::path& disk) {
    options.set("iso_url", disk.string());
    options.set("disk_image", true);
    options.set("disk_size", "2G");
  }
  std::vector<std::string> prepare() {
    stage.prepare(*builder, options);
    std::vector<std::string> errors;
    for (const auto& item : stage.diagnostics.items()) {
      if (item.severity == Severity::error) errors.push_back(item.summary);
    }
    return errors;
  }
  void start() {
    auto errors = prepare();
    ASSERT_TRUE(errors.empty()) << join(errors, "\n");
    try {
      machine = builder->start(stage.context);
    } catch (const Error& error) {
      FAIL() << error.message() << "\n" << join(stage.lines(), "\n") << "\nserial:\n"
             << read_file_if_exists(stage.directory.path() / "serial.log").value_or("");
    }
  }
  std::pair<int, std::string> run(const std::string& command) {
    std::string out;
    auto sink = [&](std::string_view bytes) { out += bytes; };
    int status = machine->communicator().run(command, sink, sink, Deadline::in(std::chrono::seconds(60)), stage.stop);
    return {status, out};
  }
  void undo(Outcome outcome) {
    std::vector<std::string> failures;
    stage.undo.run(outcome, [&](const std::string& text) { failures.push_back(text); });
    EXPECT_TRUE(failures.empty()) << join(failures, "\n");
    machine.reset();
    EXPECT_TRUE(stage.journal.live.empty()) << stage.journal.live.begin()->second.name;
  }
  ~QemuBuild() { stage.undo.run(Outcome::failed, [](const std::string&) {}); }
};

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(directory)) out.push_back(entry.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

class VmQemu : public testing::Test {
 protected:
  void SetUp() override {
    if (!get_env("KILN_TINY_GUEST") && !fs::exists(tiny_guest_maker)) GTEST_SKIP() << "no tiny guest to be had";
  }
};

TEST_F(VmQemu, DiskImageBecomesAnImageAndThatABackingFile) {
  QemuBuild first;
  first.from_disk(tiny_guest() / "tiny-bios.qcow2");
  first.options.set("shutdown_command", "poweroff");
  first.options.set("disk_compression", true);
  first.options.set("disk_additional_size", Value(Value::List{Value("20M")}));
  auto begin = Clock::now();
  ASSERT_NO_FATAL_FAILURE(first.start());
  auto up = Clock::now();
  EXPECT_EQ(first.run("echo made-by-kiln > /marker && sync").first, 0);
  EXPECT_EQ(first.run("exit 7").first, 7);
  Value data = first.machine->build_data();
  EXPECT_EQ(data.find("Host")->as_string(), "127.0.0.1");
  EXPECT_EQ(data.find("PackerHTTPIP")->as_string(), "10.0.2.2");
  EXPECT_EQ(names_in(first.output), (std::vector<std::string>{"tiny-1.kiln-part", "tiny.kiln-part"}));
  auto ran = Clock::now();
  auto artifact = first.builder->finish(*first.machine, first.stage.context);
  auto end = Clock::now();
  ASSERT_TRUE(artifact.has_value());
  EXPECT_EQ(artifact->builder_id, "transcend.qemu");
  EXPECT_EQ(artifact->id, "VM");
  EXPECT_EQ(artifact->description, "VM files in directory: " + first.output.string());
  EXPECT_EQ(names_in(first.output), (std::vector<std::string>{"tiny", "tiny-1"}));
  EXPECT_EQ(artifact->files.size(), 2U);
  EXPECT_EQ(artifact->state.find("diskType")->as_string(), "qcow2");
  first.undo(Outcome::succeeded);
  EXPECT_TRUE(fs::exists(first.output / "tiny"));
  EXPECT_TRUE(contains(read_file(first.stage.directory.path() / "serial.log"), "tiny"));
  auto ms = [](auto span) { return std::to_string(std::chrono::duration_cast<Millis>(span).count()); };
  RecordProperty("start_ms", ms(up - begin));
  RecordProperty("commands_ms", ms(ran - up));
  RecordProperty("finish_ms", ms(end - ran));
  auto info = run_checked({{"qemu-img", "info", (first.output / "tiny").string()}}, Deadline::never(), Stop());
  EXPECT_FALSE(contains(info, "backing file")) << info;
  EXPECT_TRUE(contains(info, "2 GiB")) << info;

  QemuBuild second;
  second.from_disk(first.output / "tiny");
  second.options.set("use_backing_file", true);
  ASSERT_NO_FATAL_FAILURE(second.start());
  EXPECT_EQ(second.run("cat /marker").second, "made-by-kiln\n");
  // Without shutdown_command the machine is forced off.
  ASSERT_TRUE(second.builder->finish(*second.machine, second.stage.context).has_value());
  second.undo(Outcome::succeeded);
  info = run_checked({{"qemu-img", "info", (second.output / "tiny").string()}}, Deadline::never(), Stop());
  EXPECT_TRUE(contains(info, "backing file: " + fs::absolute(first.output / "tiny").string())) << info;
}

TEST_F(VmQemu, IsoIsInstalledByTypingOverVnc) {
  QemuBuild build;
  // Only the installed system takes the key made for this build, so ssh waits for it and not for the installer.
  std::string answer =
      "set -e\n"
      "tiny-install /dev/vda\n"
      "mount -t ext4 /dev/vda2 /target\n"
      "mkdir -p /target/root/.ssh\n"
      "echo '{{ .SSHPublicKey }}' > /target/root/.ssh/authorized_keys\n"
      "touch /target/installed-by-answer\n"
      "umount /target\n"
      "reboot -f\n";
  build.options.take("ssh_private_key_file");
  build.options.set("temporary_key_pair_type", "ed25519");
  build.options.set("iso_url", (tiny_guest() / "tiny.iso").string());
  build.options.set("disk_size", "600M");
  build.options.set("http_content", Value(std::map<std::string, std::string>{{"/a", answer}}));
  build.options.set("cd_content", Value(std::map<std::string, std::string>{{"user-data", "cloud"}}));
  build.options.set("floppy_content", Value(std::map<std::string, std::string>{{"ks.cfg", "x"}}));
  build.options.set("boot_wait", "1500ms");
  build.options.set("boot_key_interval", "50ms");
  build.options.set("vnc_use_password", true);
  build.options.set("shutdown_command", "poweroff");
  build.options.set("boot_command",
                    Value(Value::List{Value("install url=http://{{ .HTTPIP }}:"), Value("{{ .HTTPPort }}/a<enter>")}));
  ASSERT_NO_FATAL_FAILURE(build.start());
  EXPECT_EQ(build.run("ls /installed-by-answer").second, "/installed-by-answer\n");
  EXPECT_EQ(build.run("mkdir -p /cd; i=0; until mount -t iso9660 -o ro /dev/sr1 /cd 2>/dev/null || [ $i -ge 50 ]; do "
                      "sleep 0.2; i=$((i + 1)); done; cat /cd/user-data").second, "cloud");
  ASSERT_TRUE(build.builder->finish(*build.machine, build.stage.context).has_value());
  EXPECT_EQ(names_in(build.output), (std::vector<std::string>{"tiny"}));
  build.undo(Outcome::succeeded);
  auto lines = join(build.stage.lines(), "\n");
  for (const auto* line : {"say: Starting HTTP server on port ", "say: Waiting 1.5s for boot...",
                           "say: Connecting to VM via VNC (127.0.0.1:59", "say: Typing the boot command(s) over VNC...",
                           "say: Gracefully halting virtual machine..."}) {
    EXPECT_TRUE(contains(lines, line)) << line << "\nis not in\n" << lines;
  }
}

TEST_F(VmQemu, StopWhileItBootsLeavesNothing) {
  QemuBuild build;
  build.options.set("iso_url", (tiny_guest() / "tiny.iso").string());
  build.options.set("disk_size", "64M");
  build.options.set("disable_vnc", true);
  build.options.set("boot_wait", "1500ms");
  build.options.set("boot_key_interval", "50ms");
  build.options.set("boot_command", Value(Value::List{Value("live<enter>")}));
  build.options.set("ssh_username", "nobody");  // never gets in
  ASSERT_TRUE(build.prepare().empty());
  // What was typed over QMP arrived when the live system is up; then somebody presses ^C.
  std::thread stopper([&] {
    Deadline limit = Deadline::in(std::chrono::seconds(60));
    while (!limit.passed()) {
      if (contains(read_file_if_exists(build.stage.directory.path() / "serial.log").value_or(""), "tiny: up")) break;
      std::this_thread::sleep_for(Millis(50));
    }
    EXPECT_FALSE(limit.passed());
    build.stage.stop.request();
  });
  Clock::time_point thrown;
  try {
    build.builder->start(build.stage.context);
    ADD_FAILURE() << "it started";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::cancelled) << error.message();
    thrown = Clock::now();
  }
  stopper.join();
  EXPECT_TRUE(fs::exists(build.stage.directory.path() / "screenshot.png"));
  build.undo(Outcome::cancelled);
  EXPECT_LT(Clock::now() - thrown, std::chrono::seconds(5));
  EXPECT_FALSE(fs::exists(build.output));
}

/// The pid of the QEMU whose output directory this is.
pid_t qemu_pid(const QemuBuild& build) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    auto command = read_file_if_exists(entry.path() / "cmdline").value_or("");
    if (contains(command, "qemu-system") && contains(command, build.output.string())) return std::stoi(name);
  }
  return -1;
}

TEST_F(VmQemu, AKilledQemuEndsTheBuildAtOnceWithEvidence) {
  QemuBuild build;
  build.from_disk(tiny_guest() / "tiny-bios.qcow2");
  ASSERT_NO_FATAL_FAILURE(build.start());
  pid_t pid = qemu_pid(build);
  ASSERT_GT(pid, 0);
  build.machine->collect_evidence(build.stage.directory.path());
  std::thread killer([&] {
    std::this_thread::sleep_for(Millis(500));
    ::kill(pid, SIGKILL);
  });
  auto begin = Clock::now();
  try {
    build.run("sleep 50");
    ADD_FAILURE() << "nobody noticed";
  } catch (const Error& error) {
    EXPECT_TRUE(contains(error.message(), "QEMU ended unexpectedly (killed by signal 9)")) << error.message();
  }
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(3));
  killer.join();
  build.machine->collect_evidence(build.stage.directory.path());
  EXPECT_TRUE(read_file(build.stage.directory.path() / "screenshot.png").starts_with("\x89PNG"));
  EXPECT_TRUE(contains(read_file(build.stage.directory.path() / "serial.log"), "tiny: up"));
  std::string script = read_file(build.stage.directory.path() / "reproduce.sh");
  EXPECT_TRUE(contains(script, "qemu-system-x86_64") && !contains(script, "kiln-control")) << script;
  build.undo(Outcome::failed);
  EXPECT_FALSE(fs::exists(build.output));
}

TEST_F(VmQemu, UefiStartsWithItsOwnVariablesAndATpm) {
  if (!fs::exists("/usr/share/OVMF/OVMF_CODE.fd")) GTEST_SKIP() << "ovmf is not installed";
  QemuBuild build;
  build.from_disk(tiny_guest() / "tiny-bios.qcow2");
  build.options.set("efi_boot", true);
  build.options.set("vtpm", find_program("swtpm").has_value());
  build.options.set("communicator", "none");
  build.options.set("shutdown_timeout", "1s");
  ASSERT_NO_FATAL_FAILURE(build.start());
  EXPECT_EQ(build.run("anything").first, 0);
  Deadline limit = Deadline::in(std::chrono::seconds(60));
  auto console = [&] { return read_file_if_exists(build.stage.directory.path() / "serial.log").value_or(""); };
  while (!contains(console(), "BdsDxe") && !limit.passed()) std::this_thread::sleep_for(Millis(100));
  EXPECT_TRUE(contains(console(), "BdsDxe")) << console();
  try {
    build.builder->finish(*build.machine, build.stage.context);
    ADD_FAILURE() << "a machine nobody switched off";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "Timeout while waiting for machine to shutdown.");
  }
  ASSERT_TRUE(fs::exists(build.output / "efivars.fd"));
  EXPECT_NE(read_file(build.output / "efivars.fd"), read_file("/usr/share/OVMF/OVMF_VARS.fd"));
  build.undo(Outcome::failed);
}

TEST_F(VmQemu, AMachineThatCannotStartSaysWhy) {
  QemuBuild build;
  build.from_disk(tiny_guest() / "tiny-bios.qcow2");
  Value::List item{Value("-machine"), Value("type=nonesuch")};
  build.options.set("qemuargs", Value(Value::List{Value(item)}));
  ASSERT_TRUE(build.prepare().empty());
  try {
    build.builder->start(build.stage.context);
    ADD_FAILURE() << "it started";
  } catch (const Error& error) {
    EXPECT_TRUE(contains(error.message(), "unsupported machine type")) << error.message();
  }
  build.undo(Outcome::failed);
  EXPECT_FALSE(fs::exists(build.output));
}

TEST_F(VmQemu, KvmThatDoesNotWorkIsAnErrorOnlyWhenAskedFor) {
  KvmProbe probe;
  TestStage stage;
  KvmVerdict verdict = probe.probe("qemu-system-x86_64", "", stage.context);
  if (verdict.works) GTEST_SKIP() << "KVM works here";
  EXPECT_FALSE(verdict.why.empty());
  auto begin = Clock::now();
  EXPECT_EQ(probe.probe("qemu-system-x86_64", "", stage.context).why, verdict.why);
  EXPECT_LT(Clock::now() - begin, Millis(50)) << "the answer is remembered";
  QemuBuild build;
  build.from_disk(tiny_guest() / "tiny-bios.qcow2");
  build.options.set("accelerator", "kvm");
  ASSERT_TRUE(build.prepare().empty());
  try {
    build.builder->start(build.stage.context);
    ADD_FAILURE() << "it started";
  } catch (const Error& error) {
    EXPECT_TRUE(contains(error.message(), "accelerator \"kvm\" cannot be used here: " + verdict.why))
        << error.message();
  }
  build.undo(Outcome::failed);
}

}  // namespace
}  // namespace kiln::qemu
