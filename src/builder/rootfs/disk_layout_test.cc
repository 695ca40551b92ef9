#include "builder/rootfs/disk_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace kiln {
namespace {

constexpr uint64_t mib_t = 1 << 20;
const char* const uuid_t1 = "1a2b3c4d-0000-4000-8000-000000000001";
const char* const uuid_t2 = "1a2b3c4d-0000-4000-8000-000000000002";

TEST(DiskLayout, HoldsBothLoadersAndTheRoot) {
  DiskLayout layout = make_disk_layout(4096 * mib_t + 5, true, true, uuid_t1, uuid_t2);
  EXPECT_EQ(layout.size, 4096 * mib_t);
  EXPECT_EQ(layout.bios_boot.offset, mib_t);
  EXPECT_EQ(layout.esp.offset, 2 * mib_t);
  EXPECT_EQ(layout.root.offset, 66 * mib_t);
  EXPECT_EQ(layout.root.offset + layout.root.size, layout.size - mib_t);
  EXPECT_EQ(layout.esp_volume_id, "1A2B-3C4D");
}

TEST(DiskLayout, LeavesOutWhatIsNotWanted) {
  DiskLayout layout = make_disk_layout(100 * mib_t, false, false, uuid_t1, uuid_t2);
  EXPECT_EQ(layout.bios_boot.size, 0u);
  EXPECT_EQ(layout.esp.size, 0u);
  EXPECT_EQ(layout.root.offset, mib_t);
  EXPECT_EQ(make_fstab(layout), std::string("UUID=") + uuid_t1 + " / ext4 errors=remount-ro 0 1\n");
}

TEST(DiskLayout, ScriptKeepsPartitionNumbers) {
  DiskLayout layout = make_disk_layout(1024 * mib_t, true, false, uuid_t1, uuid_t2);
  EXPECT_EQ(sfdisk_script(layout, "amd64"),
            "label: gpt\nunit: sectors\n\n"
            "1 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, name=bios\n"
            "3 : start=4096, size=2091008, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root, uuid=" +
                std::string(uuid_t2) + "\n");
}

TEST(DiskLayout, ReadsAnExistingTable) {
  auto found = parse_partitions(R"({"partitiontable": {"label": "gpt", "sectorsize": 512, "partitions": [
      {"node": "disk7.raw14", "start": 2048, "size": 8192, "type": "21686148-6449-6e6f-744e-656564454649"},
      {"node": "disk7.raw15", "start": 10240, "size": 253952, "type": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"},
      {"node": "disk7.raw2", "start": 264192, "size": 2097152, "type": "0FC63DAF-8483-4772-8E79-3D69D8477DE4"},
      {"node": "disk7.raw1", "start": 2361344, "size": 1048576, "type": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"}]}})");
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0].number, 14);
  auto candidates = root_candidates(found);
  ASSERT_EQ(candidates.size(), 2u);
  EXPECT_EQ(candidates[0].number, 1) << "typed as a root goes before the larger one";
  EXPECT_EQ(candidates[0].extent.offset, 2361344u * 512);
  EXPECT_EQ(candidates[1].number, 2);
  EXPECT_THROW(parse_partitions("sfdisk: bad"), Error);
}

}  // namespace
}  // namespace kiln
