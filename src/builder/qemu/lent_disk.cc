#include "builder/qemu/lent_disk.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"

namespace kiln::qemu {

namespace {

constexpr auto plug_limit = std::chrono::seconds(10);
constexpr auto unplug_limit = std::chrono::seconds(20);  // a guest under emulation takes a second
constexpr auto drop_limit = std::chrono::seconds(2);     // when the build is about to end
constexpr auto unplug_pause = std::chrono::milliseconds(20);
constexpr uint64_t piece = 1 << 20;

}  // namespace

LentDisk::LentDisk(QmpClient& qmp, int file, const Stop& stop)
    : qmp_(qmp), serial_("kiln-" + hex_encode(random_bytes(6))) {
  Deadline limit = Deadline::in(plug_limit);
  try {
    fdset_ = qmp_.execute("add-fd", {}, limit, stop, file).at("fdset-id").get<int64_t>();
    qmp_.execute(
        "blockdev-add",
        {{"node-name", serial_},
         {"driver", "raw"},
         {"read-only", true},
         {"file", {{"driver", "file"}, {"read-only", true}, {"filename", fmt::format("/dev/fdset/{}", fdset_)}}}},
        limit, stop);
    node_ = true;
    qmp_.execute("device_add", {{"driver", "virtio-blk-pci"}, {"id", serial_}, {"drive", serial_}, {"serial", serial_}},
                 limit, stop);
    device_ = true;
  } catch (const Error&) {
    drop();  // a constructor that fails has no destructor
    throw;
  }
}

LentDisk::~LentDisk() { drop(); }

void LentDisk::drop() {
  try {
    take_back(Deadline::in(drop_limit), Stop());
  } catch (const std::exception&) {
  }
}

void LentDisk::take_back(const Stop& stop) { take_back(Deadline::in(unplug_limit), stop); }

void LentDisk::take_back(const Deadline& limit, const Stop& stop) {
  if (std::exchange(device_, false)) qmp_.execute("device_del", {{"id", serial_}}, limit, stop);
  while (node_) {
    try {
      qmp_.execute("blockdev-del", {{"node-name", serial_}}, limit, stop);
      node_ = false;
    } catch (const Error& error) {  // in use until the guest has let the device go
      if (error.kind() != ErrorKind::remote || qmp_.closed() || limit.left() < unplug_pause) throw;
      sleep_for(unplug_pause, stop);
    }
  }
  if (fdset_ >= 0) qmp_.execute("remove-fd", {{"fdset-id", std::exchange(fdset_, -1)}}, limit, stop);
}

std::string copy_from_disk_command(const std::string& serial, uint64_t size, const std::string& path, int mode) {
  std::string to = shell_quote(path);
  return fmt::format(
      "s=; [ \"$(id -u)\" = 0 ] || s='sudo -n'\n"
      "d=; i=0\n"
      "while [ -z \"$d\" ] && [ $i -lt 100 ]; do\n"
      "  for f in /sys/block/vd*/serial; do\n"
      "    b=${{f%/serial}}; b=/dev/${{b##*/}}\n"
      "    [ \"$(cat \"$f\" 2>/dev/null)\" = {0} ] && [ -b \"$b\" ] && d=$b\n"
      "  done\n"
      "  i=$((i + 1)); [ -n \"$d\" ] || sleep 0.1\n"
      "done\n"
      "[ -n \"$d\" ] || exit {1}\n"
      "{{ $s dd if=\"$d\" bs={2} count={3} && $s dd if=\"$d\" bs={2} skip={3} count=1 | head -c {4}; }} >{5} &&\n"
      "  [ \"$(stat -c %s {5} 2>/dev/null || wc -c <{5})\" -eq {6} ] && chmod {7:o} {5}\n",
      serial, no_lent_disk, piece, size / piece, size % piece, to, size, mode);
}

std::string takes_disks_command() {
  return "[ -n \"$(ls /sys/bus/pci/slots 2>/dev/null)\" ] && [ -d /sys/bus/virtio/drivers/virtio_blk ] &&\n"
         "  { [ \"$(id -u)\" = 0 ] || sudo -n true; }";
}

}  // namespace kiln::qemu
