#include "builder/rootfs/disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "core/event.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

TEST(RootfsDisk, UnmountingWritesEverythingThoughAnotherContainerHoldsTheMount) {
  if (::geteuid() != 0 || ::access("/dev/loop-control", R_OK | W_OK) != 0) {
    GTEST_SKIP() << "needs root and loop devices";
  }
  TestStage stage;
  TempDir temp;
  ToolRun tool{Deadline::in(std::chrono::minutes(1)), stage.stop, "", stage.context.ui};
  fs::path disk = temp.path() / "disk.raw";
  fs::path root = temp.path() / "root";
  fs::create_directory(root);
  tool({"truncate", "-s", "64M", disk.string()});
  tool({"mke2fs", "-q", "-t", "ext4", disk.string()});
  Extent all{0, 64 << 20};
  mount_extent(disk, all, root, tool);
  // What a container that starts now does: it gets a copy of every mount.
  Process other = Process::start({.argv = {"unshare", "--mount", "--propagation", "private", "cat"}},
                                 {.in = Process::Stdio::pipe, .out = Process::Stdio::pipe});
  std::string_view hello = "x\n";
  ASSERT_EQ(::write(other.in().get(), hello.data(), hello.size()), 2);
  char answer[2];
  ASSERT_EQ(::read(other.out().get(), answer, sizeof answer), 2) << "cat runs, so the name space is there";

  std::string content(100000, 'k');
  write_file_atomically(root / "kept", "", 0644);
  {
    Fd fd(::open((root / "kept").c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(::write(fd.get(), content.data(), content.size()), 100000);
  }
  unmount(root, false);
  EXPECT_FALSE(is_mounted(root));

  fs::path copy = temp.path() / "copy.raw";  // what is written out as the image
  fs::copy_file(disk, copy);
  EXPECT_EQ(tool({"debugfs", "-R", "cat /kept", copy.string()}), content);
  RunResult check = run({.argv = {"e2fsck", "-f", "-n", copy.string()}}, tool.deadline, tool.stop);
  EXPECT_EQ(check.status.code, 0) << check.out;
  EXPECT_EQ(check.out.find("recovering journal"), std::string::npos) << check.out;
  other.in().reset();
  other.wait(tool.deadline, tool.stop);
}

}  // namespace
}  // namespace kiln
