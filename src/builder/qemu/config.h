// Options of builder qemu (packer-surface 8.1), decoded and judged.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "communicator/ssh/config.h"
#include "core/artifact.h"
#include "core/stage_context.h"
#include "kit/boot_command.h"
#include "kit/cd_image.h"
#include "kit/cloud_seed.h"
#include "kit/download.h"
#include "kit/floppy.h"
#include "kit/http_directory.h"
#include "kit/shutdown.h"

namespace kiln::qemu {

/// qemu_img_args: arguments put into qemu-img's commands.
struct ImgArgs {
  std::vector<std::string> convert;
  std::vector<std::string> create;
  std::vector<std::string> resize;
};

struct Config {
  CommunicatorConfig comm;
  HttpConfig http;
  IsoConfig iso;
  FloppyConfig floppy;
  CdConfig cd;
  CloudSeedConfig seed;
  BootConfig boot;
  ShutdownConfig shutdown;

  bool cloud_seed = false;  ///< a seed for the temporary key alone
  bool iso_skip_cache = false;
  std::string accelerator;  ///< empty: found out when the machine is started
  std::vector<std::string> disk_additional_size;
  int cpus = 0;
  int sockets = 0;
  int cores = 0;
  int threads = 0;
  std::string cpu_model;
  std::string firmware;
  bool use_pflash = false;
  std::string disk_interface;
  std::string disk_size;
  bool skip_resize_disk = false;
  std::string disk_cache;
  std::string disk_discard;
  std::string disk_detect_zeroes;
  bool skip_compaction = false;
  bool disk_compression = false;
  std::string disk_compression_type;  ///< "zlib" or "zstd"
  std::string format;
  bool headless = false;
  bool disk_image = false;
  bool use_backing_file = false;
  std::string machine_type;
  int memory = 0;
  std::string net_device;
  std::string net_bridge;
  std::string output_directory;
  std::vector<std::vector<std::string>> qemuargs;
  ImgArgs qemu_img_args;
  std::string qemu_binary;
  bool qmp_enable = false;
  std::string qmp_socket_path;
  bool use_default_display = false;
  std::string display;
  std::string vga;
  std::string vnc_bind_address;
  bool vnc_use_password = false;
  std::string vnc_password;
  int vnc_port_min = 0;
  int vnc_port_max = 0;
  bool disable_vnc = false;
  std::string vm_name;
  std::string cdrom_interface;
  bool vtpm = false;
  bool use_tpm1 = false;
  std::string tpm_device_type;
  bool efi_boot = false;
  std::string efi_firmware_code;
  std::string efi_firmware_vars;
  bool efi_drop_efivars = false;
  int host_port_min = 0;
  int host_port_max = 0;
  bool skip_nat_mapping = false;
  bool run_once = false;
  std::vector<std::string> renew;  ///< of a machine that goes on from a state: words of kit/renew_identity.h
};

const OptionTable<Config>& options();

/// Decodes, completes the defaults and reports everything that is wrong. Looks at the files the options name.
Config prepare(const PrepareInput& input);

/// Builder::fresh_machine: of `written` what says how the machine is made and entered, with the artifact's disk under an
/// overlay. nullopt when there is no disk among the artifact's files. Pure.
std::optional<Value> fresh_machine_config(const Value& written, const Artifact& artifact,
                                          const std::filesystem::path& scratch);

/// disk_size normalised for qemu-img ("40960M"); nullopt when it is no size.
std::optional<std::string> normalise_disk_size(const std::string& size);

}  // namespace kiln::qemu
