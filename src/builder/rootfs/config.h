// The options of the rootfs builder.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/builder.h"
#include "core/components.h"
#include "kit/cloud_seed.h"
#include "lang/option.h"

namespace kiln {

/// An account to be made before the provisioners run.
struct RootfsUser {
  std::string name;
  std::string password;
  std::vector<std::string> authorized_keys;
  bool sudo = false;
};

struct RootfsConfig {
  // exactly one of
  std::string suite;
  std::string source_image;
  std::string source_archive;

  std::vector<std::string> packages;
  std::string mirror;
  std::vector<std::string> components = {"main"};
  std::string variant = "minbase";
  std::string architecture;
  bool lean = true;

  std::string hostname;
  std::string size;
  std::string format = "qcow2";
  bool compress = false;
  std::string output_directory;
  std::string image_name;
  std::string boot = "both";
  std::string kernel_package;
  std::string kernel_arguments;
  std::vector<RootfsUser> users;
  std::string root_password;
  bool dhcp = true;

  bool container_boot = true;
  std::string network = "auto";
  Duration container_timeout = std::chrono::minutes(3);
  Duration shutdown_timeout = std::chrono::minutes(2);
  std::string shutdown_command;
  std::string communicator = "container";
  bool clean = true;
  CloudSeedConfig seed;
};

const OptionTable<RootfsConfig>& rootfs_options();

/// What the options mean after defaults and checks.
struct RootfsPlan {
  RootfsConfig config;
  std::filesystem::path output_directory;
  std::string image_file;   ///< file name with its ending
  uint64_t size = 0;        ///< bytes; 0: as the source
  bool bios = false;
  bool uefi = false;
  bool bootable() const { return bios || uefi; }
};

/// Decodes and checks; problems become diagnostics.
RootfsPlan plan_rootfs(const PrepareInput& input);

/// "4G", "512M", "10240M", "1.5G", a number of bytes; powers of 1024. nullopt when it is none. Pure.
std::optional<uint64_t> parse_disk_size(const std::string& text);

}  // namespace kiln
