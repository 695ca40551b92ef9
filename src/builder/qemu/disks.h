// The disks of a machine: made before it starts, put in their final shape after it stopped.
#pragma once
#include <string>
#include <vector>

#include "base/file.h"
#include "builder/qemu/config.h"

namespace kiln::qemu {

/// Where a disk is while the machine runs, and the name it gets when it is finished.
struct Disk {
  fs::path working;
  fs::path final;
  std::string size;      ///< as for qemu-img
  std::string format;    ///< of `working`; empty: found out
  std::string device;    ///< QEMU's name of its drive; empty: not asked for yet
  bool rewrite = false;  ///< working is rewritten into final (compaction, or to become independent of its source)
};

/// The disks for this configuration, the main one first. While the machine runs a disk has a name of its own
/// ("VM.kiln-part"), so that nothing unfinished carries the final name; only when qemuargs name the disk's path
/// themselves it has the final name from the start. Pure.
std::vector<Disk> plan_disks(const Config& config);

/// Makes the disks; `source` is the disk image to start from (disk_image), or empty.
void create_disks(const Config& config, const std::vector<Disk>& disks, const fs::path& source,
                  StageContext& context);
/// Rewrites and renames them. Each final name appears whole or not at all.
void finish_disks(const Config& config, const std::vector<Disk>& disks, StageContext& context);

/// Runs qemu-img, with its progress shown as `what`. Throws Error{environment} with its words.
void run_qemu_img(const std::vector<std::string>& argv, const std::string& what, StageContext& context);

}  // namespace kiln::qemu
