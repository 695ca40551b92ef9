#include "builder/rootfs/guest_setup.h"

#include <fmt/format.h>

#include <cstring>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "builder/rootfs/bootstrap.h"
#include "kit/host_keys_unit.h"

namespace kiln {

namespace {

const char* const resolv_path = "/etc/resolv.conf";
const char* const saved_resolv_path = "/etc/.resolv.conf.before-build";
const char* const seed_path = "/var/lib/cloud/seed/nocloud";
const char* const saved_seed_path = "/var/lib/cloud/seed/.nocloud.before-build";
const char* const unsafe_io_path = "/etc/dpkg/dpkg.cfg.d/zz-image-build";

const char* const dhcp_text =
    "[Match]\n"
    "Name=en* eth*\n"
    "\n"
    "[Network]\n"
    "DHCP=yes\n";

void enable_unit(const RootTree& tree, const std::string& unit, const std::string& wanted_by) {
  if (!tree.exists("/lib/systemd/system/" + unit) && !tree.exists("/etc/systemd/system/" + unit)) return;
  std::string source = tree.exists("/etc/systemd/system/" + unit) ? "/etc/systemd/system/" : "/lib/systemd/system/";
  tree.symlink(source + unit, "/etc/systemd/system/" + wanted_by + ".wants/" + unit);
}

void run_in(Container& container, const std::vector<std::string>& argv, const std::string& what,
            const Deadline& deadline, const Stop& stop, std::string_view input = {}) {
  std::string output;
  Sink keep = [&](std::string_view bytes) { output += bytes; };
  int status = container.run(argv, keep, keep, deadline, stop, input);
  if (status != 0) {
    throw Error(ErrorKind::remote, what + " failed with status " + std::to_string(status) + ": " +
                                       std::string(trim(output)));
  }
}

/// Removes the files whose names match.
void remove_matching(const RootTree& tree, const std::string& directory, const std::string& pattern) {
  for (const auto& name : tree.list(directory)) {
    if (glob_match(pattern, name)) tree.remove(fmt::format("{}/{}", directory, name));
  }
}

/// What makes cloud-init think that it has run. Scripts and seeds in /var/lib/cloud are the image's.
void forget_cloud_init(const RootTree& tree) {
  for (auto name : {"instance", "instances", "data", "sem"}) tree.remove(std::string("/var/lib/cloud/") + name);
  tree.remove("/var/log/cloud-init.log");
  tree.remove("/var/log/cloud-init-output.log");
}

std::string newest_with_prefix(const RootTree& tree, const std::string& prefix) {
  std::vector<std::string> names;
  for (const auto& name : tree.list("/boot")) {
    if (name.starts_with(prefix)) names.push_back(name);
  }
  auto newest = std::max_element(names.begin(), names.end(), version_less);
  return newest == names.end() ? "" : *newest;
}

}  // namespace

bool version_less(const std::string& a, const std::string& b) { return ::strverscmp(a.c_str(), b.c_str()) < 0; }

void set_guest_hostname(const RootTree& tree, const std::string& hostname) {
  tree.write("/etc/hostname", hostname + "\n");
  std::vector<std::string> kept;
  for (const auto& line : split(tree.read("/etc/hosts").value_or("127.0.0.1\tlocalhost\n"
                                                                  "::1\tlocalhost ip6-localhost ip6-loopback\n"),
                                '\n')) {
    if (!line.starts_with("127.0.1.1") && !line.empty()) kept.push_back(line);
  }
  auto after_localhost = kept.empty() ? kept.end() : kept.begin() + 1;
  kept.insert(after_localhost, "127.0.1.1\t" + hostname);
  tree.write("/etc/hosts", join(kept, "\n") + "\n");
}

void configure_new_root(const RootTree& tree, const RootfsPlan& plan) {
  set_guest_hostname(tree, plan.config.hostname);
  if (tree.is_directory("/etc/dpkg/dpkg.cfg.d")) {
    tree.remove("/etc/dpkg/dpkg.cfg.d/99mmdebstrap");
    tree.remove("/etc/apt/apt.conf.d/99mmdebstrap");
    if (plan.config.lean) tree.write("/etc/dpkg/dpkg.cfg.d/lean", lean_dpkg_config());
  }
  if (!tree.is_directory("/etc/systemd/system")) return;
  tree.write(std::string("/etc/systemd/system/") + host_keys_unit_name, host_keys_unit_text);
  enable_unit(tree, host_keys_unit_name, "multi-user.target");
  if (!plan.config.dhcp) return;
  tree.write("/etc/systemd/network/80-ethernet-dhcp.network", dhcp_text);
  enable_unit(tree, "systemd-networkd.service", "multi-user.target");
  if (tree.exists("/lib/systemd/systemd-resolved")) {
    enable_unit(tree, "systemd-resolved.service", "multi-user.target");
    tree.symlink("../run/systemd/resolve/stub-resolv.conf", resolv_path);
  }
}

void prepare_for_provisioning(const RootTree& tree, const std::string& resolv_conf) {
  tree.remove(saved_resolv_path);
  if (tree.exists(resolv_path)) tree.rename(resolv_path, saved_resolv_path);
  tree.write(resolv_path, resolv_conf);
  if (tree.is_directory("/etc/dpkg/dpkg.cfg.d")) tree.write(unsafe_io_path, "force-unsafe-io\n");
}

void restore_after_provisioning(const RootTree& tree, const std::string& resolv_conf) {
  tree.remove(unsafe_io_path);
  auto status = tree.status(resolv_path);
  bool ours = status && S_ISREG(status->st_mode) && tree.read(resolv_path) == resolv_conf;
  if (ours) {
    tree.remove(resolv_path);
    if (tree.exists(saved_resolv_path)) tree.rename(saved_resolv_path, resolv_path);
  }
  tree.remove(saved_resolv_path);
}

void write_cloud_seed(const RootTree& tree, const CloudSeedConfig& seed, const std::string& instance_id) {
  if (!seed.wanted()) return;
  forget_cloud_init(tree);
  if (tree.exists(seed_path)) tree.rename(seed_path, saved_seed_path);
  CloudSeedConfig given = seed;
  // The container's network is the builder's: what cloud-init would write for it must not get into the image.
  if (given.network_config.empty()) given.network_config = "config: disabled\n";
  for (const auto& [name, content] : cloud_seed_files(given, {instance_id, "", ""})) {
    tree.write(std::string(seed_path) + "/" + name, content, 0600);
  }
}

void remove_cloud_seed(const RootTree& tree, const CloudSeedConfig& seed) {
  if (!seed.wanted()) return;
  tree.remove(seed_path);
  if (tree.exists(saved_seed_path)) tree.rename(saved_seed_path, seed_path);
  forget_cloud_init(tree);
}

void clean_root(const RootTree& tree) {
  if (tree.exists("/etc/machine-id")) tree.write("/etc/machine-id", "", 0444);
  auto dbus_id = tree.status("/var/lib/dbus/machine-id");
  if (dbus_id && S_ISREG(dbus_id->st_mode)) tree.remove("/var/lib/dbus/machine-id");
  tree.remove("/var/lib/systemd/random-seed");
  tree.remove("/var/lib/systemd/credential.secret");
  // Only when they are made anew by themselves.
  bool remade = tree.exists(std::string("/etc/systemd/system/multi-user.target.wants/") + host_keys_unit_name) ||
                tree.exists("/usr/bin/cloud-init");
  if (remade) remove_matching(tree, "/etc/ssh", "ssh_host_*");
  forget_cloud_init(tree);
  remove_matching(tree, "/var/cache/apt/archives", "*.deb");
  remove_matching(tree, "/var/cache/apt", "*.bin");
  tree.remove_contents("/var/lib/apt/lists");
  if (tree.is_directory("/var/lib/apt/lists")) tree.make_directories("/var/lib/apt/lists/partial");
  tree.remove_contents("/var/log/journal");
  tree.remove_contents("/tmp");
  tree.remove_contents("/run");
}

void ensure_kernel_links(const RootTree& tree) {
  std::string kernel = newest_with_prefix(tree, "vmlinuz-");
  if (kernel.empty()) {
    throw Error(ErrorKind::user, "the root has no kernel (/boot/vmlinuz-*): set boot to \"none\" or add one");
  }
  if (!tree.exists("/vmlinuz")) tree.symlink("boot/" + kernel, "/vmlinuz");
  std::string initramfs = newest_with_prefix(tree, "initrd.img-");
  if (!tree.exists("/initrd.img") && !initramfs.empty()) tree.symlink("boot/" + initramfs, "/initrd.img");
}

std::string container_resolv_conf(ContainerNetwork network, const std::string& host_resolv_conf) {
  if (network == ContainerNetwork::isolated_user) return "nameserver 10.0.2.3\n";  // slirp4netns forwards it
  if (network == ContainerNetwork::host) return host_resolv_conf;
  return "# no network\n";
}

void make_initramfs(Container& container, const Deadline& deadline, const Stop& stop) {
  if (!container.tree().exists(initramfs_placeholder_path)) return;
  container.tree().remove(initramfs_placeholder_path);
  run_in(
      container,
      {"/bin/sh", "-ec", "cd /lib/modules; for version in *; do /usr/sbin/update-initramfs -c -k \"$version\"; done"},
      "making the initramfs", deadline, stop);
}

void make_users(Container& container, const RootfsConfig& config, const Deadline& deadline, const Stop& stop) {
  for (const auto& user : config.users) {
    Sink quiet = [](std::string_view) {};
    std::string shell = container.tree().exists("/bin/bash") ? "/bin/bash" : "/bin/sh";
    if (container.run({"/usr/bin/env", "id", user.name}, quiet, quiet, deadline, stop) != 0) {
      run_in(container, {"/usr/sbin/useradd", "--create-home", "--shell", shell, "--", user.name},
             "making the user " + user.name, deadline, stop);
    }
    if (!user.password.empty()) {
      run_in(container, {"/usr/sbin/chpasswd"}, "setting the password of " + user.name, deadline, stop,
             user.name + ":" + user.password + "\n");
    }
    if (user.sudo) {
      container.tree().write("/etc/sudoers.d/90-" + user.name, user.name + " ALL=(ALL:ALL) NOPASSWD:ALL\n", 0440);
    }
    if (!user.authorized_keys.empty()) {
      const char* script =
          "home=$(getent passwd \"$1\" | cut -d: -f6); umask 077; mkdir -p \"$home/.ssh\"; "
          "cat >> \"$home/.ssh/authorized_keys\"; chown -R \"$1:\" \"$home/.ssh\"";
      run_in(container, {"/bin/sh", "-ec", script, "sh", user.name},
             "installing the keys of " + user.name, deadline, stop, join(user.authorized_keys, "\n") + "\n");
    }
  }
  if (!config.root_password.empty()) {
    run_in(container, {"/usr/sbin/chpasswd"}, "setting root's password", deadline, stop,
           "root:" + config.root_password + "\n");
  }
}

}  // namespace kiln
