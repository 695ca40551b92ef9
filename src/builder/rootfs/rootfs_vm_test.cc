// Makes real images and boots them. Needs root and Debian's packages; skipped with the reason where they are not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iostream>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "builder/rootfs/disk.h"
#include "builder/rootfs/rootfs.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

/// One build through the builder's contract.
struct BuiltImage {
  Artifact artifact;
  double seconds = 0;
};

/// Runs start, `work` and finish as the engine does; undo at the end. Throws what the builder throws.
BuiltImage build_image(const Value& config, const std::function<void(Communicator&, const Stop&)>& work) {
  auto begin = Clock::now();
  TestStage stage;
  auto say_steps = [&](const std::string& name, const std::function<void()>& body) {
    auto at = Clock::now();
    body();
    std::cerr << "  " << name << " " << std::chrono::duration<double>(Clock::now() - at).count() << " s\n";
  };
  stage.context.step = say_steps;
  auto builder = rootfs_builder().make();
  stage.prepare(*builder, config);
  EXPECT_THAT(stage.complaints(), testing::IsEmpty());
  BuiltImage built;
  auto report = [](const std::string& text) { ADD_FAILURE() << text; };
  try {
    auto machine = builder->start(stage.context);
    work(machine->communicator(), stage.stop);
    built.artifact = builder->finish(*machine, stage.context).value();
    stage.undo.run(Outcome::succeeded, report);
  } catch (const Error&) {
    stage.undo.run(Outcome::failed, report);
    throw;
  }
  EXPECT_THAT(stage.journal.all(), testing::IsEmpty());
  built.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return built;
}

/// Output and status of a command in the guest.
std::pair<int, std::string> guest(Communicator& communicator, const std::string& command, const Stop& stop) {
  std::string output;
  Sink keep = [&](std::string_view bytes) { output += bytes; };
  int status = communicator.run(command, keep, keep, Deadline::in(std::chrono::minutes(3)), stop);
  return {status, std::string(trim(output))};
}

int free_port() {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  socklen_t size = sizeof address;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

/// What a server says first on 127.0.0.1:port, or "".
std::string banner(int port, const Stop& stop) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return "";
  if (wait(fd.get(), POLLIN, Deadline::in(std::chrono::seconds(20)), stop) == Woke::deadline) return "";
  return read_some(fd.get(), 256);
}

/// Boots a throw-away copy until ssh answers on a forwarded port; returns the banner.
std::string boot_until_ssh(const fs::path& image, bool uefi, const std::string& format = "qcow2") {
  TempDir directory("kiln-boot");
  Stop stop;
  int port = free_port();
  fs::path serial = directory.path() / "serial.log";
  std::vector<std::string> argv = {
      "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-smp", "2", "-m", "768", "-nographic",
      "-monitor", "none", "-serial", "file:" + serial.string(), "-snapshot",
      "-drive", "file=" + fs::absolute(image).string() + ",format=" + format + ",if=virtio,cache=unsafe",
      "-netdev", "user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:" + std::to_string(port) + "-:22",
      "-device", "virtio-net-pci,netdev=n,romfile="};
  if (uefi) {
    fs::copy_file("/usr/share/OVMF/OVMF_VARS_4M.fd", directory.path() / "vars.fd");
    argv.insert(argv.end(), {"-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
                             "-drive", "if=pflash,format=raw,file=" + (directory.path() / "vars.fd").string()});
  }
  auto begin = Clock::now();
  Process qemu = Process::start({.argv = argv}, {.out = Process::Stdio::null});
  Deadline deadline = Deadline::in(std::chrono::seconds(220));
  std::string said;
  while (said.empty() && !deadline.passed() && !qemu.poll()) {
    said = banner(port, stop);
    if (said.empty()) sleep_for(std::chrono::milliseconds(300), stop);
  }
  std::cerr << "  boot to ssh (" << (uefi ? "UEFI" : "BIOS") << ") "
            << std::chrono::duration<double>(Clock::now() - begin).count() << " s\n";
  if (said.empty()) {
    std::string log = read_file_if_exists(serial).value_or("");
    ADD_FAILURE() << "no ssh banner; serial console:\n" << log.substr(log.size() > 4000 ? log.size() - 4000 : 0);
  }
  qemu.kill(SIGKILL);
  return said;
}

class VmRootfs : public testing::Test {
 protected:
  static void SetUpTestSuite() { shared_directory = new TempDir("kiln-rootfs-vm"); }
  static void TearDownTestSuite() {
    delete shared_directory;
    shared_directory = nullptr;
  }
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    for (const char* program : {"mmdebstrap", "systemd-nspawn", "qemu-system-x86_64"}) {
      if (!find_program(program)) GTEST_SKIP() << "needs " << program;
    }
  }
  static fs::path base() { return shared_directory->path() / "base" / "base.qcow2"; }
  static TempDir* shared_directory;
};
TempDir* VmRootfs::shared_directory = nullptr;

TEST_F(VmRootfs, MakesAnImageFromPackages) {
  Value config = Value::empty_object();
  config.set("suite", "bookworm");
  config.set("packages", Value::List{"openssh-server", "sudo"});
  config.set("size", "2G");
  config.set("output_directory", (shared_directory->path() / "base").string());
  config.set("image_name", "base");
  config.set("kernel_arguments", "quiet mitigations=off");  // an emulated machine is slow enough
  Value user = Value::empty_object();
  user.set("name", "vagrant");
  user.set("password", "vagrant");
  user.set("sudo", true);
  config.set("users", Value::List{user});
  auto built = build_image(config, [](Communicator& communicator, const Stop& stop) {
    auto [status, out] = guest(communicator, "id -un; pwd; echo vagrant | su vagrant -c 'sudo -n id -un'", stop);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(out, "root\n/root\nroot");
    // A reboot: the command may be cut, the next one finds a fresh boot.
    auto before = guest(communicator, "cat /proc/sys/kernel/random/boot_id", stop).second;
    EXPECT_EQ(guest(communicator, "systemctl reboot; sleep 30", stop).first, disconnected_status);
    auto after = guest(communicator, "cat /proc/sys/kernel/random/boot_id", stop).second;
    EXPECT_NE(before, after);
    EXPECT_EQ(after.size(), before.size());
    EXPECT_EQ(guest(communicator, "getent hosts localhost >/dev/null && systemctl is-active ssh", stop).second,
              "active");
  });
  std::cerr << "  whole build " << built.seconds << " s, " << static_cast<double>(fs::file_size(base())) / 1e6
            << " MB\n";
  EXPECT_EQ(built.artifact.id, base().string());
  EXPECT_EQ(built.artifact.description, "Disk image: " + base().string());
  EXPECT_FALSE(fs::exists(shared_directory->path() / "base" / ".partial"));
}

TEST_F(VmRootfs, MakesAnImageFromAnImage) {
  if (!fs::exists(base())) GTEST_SKIP() << "the base image was not made";
  Value config = Value::empty_object();
  config.set("source_image", base().string());
  config.set("output_directory", (shared_directory->path() / "app").string());
  config.set("image_name", "app");
  config.set("hostname", "app-1");
  config.set("size", "3G");
  TempDir tree("kiln-tree");
  fs::create_directories(tree.path() / "sub/empty");
  write_file_atomically(tree.path() / "sub/run.sh", "echo ran\n", 0755);
  fs::create_symlink("sub/run.sh", tree.path() / "link");
  auto built = build_image(config, [&](Communicator& communicator, const Stop& stop) {
    Deadline deadline = Deadline::in(std::chrono::minutes(1));
    communicator.upload_tree(tree.path(), "/opt/tree", {}, deadline, stop);
    EXPECT_EQ(guest(communicator, "/bin/sh /opt/tree/link; hostname; stat -c %a /opt/tree/sub/run.sh", stop).second,
              "ran\napp-1\n755");
    EXPECT_EQ(guest(communicator, "exit 7", stop).first, 7);
    std::string blocks = guest(communicator, "df --output=size -BM / | tail -1", stop).second;
    EXPECT_GT(std::atoi(blocks.c_str()), 2500);
    std::string sent = "hello\n";
    communicator.upload({"/etc/motd", sent.size(), 0640},
                        [&](char* buffer, size_t size) {
                          size_t n = std::min(size, sent.size());
                          std::copy_n(sent.begin(), n, buffer);
                          sent.erase(0, n);
                          return n;
                        },
                        deadline, stop);
    std::string got;
    communicator.download("/etc/motd", [&](std::string_view bytes) { got += bytes; }, deadline, stop);
    EXPECT_EQ(got, "hello\n");
    communicator.download_tree("/opt/tree", tree.path() / "back", deadline, stop);
    EXPECT_EQ(read_file(tree.path() / "back/link"), "echo ran\n");
  });
  std::cerr << "  whole build " << built.seconds << " s\n";
}

// A mount name space made while the disk is mounted keeps the file system alive after we unmounted it.
TEST_F(VmRootfs, UnmountingWritesEverythingThoughOthersHoldTheMount) {
  TempDir directory("kiln-unmount");
  TestStage stage;
  ToolRun tool{Deadline::in(std::chrono::minutes(1)), stage.stop, "test", stage.context.ui};
  fs::path disk = directory.path() / "disk.raw", root = directory.path() / "root";
  fs::create_directories(root);
  DiskLayout layout = make_disk_layout(200 << 20, false, false, random_uuid(), random_uuid());
  create_disk(disk, layout, "amd64", tool);
  mount_extent(disk, layout.root, root, tool);
  Process holder = Process::start({.argv = {"unshare", "--mount", "cat"}}, {.in = Process::Stdio::pipe});
  for (int i = 0; i < 500; ++i) {
    auto name = read_file_if_exists("/proc/" + std::to_string(holder.pid()) + "/comm");
    if (name == "cat\n") break;
    sleep_for(std::chrono::milliseconds(10), stage.stop);
  }
  append_file(root / "file", std::string(1 << 20, 'x'));
  unmount(root, false);
  fs::copy_file(disk, directory.path() / "copy.raw");
  mount_extent(directory.path() / "copy.raw", layout.root, root, tool);
  EXPECT_EQ(fs::file_size(root / "file"), 1u << 20);
  EXPECT_EQ(read_file(root / "file").substr(0, 3), "xxx");
  unmount(root, false);
  holder.in().reset();
  holder.terminate();
}

TEST_F(VmRootfs, ImagesBootUnderBothFirmwares) {
  fs::path app = shared_directory->path() / "app" / "app.qcow2";
  if (!fs::exists(base()) || !fs::exists(app)) GTEST_SKIP() << "the images were not made";
  EXPECT_THAT(boot_until_ssh(base(), false), testing::StartsWith("SSH-2.0-"));
  EXPECT_THAT(boot_until_ssh(app, true), testing::StartsWith("SSH-2.0-"));
}

}  // namespace
}  // namespace kiln
