#include "communicator/container/container.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "communicator/container/container_communicator.h"
#include "communicator/container/tree_copy.h"

namespace kiln {
namespace {

TEST(RootTree, LinksNeverLeadOut) {
  TempDir outside, root;
  write_file_atomically(outside.path() / "secret", "host\n");
  RootTree tree(root.path());
  tree.symlink(outside.path().string(), "/out");
  tree.symlink("../../../../etc", "/up");
  EXPECT_EQ(tree.read("/out/secret"), std::nullopt);
  EXPECT_EQ(tree.read("/../../etc/hostname"), std::nullopt);
  tree.write("/etc/passwd", "guest\n");
  EXPECT_EQ(tree.read("/up/passwd"), "guest\n");
  tree.remove("/out");
  EXPECT_TRUE(fs::exists(outside.path() / "secret"));
}

TEST(RootTree, WritesListsAndRemoves) {
  TempDir root;
  RootTree tree(root.path());
  tree.write("/a/b/c", "x", 0750);
  struct stat status {};
  ASSERT_EQ(::stat((root.path() / "a/b/c").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0750u);
  EXPECT_TRUE(tree.is_directory("/a/b"));
  EXPECT_THAT(tree.list("/a"), testing::ElementsAre("b"));
  EXPECT_THAT(tree.list("/none"), testing::IsEmpty());
  tree.rename("/a/b/c", "/a/d");
  tree.remove_contents("/a");
  EXPECT_THAT(tree.list("/a"), testing::IsEmpty());
  tree.remove("/none/at/all");
  EXPECT_THROW(tree.open("/none/file", O_RDONLY), Error);
}

TEST(TreeCopy, KeepsModesAndLinksBothWays) {
  TempDir from, root, back;
  fs::create_directories(from.path() / "sub/empty");
  write_file_atomically(from.path() / "sub/run", "#!/bin/sh\n", 0751);
  fs::create_symlink("/etc/shadow", from.path() / "absolute");
  RootTree tree(root.path());
  Stop stop;
  uint64_t last = 0, total = 0;
  copy_tree_into_root(from.path(), tree, "/opt/x", [&](uint64_t done, uint64_t all) { last = done, total = all; },
                      Deadline::in(std::chrono::seconds(10)), stop);
  EXPECT_EQ(last, 10u);
  EXPECT_EQ(total, 10u);
  EXPECT_EQ(fs::read_symlink(root.path() / "opt/x/absolute"), "/etc/shadow");
  EXPECT_TRUE(fs::is_directory(root.path() / "opt/x/sub/empty"));
  copy_tree_from_root(tree, "/opt/x", back.path() / "y", Deadline::in(std::chrono::seconds(10)), stop);
  struct stat status {};
  ASSERT_EQ(::stat((back.path() / "y/sub/run").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0751u);
  EXPECT_THROW(copy_tree_from_root(tree, "/none", back.path(), Deadline::in(std::chrono::seconds(1)), stop), Error);
}

TEST(Container, ArgumentsSayHowItIsRun) {
  ContainerSpec spec;
  spec.root = "/w/root";
  spec.machine = "image-1";
  spec.token = "abc";
  auto argv = nspawn_arguments(spec, 42, true);
  EXPECT_THAT(argv, testing::Contains("--network-namespace-path=/proc/42/ns/net"));
  EXPECT_THAT(argv, testing::Contains("--hostname=image-1"));
  EXPECT_THAT(argv, testing::Contains("--keep-unit"));
  EXPECT_THAT(argv, testing::Contains("--setenv=KILN_RESOURCE=abc"));
  EXPECT_THAT(argv, testing::Contains("--boot"));
  spec.boot = false;
  EXPECT_EQ(nspawn_arguments(spec, 0, false).back(), "/bin/cat");
}

TEST(Container, EachHasAControlGroupOfItsOwn) {
  using testing::ElementsAre;
  EXPECT_THAT(cgroup_directories("9:name=systemd:/a\n8:pids:/\n0::/\n", "/sys/fs/cgroup/unified", "kiln-1"),
              ElementsAre("/sys/fs/cgroup/systemd/a/kiln-1", "/sys/fs/cgroup/unified/kiln-1"));
  EXPECT_THAT(cgroup_directories("0::/user.slice/x\n", "/sys/fs/cgroup", "kiln-1"),
              ElementsAre("/sys/fs/cgroup/user.slice/x/kiln-1"));
  EXPECT_THAT(cgroup_directories("0::/../x\n", "/sys/fs/cgroup", "kiln-1"), testing::IsEmpty());
}

TEST(Container, StateComesFromSystemctl) {
  EXPECT_EQ(guest_state_of("running\n"), GuestState::up);
  EXPECT_EQ(guest_state_of("degraded\n"), GuestState::up);
  EXPECT_EQ(guest_state_of("starting\n"), GuestState::starting);
  EXPECT_EQ(guest_state_of("stopping\n"), GuestState::stopping);
  EXPECT_EQ(guest_state_of("Failed to connect to bus\n"), GuestState::silent);
}

TEST(Container, GuestPathsStartAtHome) {
  EXPECT_EQ(guest_path("/tmp/x"), "/tmp/x");
  EXPECT_EQ(guest_path("x"), "/root/x");
  EXPECT_EQ(guest_path("~/x"), "/root/x");
  EXPECT_EQ(guest_path("~"), "/root");
}

/// A root with nothing but busybox, not booted.
class BusyboxContainer : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    auto busybox = find_program("busybox");
    if (!busybox || !find_program("systemd-nspawn")) GTEST_SKIP() << "needs busybox and systemd-nspawn";
    Stop stop;
    if (contains(run({.argv = {"ldd", busybox->string()}}, Deadline::in(std::chrono::seconds(10)), stop).out, "=>")) {
      GTEST_SKIP() << "needs a static busybox";
    }
    RootTree tree(root());
    for (const char* directory : {"/bin", "/etc", "/proc", "/sys", "/dev", "/tmp", "/root", "/usr", "/run", "/var"}) {
      tree.make_directories(directory);
    }
    fs::copy_file(*busybox, root() / "bin/busybox");
    for (const char* applet : {"sh", "cat", "sleep", "kill", "id", "pwd", "env"}) {
      tree.symlink("busybox", std::string("/bin/") + applet);
    }
    tree.write("/etc/os-release", "ID=busybox\n");
    ContainerSpec spec;
    spec.root = root();
    spec.machine = "kiln-test-" + std::to_string(::getpid());
    spec.boot = false;
    spec.network = ContainerNetwork::none;
    spec.console_log = directory_.path() / "console.log";
    spec.token = "container-test";
    container_ = std::make_unique<Container>(spec);
    container_->start(Deadline::in(std::chrono::seconds(20)), stop_);
    communicator_ = std::make_unique<ContainerCommunicator>(*container_, std::chrono::seconds(10));
  }
  fs::path root() {
    fs::create_directories(directory_.path() / "root");
    return directory_.path() / "root";
  }
  std::pair<int, std::string> sh(const std::string& command) {
    std::string out;
    Sink keep = [&](std::string_view bytes) { out += bytes; };
    int status = communicator_->run(command, keep, keep, Deadline::in(std::chrono::seconds(20)), stop_);
    return {status, std::string(trim(out))};
  }
  TempDir directory_;
  Stop stop_;
  std::unique_ptr<Container> container_;
  std::unique_ptr<ContainerCommunicator> communicator_;
};

TEST_F(BusyboxContainer, RunsCommandsAndMovesFiles) {
  EXPECT_EQ(sh("id -u; pwd; echo \"$HOME '$KILN_RESOURCE'\""), std::pair(0, std::string("0\n/root\n/root ''")));
  EXPECT_EQ(sh("exit 42").first, 42);
  EXPECT_EQ(sh("kill -9 $$").first, 137) << "a command that kills itself is no disconnection";
  Deadline deadline = Deadline::in(std::chrono::seconds(20));
  std::string content(3 << 20, 'z');
  size_t at = 0;
  ByteSource source = [&](char* buffer, size_t size) {
    size_t n = content.copy(buffer, size, at);
    at += n;
    return n;
  };
  communicator_->upload({"big", content.size(), 0700}, source, deadline, stop_);
  std::string back;
  communicator_->download("/root/big", [&](std::string_view bytes) { back += bytes; }, deadline, stop_);
  EXPECT_TRUE(back == content);
  at = 0;
  EXPECT_THROW(communicator_->upload({"/tmp/short", content.size() + 1, 0644}, source, deadline, stop_), Error);
  EXPECT_FALSE(fs::exists(root() / "tmp/short")) << "half a file is not left";
  EXPECT_THROW(communicator_->download("/none", [](std::string_view) {}, deadline, stop_), Error);
}

TEST_F(BusyboxContainer, TimeoutsAndTheEndAreTold) {
  Sink quiet = [](std::string_view) {};
  try {
    communicator_->run("sleep 60", quiet, quiet, Deadline::in(std::chrono::milliseconds(300)), stop_);
    FAIL() << "no timeout";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::timeout);
  }
  container_->shut_down(Deadline::in(std::chrono::seconds(10)), stop_);
  EXPECT_FALSE(container_->is_running());
}

// Process 2 is what the container lives for.
TEST_F(BusyboxContainer, ACommandCutByTheEndIsADisconnection) {
  EXPECT_EQ(sh("kill -9 2; sleep 20").first, disconnected_status);
}

}  // namespace
}  // namespace kiln
