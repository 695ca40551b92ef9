#include "builder/qemu/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "base/file.h"
#include "base/text.h"
#include "kit/renew_identity.h"

namespace kiln::qemu {

namespace {

const OptionTable<ImgArgs>& img_args_options() {
  static const OptionTable<ImgArgs> table = [] {
    OptionTable<ImgArgs> t;
    t.add(&ImgArgs::convert, {.name = "convert", .doc = "Arguments added to qemu-img convert."});
    t.add(&ImgArgs::create, {.name = "create", .doc = "Arguments added to qemu-img create."});
    t.add(&ImgArgs::resize, {.name = "resize", .doc = "Arguments added to qemu-img resize."});
    return t;
  }();
  return table;
}

void add_machine_options(OptionTable<Config>& t) {
  t.add(&Config::accelerator,
        {.name = "accelerator", .default_text = "kvm if it works, else tcg",
         .doc = "none, kvm, tcg, xen, hax, hvf, whpx, nvmm. When not set, kvm is tried and tcg taken if it fails.",
         .in_key = false});
  t.add(&Config::cpus, {.name = "cpus", .default_text = "1", .doc = "Virtual CPUs.", .in_key = false});
  t.add(&Config::sockets, {.name = "sockets", .doc = "CPU sockets.", .in_key = false});
  t.add(&Config::cores, {.name = "cores", .doc = "Cores per socket.", .in_key = false});
  t.add(&Config::threads, {.name = "threads", .doc = "Threads per core.", .in_key = false});
  t.add(&Config::cpu_model, {.name = "cpu_model", .doc = "QEMU's -cpu."});
  t.add(&Config::memory, {.name = "memory", .default_text = "512", .doc = "Memory in MiB.", .in_key = false});
  t.add(&Config::machine_type, {.name = "machine_type", .default_text = "pc", .doc = "QEMU's machine type."});
  t.add(&Config::firmware,
        {.name = "firmware", .doc = "A firmware file for -bios, or pflash with use_pflash.", .reads = true});
  t.add(&Config::use_pflash, {.name = "use_pflash", .default_text = "false", .doc = "firmware is a pflash drive."});
  t.add(&Config::efi_boot, {.name = "efi_boot", .default_text = "false", .doc = "Boot by UEFI."});
  t.add(&Config::efi_firmware_code, {.name = "efi_firmware_code",
                                     .default_text = "/usr/share/OVMF/OVMF_CODE.fd",
                                     .doc = "UEFI code image.",
                                     .reads = true});
  t.add(&Config::efi_firmware_vars,
        {.name = "efi_firmware_vars", .default_text = "/usr/share/OVMF/OVMF_VARS.fd",
         .doc = "UEFI variables; copied to efivars.fd in the output directory.", .reads = true});
  t.add(&Config::efi_drop_efivars, {.name = "efi_drop_efivars",
                                    .default_text = "false",
                                    .doc = "Do not keep efivars.fd with the artifact.",
                                    .at_end = true});
  t.add(&Config::vtpm, {.name = "vtpm", .default_text = "false", .doc = "Emulate a TPM (needs swtpm)."});
  t.add(&Config::use_tpm1, {.name = "use_tpm1", .default_text = "false", .doc = "TPM 1.2 instead of 2.0."});
  t.add(&Config::tpm_device_type,
        {.name = "tpm_device_type", .default_text = "tpm-tis", .doc = "The TPM device QEMU shows to the guest."});
  t.add(&Config::net_device, {.name = "net_device", .default_text = "virtio-net", .doc = "The network card."});
  t.add(&Config::net_bridge, {.name = "net_bridge", .doc = "A bridge to attach to instead of user networking."});
  t.add(&Config::qemuargs,
        {.name = "qemuargs", .doc = "Switches that replace the same-named defaults; fields are joined.", .raw = true});
  t.add(&Config::qemu_binary,
        {.name = "qemu_binary", .default_text = "qemu-system-x86_64", .doc = "The QEMU to run."});
  t.add(&Config::qmp_enable,
        {.name = "qmp_enable", .default_text = "false", .doc = "Offer a QMP socket to others.", .in_key = false});
  t.add(&Config::qmp_socket_path,
        {.name = "qmp_socket_path", .default_text = "OUTPUT/VM.monitor", .doc = "Where.", .in_key = false});
  t.add(&Config::cloud_seed,
        {.name = "cloud_seed", .default_text = "false, true for machines of tests",
         .doc = "Have cloud-init put the temporary key in place when there is neither password nor key file, also "
                "without user_data. Kiln's own option."});
  t.add(&Config::renew,
        {.name = "renew",
         .doc = "What a machine that goes on from a cached state has anew before anything runs in it, so "
                "that no two have it in common: ssh_host_keys, machine_id, dhcp_leases. Kiln's own option.",
         .at_end = true});
  t.add(&Config::run_once, {.name = "run_once", .doc = "Accepted and ignored.", .in_key = false});
}

void add_disk_options(OptionTable<Config>& t) {
  t.add(&Config::iso_skip_cache,
        {.name = "iso_skip_cache", .default_text = "false", .doc = "Use iso_url's path as it is, unverified."});
  t.add(&Config::disk_size, {.name = "disk_size", .default_text = "40960M", .doc = "Size of the disk."});
  t.add(&Config::disk_additional_size, {.name = "disk_additional_size", .doc = "Sizes of further disks."});
  t.add(&Config::disk_interface,
        {.name = "disk_interface", .default_text = "virtio", .doc = "ide, sata, scsi, sd, virtio or virtio-scsi."});
  t.add(&Config::disk_cache,
        {.name = "disk_cache", .default_text = "writeback",
         .doc = "writethrough, writeback, none, unsafe or directsync.", .in_key = false});
  t.add(&Config::disk_discard, {.name = "disk_discard", .default_text = "ignore", .doc = "unmap or ignore."});
  t.add(&Config::disk_detect_zeroes,
        {.name = "disk_detect_zeroes", .default_text = "off", .doc = "unmap, on or off."});
  t.add(&Config::format, {.name = "format", .default_text = "qcow2", .doc = "qcow2 or raw.", .at_end = true});
  t.add(&Config::disk_image,
        {.name = "disk_image", .default_text = "false", .doc = "iso_url is a disk to start from."});
  t.add(&Config::use_backing_file,
        {.name = "use_backing_file", .default_text = "false", .doc = "Keep iso_url as the backing file."});
  t.add(&Config::skip_resize_disk,
        {.name = "skip_resize_disk", .default_text = "false", .doc = "Leave the disk image's size."});
  t.add(&Config::skip_compaction, {.name = "skip_compaction",
                                   .default_text = "false",
                                   .doc = "Do not rewrite the disk at the end.",
                                   .at_end = true});
  t.add(&Config::disk_compression,
        {.name = "disk_compression",
         .default_text = "false",
         .doc = "Compress it when it is rewritten; then it is, whatever skip_compaction says.",
         .at_end = true});
  t.add(&Config::disk_compression_type,
        {.name = "disk_compression_type",
         .default_text = "zlib",
         .doc = "zlib, or zstd: several times faster, but only QEMU 5.1 and later read it. Kiln's own.",
         .at_end = true});
  t.add_block(&Config::qemu_img_args, {.name = "qemu_img_args", .doc = "Arguments for qemu-img.", .at_end = true},
              img_args_options());
  t.add(&Config::cdrom_interface, {.name = "cdrom_interface", .doc = "How CDs are attached."});
  t.add(&Config::output_directory,
        {.name = "output_directory", .default_text = "output-BUILDNAME", .doc = "Where the artifact goes.",
         .in_key = false, .places = true});
  t.add(&Config::vm_name, {.name = "vm_name",
                           .default_text = "packer-BUILDNAME",
                           .doc = "Name of the machine and its disk file.",
                           .places = true});
}

void add_access_options(OptionTable<Config>& t) {
  t.add(&Config::headless,
        {.name = "headless", .default_text = "false", .doc = "Show no window.", .in_key = false});
  t.add(&Config::display, {.name = "display", .default_text = "gtk", .doc = "QEMU's -display.", .in_key = false});
  t.add(&Config::use_default_display,
        {.name = "use_default_display", .default_text = "false", .doc = "Leave -display to QEMU.", .in_key = false});
  t.add(&Config::vga, {.name = "vga", .doc = "QEMU's -vga."});
  t.add(&Config::vnc_bind_address,
        {.name = "vnc_bind_address", .default_text = "127.0.0.1", .doc = "Where VNC listens.", .in_key = false});
  t.add(&Config::vnc_use_password,
        {.name = "vnc_use_password", .default_text = "false", .doc = "Protect VNC by a password.", .in_key = false});
  t.add(&Config::vnc_password,
        {.name = "vnc_password", .default_text = "random", .doc = "That password.", .secret = true, .in_key = false});
  t.add(&Config::vnc_port_min,
        {.name = "vnc_port_min", .default_text = "5900", .doc = "VNC's lowest port.", .in_key = false});
  t.add(&Config::vnc_port_max,
        {.name = "vnc_port_max", .default_text = "6000", .doc = "VNC's highest port.", .in_key = false});
  t.add(&Config::disable_vnc,
        {.name = "disable_vnc", .default_text = "false", .doc = "No VNC: keys are sent through QMP.",
         .in_key = false});
  t.add(&Config::host_port_min,
        {.name = "host_port_min", .default_text = "2222", .doc = "Lowest forwarded port.", .in_key = false,
         .aliases = {"ssh_host_port_min"}});
  t.add(&Config::host_port_max,
        {.name = "host_port_max", .default_text = "4444", .doc = "Highest forwarded port.", .in_key = false,
         .aliases = {"ssh_host_port_max"}});
  t.add(&Config::skip_nat_mapping,
        {.name = "skip_nat_mapping", .default_text = "false", .doc = "No forwarded port; ssh_port is used as it is.",
         .in_key = false, .aliases = {"ssh_skip_nat_mapping"}});
}

bool one_of(const std::string& word, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* w) { return word == w; });
}

void set_default(std::string& text, const std::string& value) {
  if (text.empty()) text = value;
}

/// What is not given, as Packer fills it.
void complete(Config& c, const BuildInfo& build) {
  set_default(c.output_directory, "output-" + build.name);
  set_default(c.vm_name, "packer-" + build.name);
  set_default(c.disk_size, "40960M");
  set_default(c.disk_interface, "virtio");
  set_default(c.disk_cache, "writeback");
  set_default(c.disk_discard, "ignore");
  set_default(c.disk_detect_zeroes, "off");
  set_default(c.format, "qcow2");
  set_default(c.machine_type, "pc");
  set_default(c.net_device, "virtio-net");
  set_default(c.qemu_binary, "qemu-system-x86_64");
  set_default(c.vnc_bind_address, "127.0.0.1");
  set_default(c.tpm_device_type, "tpm-tis");
  if (c.memory < 10) c.memory = 512;
  if (c.host_port_min == 0) c.host_port_min = 2222;
  if (c.host_port_max == 0) c.host_port_max = 4444;
  if (c.vnc_port_min == 0) c.vnc_port_min = 5900;
  if (c.vnc_port_max == 0) c.vnc_port_max = 6000;
  if (!c.efi_firmware_code.empty() || !c.efi_firmware_vars.empty()) c.efi_boot = true;
  if (c.efi_boot) {
    set_default(c.efi_firmware_code, "/usr/share/OVMF/OVMF_CODE.fd");
    set_default(c.efi_firmware_vars, "/usr/share/OVMF/OVMF_VARS.fd");
  }
  set_default(c.disk_compression_type, "zlib");
  if (!c.qmp_socket_path.empty()) c.qmp_enable = true;
  if (c.qmp_enable && c.qmp_socket_path.empty()) {
    c.qmp_socket_path = (fs::path(c.output_directory) / (c.vm_name + ".monitor")).string();
  }
  if (c.format == "raw") c.skip_compaction = true, c.disk_compression = false;
  if (c.use_backing_file) c.skip_compaction = true;
}

/// Reports mistakes, each at its option.
class Judge {
 public:
  Judge(Config& config, const PrepareInput& input) : c_(config), in_(input) {}

  void all() {
    disks();
    numbers();
    words();
    combinations();
    files();
  }

 private:
  void error(std::string_view option, std::string text, std::string hint = {}) {
    in_.diagnostics.error(std::move(text), "", option_range(in_.config, option), std::move(hint));
  }

  void disks() {
    auto check = [&](std::string& size, const char* option) {
      if (auto good = normalise_disk_size(size)) size = *good;
      else
        error(option, "Invalid disk size.",
              "A size is a number and a unit: \"10G\", \"512M\"; got " + go_quote(size) + ".");
    };
    check(c_.disk_size, "disk_size");
    for (auto& size : c_.disk_additional_size) check(size, "disk_additional_size");
    if (!one_of(c_.format, {"qcow2", "raw"})) {
      error("format", "invalid format, only 'qcow2' or 'raw' are allowed");
    }
    if (c_.use_backing_file && !(c_.disk_image && c_.format == "qcow2")) {
      error("use_backing_file",
            "use_backing_file can only be enabled for QCOW2 images and when disk_image is true");
    }
    if (c_.skip_resize_disk && !c_.disk_image) {
      error("skip_resize_disk", "skip_resize_disk can only be used when disk_image is true");
    }
    if (c_.disk_additional_size.size() > 0 && c_.use_backing_file) {
      error("disk_additional_size", "disk_additional_size can only be used when use_backing_file is false");
    }
  }

  void numbers() {
    for (auto [option, value] :
         {std::pair{"cpus", c_.cpus}, {"sockets", c_.sockets}, {"cores", c_.cores}, {"threads", c_.threads}}) {
      if (value < 0) error(option, fmt::format("{} must not be negative", option));
    }
    if (c_.host_port_min > c_.host_port_max) {
      error("host_port_min", "host_port_min must be less than host_port_max");
    }
    if (c_.host_port_min < 0) error("host_port_min", "host_port_min must be positive");
    if (c_.vnc_port_min < 5900) {
      error("vnc_port_min", "vnc_port_min cannot be below 5900");
    }
    if (c_.vnc_port_max > 65535) {
      error("vnc_port_max", "vnc_port_max must be below 65535 to be valid");
    }
    if (c_.vnc_port_min > c_.vnc_port_max) {
      error("vnc_port_min", "vnc_port_min must be less than vnc_port_max");
    }
  }

  void words() {
    if (!c_.accelerator.empty() &&
        !one_of(c_.accelerator, {"none", "kvm", "tcg", "xen", "hax", "hvf", "whpx", "nvmm"})) {
      error("accelerator",
            "invalid accelerator, only 'kvm', 'tcg', 'xen', 'hax', 'hvf', 'whpx', or 'none' are allowed");
    }
    if (!one_of(c_.disk_interface, {"ide", "sata", "scsi", "sd", "virtio", "virtio-scsi"})) {
      error("disk_interface", "unrecognized disk interface type");
    }
    if (!one_of(c_.disk_cache, {"writethrough", "writeback", "none", "unsafe", "directsync"})) {
      error("disk_cache", "unrecognized disk cache type");
    }
    if (!one_of(c_.disk_discard, {"unmap", "ignore"})) error("disk_discard", "unrecognized disk discard type");
    if (!one_of(c_.disk_detect_zeroes, {"unmap", "on", "off"})) {
      error("disk_detect_zeroes", "unrecognized disk detect zeroes setting");
    }
    if (!one_of(c_.disk_compression_type, {"zlib", "zstd"}))
      error("disk_compression_type", "disk_compression_type must be zlib or zstd");
    for (const auto& word : c_.renew) {
      if (!one_of(word, {renewable_host_keys, renewable_machine_id, renewable_leases})) {
        error("renew", fmt::format("renew: {} is none of {}, {}, {}", go_quote(word), renewable_host_keys,
                                   renewable_machine_id, renewable_leases));
      }
    }
    for (const auto& argument : c_.qemuargs) {
      if (argument.empty()) error("qemuargs", "qemuargs: an item needs at least the switch");
      for (const auto& field : argument) {
        if (auto wrong = validate_template(field, in_.build.scope))
          error("qemuargs", "Error parsing qemuargs: " + *wrong);
      }
    }
  }

  void combinations() {
    bool types = c_.boot.has_command();
    if (types && c_.disable_vnc) {
      // Packer refuses this; the keys go through QMP instead.
      in_.diagnostics.warning("A boot command with disable_vnc is typed through QMP.", "",
                              option_range(in_.config, "disable_vnc"));
    }
    if (c_.vnc_use_password && c_.vnc_password.size() > 8) {
      error("vnc_password", "vnc_password must not be longer than 8 characters");
    }
    if (c_.use_tpm1 && !c_.vtpm) {
      in_.diagnostics.warning("use_tpm1 has no effect without vtpm", "", option_range(in_.config, "use_tpm1"));
    }
    if (c_.iso_skip_cache && c_.iso.iso_url.empty() && c_.iso.iso_urls.empty()) {
      error("iso_skip_cache", "iso_skip_cache needs iso_url");
    }
    if (c_.use_pflash && c_.firmware.empty()) {
      error("use_pflash", "use_pflash needs firmware");
    }
    if (c_.firmware.size() && c_.efi_boot) {
      error("firmware", "firmware cannot be used together with efi_boot");
    }
  }

  void files() {
    std::error_code ignored;
    if (!in_.build.force && fs::exists(c_.output_directory, ignored)) {
      error("output_directory",
            fmt::format("Output directory '{}' already exists. It must not exist.", c_.output_directory),
            "-force deletes it before the build.");
    }
    auto must_exist = [&](const char* option, const std::string& path) {
      if (!path.empty() && !fs::exists(path, ignored)) {
        error(option, fmt::format("Bad {}: stat {}: no such file or directory", option, path));
      }
    };
    must_exist("firmware", c_.firmware);
    if (c_.efi_boot) {
      must_exist("efi_firmware_code", c_.efi_firmware_code);
      must_exist("efi_firmware_vars", c_.efi_firmware_vars);
    }
  }

  Config& c_;
  const PrepareInput& in_;
};

}  // namespace

const OptionTable<Config>& options() {
  static const OptionTable<Config> table = [] {
    OptionTable<Config> t;
    t.include(&Config::comm, communicator_options());
    t.include(&Config::http, http_options());
    t.include(&Config::iso, iso_options());
    t.include(&Config::floppy, floppy_options());
    t.include(&Config::cd, cd_options());
    t.include(&Config::seed, cloud_seed_options());
    t.include(&Config::boot, boot_options());
    t.include(&Config::shutdown, shutdown_options());
    add_machine_options(t);
    add_disk_options(t);
    add_access_options(t);
    return t;
  }();
  return table;
}

std::optional<std::string> normalise_disk_size(const std::string& size) {
  std::string digits = size;
  char unit = 'M';
  if (!digits.empty() && (digits.back() < '0' || digits.back() > '9')) {
    unit = digits.back();
    digits.pop_back();
    if (!contains("bkmgtBKMGT", std::string_view(&unit, 1))) return std::nullopt;
  }
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return digits + unit;
}

Config prepare(const PrepareInput& input) {
  Config config;
  DecodeContext context = input.decode("builder qemu");
  options().decode(input.config, config, context);
  complete(config, input.build);
  // skip_nat_mapping and bridges leave the port alone; else the communicator's port is the guest's.
  prepare_communicator(config.comm, input);
  prepare_http(input.config, config.http, input.build.scope, input.diagnostics);
  prepare_floppy(input.config, config.floppy, input.diagnostics);
  prepare_cd(input.config, config.cd, input.diagnostics);
  prepare_cloud_seed(config.seed, input);
  prepare_boot(input.config, config.boot, input.build.scope, input.diagnostics);
  if (config.iso_skip_cache && config.iso.iso_checksum.empty()) config.iso.iso_checksum = "none";
  prepare_iso(input.config, config.iso, input.diagnostics);
  Judge(config, input).all();
  return config;
}

std::optional<Value> fresh_machine_config(const Value& written, const Artifact& artifact, const fs::path& scratch) {
  auto is_disk = [](const std::string& file) {
    std::string name = fs::path(file).filename().string();
    return !name.ends_with(".fd") && !name.ends_with(".iso") && !name.ends_with(".json") && !name.ends_with(".txt");
  };
  auto disk = std::find_if(artifact.files.begin(), artifact.files.end(), is_disk);
  if (disk == artifact.files.end()) return std::nullopt;
  std::vector<std::string> kept = {"accelerator",
                                   "cpus",
                                   "sockets",
                                   "cores",
                                   "threads",
                                   "memory",
                                   "cpu_model",
                                   "machine_type",
                                   "firmware",
                                   "use_pflash",
                                   "efi_boot",
                                   "efi_firmware_code",
                                   "efi_firmware_vars",
                                   "disk_interface",
                                   "net_device",
                                   "net_bridge",
                                   "qemu_binary",
                                   "vtpm",
                                   "use_tpm1",
                                   "tpm_device_type",
                                   "vga",
                                   "host_port_min",
                                   "host_port_max",
                                   "skip_nat_mapping"};
  for (const auto& doc : communicator_options().docs()) kept.push_back(doc.name);
  Value out = Value::empty_object();
  if (written.is_object()) {
    for (const auto& member : written.as_object()) {
      if (std::find(kept.begin(), kept.end(), member.key) != kept.end()) out.set(member.key, member.value);
    }
  }
  out.set("disk_image", Value(true));
  out.set("use_backing_file", Value(true));
  out.set("skip_resize_disk", Value(true));
  out.set("iso_url", Value(fs::absolute(*disk).string()));
  out.set("iso_checksum", Value("none"));
  out.set("headless", Value(true));
  out.set("cloud_seed", Value(true));
  out.set("format", Value("qcow2"));
  out.set("output_directory", Value(scratch.string()));
  out.set("vm_name", Value("disk.qcow2"));
  return out;
}

}  // namespace kiln::qemu
