// Builds with real machines: the tiny guest of tests/support.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
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
    options.set("ssh_timeout", "90s");
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

}  // namespace
}  // namespace kiln::qemu
