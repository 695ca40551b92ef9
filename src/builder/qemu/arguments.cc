#include "builder/qemu/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/text.h"

namespace kiln::qemu {

namespace {

struct Switch {
  std::string name;
  std::vector<std::string> values;  ///< one occurrence each; "" is a switch without a value
};
using Switches = std::vector<Switch>;

void put(Switches& switches, const std::string& name, std::string value) {
  for (auto& one : switches) {
    if (one.name == name) {
      one.values.push_back(std::move(value));
      return;
    }
  }
  switches.push_back({name, {std::move(value)}});
}

std::string net_device_value(const Config& config) { return config.net_device + ",netdev=user.0"; }

void put_network(Switches& out, const Config& config, const RunValues& run) {
  if (!config.net_bridge.empty()) {
    put(out, "-netdev", "bridge,id=user.0,br=" + config.net_bridge);
  } else if (run.host_port != 0) {
    put(out, "-netdev",
        fmt::format("user,id=user.0,hostfwd=tcp:{}:{}-:{}", run.host_address, run.host_port, run.guest_port));
  } else {
    put(out, "-netdev", "user,id=user.0");
  }
  put(out, "-device", net_device_value(config));
}

bool seed_is_virtio(const Config& config) {
  return config.cdrom_interface.empty() && config.disk_interface == "virtio";
}

void put_disks(Switches& out, const Config& config, const RunValues& run) {
  // A disk of its own where the guest knows virtio anyway: kernels for clouds have no IDE.
  bool virtio_seed = !run.seed_image.empty() && seed_is_virtio(config);
  std::string tail =
      fmt::format("cache={},discard={},format={}", config.disk_cache, config.disk_discard, config.format);
  if (config.disk_detect_zeroes != "off") tail += ",detect-zeroes=" + config.disk_detect_zeroes;
  bool scsi = config.disk_interface == "virtio-scsi";
  for (size_t i = 0; i < run.disks.size(); ++i) {
    std::string path = option_path(run.disks[i]);
    if (scsi) {
      if (i == 0) put(out, "-device", "virtio-scsi-pci,id=scsi0");
      put(out, "-device", fmt::format("scsi-hd,bus=scsi0.0,drive=drive{}", i));
      put(out, "-drive", fmt::format("if=none,file={},id=drive{},{}", path, i, tail));
    } else if (config.disk_interface == "sata") {
      if (i == 0) put(out, "-device", "ahci,id=ahci0");
      put(out, "-device", fmt::format("ide-hd,bus=ahci0.{},drive=drive{}", i, i));
      put(out, "-drive", fmt::format("if=none,file={},id=drive{},{}", path, i, tail));
    } else {
      put(out, "-drive", fmt::format("file={},if={},{}", path, config.disk_interface, tail));
    }
  }
  if (virtio_seed)
    put(out, "-drive", fmt::format("file={},if=virtio,format=raw,readonly=on", option_path(run.seed_image)));
}

void put_cdroms(Switches& out, const Config& config, const RunValues& run) {
  int index = 0;
  for (const auto& file : {run.cdrom, run.cd_image, seed_is_virtio(config) ? std::string() : run.seed_image}) {
    if (file.empty()) continue;
    std::string path = option_path(file);
    if (config.cdrom_interface.empty()) {
      put(out, "-drive", fmt::format("file={},media=cdrom", path));
    } else if (config.cdrom_interface == "virtio-scsi") {
      if (index == 0 && config.disk_interface != "virtio-scsi") put(out, "-device", "virtio-scsi-pci,id=scsi0");
      put(out, "-device", fmt::format("scsi-cd,bus=scsi0.0,drive=cdrom{}", index));
      put(out, "-drive", fmt::format("if=none,file={},id=cdrom{},media=cdrom", path, index));
    } else {
      put(out, "-drive", fmt::format("file={},if={},id=cdrom{},media=cdrom", path, config.cdrom_interface, index));
    }
    ++index;
  }
}

void put_firmware(Switches& out, const Config& config, const RunValues& run) {
  if (!run.efi_code.empty()) {
    put(out, "-drive", fmt::format("file={},if=pflash,unit=0,format=raw,readonly=on", option_path(run.efi_code)));
    if (!run.efi_vars.empty()) {
      put(out, "-drive", fmt::format("file={},if=pflash,unit=1,format=raw", option_path(run.efi_vars)));
    }
  }
  if (config.firmware.empty()) return;
  if (config.use_pflash) {
    put(out, "-drive", fmt::format("file={},if=pflash,format=raw,readonly=on", option_path(config.firmware)));
  } else {
    put(out, "-bios", config.firmware);
  }
}

void put_tpm(Switches& out, const Config& config, const RunValues& run) {
  if (run.tpm_socket.empty()) return;
  put(out, "-chardev", "socket,id=vtpm,path=" + option_path(run.tpm_socket));
  put(out, "-tpmdev", "emulator,id=tpm0,chardev=vtpm");
  put(out, "-device", config.tpm_device_type + ",tpmdev=tpm0");
}

/// Packer's defaults, in our order.
Switches default_switches(const Config& config, const RunValues& run) {
  Switches out;
  put(out, "-name", config.vm_name);
  put(out, "-machine",
      run.accelerator == "none" ? "type=" + config.machine_type
                                : fmt::format("type={},accel={}", config.machine_type, run.accelerator));
  if (!config.cpu_model.empty()) put(out, "-cpu", config.cpu_model);
  put(out, "-smp", smp_value(config));
  put(out, "-m", fmt::format("{}M", config.memory));
  put_firmware(out, config, run);
  if (run.efi_code.empty()) put(out, "-boot", config.disk_image || run.installed ? "c" : "once=d");
  put_disks(out, config, run);
  put_cdroms(out, config, run);
  if (!run.floppy.empty()) put(out, "-fda", run.floppy);
  put_network(out, config, run);
  put_tpm(out, config, run);
  if (!config.vga.empty()) put(out, "-vga", config.vga);
  if (!run.display.empty()) put(out, "-display", run.display);
  if (!run.vnc_address.empty()) put(out, "-vnc", run.vnc_address + (run.vnc_password ? ",password=on" : ""));
  if (!run.qmp_socket.empty()) put(out, "-qmp", fmt::format("unix:{},server,nowait", run.qmp_socket));
  return out;
}

/// qemuargs as switches: every item is one occurrence, its fields after the first joined without a separator.
Switches user_switches(const Config& config, const RunValues& run, const TemplateScope& scope) {
  Switches out;
  Value fields = qemuargs_fields(config, run);
  for (const auto& item : config.qemuargs) {
    std::vector<std::string> parts;
    for (const auto& field : item) {
      Rendered rendered = render_template_once(field, scope, fields);
      if (!rendered.ok()) throw Error(ErrorKind::user, "Error preparing qemuargs: " + *rendered.error);
      parts.push_back(rendered.text);
    }
    if (parts.empty()) continue;
    std::string name = parts[0];
    parts.erase(parts.begin());
    put(out, name, join(parts, ""));
  }
  return out;
}

bool has_switch(const Switches& switches, std::string_view name) {
  return std::any_of(switches.begin(), switches.end(), [&](const Switch& one) { return one.name == name; });
}

/// What a machine needs whose states are kept: its memory in a file, a generation by which the guest knows itself copied,
/// a port for the guest channel.
void add_state_devices(std::vector<std::string>& argv, const Config& config, const RunValues& run) {
  if (run.memory_fd < 0) return;
  auto add = [&](const char* name, std::string value) { argv.insert(argv.end(), {name, std::move(value)}); };
  for (size_t i = 0; i + 1 < argv.size(); ++i) {
    if (argv[i] != "-machine") continue;
    argv[i + 1] += ",memory-backend=kiln-memory";
    if (run.devices_alone) argv[i + 1] += ",suppress-vmdesc=on";
  }
  add("-object", fmt::format("memory-backend-file,id=kiln-memory,size={}M,mem-path=/proc/self/fd/{},share={}",
                             config.memory, run.memory_fd, run.memory_private ? "off" : "on"));
  if (config.machine_type.starts_with("pc") || config.machine_type.starts_with("q35"))
    add("-device", "vmgenid,guid=auto");
  if (!run.guest_channel.empty()) {
    add("-device", "virtio-serial,id=kiln-serial");
    add("-chardev", fmt::format("socket,id=kiln-guest,path={},server=on,wait=off", option_path(run.guest_channel)));
    add("-device", "virtserialport,bus=kiln-serial.0,chardev=kiln-guest,name=org.kiln.guest");
  }
  if (run.incoming) add("-incoming", "defer");
  if (!run.devices_alone) return;
  // It says neither of which machine it is nor that this one stood still.
  add("-global", "migration.send-configuration=off");
  argv.emplace_back("-S");
}

}  // namespace

std::string machine_definition(const Config& config, const RunValues& run, const TemplateScope& scope) {
  Config plain = config;
  plain.vm_name = plain.output_directory = "machine";
  plain.format = "qcow2";  // which is what it works on, whatever it ends as
  RunValues same = run;
  same.disks.assign(1 + config.disk_additional_size.size(), "disk");
  for (auto* file : {&same.cdrom, &same.cd_image, &same.seed_image, &same.floppy, &same.efi_vars}) {
    if (!file->empty()) *file = "file";
  }
  same.host_port = forwards_port(config) ? 1 : 0;
  same.guest_port = config.comm.port();
  same.host_address = same.vnc_address = same.display = same.qmp_socket = same.serial_file = "";
  same.vnc_password = same.incoming = same.installed = same.memory_private = same.devices_alone = false;
  same.control_fd = same.events_fd = -1;
  same.memory_fd = same.http_port = 0;
  same.http_directory = "";
  same.guest_channel = "file";
  return join(qemu_arguments(plain, same, scope), "\n");
}

std::string why_no_states(const Config& config) {
  if (config.comm.communicator != "ssh") return "its communicator is not ssh";
  if (config.vtpm) return "it has a TPM, whose state is its own";
  if (!config.net_bridge.empty()) return "it is on a bridge, where two of it would have one address";
  for (const auto& item : config.qemuargs) {
    if (item.empty()) continue;
    for (const char* own :
         {"-drive", "-blockdev", "-hda", "-m", "-object", "-numa", "-mem-path", "-incoming", "-fsdev", "-virtfs"}) {
      if (item[0] == own) return fmt::format("qemuargs sets {}", own);
    }
  }
  return "";
}

bool forwards_port(const Config& config) {
  return config.comm.communicator != "none" && config.net_bridge.empty() && !config.skip_nat_mapping;
}

std::string option_path(const std::string& path) { return replace_all(path, ",", ",,"); }

std::string smp_value(const Config& config) {
  if (config.cpus == 0 && config.sockets == 0 && config.cores == 0 && config.threads == 0) return "1";
  int product = std::max(config.sockets, 1) * std::max(config.cores, 1) * std::max(config.threads, 1);
  bool topology = config.sockets != 0 || config.cores != 0 || config.threads != 0;
  int count = config.cpus == 0 ? product : config.cpus;
  if (topology) count = std::min(count, product);
  std::string out = fmt::format("{}", count);
  if (config.sockets > 0) out += fmt::format(",sockets={}", config.sockets);
  if (config.cores > 0) out += fmt::format(",cores={}", config.cores);
  if (config.threads > 0) out += fmt::format(",threads={}", config.threads);
  return out;
}

Value qemuargs_fields(const Config& config, const RunValues& run) {
  Value fields = Value::empty_object();
  fields.set("HTTPIP", run.http_ip);
  fields.set("HTTPPort", run.http_port);
  fields.set("HTTPDir", run.http_directory);
  fields.set("OutputDir", config.output_directory);
  fields.set("Name", config.vm_name);
  fields.set("SSHHostPort", run.host_port);
  return fields;
}

std::vector<std::string> qemu_arguments(const Config& config, const RunValues& run, const TemplateScope& scope) {
  Switches defaults = default_switches(config, run);
  Switches user = user_switches(config, run, scope);
  for (auto& one : user) {
    if (one.name != "-device") continue;
    // Who gives devices of their own rarely means to lose the network card.
    if (!contains(join(one.values, ""), config.net_device)) one.values.push_back(net_device_value(config));
  }
  std::vector<std::string> argv{config.qemu_binary};
  auto write = [&](const Switch& one) {
    for (const auto& value : one.values) {
      argv.push_back(one.name);
      if (!value.empty()) argv.push_back(value);
    }
  };
  for (const auto& one : defaults) {
    auto replaced = std::find_if(user.begin(), user.end(), [&](const Switch& u) { return u.name == one.name; });
    write(replaced == user.end() ? one : *replaced);
  }
  for (const auto& one : user) {
    if (!has_switch(defaults, one.name)) write(one);
  }
  if (!run.serial_file.empty() && !has_switch(user, "-serial")) write({"-serial", {"file:" + run.serial_file}});
  add_state_devices(argv, config, run);
  if (run.control_fd >= 0) {
    write({"-chardev", {fmt::format("socket,id=kiln-control,fd={}", run.control_fd)}});
    write({"-mon", {"chardev=kiln-control,mode=control"}});
    if (run.events_fd >= 0) {
      write({"-chardev", {fmt::format("socket,id=kiln-control-events,fd={}", run.events_fd)}});
      write({"-mon", {"chardev=kiln-control-events,mode=control"}});
    }
  }
  return argv;
}

namespace {

void append(std::vector<std::string>& to, const std::vector<std::string>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

std::vector<std::string> img_create(const Config& config, const std::string& path, const std::string& size) {
  std::vector<std::string> argv{"qemu-img", "create", "-f", config.format};
  append(argv, config.qemu_img_args.create);
  append(argv, {path, size});
  return argv;
}

std::vector<std::string> img_create_backed(const Config& config, const std::string& path, const std::string& backing,
                                           const std::string& backing_format, const std::string& size) {
  std::vector<std::string> argv{"qemu-img", "create", "-f", "qcow2", "-b", backing};
  if (!backing_format.empty()) append(argv, {"-F", backing_format});
  append(argv, config.qemu_img_args.create);
  argv.push_back(path);
  if (!size.empty()) argv.push_back(size);
  return argv;
}

std::vector<std::string> img_convert(const Config& config, const std::string& from, const std::string& from_format,
                                     const std::string& to, bool compress) {
  std::vector<std::string> argv{"qemu-img", "convert", "-p"};
  // Out of order, clusters are compressed on all processors: qemu-img does one after the other else.
  if (compress) append(argv, {"-c", "-W", "-m", "8"});
  if (!from_format.empty()) append(argv, {"-f", from_format});
  append(argv, {"-O", config.format});
  if (compress && config.disk_compression_type == "zstd") append(argv, {"-o", "compression_type=zstd"});
  append(argv, config.qemu_img_args.convert);
  append(argv, {from, to});
  return argv;
}

std::vector<std::string> img_resize(const Config& config, const std::string& path, const std::string& size) {
  std::vector<std::string> argv{"qemu-img", "resize", "-f", config.format};
  append(argv, config.qemu_img_args.resize);
  append(argv, {path, size});
  return argv;
}

std::optional<double> img_progress(std::string_view output) {
  size_t end = output.rfind("/100%)");
  if (end == std::string_view::npos) return std::nullopt;
  size_t begin = output.rfind('(', end);
  if (begin == std::string_view::npos) return std::nullopt;
  std::string_view number = trim(output.substr(begin + 1, end - begin - 1));
  double percent = 0;
  auto [rest, error] = std::from_chars(number.data(), number.data() + number.size(), percent);
  if (error != std::errc() || rest != number.data() + number.size()) return std::nullopt;
  return percent;
}

}  // namespace kiln::qemu
