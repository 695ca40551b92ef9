#include "builder/rootfs/grub.h"

#include "base/error.h"

namespace kiln {

namespace {

// Offsets in boot.img and in the first sector of core.img.
constexpr size_t boot_kernel_sector_at = 0x5c;
constexpr size_t boot_drive_check_at = 0x66;
constexpr size_t boot_code_end = 0x1b8;  // then disk signature and partition table
constexpr size_t core_blocklist_at = 0x1f4;
constexpr uint16_t core_rest_segment = 0x820;

void put_little_endian(std::string& bytes, size_t at, uint64_t value, size_t width) {
  for (size_t i = 0; i < width; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i));
}

}  // namespace

std::string make_grub_config(const DiskLayout& layout, const std::string& kernel_arguments) {
  std::string arguments = "root=UUID=" + layout.root_uuid + " ro console=tty0 console=ttyS0,115200";
  if (!kernel_arguments.empty()) arguments += " " + kernel_arguments;
  return "# Boots the newest kernel by the links that its package keeps.\n"
         "set timeout_style=hidden\n"
         "set timeout=0\n"
         "serial --unit=0 --speed=115200\n"
         "terminal_input console serial\n"
         "terminal_output console serial\n"
         "search --no-floppy --fs-uuid --set=root " + layout.root_uuid + "\n"
         "menuentry \"Linux\" {\n"
         "  linux /vmlinuz " + arguments + "\n"
         "  initrd /initrd.img\n"
         "}\n"
         "menuentry \"Linux (previous kernel)\" {\n"
         "  linux /vmlinuz.old " + arguments + "\n"
         "  initrd /initrd.img.old\n"
         "}\n"
         "menuentry \"Linux (single user)\" {\n"
         "  linux /vmlinuz " + arguments + " single\n"
         "  initrd /initrd.img\n"
         "}\n";
}

std::string make_grub_early_config(const DiskLayout& layout) {
  return "search.fs_uuid " + layout.root_uuid + " root\n"
         "set prefix=($root)/boot/grub\n"
         "configfile ($root)/boot/grub/grub.cfg\n";
}

std::vector<std::string> grub_mkimage_arguments(const std::string& platform, const std::string& early_config,
                                                const std::string& output) {
  bool bios = platform == "i386-pc";
  std::vector<std::string> argv = {"grub-mkimage", "-O",     platform, "-p", bios ? "/boot/grub" : "/EFI/BOOT",
                                   "-c",           early_config, "-o",     output};
  // Everything that is used is built in: no module is read from the disk.
  argv.insert(argv.end(), {"part_gpt", "part_msdos", "ext2", "search", "search_fs_uuid", "normal", "linux",
                           "configfile", "test", "echo", "terminal", "sleep", "reboot", "halt", "ls", "cat",
                           "minicmd", "gzio"});
  if (bios) {
    argv.insert(argv.end(), {"biosdisk", "serial"});
  } else {
    argv.insert(argv.end(), {"fat", "all_video", "efi_gop", "video"});
    if (platform == "x86_64-efi") argv.push_back("serial");
  }
  return argv;
}

std::string efi_removable_name(const std::string& platform) {
  return platform == "arm64-efi" ? "BOOTAA64.EFI" : "BOOTX64.EFI";
}

std::string patch_grub_boot_sector(const std::string& boot_image, const std::string& old_sector,
                                   uint64_t core_sector) {
  if (boot_image.size() != sector_bytes || old_sector.size() != sector_bytes ||
      static_cast<unsigned char>(boot_image[510]) != 0x55 || static_cast<unsigned char>(boot_image[511]) != 0xaa) {
    throw Error(ErrorKind::environment, "GRUB's boot.img is not a boot sector");
  }
  std::string sector = boot_image;
  sector.replace(boot_code_end, 510 - boot_code_end, old_sector, boot_code_end, 510 - boot_code_end);
  put_little_endian(sector, boot_kernel_sector_at, core_sector, 8);
  // A hard disk: take the drive number from the firmware as it is (two nops over the check).
  put_little_endian(sector, boot_drive_check_at, 0x9090, 2);
  return sector;
}

std::string patch_grub_core(std::string core_image, uint64_t core_sector, uint64_t room_bytes) {
  if (core_image.size() <= sector_bytes) throw Error(ErrorKind::environment, "GRUB's core.img is too short");
  core_image.resize((core_image.size() + sector_bytes - 1) / sector_bytes * sector_bytes);
  if (core_image.size() > room_bytes) {
    throw Error(ErrorKind::environment, "GRUB's core.img does not fit into the BIOS boot partition");
  }
  uint64_t rest = core_image.size() / sector_bytes - 1;
  put_little_endian(core_image, core_blocklist_at, core_sector + 1, 8);
  put_little_endian(core_image, core_blocklist_at + 8, rest, 2);
  put_little_endian(core_image, core_blocklist_at + 10, core_rest_segment, 2);
  return core_image;
}

}  // namespace kiln
