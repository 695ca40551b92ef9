#include "builder/rootfs/disk.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "builder/rootfs/grub.h"

namespace kiln {

namespace {

/// Runs qemu-img convert and tells its progress.
void run_convert(const std::vector<std::string>& argv, const std::string& what, const ToolRun& tool) {
  Command command{.argv = argv, .env = {{"KILN_RESOURCE", tool.token}}, .new_session = true};
  std::string errors;
  int last = -1;
  auto out = [&](std::string_view bytes) {
    auto percent = parse_qemu_img_progress(bytes);
    if (!percent || static_cast<int>(*percent) == last) return;
    last = static_cast<int>(*percent);
    tool.ui.progress(what, static_cast<uint64_t>(last), 100);
  };
  ExitStatus status = run_streaming(
      command, out, [&](std::string_view bytes) { errors += bytes; }, tool.deadline, tool.stop);
  if (!status.ok()) throw Error(ErrorKind::environment, what + " failed: " + std::string(trim(errors)));
}

void truncate_file(const fs::path& path, uint64_t size) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.is_open() || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) throw_errno("make " + path.string());
}

void write_at(int fd, uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw_errno("write the boot loader");
    offset += static_cast<uint64_t>(n);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

bool looks_like_root(const fs::path& where) {
  std::error_code error;
  bool programs = fs::exists(where / "usr", error) || fs::exists(where / "bin", error);
  return fs::is_directory(where / "etc", error) && programs;
}

std::vector<FoundPartition> partitions_of(const fs::path& disk, const ToolRun& tool) {
  RunResult result = run({.argv = {"sfdisk", "--json", disk.string()}}, tool.deadline, tool.stop);
  if (!result.status.ok()) return {};  // no partition table
  return parse_partitions(result.out);
}

/// A part of a file as a block device, for as long as the object lives; the kernel frees it when we die.
class LoopDevice {
 public:
  LoopDevice(const fs::path& file, const Extent& extent) {
    Fd backing(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    Fd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    if (!backing.is_open() || !control.is_open()) throw_errno("open a loop device for " + file.string());
    loop_config config{};
    config.fd = static_cast<__u32>(backing.get());
    config.info.lo_offset = extent.offset;
    config.info.lo_sizelimit = extent.size;
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    for (int tries = 0; tries < 50; ++tries) {
      int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
      if (number < 0) throw_errno("find a free loop device");
      path_ = "/dev/loop" + std::to_string(number);
      fd_.reset(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
      if (!fd_.is_open()) throw_errno("open " + path_);
      if (::ioctl(fd_.get(), LOOP_CONFIGURE, &config) == 0) return;
      if (errno != EBUSY) throw_errno("set up " + path_);  // EBUSY: somebody else took it first
    }
    throw Error(ErrorKind::environment, "no free loop device was found");
  }
  const std::string& path() const { return path_; }

 private:
  Fd fd_;
  std::string path_;
};

/// "ext4", "xfs", ...; empty when it is none that blkid knows.
std::string file_system_type(const fs::path& disk, const Extent& extent, const ToolRun& tool) {
  RunResult type = run({.argv = {"blkid", "--probe", "--match-tag", "TYPE", "--output", "value", "--offset",
                                 std::to_string(extent.offset), "--size", std::to_string(extent.size), disk.string()}},
                       tool.deadline, tool.stop);
  return std::string(trim(type.out));
}

/// Grows the disk and its last partition.
void grow_disk(const fs::path& disk, uint64_t size, const ToolRun& tool) {
  truncate_file(disk, size);
  auto partitions = partitions_of(disk, tool);
  if (partitions.empty()) return;
  auto last = std::max_element(partitions.begin(), partitions.end(), [](const auto& a, const auto& b) {
    return a.extent.offset < b.extent.offset;
  });
  tool({"sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--force", "-N", std::to_string(last->number),
        disk.string()},
       ", +\n");
}

}  // namespace

std::string ToolRun::operator()(std::vector<std::string> argv, std::string_view input) const {
  Command command{.argv = std::move(argv), .env = {{"KILN_RESOURCE", token}, {"LC_ALL", "C.UTF-8"}},
                  .new_session = true};
  return run_checked(command, deadline, stop, input);
}

ImageInfo parse_image_info(const std::string& json) {
  try {
    auto info = nlohmann::json::parse(json);
    return {info.at("format").get<std::string>(), info.at("virtual-size").get<uint64_t>()};
  } catch (const std::exception& error) {
    throw Error(ErrorKind::user, std::string("the source image cannot be understood: ") + error.what());
  }
}

std::optional<double> parse_qemu_img_progress(std::string_view text) {
  size_t open = text.rfind('(');
  if (open == std::string_view::npos || !contains(text.substr(open), "/100%)")) return std::nullopt;
  return std::strtod(std::string(text.substr(open + 1)).c_str(), nullptr);
}

std::vector<std::string> convert_arguments(const std::string& from_format, const fs::path& from,
                                           const std::string& to_format, const fs::path& to, bool compress) {
  // Out of order and eight at a time: the result is the same, its blocks lie elsewhere.
  std::vector<std::string> argv = {"qemu-img", "convert", "-p", "-m", "8", "-W", "-f", from_format, "-O", to_format};
  if (to_format == "qcow2" && compress) argv.insert(argv.end(), {"-c", "-o", "compression_type=zstd"});
  argv.insert(argv.end(), {from.string(), to.string()});
  return argv;
}

void create_disk(const fs::path& disk, const DiskLayout& layout, const std::string& architecture,
                 const ToolRun& tool) {
  truncate_file(disk, layout.size);
  tool({"sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", disk.string()}, sfdisk_script(layout, architecture));
  tool({"mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-U", layout.root_uuid, "-m", "1", "-E",
        "offset=" + std::to_string(layout.root.offset) +
            ",nodiscard,assume_storage_prezeroed=1,lazy_itable_init=0,lazy_journal_init=0",
        disk.string(), std::to_string(layout.root.size / 1024) + "k"});
  if (layout.esp.size) {
    tool({"mkfs.fat", "-F", "32", "-s", "1", "-n", "ESP", "-i", replace_all(layout.esp_volume_id, "-", ""),
          "--offset=" + std::to_string(layout.esp.offset / sector_bytes), disk.string(),
          std::to_string(layout.esp.size / 1024)});
  }
}

std::vector<FoundPartition> import_disk(const fs::path& image, const fs::path& disk, uint64_t size,
                                        const ToolRun& tool) {
  ImageInfo info = parse_image_info(tool({"qemu-img", "info", "--force-share", "--output=json", image.string()}));
  if (size != 0 && size < info.virtual_size) {
    throw Error(ErrorKind::user, "size is smaller than the source image (" + format_bytes(info.virtual_size) + ")");
  }
  if (info.format == "raw") {
    tool({"cp", "--reflink=auto", "--sparse=always", "--no-preserve=mode", image.string(), disk.string()});
  } else {
    run_convert(convert_arguments(info.format, image, "raw", disk, false), "Copying source image", tool);
  }
  if (size > info.virtual_size) grow_disk(disk, size, tool);
  auto candidates = root_candidates(partitions_of(disk, tool));
  if (candidates.empty()) candidates.push_back({0, {0, std::max(size, info.virtual_size)}, ""});
  return candidates;
}

void mount_extent(const fs::path& disk, const Extent& extent, const fs::path& where, const ToolRun& tool) {
  // Barriers and access times only cost here: a build that dies is thrown away.
  std::string options = "noatime";
  std::string name = file_system_type(disk, extent, tool);
  if (name.starts_with("ext")) options += ",barrier=0,commit=300";
  if (name.empty()) throw Error(ErrorKind::user, "no file system was found");
  // Not "mount -o loop": it would take an old device of the same extent, with what that still has in memory.
  LoopDevice loop(disk, extent);
  tool({"mount", "-t", name, "-o", options, loop.path(), where.string()});
}

FoundPartition mount_root(const fs::path& disk, const std::vector<FoundPartition>& candidates, const fs::path& where,
                          const ToolRun& tool) {
  std::string tried;
  for (const auto& candidate : candidates) {
    try {
      mount_extent(disk, candidate.extent, where, tool);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::cancelled || error.kind() == ErrorKind::timeout) throw;
      tried += "\n  partition " + std::to_string(candidate.number) + ": " + error.message();
      continue;
    }
    if (looks_like_root(where)) return candidate;
    tried += "\n  partition " + std::to_string(candidate.number) + ": holds no Linux root";
    unmount(where, false);
  }
  throw Error(ErrorKind::user, "the source image has no root file system that can be mounted here:" + tried);
}

void grow_file_system(const fs::path& disk, const Extent& extent, const ToolRun& tool) {
  std::string type = file_system_type(disk, extent, tool);
  if (!type.starts_with("ext")) {
    throw Error(ErrorKind::user, "size: only ext2, ext3 and ext4 root file systems can be grown, not " + type);
  }
  LoopDevice loop(disk, extent);
  Command check{.argv = {"e2fsck", "-f", "-p", loop.path()}, .env = {{"KILN_RESOURCE", tool.token}},
                .new_session = true};
  RunResult checked = run(check, tool.deadline, tool.stop);
  if (checked.status.code > 1) {  // 1: errors were corrected
    throw Error(ErrorKind::user, "the source image's root file system is damaged: " + std::string(trim(checked.out)));
  }
  tool({"resize2fs", loop.path()});
}

void trim_mounted(const fs::path& where, const ToolRun& tool) {
  RunResult result = run({.argv = {"fstrim", where.string()}}, tool.deadline, tool.stop);
  // Without hole punching below, the image only becomes larger.
  if (!result.status.ok()) tool.ui.message("Free space could not be trimmed: " + std::string(trim(result.err)));
}

bool is_mounted(const fs::path& where) {
  struct stat here {}, above {};
  if (::lstat(where.c_str(), &here) != 0 || ::lstat(where.parent_path().c_str(), &above) != 0) return false;
  return here.st_dev != above.st_dev;
}

void unmount(const fs::path& where, bool lazy) {
  if (!is_mounted(where)) return;
  Stop no_stop;
  Deadline deadline = Deadline::in(std::chrono::seconds(lazy ? 3 : 30));
  // Every mount name space that was made meanwhile (another container, mmdebstrap) holds a copy of this mount, and
  // the file system lives, unwritten, as long as the last one: only read-only is everything on the disk for sure.
  while (::mount(nullptr, where.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0 && !lazy) {
    if (errno != EBUSY || deadline.passed()) throw_errno("write out " + where.string());
    sleep_for(std::chrono::milliseconds(50), no_stop);
  }
  while (::umount2(where.c_str(), UMOUNT_NOFOLLOW) != 0) {
    if (errno != EBUSY || deadline.passed()) {
      if (lazy && ::umount2(where.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0) return;
      throw_errno("unmount " + where.string());
    }
    sleep_for(std::chrono::milliseconds(50), no_stop);
  }
}

void write_esp(const fs::path& disk, const DiskLayout& layout, const fs::path& efi_program,
               const std::string& removable_name, const ToolRun& tool) {
  std::string at = disk.string() + "@@" + std::to_string(layout.esp.offset);
  tool({"mmd", "-i", at, "::/EFI", "::/EFI/BOOT"});
  tool({"mcopy", "-i", at, efi_program.string(), "::/EFI/BOOT/" + removable_name});
}

void write_bios_boot(const fs::path& disk, const DiskLayout& layout, const std::string& boot_image,
                     const std::string& core_image) {
  Fd fd(::open(disk.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.is_open()) throw_errno("open " + disk.string());
  std::string old_sector(sector_bytes, '\0');
  if (::pread(fd.get(), old_sector.data(), old_sector.size(), 0) != static_cast<ssize_t>(sector_bytes)) {
    throw_errno("read " + disk.string());
  }
  uint64_t core_sector = layout.bios_boot.offset / sector_bytes;
  write_at(fd.get(), layout.bios_boot.offset, patch_grub_core(core_image, core_sector, layout.bios_boot.size));
  write_at(fd.get(), 0, patch_grub_boot_sector(boot_image, old_sector, core_sector));
}

void export_disk(const fs::path& disk, const fs::path& to, const RootfsConfig& config, const ToolRun& tool) {
  if (config.format == "raw") {
    fs::rename(disk, to);
    return;
  }
  run_convert(convert_arguments("raw", disk, config.format, to, config.compress), "Writing " + to.filename().string(),
              tool);
}

}  // namespace kiln
