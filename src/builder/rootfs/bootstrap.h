// A root straight from a distribution's packages: what mmdebstrap is asked.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "builder/rootfs/config.h"

namespace kiln {

/// A file of this machine's package sources.
struct SourcesFile {
  std::string name;
  std::string text;
};

/// One-line sources for `suite` (with its -updates and -security) out of this machine's own, one-line or deb822.
/// Empty when the machine has none for it. Pure.
std::string select_package_sources(const std::vector<SourcesFile>& files, const std::string& suite);
/// /etc/apt/sources.list and sources.list.d of this machine.
std::vector<SourcesFile> read_package_sources();
/// What is installed so that the root boots (and runs in a container), given the suite. Pure.
std::vector<std::string> boot_packages(const RootfsPlan& plan, const std::string& architecture);
/// Arguments of mmdebstrap; the sources come on its standard input when `has_sources`. Files below `seed` are put
/// into the root before packages beyond the essential ones are installed. Pure.
std::vector<std::string> mmdebstrap_arguments(const RootfsPlan& plan, const std::string& architecture,
                                              const std::string& seed, const std::string& root, bool has_sources,
                                              const std::vector<std::string>& proxies);
struct SeedFile {
  std::string path;
  std::string content;
  int mode;
};
/// Files that make the initramfs small and generic, and the placeholder below.
std::vector<SeedFile> initramfs_seed();
/// Stands before update-initramfs on the PATH while packages are installed (they would make it twice); to be
/// removed by who makes it then.
constexpr const char* initramfs_placeholder_path = "/usr/local/sbin/update-initramfs";
/// dpkg's configuration of a lean image.
std::string lean_dpkg_config();
/// "amd64" for "x86_64": Debian's name of this machine's architecture.
std::string host_architecture();

}  // namespace kiln
