// Where things lie on the disks that rootfs makes.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kiln {

constexpr uint64_t sector_bytes = 512;

/// A partition, in bytes from the disk's beginning. size 0: there is none.
struct Extent {
  uint64_t offset = 0;
  uint64_t size = 0;
};

/// GPT: BIOS boot partition (1), EFI system partition (2), root (3); the numbers stay when one is left out.
struct DiskLayout {
  uint64_t size = 0;
  Extent bios_boot;
  Extent esp;
  Extent root;
  std::string root_uuid;  ///< of the file system
  std::string root_partition_uuid;
  std::string esp_volume_id;  ///< "1A2B-3C4D"
};

/// Pure but for the fresh identifiers it is given. `size` is rounded down to whole MiB.
DiskLayout make_disk_layout(uint64_t size, bool bios, bool uefi, const std::string& root_uuid,
                            const std::string& root_partition_uuid);
/// Input of sfdisk that makes it. `architecture` (Debian's) chooses the root partition's type.
std::string sfdisk_script(const DiskLayout& layout, const std::string& architecture);

/// A partition of an existing disk.
struct FoundPartition {
  int number = 0;
  Extent extent;
  std::string type;  ///< GPT type GUID or MBR type
};
/// From the output of `sfdisk --json`. Throws Error{user} when it cannot be understood.
std::vector<FoundPartition> parse_partitions(const std::string& json);
/// Candidates for the root file system, the likeliest first: those typed as a root, then by size. Pure.
std::vector<FoundPartition> root_candidates(std::vector<FoundPartition> partitions);

/// fstab of a new image. Pure.
std::string make_fstab(const DiskLayout& layout);

}  // namespace kiln
