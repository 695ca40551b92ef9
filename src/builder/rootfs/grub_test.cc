#include "builder/rootfs/grub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace kiln {
namespace {

DiskLayout layout_for_grub() {
  return make_disk_layout(1 << 30, true, true, "11111111-2222-4333-8444-555555555555",
                          "99999999-2222-4333-8444-555555555555");
}

uint64_t little_endian(const std::string& bytes, size_t at, size_t width) {
  uint64_t value = 0;
  for (size_t i = 0; i < width; ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return value;
}

TEST(Grub, ConfigBootsTheRootByItsUuid) {
  std::string text = make_grub_config(layout_for_grub(), "quiet");
  EXPECT_THAT(text, testing::HasSubstr("linux /vmlinuz root=UUID=11111111-2222-4333-8444-555555555555 ro "
                                       "console=tty0 console=ttyS0,115200 quiet\n  initrd /initrd.img\n"));
  EXPECT_THAT(text, testing::HasSubstr("set timeout=0\n"));
  EXPECT_THAT(make_grub_early_config(layout_for_grub()),
              testing::StartsWith("search.fs_uuid 11111111-2222-4333-8444-555555555555 root\n"));
}

TEST(Grub, MkimageBuildsInWhatEachFirmwareNeeds) {
  EXPECT_THAT(grub_mkimage_arguments("i386-pc", "/e", "/o"), testing::Contains("biosdisk"));
  EXPECT_THAT(grub_mkimage_arguments("x86_64-efi", "/e", "/o"),
              testing::AllOf(testing::Contains("fat"), testing::Not(testing::Contains("biosdisk"))));
  EXPECT_EQ(efi_removable_name("x86_64-efi"), "BOOTX64.EFI");
  EXPECT_EQ(efi_removable_name("arm64-efi"), "BOOTAA64.EFI");
}

TEST(Grub, BootSectorKeepsThePartitionTable) {
  std::string boot(512, 'b');
  boot[510] = 0x55;
  boot[511] = static_cast<char>(0xaa);
  std::string old(512, 'o');
  std::string sector = patch_grub_boot_sector(boot, old, 2048);
  EXPECT_EQ(sector.substr(0, 0x5c), std::string(0x5c, 'b'));
  EXPECT_EQ(little_endian(sector, 0x5c, 8), 2048u);
  EXPECT_EQ(little_endian(sector, 0x66, 2), 0x9090u);
  EXPECT_EQ(sector.substr(0x1b8, 510 - 0x1b8), std::string(510 - 0x1b8, 'o'));
  EXPECT_EQ(static_cast<unsigned char>(sector[511]), 0xaa);
  EXPECT_THROW(patch_grub_boot_sector(std::string(512, 'x'), old, 2048), Error);
}

TEST(Grub, CoreKnowsWhereItsRestLies) {
  std::string core = patch_grub_core(std::string(512 * 3 + 1, 'c'), 2048, 1 << 20);
  EXPECT_EQ(core.size(), 512u * 4);
  EXPECT_EQ(little_endian(core, 0x1f4, 8), 2049u);
  EXPECT_EQ(little_endian(core, 0x1fc, 2), 3u);
  EXPECT_EQ(little_endian(core, 0x1fe, 2), 0x820u);
  EXPECT_THROW(patch_grub_core(std::string(2 << 20, 'c'), 2048, 1 << 20), Error);
  EXPECT_THROW(patch_grub_core("", 2048, 1 << 20), Error);
}

}  // namespace
}  // namespace kiln
