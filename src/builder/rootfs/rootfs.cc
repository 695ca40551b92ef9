#include "builder/rootfs/rootfs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "builder/rootfs/bootstrap.h"
#include "builder/rootfs/config.h"
#include "builder/rootfs/disk.h"
#include "builder/rootfs/grub.h"
#include "builder/rootfs/guest_setup.h"
#include "communicator/container/container.h"
#include "communicator/container/container_communicator.h"
#include "core/journal.h"
#include "core/state_cache.h"
#include "kit/page_file.h"

namespace kiln {

namespace {

constexpr uint64_t default_disk_size = 4ull << 30;
constexpr auto tool_timeout = std::chrono::hours(2);

/// Where the parts of one build lie. The work directory is below the output directory, so that the finished image
/// is only renamed.
struct RootfsPaths {
  fs::path output;
  fs::path work;
  fs::path disk;
  fs::path root;  ///< mount point
  fs::path console;
  explicit RootfsPaths(const fs::path& output_directory)
      : output(fs::absolute(output_directory)),
        work(output / ".partial"),
        disk(work / "disk.raw"),
        root(work / "root"),
        console(work / "console.log") {}
};

constexpr const char* disk_changes_file = "disk.zst";
constexpr const char* tmp_file = "tmp.tar";  // what is in /tmp: it is not on the disk
constexpr const char* resolv_conf_path = "/etc/resolv.conf";

/// A file system that takes no writes as long as this lives: what is on its disk is whole.
class FrozenFileSystem {
 public:
  explicit FrozenFileSystem(const fs::path& mounted)
      : root_(::open(mounted.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (!root_.is_open() || ::ioctl(root_.get(), FIFREEZE, 0) != 0) throw_errno("freeze " + mounted.string());
  }
  ~FrozenFileSystem() { ::ioctl(root_.get(), FITHAW, 0); }
  FrozenFileSystem(const FrozenFileSystem&) = delete;

 private:
  Fd root_;
};

/// Pages of the disk on their way into the cache.
class FrozenDisk : public PendingState {
 public:
  FrozenDisk(PageChanges changes, fs::path file, Value details)
      : changes_(std::move(changes)), file_(std::move(file)), details_(std::move(details)) {}
  void write(MachineState& state, const Stop& stop) override {
    changes_.write(file_, stop);
    state.details = std::move(details_);
  }

 private:
  PageChanges changes_;
  fs::path file_;
  Value details_;
};

class RootfsMachine : public Machine {
 public:
  /// `disk`: what changes are told from, where states are kept; `details` is what each of them says.
  RootfsMachine(std::shared_ptr<Container> container, const RootfsConfig& config, RootfsPaths paths,
                std::shared_ptr<PageFile> disk, Value details)
      : container_(std::move(container)),
        communicator_(*container_, config.container_timeout),
        paths_(std::move(paths)),
        disk_(std::move(disk)),
        details_(std::move(details)) {}
  std::unique_ptr<PendingState> save_state(const fs::path& directory, StageContext& context) override {
    if (!disk_) return nullptr;
    keep_tmp(directory / tmp_file, context.stop);
    auto start = Clock::now();
    PageChanges changes = [&] {
      FrozenFileSystem frozen(paths_.root);
      return disk_->take_changes();
    }();
    auto pause = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
    context.log.line("state: writes stood still for " + std::to_string(pause.count() / 1000) + " ms; " +
                     std::to_string(changes.pages()) + " pages changed");
    Value details = details_;
    details.set("changed_pages", static_cast<int64_t>(changes.pages()));
    details.set("pause_us", static_cast<int64_t>(pause.count()));
    return std::make_unique<FrozenDisk>(std::move(changes), directory / disk_changes_file, std::move(details));
  }
  /// The container's tar in /tmp. Busybox's knows neither extended attributes nor `more`, options of the others.
  static std::vector<std::string> tar_in_tmp(const std::string& what, const std::string& more) {
    return {"/bin/sh", "-c",
            "case $(tar --version 2>&1) in *[Bb]usy[Bb]ox*) set -- ;; *) set -- --xattrs " + more +
                " ;; esac; exec tar -C /tmp \"$@\" " + what};
  }
  /// Steps leave files in /tmp for those after them, and a container's /tmp is memory.
  void keep_tmp(const fs::path& file, const Stop& stop) {
    Fd out(::open(file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
    if (!out.is_open()) throw_errno("write " + file.string());
    std::string errors;
    int status = container_->run(tar_in_tmp("-cf - .", "--exclude=./systemd-private-*"),
                                 [&](std::string_view bytes) { write_all(out.get(), bytes); },
                                 [&](std::string_view bytes) { errors += bytes; }, Deadline::in(tool_timeout), stop);
    if (status != 0) throw Error(ErrorKind::remote, "what is in /tmp cannot be kept: " + std::string(trim(errors)));
  }
  void bring_tmp(const fs::path& file, const Stop& stop) {
    std::string errors;
    Sink note = [&](std::string_view bytes) { errors += bytes; };
    int status =
        container_->run(tar_in_tmp("-xpf -", ""), note, note, Deadline::in(tool_timeout), stop, read_file(file));
    if (status != 0)
      throw Error(ErrorKind::remote, "what was in /tmp cannot be put back: " + std::string(trim(errors)));
  }
  Communicator& communicator() override { return communicator_; }
  Value build_data() override {
    Value data = Value::empty_object();
    data.set("ID", paths_.output.filename().string());
    data.set("Host", "localhost");
    data.set("User", "root");
    data.set("ConnType", "container");
    return data;
  }
  void collect_evidence(const fs::path& directory) override {
    std::error_code ignored;
    fs::copy_file(paths_.console, directory / "serial.log", fs::copy_options::overwrite_existing, ignored);
    if (!container_->is_running()) return;
    std::string journal;
    Sink keep = [&](std::string_view bytes) { journal += bytes; };
    container_->run({"/bin/sh", "-c", "journalctl --boot --no-pager --lines=2000 2>&1; systemctl --failed --no-pager"},
                    keep, keep, Deadline::in(std::chrono::seconds(20)), Stop());
    write_file_atomically(directory / "journal.log", journal, 0600);
  }
  Container& container() { return *container_; }

 private:
  std::shared_ptr<Container> container_;
  ContainerCommunicator communicator_;
  RootfsPaths paths_;
  std::shared_ptr<PageFile> disk_;
  Value details_;
};

/// Programs that are not there, with the Debian package that brings each.
void require_programs(const RootfsPlan& plan) {
  if (::geteuid() != 0) {
    throw Error(ErrorKind::environment,
                "the rootfs builder must run as root: it mounts the image's file system and runs it in a container. "
                "Run it again with sudo, or build with the qemu builder, which needs no root");
  }
  std::vector<std::pair<std::string, std::string>> needed = {
      {"systemd-nspawn", "systemd-container"}, {"qemu-img", "qemu-utils"}, {"sfdisk", "fdisk"},
      {"mount", "mount"},                      {"nsenter", "util-linux"},  {"setpriv", "util-linux"},
      {"fstrim", "util-linux"},                {"mke2fs", "e2fsprogs"}};
  if (!plan.config.suite.empty()) needed.push_back({"mmdebstrap", "mmdebstrap"});
  if (plan.config.network == "user") needed.push_back({"slirp4netns", "slirp4netns"});
  if (plan.config.source_image.empty() && plan.uefi) {
    needed.push_back({"mkfs.fat", "dosfstools"});
    needed.push_back({"mcopy", "mtools"});
  }
  std::string missing;
  for (const auto& [program, package] : needed) {
    if (!find_program(program))
      missing += fmt::format("{}{} (package {})", missing.empty() ? "" : ", ", program, package);
  }
  if (!missing.empty())
    throw Error(ErrorKind::environment, "the rootfs builder needs programs that are not installed: " + missing);
}

ContainerNetwork choose_network(const RootfsConfig& config, const Ui& ui) {
  if (config.network == "host") return ContainerNetwork::host;
  if (config.network == "none") return ContainerNetwork::none;
  if (config.network == "user" || find_program("slirp4netns")) return ContainerNetwork::isolated_user;
  ui.message("slirp4netns is not installed: the container shares this machine's network and ports");
  return ContainerNetwork::host;
}

class RootfsBuilder : public Builder {
 public:
  void prepare(const PrepareInput& input) override {
    written_ = input.config;
    plan_ = plan_rootfs(input);
    if (fs::exists(plan_.output_directory) && !input.build.force) {
      input.diagnostics.error("Output directory '" + plan_.output_directory.string() +
                              "' already exists. It must not exist.");
    }
  }
  std::unique_ptr<Machine> start(StageContext& context) override;
  std::string keeps_no_states() const override { return ""; }
  std::unique_ptr<Machine> restore(const std::vector<MachineState>& line, bool goes_on, StageContext& context) override;
  std::optional<Artifact> finish(Machine& machine, StageContext& context) override;
  std::optional<Value> fresh_machine(const Artifact& artifact, const fs::path& scratch) const override;

 private:
  void find_host(StageContext& context);
  std::unique_ptr<Machine> start_machine(const RootfsPaths& paths, std::shared_ptr<PageFile> disk,
                                         StageContext& context, const std::function<void(Container&)>& when_up);
  Value state_details(const RootfsPaths& paths) const;
  void make_output(StageContext& context, const RootfsPaths& paths);
  void make_new_root(StageContext& context, const RootfsPaths& paths, const ToolRun& tool);
  void take_source_image(StageContext& context, const RootfsPaths& paths, const ToolRun& tool);
  void bootstrap(StageContext& context, const RootfsPaths& paths, const ToolRun& tool);
  void unpack_archive(StageContext& context, const RootfsPaths& paths, const ToolRun& tool);
  void add_boot_packages(StageContext& context, const RootfsPaths& paths);
  void install_loader(Container& container, const RootfsPaths& paths, const ToolRun& tool);
  void install_loader_platform(Container& container, const RootfsPaths& paths, const std::string& platform,
                               const ToolRun& tool);
  ContainerSpec container_spec(const RootfsPaths& paths) const;
  ToolRun tool_run(StageContext& context) const {
    return {Deadline::in(tool_timeout), context.stop, token_, context.ui};
  }

  Value written_;  ///< the configuration as prepare() got it
  RootfsPlan plan_;
  std::string architecture_;
  std::string token_;
  std::optional<DiskLayout> layout_;  ///< of a disk made here
  Extent root_;                       ///< where on the disk the root is
  ContainerNetwork network_ = ContainerNetwork::isolated_user;
  std::string resolv_conf_;
};

void RootfsBuilder::make_output(StageContext& context, const RootfsPaths& paths) {
  if (fs::exists(paths.output)) {
    if (!context.build.force) {
      throw Error(ErrorKind::user, "Output directory exists: " + plan_.output_directory.string() +
                                       "\n\nUse the force flag to delete it prior to building.");
    }
    context.ui.say("Deleting previous output directory...");
    unmount(paths.root, true);  // of a build that was killed
    fs::remove_all(paths.output);
  }
  Resource directory = context.journal.append(ResourceKind::path, paths.output.string(), context.build.display_name);
  Journal* journal = &context.journal;
  Ui ui = context.ui;
  context.undo.add("delete output directory", [paths, directory, journal, ui](Outcome outcome) {
    if (outcome != Outcome::succeeded) {
      ui.say("Deleting output directory...");
      fs::remove_all(paths.output);
    }
    journal->remove(directory.id);
  });
  fs::create_directories(paths.root);
  Resource mounts = context.journal.append(ResourceKind::container, paths.root.string(), context.build.display_name);
  token_ = mounts.token;
  context.undo.add("unmount the image", [paths, mounts, journal](Outcome) {
    unmount(paths.root, true);
    std::error_code ignored;
    fs::remove_all(paths.work, ignored);
    journal->remove(mounts.id);
  });
}

void RootfsBuilder::bootstrap(StageContext& context, const RootfsPaths& paths, const ToolRun& tool) {
  const RootfsConfig& config = plan_.config;
  context.ui.say("Installing " + config.suite + " from packages...");
  fs::path seed = paths.work / "seed";
  if (plan_.bootable()) {
    for (const auto& file : initramfs_seed()) {
      fs::path path = seed / file.path.substr(1);
      fs::create_directories(path.parent_path());
      write_file_atomically(path, file.content, file.mode);
    }
  }
  fs::create_directories(seed);
  std::string sources;
  if (config.mirror.empty()) {
    sources = select_package_sources(read_package_sources(), config.suite);
  } else {
    sources = "deb " + config.mirror + " " + config.suite + " " + join(config.components, " ") + "\n";
  }
  std::vector<std::string> proxies;
  if (find_program("apt-config")) {
    std::string dump = run({.argv = {"apt-config", "dump"}}, tool.deadline, tool.stop).out;
    for (const auto& line : split(dump, '\n')) {
      if (line.starts_with("Acquire::http::Proxy ") || line.starts_with("Acquire::https::Proxy ")) {
        proxies.push_back(line.substr(0, line.find(';')));
      }
    }
  }
  auto argv = mmdebstrap_arguments(plan_, architecture_, seed, paths.root, !sources.empty(), proxies);
  Command command{.argv = argv, .env = {{"KILN_RESOURCE", token_}, {"LC_ALL", "C.UTF-8"}}, .new_session = true};
  std::string tail;
  uint64_t phase = 0;
  LineSplitter lines([&](std::string_view line) {
    if (line.starts_with("I: ") && !line.starts_with("I: running --essential-hook")) {
      context.ui.message(std::string(line.substr(3)));
      context.ui.progress("mmdebstrap", ++phase, 11);
    }
    context.log.line(line);
    tail += std::string(line) + "\n";
    if (tail.size() > 4000) tail.erase(0, tail.size() - 3000);
  });
  auto sink = [&](std::string_view bytes) { lines.feed(bytes); };
  ExitStatus status = run_streaming(command, sink, sink, tool.deadline, tool.stop, sources);
  lines.finish();
  if (!status.ok())
    throw Error(ErrorKind::environment,
                "mmdebstrap failed with exit status " + std::to_string(status.code) + ":\n" + tail);
}

void RootfsBuilder::unpack_archive(StageContext& context, const RootfsPaths& paths, const ToolRun& tool) {
  context.ui.say("Unpacking " + plan_.config.source_archive + "...");
  tool({"tar", "--extract", "--numeric-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*",
        "--file=" + plan_.config.source_archive, "--directory=" + paths.root.string(), "--force-local"});
  RootTree tree(paths.root);
  if (!tree.is_directory("/etc")) {
    throw Error(ErrorKind::user, plan_.config.source_archive + " holds no root directory: /etc is missing");
  }
  if (plan_.bootable()) add_boot_packages(context, paths);
}

/// Installs what booting needs into a root that came without it.
void RootfsBuilder::add_boot_packages(StageContext& context, const RootfsPaths& paths) {
  RootTree tree(paths.root);
  bool loader = (!plan_.bios || tree.exists("/usr/lib/grub/i386-pc/boot.img") || architecture_ != "amd64") &&
                (!plan_.uefi || tree.is_directory("/usr/lib/grub/x86_64-efi") ||
                 tree.is_directory("/usr/lib/grub/arm64-efi"));
  if (tree.exists("/vmlinuz") && loader && tree.exists("/sbin/init")) return;
  if (!tree.exists("/usr/bin/apt-get")) {
    throw Error(ErrorKind::user, "the archive has no kernel or no GRUB, and no apt-get to install them with: add them, "
                                 "or set boot to \"none\"");
  }
  context.ui.say("Installing kernel and boot loader...");
  for (const auto& file : initramfs_seed()) tree.write(file.path, file.content, file.mode);
  prepare_for_provisioning(tree, resolv_conf_);
  tree.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0755);
  ContainerSpec spec = container_spec(paths);
  spec.boot = false;
  spec.machine += "-install";
  Container container(spec);
  Deadline deadline = Deadline::in(tool_timeout);
  container.start(deadline, context.stop);
  LineSplitter lines([&](std::string_view line) { context.log.line(line); });
  std::string errors;
  std::vector<std::string> install = {"/bin/sh", "-ec",
                                      "export DEBIAN_FRONTEND=noninteractive; apt-get -q update; "
                                      "apt-get -q -y --no-install-recommends install \"$@\"",
                                      "sh"};
  auto packages = boot_packages(plan_, architecture_);
  install.insert(install.end(), packages.begin(), packages.end());
  int status = container.run(
      install, [&](std::string_view bytes) { lines.feed(bytes); }, [&](std::string_view bytes) { errors += bytes; },
      deadline, context.stop);
  container.shut_down(Deadline::in(std::chrono::seconds(20)), context.stop);
  tree.remove("/usr/sbin/policy-rc.d");
  restore_after_provisioning(tree, resolv_conf_);
  if (status != 0)
    throw Error(ErrorKind::remote, "installing kernel and boot loader failed: " + std::string(trim(errors)));
}

ContainerSpec RootfsBuilder::container_spec(const RootfsPaths& paths) const {
  ContainerSpec spec;
  spec.root = paths.root;
  std::string token;
  for (char c : token_.substr(0, 12)) {
    if (std::isalnum(static_cast<unsigned char>(c))) token += c;
  }
  spec.machine = "image-" + token;
  spec.hostname = std::string(trim(RootTree(paths.root).read("/etc/hostname").value_or("")));
  spec.boot = plan_.config.container_boot;
  spec.network = network_;
  spec.console_log = paths.console;
  spec.token = token_;
  return spec;
}

void RootfsBuilder::make_new_root(StageContext& context, const RootfsPaths& paths, const ToolRun& tool) {
  uint64_t size = plan_.size != 0 ? plan_.size : default_disk_size;
  layout_ = make_disk_layout(size, plan_.bios && architecture_ == "amd64", plan_.uefi, random_uuid(), random_uuid());
  context.step("StepMakeRoot", [&] {
    unmount(paths.root, true);  // a second try begins anew
    fs::remove(paths.disk);
    create_disk(paths.disk, *layout_, architecture_, tool);
    root_ = layout_->root;
    mount_extent(paths.disk, root_, paths.root, tool);
    if (!plan_.config.suite.empty()) {
      bootstrap(context, paths, tool);
    } else {
      unpack_archive(context, paths, tool);
    }
    RootTree tree(paths.root);
    configure_new_root(tree, plan_);
    tree.write("/etc/fstab", make_fstab(*layout_));
    if (plan_.bootable()) {
      ensure_kernel_links(tree);
      if (plan_.uefi) tree.make_directories("/boot/efi");
      tree.write("/boot/grub/grub.cfg", make_grub_config(*layout_, plan_.config.kernel_arguments));
    }
  });
}

void RootfsBuilder::take_source_image(StageContext& context, const RootfsPaths& paths, const ToolRun& tool) {
  context.step("StepCopySource", [&] {
    unmount(paths.root, true);
    context.ui.say("Copying source image " + plan_.config.source_image + "...");
    auto candidates = import_disk(plan_.config.source_image, paths.disk, plan_.size, tool);
    FoundPartition root = mount_root(paths.disk, candidates, paths.root, tool);
    context.log.line("root file system on partition " + std::to_string(root.number));
    root_ = root.extent;
    if (plan_.size != 0) {
      unmount(paths.root, false);
      grow_file_system(paths.disk, root.extent, tool);
      mount_extent(paths.disk, root.extent, paths.root, tool);
    }
    if (!plan_.config.hostname.empty()) set_guest_hostname(RootTree(paths.root), plan_.config.hostname);
  });
}

void RootfsBuilder::install_loader_platform(Container& container, const RootfsPaths& paths,
                                            const std::string& platform, const ToolRun& tool) {
  RootTree tree(paths.root);
  std::string output;
  Sink keep = [&](std::string_view bytes) { output += bytes; };
  tree.write("/boot/grub/early.cfg", make_grub_early_config(*layout_));
  auto argv = grub_mkimage_arguments(platform, "/boot/grub/early.cfg", "/boot/grub/core.img");
  argv[0] = "/usr/bin/" + argv[0];
  int status = container.run(argv, keep, keep, tool.deadline, tool.stop);
  auto core = tree.read("/boot/grub/core.img");
  if (status != 0 || !core) {
    throw Error(ErrorKind::remote, "grub-mkimage for " + platform + " failed: " + std::string(trim(output)));
  }
  tree.remove("/boot/grub/core.img");
  tree.remove("/boot/grub/early.cfg");
  if (platform == "i386-pc") {
    write_bios_boot(paths.disk, *layout_, tree.read("/usr/lib/grub/i386-pc/boot.img").value_or(""), *core);
    return;
  }
  fs::path program = paths.work / "grub.efi";
  write_file_atomically(program, *core);
  write_esp(paths.disk, *layout_, program, efi_removable_name(platform), tool);
}

void RootfsBuilder::install_loader(Container& container, const RootfsPaths& paths, const ToolRun& tool) {
  if (layout_->bios_boot.size) install_loader_platform(container, paths, "i386-pc", tool);
  if (layout_->esp.size) {
    install_loader_platform(container, paths, architecture_ == "arm64" ? "arm64-efi" : "x86_64-efi", tool);
  }
}

/// What the build needs of this machine.
void RootfsBuilder::find_host(StageContext& context) {
  require_programs(plan_);
  architecture_ = plan_.config.architecture.empty() ? host_architecture() : plan_.config.architecture;
  network_ = choose_network(plan_.config, context.ui);
  resolv_conf_ = container_resolv_conf(network_, read_file_if_exists("/etc/resolv.conf").value_or(""));
}

std::unique_ptr<Machine> RootfsBuilder::start(StageContext& context) {
  find_host(context);
  RootfsPaths paths(plan_.output_directory);
  make_output(context, paths);
  ToolRun tool = tool_run(context);
  if (plan_.config.source_image.empty()) {
    make_new_root(context, paths, tool);
  } else {
    take_source_image(context, paths, tool);
  }
  prepare_for_provisioning(RootTree(paths.root), resolv_conf_);
  write_cloud_seed(RootTree(paths.root), plan_.config.seed, "iid-" + random_uuid());
  auto disk = context.states ? std::make_shared<PageFile>(PageFile::disk(paths.disk)) : nullptr;
  return start_machine(paths, disk, context, [&](Container& container) {
    if (layout_ && plan_.bootable()) {
      make_initramfs(container, tool.deadline, context.stop);
      install_loader(container, paths, tool);
    }
    make_users(container, plan_.config, Deadline::in(plan_.config.container_timeout), context.stop);
  });
}

std::unique_ptr<Machine> RootfsBuilder::start_machine(const RootfsPaths& paths, std::shared_ptr<PageFile> disk,
                                                      StageContext& context,
                                                      const std::function<void(Container&)>& when_up) {
  auto container = std::make_shared<Container>(container_spec(paths));
  context.undo.add("stop the container", [container](Outcome) { container->kill(); });
  context.step("StepStartContainer", [&] {
    context.ui.say("Starting the container...");
    container->kill();
    container->start(Deadline::in(plan_.config.container_timeout), context.stop);
    when_up(*container);
  });
  Value details = disk ? state_details(paths) : Value();
  return std::make_unique<RootfsMachine>(container, plan_.config, paths, std::move(disk), std::move(details));
}

Value RootfsBuilder::state_details(const RootfsPaths& paths) const {
  Value details = Value::empty_object();
  details.set("size", static_cast<int64_t>(fs::file_size(paths.disk)));
  details.set("root_offset", static_cast<int64_t>(root_.offset));
  details.set("root_size", static_cast<int64_t>(root_.size));
  details.set("made_here", layout_.has_value());
  details.set("resolv_conf", resolv_conf_);
  return details;
}

/// The disk as the state's, put together from what each step changed; the container is started on it.
std::unique_ptr<Machine> RootfsBuilder::restore(const std::vector<MachineState>& line, bool goes_on,
                                                StageContext& context) {
  const Value& details = line.back().details;
  auto number = [&](const char* name) -> uint64_t {
    const Value* found = details.find(name);
    if (!found || found->kind() != Value::Kind::number)
      throw Error(ErrorKind::environment, std::string("it does not say its ") + name);
    return std::strtoull(found->as_number().text.c_str(), nullptr, 10);
  };
  find_host(context);
  RootfsPaths paths(plan_.output_directory);
  make_output(context, paths);
  auto disk = std::make_shared<PageFile>(PageFile::new_disk(paths.disk, number("size")));
  for (const auto& state : line) disk->apply(state.directory / disk_changes_file, context.stop);
  root_ = {number("root_offset"), number("root_size")};
  if (const Value* made = details.find("made_here"); made && made->kind() == Value::Kind::boolean && made->as_bool()) {
    layout_.emplace();
    layout_->root = root_;
  }
  mount_extent(paths.disk, root_, paths.root, tool_run(context));
  RootTree tree(paths.root);
  const Value* resolv = details.find("resolv_conf");  // the network may be another one by now
  if (resolv && resolv->is_string() && tree.read(resolv_conf_path) == resolv->as_string())
    tree.write(resolv_conf_path, resolv_conf_);
  auto machine = start_machine(paths, goes_on ? disk : nullptr, context, [](Container&) {});
  static_cast<RootfsMachine&>(*machine).bring_tmp(line.back().directory / tmp_file, context.stop);
  return machine;
}

std::optional<Artifact> RootfsBuilder::finish(Machine& machine, StageContext& context) {
  auto& rootfs = static_cast<RootfsMachine&>(machine);
  RootfsPaths paths(plan_.output_directory);
  ToolRun tool = tool_run(context);
  context.step("StepShutdown", [&] {
    context.ui.say("Shutting down the container...");
    Deadline deadline = Deadline::in(plan_.config.shutdown_timeout);
    if (!plan_.config.shutdown_command.empty() && rootfs.container().is_running()) {
      Sink quiet = [](std::string_view) {};
      rootfs.communicator().run(plan_.config.shutdown_command, quiet, quiet, deadline, context.stop);
    }
    rootfs.container().shut_down(deadline, context.stop);
  });
  context.step("StepFinishRoot", [&] {
    RootTree tree(paths.root);
    restore_after_provisioning(tree, resolv_conf_);
    remove_cloud_seed(tree, plan_.config.seed);
    if (plan_.config.clean) clean_root(tree);
    if (layout_ && plan_.bootable()) ensure_kernel_links(tree);
    trim_mounted(paths.root, tool);
  });
  unmount(paths.root, false);
  fs::path image = paths.output / plan_.image_file;
  context.step("StepWriteImage", [&] {
    context.ui.say("Writing " + (plan_.output_directory / plan_.image_file).string() + "...");
    fs::path partial = paths.work / plan_.image_file;
    export_disk(paths.disk, partial, plan_.config, tool);
    fs::rename(partial, image);
    fs::remove_all(paths.work);
  });
  Artifact artifact;
  std::string path = (plan_.output_directory / plan_.image_file).string();
  artifact.builder_id = "kiln.rootfs";
  artifact.id = path;
  artifact.description = "Disk image: " + path;
  artifact.files = {path};
  artifact.state = Value::empty_object();
  fs::path output = paths.output;
  artifact.destroy = [output] { fs::remove_all(output); };
  return artifact;
}

/// A container of a copy, always booted: what is tested are services that start by themselves.
std::optional<Value> RootfsBuilder::fresh_machine(const Artifact& artifact, const fs::path& scratch) const {
  if (artifact.files.empty()) return std::nullopt;
  Value out = Value::empty_object();
  for (auto name : {"network", "container_timeout", "shutdown_timeout"}) {
    if (const Value* value = written_.find(name)) out.set(name, *value);
  }
  out.set("source_image", Value(fs::absolute(artifact.files[0]).string()));
  out.set("output_directory", Value(scratch.string()));
  out.set("image_name", Value("disk.raw"));
  out.set("format", Value("raw"));
  return out;
}

}  // namespace

ComponentEntry<Builder> rootfs_builder() {
  return {"rootfs", "A bootable disk image from packages, an archive or an image, provisioned in a container.",
          rootfs_options, [] { return std::make_unique<RootfsBuilder>(); }};
}

}  // namespace kiln
