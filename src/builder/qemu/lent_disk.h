// A file of this host as a disk of a machine that runs, for a while: the fastest way into a guest for much data.
#pragma once
#include <cstdint>
#include <string>

#include "base/wait.h"
#include "wire/qmp.h"

namespace kiln::qemu {

/// Plugged in by the constructor, read only. Used by the stage's thread.
class LentDisk {
 public:
  /// `file`: borrowed; QEMU has a descriptor of its own. Throws Error{remote} with QEMU's words where the machine takes
  /// no new disks.
  LentDisk(QmpClient& qmp, int file, const Stop& stop);
  LentDisk(const LentDisk&) = delete;
  LentDisk& operator=(const LentDisk&) = delete;
  /// Takes it back if take_back() was not called, without waiting long; never throws.
  ~LentDisk();
  /// By which the guest knows it: /sys/block/vd*/serial.
  const std::string& serial() const { return serial_; }
  /// Unplugs it and waits until the guest has let it go. Throws Error{remote} when it does not.
  void take_back(const Stop& stop);

 private:
  void take_back(const Deadline& limit, const Stop& stop);
  void drop();

  QmpClient& qmp_;
  std::string serial_;
  int64_t fdset_ = -1;
  bool node_ = false;
  bool device_ = false;
};

/// The guest's part: waits for the disk with that serial number and writes its first `size` bytes to `path`, in place,
/// then sets `mode`. Ends with `no_lent_disk` when no disk comes. As root, or with sudo. Pure.
std::string copy_from_disk_command(const std::string& serial, uint64_t size, const std::string& path, int mode);
constexpr int no_lent_disk = 75;
/// Ends well in a guest that could do that: it looks for PCI devices that are plugged in, and may read disks.
std::string takes_disks_command();

}  // namespace kiln::qemu
