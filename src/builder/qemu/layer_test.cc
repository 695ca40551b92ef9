#include "builder/qemu/layer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/process.h"

namespace kiln::qemu {
namespace {

std::string qemu_img(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "qemu-img");
  return run_checked({arguments}, Deadline::in(std::chrono::minutes(1)), Stop());
}

nlohmann::json info(const fs::path& disk) {
  return nlohmann::json::parse(qemu_img({"info", "--output=json", disk.string()}));
}

class QemuLayer : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!find_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
  }
  TempDir directory_;
};

/// What qemu-img makes of the same names and size is the measure.
TEST_F(QemuLayer, IsWhatQemuImgMakes) {
  for (const char* size : {"1M", "512M", "513M", "40G", "5T"}) {
    SCOPED_TRACE(size);
    fs::path below = directory_.path() / "below.qcow2", ours = directory_.path() / "ours.qcow2",
             theirs = directory_.path() / "theirs.qcow2";
    for (const auto& path : {below, ours, theirs}) fs::remove(path);
    qemu_img({"create", "-q", "-f", "qcow2", below.string(), size});
    qemu_img({"create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "below.qcow2", theirs.string()});
    make_layer(ours, below);
    auto made = info(ours), expected = info(theirs);
    for (const char* member : {"format", "virtual-size", "cluster-size", "backing-filename",
                               "full-backing-filename", "backing-filename-format"}) {
      EXPECT_EQ(made[member], expected[member]) << member;
    }
    qemu_img({"check", "-q", ours.string()});
  }
}

TEST_F(QemuLayer, HoldsWhatIsBelowUntilItIsWritten) {
  if (!find_program("qemu-io")) GTEST_SKIP() << "qemu-io is not installed";
  fs::path below = directory_.path() / "below.qcow2", layer = directory_.path() / "layer.qcow2";
  qemu_img({"create", "-q", "-f", "qcow2", below.string(), "64M"});
  auto io = [](const fs::path& disk, const char* command) {
    return run_checked({{"qemu-io", "-c", command, disk.string()}}, Deadline::in(std::chrono::minutes(1)),
                       Stop());
  };
  io(below, "write -P 7 1M 1M");
  make_layer(layer, below);
  io(layer, "read -P 7 1M 1M");
  io(layer, "write -P 9 1M 64k");
  io(layer, "read -P 9 1M 64k");
  io(below, "read -P 7 1M 1M");
  qemu_img({"check", "-q", layer.string()});
}

TEST_F(QemuLayer, TakesNothingThatIsNoQcow2Disk) {
  fs::path below = directory_.path() / "below.raw";
  write_file_atomically(below, std::string(1 << 20, 'x'));
  EXPECT_THROW(make_layer(directory_.path() / "layer.qcow2", below), Error);
  EXPECT_FALSE(fs::exists(directory_.path() / "layer.qcow2"));
}

}  // namespace
}  // namespace kiln::qemu
