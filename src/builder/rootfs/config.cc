#include "builder/rootfs/config.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

const OptionTable<RootfsUser>& rootfs_user_options() {
  static const auto table = [] {
    OptionTable<RootfsUser> t;
    t.add(&RootfsUser::name, {.name = "name", .doc = "The account's name.", .required = true});
    t.add(&RootfsUser::password,
          {.name = "password", .doc = "Password; without one none can be used.", .secret = true});
    t.add(&RootfsUser::authorized_keys, {.name = "authorized_keys", .doc = "Public keys for ssh, one an item."});
    t.add(&RootfsUser::sudo, {.name = "sudo", .default_text = "false",
                              .doc = "May become root by sudo without a password (the sudo package must be there)."});
    return t;
  }();
  return table;
}

void add_source_options(OptionTable<RootfsConfig>& t) {
  using C = RootfsConfig;
  t.add(&C::suite, {.name = "suite", .doc = "Build from a distribution's packages: its suite, e.g. \"bookworm\". "
                                            "Exactly one of suite, source_image and source_archive."});
  t.add(&C::source_image, {.name = "source_image", .doc = "Start from a disk image (qcow2, raw, vmdk, vdi, vhdx). "
                                                          "It is copied, never changed.", .reads = true});
  t.add(&C::source_archive, {.name = "source_archive", .doc = "Start from an archive of a root directory (tar, also "
                                                              "compressed).", .reads = true});
  t.add(&C::packages, {.name = "packages", .doc = "Packages to install beside those that booting needs."});
  t.add(&C::mirror, {.name = "mirror", .doc = "Address of the package archive. Default: what this machine's own "
                                              "package sources use for the suite."});
  t.add(&C::components, {.name = "components", .default_text = "[\"main\"]", .doc = "Components of the archive, "
                                                                                    "with mirror."});
  t.add(&C::variant, {.name = "variant", .default_text = "minbase", .doc = "mmdebstrap's variant: minbase, apt, "
                                                                           "essential, important, standard, ..."});
  t.add(&C::architecture, {.name = "architecture", .doc = "Debian architecture. Default: this machine's."});
  t.add(&C::lean, {.name = "lean", .default_text = "true", .doc = "Leave out manual pages, documents and "
                                                                  "translations, also of later installations."});
}

void add_image_options(OptionTable<RootfsConfig>& t) {
  using C = RootfsConfig;
  t.add(&C::hostname, {.name = "hostname", .doc = "The machine's host name. Default: as the source; with suite the "
                                                  "build's name."});
  t.add(&C::size, {.name = "size", .doc = "Size of the disk, e.g. \"4G\". Default: the source image's size, else 4G. "
                                          "Larger than the source image: its root file system grows."});
  t.add(&C::format, {.name = "format", .default_text = "qcow2", .doc = "qcow2, raw or vmdk.", .at_end = true});
  t.add(&C::compress,
        {.name = "compress", .default_text = "false", .doc = "Compress the qcow2 image (zstd).", .at_end = true});
  t.add(&C::output_directory, {.name = "output_directory", .default_text = "output-BUILDNAME",
                               .doc = "Directory of the result; must not exist unless -force is given.",
                               .in_key = false, .places = true});
  t.add(&C::image_name, {.name = "image_name", .default_text = "BUILDNAME", .doc = "File name of the image; the "
                         "format's ending is added where it is missing.", .in_key = false, .places = true});
  t.add(&C::boot, {.name = "boot", .default_text = "both", .doc = "Firmware that shall boot it: both, bios, uefi or "
                                                                  "none. A source image keeps its own loader."});
  t.add(&C::kernel_package, {.name = "kernel_package", .default_text = "linux-image-cloud-ARCH",
                             .doc = "The kernel's package."});
  t.add(&C::kernel_arguments, {.name = "kernel_arguments", .doc = "Added to the kernel's command line."});
  t.add_blocks(&C::users, {.name = "users", .doc = "Accounts to make before provisioning."}, rootfs_user_options());
  t.add(&C::root_password, {.name = "root_password", .doc = "root's password; without one root cannot log in by "
                                                            "password.", .secret = true});
  t.add(&C::dhcp, {.name = "dhcp", .default_text = "true", .doc = "Configure every Ethernet card by DHCP "
                                                                  "(systemd-networkd)."});
}

void add_run_options(OptionTable<RootfsConfig>& t) {
  using C = RootfsConfig;
  t.add(&C::container_boot, {.name = "container_boot", .default_text = "true",
                             .doc = "Boot the root's own init in the container, so that services run and reboots "
                                    "work while provisioning."});
  t.add(&C::network, {.name = "network", .default_text = "auto",
                      .doc = "The container's network: user (its own, connected outward by slirp4netns), host, none; "
                             "auto takes user where slirp4netns is installed, else host.", .in_key = false});
  t.add(&C::container_timeout, {.name = "container_timeout", .default_text = "3m",
                                .doc = "How long the container may take to come up, also after a reboot.",
                                .in_key = false});
  t.add(&C::shutdown_command, {.name = "shutdown_command", .doc = "Run inside before the container is shut down. "
                                                                  "Default: an orderly power-off.", .at_end = true});
  t.add(&C::shutdown_timeout, {.name = "shutdown_timeout",
                               .default_text = "2m",
                               .doc = "How long shutting down may take before it is forced.",
                               .in_key = false,
                               .at_end = true});
  t.add(&C::communicator, {.name = "communicator", .default_text = "container", .doc = "Only \"container\"."});
  t.add(&C::clean, {.name = "clean", .default_text = "true",
                    .doc = "Remove package caches and lists, the machine id, ssh host keys (made anew at the first "
                           "boot), journals, cloud-init's state and what is in /tmp.", .at_end = true});
}

void check_choice(const std::string& name, const std::string& value, const std::vector<std::string>& choices,
                  const PrepareInput& input) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  auto near = nearest_name(value, choices);
  const Value* at = input.config.find(name);
  input.diagnostics.error("invalid " + name + " " + go_quote(value) + ": expected one of " + join(choices, ", "), {},
                          at != nullptr ? at->range : input.config.range,
                          near ? "Did you mean \"" + *near + "\"?" : "");
}

void check_source(const RootfsConfig& config, const PrepareInput& input) {
  int sources = !config.suite.empty() + !config.source_image.empty() + !config.source_archive.empty();
  if (sources != 1) {
    input.diagnostics.error("exactly one of suite, source_image and source_archive must be set", {},
                            input.config.range);
  }
  for (const auto& [name, path] : {std::pair{"source_image", config.source_image},
                                   std::pair{"source_archive", config.source_archive}}) {
    std::error_code error;
    if (path.empty() || path == "<no value>" || fs::is_regular_file(path, error) || fs::is_block_file(path, error)) {
      continue;
    }
    const Value* at = input.config.find(name);
    input.diagnostics.error(std::string(name) + ": the file " + path + " does not exist", {},
                            at != nullptr ? at->range : SourceRange{});
  }
}

}  // namespace

const OptionTable<RootfsConfig>& rootfs_options() {
  static const auto table = [] {
    OptionTable<RootfsConfig> t;
    add_source_options(t);
    add_image_options(t);
    add_run_options(t);
    t.include(&RootfsConfig::seed, cloud_seed_options());
    return t;
  }();
  return table;
}

std::optional<uint64_t> parse_disk_size(const std::string& text) {
  char* end = nullptr;
  double number = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || !(number > 0)) return std::nullopt;
  std::string unit = upper(std::string(trim(end)));
  if (unit.ends_with("IB")) unit.resize(unit.size() - 2);
  else if (unit.ends_with('B')) unit.resize(unit.size() - 1);
  const std::string units = "KMGT";
  double factor = 1;
  if (unit.size() == 1 && units.find(unit) != std::string::npos) {
    factor = std::pow(1024.0, static_cast<double>(units.find(unit) + 1));
  } else if (!unit.empty()) {
    return std::nullopt;
  }
  double bytes = number * factor;
  if (bytes > 64.0 * 1024 * 1024 * 1024 * 1024) return std::nullopt;
  return static_cast<uint64_t>(bytes);
}

RootfsPlan plan_rootfs(const PrepareInput& input) {
  RootfsPlan plan;
  RootfsConfig& config = plan.config;
  auto decode = input.decode("builder rootfs");
  rootfs_options().decode(input.config, config, decode);
  check_source(config, input);
  prepare_cloud_seed(config.seed, input);
  check_choice("format", config.format, {"qcow2", "raw", "vmdk"}, input);
  check_choice("boot", config.boot, {"both", "bios", "uefi", "none"}, input);
  check_choice("network", config.network, {"auto", "user", "host", "none"}, input);
  check_choice("communicator", config.communicator, {"container"}, input);
  if (!config.size.empty()) {
    auto size = parse_disk_size(config.size);
    const Value* at = input.config.find("size");
    if (!size || *size < (64u << 20)) {
      input.diagnostics.error(
          "invalid size " + go_quote(config.size) + ": expected something like \"4G\", at least 64M", {},
          at != nullptr ? at->range : SourceRange{});
    }
    plan.size = size.value_or(0) / 4096 * 4096;
  }
  plan.bios = config.boot == "both" || config.boot == "bios";
  plan.uefi = config.boot == "both" || config.boot == "uefi";
  plan.output_directory = config.output_directory.empty() ? "output-" + input.build.name : config.output_directory;
  plan.image_file = config.image_name.empty() ? input.build.name : config.image_name;
  if (!plan.image_file.ends_with("." + config.format)) plan.image_file += "." + config.format;
  if (plan.image_file.find('/') != std::string::npos) {
    input.diagnostics.error("image_name must be a file name, not a path: " + plan.image_file, {}, input.config.range);
  }
  if (config.hostname.empty() && config.source_image.empty()) {
    for (char c : input.build.name) config.hostname += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
  }
  return plan;
}

}  // namespace kiln
