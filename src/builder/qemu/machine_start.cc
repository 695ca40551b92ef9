#include <fmt/format.h>

#include <fstream>
#include <sstream>
#include <system_error>

#include "base/file.h"
#include "base/text.h"
#include "builder/qemu/guest_way.h"
#include "builder/qemu/machine.h"
#include "builder/qemu/ports.h"
#include "communicator/none/none.h"
#include "communicator/ssh/ssh.h"
#include "communicator/winrm/winrm.h"
#include "core/journal.h"

namespace kiln::qemu {

namespace {

constexpr int port_attempts = 20;
constexpr int first_vnc_port = 5900;

/// The address of whoever has this MAC, as the kernel has seen it.
std::optional<std::string> address_of_mac(const std::string& mac) {
  std::ifstream table("/proc/net/arp");
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    std::string address, type, flags, found;
    fields >> address >> type >> flags >> found;
    if (lower(found) == lower(mac) && flags != "0x0") return address;
  }
  return std::nullopt;
}

bool has_screen() {
  return !get_env("DISPLAY").value_or("").empty() || !get_env("WAYLAND_DISPLAY").value_or("").empty();
}

/// The address of a bridge on this machine, where its guests reach us.
std::string bridge_address(const std::string& bridge) {
  std::string address = interface_address(bridge);
  if (address.empty()) throw Error(ErrorKind::environment, "the bridge " + bridge + " has no address on this machine");
  return address;
}

std::string vnc_value(const Config& config, int port) {
  // "to=" lets QEMU itself go on to the next port when this one was taken meanwhile.
  return fmt::format("{}:{},to={}", config.vnc_bind_address, port - first_vnc_port,
                     config.vnc_port_max - first_vnc_port);
}

void read_vnc_port(Running& running, StageContext& context) {
  auto info = running.vm->qmp().execute("query-vnc", {}, Deadline::in(std::chrono::seconds(10)), context.stop);
  running.vnc_port = 0;
  if (info.value("enabled", false)) running.vnc_port = std::atoi(info.value("service", "0").c_str());
}

}  // namespace

void make_private_directory(const std::shared_ptr<Running>& running, StageContext& context) {
  running->directory = fs::temp_directory_path() / ("kiln-qemu-" + random_uuid());
  Resource resource =
      context.journal.append(ResourceKind::path, running->directory.string(), context.build.display_name);
  Journal* journal = &context.journal;
  context.undo.add("delete " + running->directory.string(), [running, journal, id = resource.id](Outcome) {
    fs::remove_all(running->directory);
    journal->remove(id);
  });
  fs::create_directory(running->directory);
  fs::permissions(running->directory, fs::perms::owner_all);
}

void prepare_output_directory(const Config& config, const std::shared_ptr<Running>& running, StageContext& context) {
  fs::path directory = fs::absolute(config.output_directory);
  std::error_code error;
  if (fs::exists(directory, error)) {
    if (!context.build.force) {
      throw Error(ErrorKind::user, fmt::format("Output directory exists: {}\n\nUse the force flag to delete it prior "
                                               "to building.", config.output_directory));
    }
    context.ui.say("Deleting previous output directory...");
    fs::remove_all(directory, error);
    if (error) throw Error(ErrorKind::environment, "cannot delete " + directory.string() + ": " + error.message());
  }
  Resource resource =
      context.journal.append(ResourceKind::path, directory.string(), context.build.display_name);
  running->output_journal_id = resource.id;
  Journal* journal = &context.journal;
  Ui ui = context.ui;
  context.undo.add("delete the output directory", [=, id = resource.id](Outcome outcome) {
    if (outcome == Outcome::succeeded && running->finished) return;
    std::error_code failed;
    if (fs::exists(directory, failed)) {
      ui.say("Deleting output directory...");
      fs::remove_all(directory, failed);
      if (failed) throw Error(ErrorKind::environment, failed.message());
    }
    journal->remove(id);
  });
  fs::create_directories(directory, error);
  if (error) {
    throw Error(ErrorKind::environment, "cannot create " + directory.string() + ": " + lower(error.message()));
  }
}

void make_extra_images(const Config& config, Running& running, StageContext& context) {
  if (config.floppy.wanted()) {
    context.ui.say("Creating floppy disk...");
    fs::path path = running.directory / "floppy.img";
    write_file_atomically(path, make_floppy_image(collect_floppy_files(config.floppy), config.floppy.floppy_label));
    running.values.floppy = path.string();
  }
  if (config.cd.wanted()) {
    context.ui.say("Creating CD disk...");
    fs::path path = running.directory / "cd.iso";
    make_cd_image(config.cd, path, Deadline::in(std::chrono::minutes(30)), context.stop);
    running.values.cd_image = path.string();
  }
  if (config.efi_boot) {
    fs::path vars = fs::absolute(fs::path(config.output_directory) / "efivars.fd");
    if (config.efi_drop_efivars) vars = running.directory / "efivars.fd";
    std::error_code error;
    fs::copy_file(config.efi_firmware_vars, vars, error);
    if (error) throw Error(ErrorKind::environment, "cannot copy " + config.efi_firmware_vars + ": " + error.message());
    fs::permissions(vars, fs::perms::owner_write, fs::perm_options::add, error);
    running.values.efi_code = config.efi_firmware_code;
    running.values.efi_vars = vars.string();
  }
}

void make_seed_image(const Config& config, Running& running, StageContext& context) {
  if (!config.seed.wanted() && !(config.cloud_seed && !running.public_key.empty())) return;
  context.ui.say("Creating cloud-init's seed...");
  CdConfig cd;
  cd.cd_label = cloud_seed_label;
  cd.cd_content = cloud_seed_files(config.seed, {"iid-" + random_uuid(), running.public_key, config.comm.user()});
  fs::path path = running.directory / "seed.iso";
  make_cd_image(cd, path, Deadline::in(std::chrono::minutes(5)), context.stop);
  running.values.seed_image = path.string();
}

void start_http_server(const Config& config, Running& running, StageContext& context) {
  bool bridged = !config.net_bridge.empty();
  // User networking reaches this machine's loopback as 10.0.2.2.
  running.values.http_ip = bridged && config.http.wanted() ? bridge_address(config.net_bridge) : "10.0.2.2";
  const std::string& bound = config.http.http_bind_address;
  if (!bound.empty() && bound != "0.0.0.0" && bound != "::" && !bound.starts_with("127.")) {
    running.values.http_ip = bound;
  }
  if (!config.http.wanted()) return;
  std::string address = http_listen_address(config.http, bridged ? "0.0.0.0" : "127.0.0.1");
  Value fields = Value::empty_object();
  fields.set("SSHPublicKey", running.public_key);
  fields.set("Name", config.vm_name);
  fields.set("HTTPIP", running.values.http_ip);
  running.http = std::make_unique<HttpServer>(make_http_site(config.http, context.scope, fields), address,
                                              config.http.http_port_min, config.http.http_port_max);
  running.values.http_port = running.http->port();
  running.values.http_directory = config.http.http_directory;
  context.ui.say(fmt::format("Starting HTTP server on port {}", running.http->port()));
}

void start_tpm(const Config& config, const std::shared_ptr<Running>& running, StageContext& context) {
  if (!config.vtpm) return;
  fs::path state = running->directory / "tpm";
  fs::create_directory(state);
  fs::path socket = running->directory / "tpm.sock";
  Resource resource = context.journal.append(ResourceKind::process, "swtpm of " + context.build.display_name,
                                             context.build.display_name);
  Journal* journal = &context.journal;
  context.undo.add("stop swtpm", [running, journal, id = resource.id](Outcome) {
    if (running->tpm) running->tpm->terminate(std::chrono::seconds(1));
    journal->remove(id);
  });
  Command command{.argv = {"swtpm", "socket", "--tpmstate", "dir=" + state.string(), "--ctrl",
                           "type=unixio,path=" + socket.string(), "--terminate"},
                  .env = {{"KILN_RESOURCE", resource.token}},
                  .new_session = true};
  if (!config.use_tpm1) command.argv.push_back("--tpm2");
  running->tpm = Process::start(command, {.out = Process::Stdio::null, .err = Process::Stdio::null});
  Deadline limit = Deadline::in(std::chrono::seconds(10));
  std::error_code ignored;
  while (!fs::exists(socket, ignored)) {
    if (running->tpm->wait(limit.at_most(std::chrono::milliseconds(10)), context.stop) || limit.passed()) {
      throw Error(ErrorKind::environment, "swtpm could not be started");
    }
  }
  running->values.tpm_socket = socket.string();
}

void choose_display(const Config& config, Running& running, StageContext& context) {
  std::string& display = running.values.display;
  display = config.display.empty() ? "gtk" : config.display;
  if (config.use_default_display) display = "";
  if (config.headless) display = config.display.empty() || config.display.starts_with("gtk") ||
                                         config.display.starts_with("sdl") ? "none" : config.display;
  bool window = display.empty() || display.starts_with("gtk") || display.starts_with("sdl");
  if (window && !has_screen() && !config.headless) {
    display = "none";
    context.ui.message("No display is available here (DISPLAY is not set): the VM runs without a window.");
  }
}

namespace {

/// Ports are chosen anew for every attempt to start.
void choose_ports(const Config& config, Running& running, StageContext& context) {
  RunValues& values = running.values;
  if (forwards_port(config)) {
    // Reached through 127.0.0.1, so it need not be open to the network, unless another host was asked for.
    values.host_address = config.comm.host().empty() ? "127.0.0.1" : "";
    values.host_port = find_free_port(values.host_address, config.host_port_min, config.host_port_max);
    values.guest_port = config.comm.port();
    context.ui.say(fmt::format("Found port for communicator (ssh, winrm, etc): {}.", values.host_port));
  }
  if (!config.disable_vnc) {
    context.ui.say(fmt::format("Looking for available port between {} and {} on {}", config.vnc_port_min,
                               config.vnc_port_max, config.vnc_bind_address));
    running.vnc_port = find_free_port(config.vnc_bind_address, config.vnc_port_min, config.vnc_port_max);
    values.vnc_address = vnc_value(config, running.vnc_port);
    values.vnc_password = config.vnc_use_password;
  }
  if (config.qmp_enable) values.qmp_socket = config.qmp_socket_path;
}

void announce_start(const Config& config, const Running& running, StageContext& context) {
  context.ui.say(config.disk_image ? "Starting VM, booting disk image" : "Starting VM, booting from CD-ROM");
  if (config.headless && running.vnc_port != 0) {
    std::string with = config.vnc_use_password ? "with the password: " + running.vnc_password : "without a password";
    context.ui.message(fmt::format("The VM will be run headless, without a GUI. If you want to\nview the screen of the "
                                   "VM, connect via VNC {} to\nvnc://{}:{}",
                                   with, config.vnc_bind_address, running.vnc_port));
  } else if (config.headless) {
    context.ui.message("The VM will be run headless, without a GUI.");
  }
  if (!config.qemuargs.empty()) context.ui.say("Overriding default Qemu arguments with qemuargs template option...");
}

}  // namespace

void start_vm(const Config& config, const std::string& accelerator, const std::shared_ptr<Running>& running,
              StageContext& context) {
  RunValues& values = running->values;
  values.accelerator = accelerator;
  values.disks.clear();
  for (const auto& disk : running->disks) values.disks.push_back(disk.working.string());
  fs::path evidence = fs::absolute(context.evidence_directory);
  values.serial_file = (evidence / "serial.log").string();
  values.control_fd = control_fd_number;
  values.events_fd = events_fd_number;
  if (running->memory) {
    values.memory_fd = memory_fd_number;
    values.guest_channel = (running->directory / "guest.sock").string();
  }
  if (config.vnc_use_password) {
    running->vnc_password = config.vnc_password.empty() ? hex_encode(random_bytes(4)) : config.vnc_password;
  }
  context.undo.add("stop the virtual machine", [running, log = &context.log](Outcome) {
    running->communicator.reset();
    if (running->vm) running->vm->force_off();
    if (running->http) {
      for (const auto& line : running->http->take_log()) log->line("HTTP server: " + line);
    }
    running->http.reset();
  });
  for (int attempt = 1;; ++attempt) {
    choose_ports(config, *running, context);
    if (attempt == 1) announce_start(config, *running, context);
    running->argv = qemu_arguments(config, values, context.scope);
    context.log.line("Executing " + join(running->argv, " "));
    try {
      int memory = running->memory ? running->memory->fd() : -1;
      running->vm = Vm::start(running->argv, evidence / "qemu.log", memory, context);
      break;
    } catch (const Error& error) {
      bool taken = contains(error.message(), "Could not set up host forwarding rule");
      if (!taken || attempt == port_attempts) throw;
      context.log.line("The forwarded port was taken meanwhile; trying another");
    }
  }
  if (!config.disable_vnc) read_vnc_port(*running, context);
  if (config.vnc_use_password && running->vnc_port != 0) {
    running->vm->qmp().execute("set_password", {{"protocol", "vnc"}, {"password", running->vnc_password}},
                               Deadline::in(std::chrono::seconds(10)), context.stop);
  }
}

namespace {

std::unique_ptr<Communicator> connect_by_ssh(Running& running, const SshTargetResolver& target,
                                             StageContext& context) {
  std::optional<std::string> key;
  if (!running.private_key.empty()) key = running.private_key;
  return connect_ssh(running.comm, target, context, key);
}

std::unique_ptr<Communicator> connect_by_winrm(Running& running, const SshTargetResolver& target,
                                               StageContext& context) {
  WinrmSettings settings{winrm_endpoint(running.comm), running.comm.winrm_timeout,
                         running.comm.pause_before_connecting};
  auto resolver = [target]() -> std::optional<WinrmTarget> {
    auto known = target();
    if (!known) return std::nullopt;
    return WinrmTarget{known->host, known->port};
  };
  return connect_winrm(settings, resolver, context);
}

}  // namespace

namespace {

/// Over the network, wherever the machine is.
std::unique_ptr<Communicator> connect_by_network(const Config& config, Running& running, StageContext& context) {
  running.comm = config.comm;
  const bool winrm = config.comm.communicator == "winrm";
  std::string& host = winrm ? running.comm.winrm_host : running.comm.ssh_host;
  int& port = winrm ? running.comm.winrm_port : running.comm.ssh_port;
  if (host.empty()) host = "127.0.0.1";
  if (running.values.host_port != 0) port = running.values.host_port;
  Vm& vm = *running.vm;
  bool bridged = !config.net_bridge.empty() && config.comm.host().empty();
  std::string mac;
  if (bridged) {
    auto filters = vm.qmp().execute("query-rx-filter", {}, Deadline::in(std::chrono::seconds(10)), context.stop);
    if (!filters.empty()) mac = filters[0].value("main-mac", "");
    context.ui.say("Waiting for guest address...");
  }
  auto target = [&vm, &host, &port, bridged, mac]() -> std::optional<SshTarget> {
    if (!vm.alive()) throw Error(ErrorKind::environment, vm.last_words());
    if (!bridged) return SshTarget{host, port};
    auto address = address_of_mac(mac);
    if (!address) return std::nullopt;
    host = *address;
    return SshTarget{host, port};
  };
  return vm.while_alive(context.stop, [&](const Stop& stop) {
    StageContext inner = context;
    inner.stop = stop;
    return winrm ? connect_by_winrm(running, target, inner) : connect_by_ssh(running, target, inner);
  });
}

std::unique_ptr<GuestWay> make_way(const Config& config, Running& running, StageContext& context) {
  auto connect = [&config, &running, &context] { return connect_by_network(config, running, context); };
  return std::make_unique<GuestWay>(connect, running.values.guest_channel, running.vm->qmp(), context.log);
}

}  // namespace

void connect_machine(const Config& config, Running& running, StageContext& context) {
  if (config.comm.communicator == "none") {
    running.comm = config.comm;
    running.communicator = make_none_communicator();
    return;
  }
  std::unique_ptr<Communicator> way;
  if (running.memory && !config.comm.ssh_pty) {
    auto guest = make_way(config, running, context);
    guest->open(context.stop);
    running.guest = guest.get();
    way = std::move(guest);
  } else {
    way = connect_by_network(config, running, context);
  }
  running.communicator = std::make_unique<VmCommunicator>(std::move(way), *running.vm);
}

void reconnect_machine(const Config& config, Running& running, StageContext& context) {
  running.comm = config.comm;
  running.comm.ssh_host = config.comm.host().empty() ? "127.0.0.1" : config.comm.host();
  if (running.values.host_port != 0) running.comm.ssh_port = running.values.host_port;
  auto way = make_way(config, running, context);
  running.vm->while_alive(context.stop, [&](const Stop& stop) {
    if (!way->find_agent(stop)) way->open(stop);
    way->renew(stop);
  });
  running.guest = way.get();
  running.communicator = std::make_unique<VmCommunicator>(std::move(way), *running.vm);
}

}  // namespace kiln::qemu
