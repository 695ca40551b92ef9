// The raw disk that is worked on: made or taken from an image, mounted, written out in the wanted format.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "base/process.h"
#include "builder/rootfs/config.h"
#include "builder/rootfs/disk_layout.h"
#include "core/event.h"

namespace kiln {

/// What tools are run with: how long, who stops them, whose they are, who hears of progress.
struct ToolRun {
  Deadline deadline;
  Stop stop;
  std::string token;  ///< KILN_RESOURCE
  Ui ui;

  std::string operator()(std::vector<std::string> argv, std::string_view input = {}) const;
};

struct ImageInfo {
  std::string format;
  uint64_t virtual_size = 0;
};
/// From `qemu-img info --output=json`. Throws Error{user}.
ImageInfo parse_image_info(const std::string& json);
/// "  (12.34/100%)" -> 12.34: qemu-img's progress. Pure.
std::optional<double> parse_qemu_img_progress(std::string_view text);
std::vector<std::string> convert_arguments(const std::string& from_format, const std::filesystem::path& from,
                                           const std::string& to_format, const std::filesystem::path& to,
                                           bool compress);

/// Makes `disk` with an empty root file system and, where wanted, an EFI system partition.
void create_disk(const std::filesystem::path& disk, const DiskLayout& layout, const std::string& architecture,
                 const ToolRun& tool);
/// Copies the image into `disk` as raw; grows it when `size` is larger. Returns where root file systems may be.
std::vector<FoundPartition> import_disk(const std::filesystem::path& image, const std::filesystem::path& disk,
                                        uint64_t size, const ToolRun& tool);
/// Mounts the part of the disk. The loop device goes by itself when it is unmounted.
void mount_extent(const std::filesystem::path& disk, const Extent& extent, const std::filesystem::path& where,
                  const ToolRun& tool);
/// Mounts the first candidate that holds a Linux root and returns it. Throws Error{user} when none does.
FoundPartition mount_root(const std::filesystem::path& disk, const std::vector<FoundPartition>& candidates,
                          const std::filesystem::path& where, const ToolRun& tool);
/// Grows an unmounted ext file system to its partition (a mounted one needs CAP_SYS_RESOURCE, which containers
/// often lack).
void grow_file_system(const std::filesystem::path& disk, const Extent& extent, const ToolRun& tool);
/// Tells the disk which blocks are free, so that they take no room.
void trim_mounted(const std::filesystem::path& where, const ToolRun& tool);
/// Writes everything out and unmounts; waits while it is busy. `lazy`: takes it away whatever happens. Nothing mounted is no error.
void unmount(const std::filesystem::path& where, bool lazy);
bool is_mounted(const std::filesystem::path& where);
/// Writes GRUB's EFI program into the EFI system partition.
void write_esp(const std::filesystem::path& disk, const DiskLayout& layout, const std::filesystem::path& efi_program,
               const std::string& removable_name, const ToolRun& tool);
/// Writes GRUB's boot sector and core for BIOS machines.
void write_bios_boot(const std::filesystem::path& disk, const DiskLayout& layout, const std::string& boot_image,
                     const std::string& core_image);
/// Turns the raw disk into `to` (raw: it is moved).
void export_disk(const std::filesystem::path& disk, const std::filesystem::path& to, const RootfsConfig& config,
                 const ToolRun& tool);

}  // namespace kiln
