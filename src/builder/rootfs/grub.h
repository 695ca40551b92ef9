// GRUB for both firmwares, put onto a disk image without the help of a running machine.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "builder/rootfs/disk_layout.h"

namespace kiln {

/// /boot/grub/grub.cfg. Boots the newest kernel by Debian's links /vmlinuz and /initrd.img. Pure.
std::string make_grub_config(const DiskLayout& layout, const std::string& kernel_arguments);
/// The configuration built into the loader: finds the root and goes on with its grub.cfg. Pure.
std::string make_grub_early_config(const DiskLayout& layout);
/// Arguments of grub-mkimage. `platform` is "i386-pc", "x86_64-efi" or "arm64-efi". Pure.
std::vector<std::string> grub_mkimage_arguments(const std::string& platform, const std::string& early_config,
                                                const std::string& output);
/// The EFI file that firmware starts from a disk without boot entries: "BOOTX64.EFI". Pure.
std::string efi_removable_name(const std::string& platform);

/// The first sector of the disk: GRUB's boot.img around the partition table that is there, told where core.img
/// starts. Layout as GRUB's documented boot-sector interface (include/grub/i386/pc/boot.h). Pure; throws
/// Error{environment} when boot.img is not what it should be.
std::string patch_grub_boot_sector(const std::string& boot_image, const std::string& old_sector, uint64_t core_sector);
/// core.img with its first sector told where the rest lies (contiguous, right behind it). Pure.
std::string patch_grub_core(std::string core_image, uint64_t core_sector, uint64_t room_bytes);

}  // namespace kiln
