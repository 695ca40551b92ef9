#include "builder/rootfs/bootstrap.h"

#include <sys/utsname.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

const std::vector<std::string>& lean_excludes() {
  static const std::vector<std::string> lines = {
      // Pages only: alternatives (Java's, say) fail where the directories are missing.
      "path-exclude=/usr/share/man/*.gz", "path-exclude=/usr/share/info/*",
      "path-exclude=/usr/share/locale/*", "path-include=/usr/share/locale/locale.alias",
      "path-exclude=/usr/share/doc/*",    "path-include=/usr/share/doc/*/copyright",
      "path-exclude=/usr/share/lintian/*"};
  return lines;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (const auto& line : split(text, '\n')) {
    for (const auto& part : split(replace_all(line, "\t", " "), ' ')) {
      if (!part.empty()) words.push_back(part);
    }
  }
  return words;
}

bool suite_matches(const std::string& found, const std::string& suite) {
  return found == suite || found == suite + "-updates" || found == suite + "-security" || found == suite + "/updates";
}

std::string source_line(const std::string& options, const std::string& uri, const std::string& suite,
                        const std::vector<std::string>& components) {
  return "deb " + (options.empty() ? "" : "[" + options + "] ") + uri + " " + suite + " " + join(components, " ") +
         "\n";
}

/// Stanzas of a deb822 file: lower-case field -> value, continuation lines joined by newlines.
std::vector<std::map<std::string, std::string>> deb822_stanzas(const std::string& text) {
  std::vector<std::map<std::string, std::string>> stanzas(1);
  std::string field;
  for (const auto& line : split(text, '\n')) {
    if (line.starts_with("#")) continue;
    if (trim(line).empty()) {
      if (!stanzas.back().empty()) stanzas.emplace_back();
      continue;
    }
    size_t colon = line.find(':');
    if (line[0] == ' ' || line[0] == '\t' || colon == std::string::npos) {
      stanzas.back()[field] += "\n" + std::string(trim(line));
      continue;
    }
    field = lower(line.substr(0, colon));
    stanzas.back()[field] = std::string(trim(line.substr(colon + 1)));
  }
  return stanzas;
}

void select_from_deb822(const std::string& text, const std::string& suite, std::string& out) {
  for (auto& stanza : deb822_stanzas(text)) {
    auto types = words_of(stanza["types"]);
    if (std::find(types.begin(), types.end(), "deb") == types.end() || lower(stanza["enabled"]) == "no") continue;
    std::string key = stanza["signed-by"];
    if (key.find('\n') != std::string::npos) continue;  // an embedded key fits no one-line source
    for (const auto& found : words_of(stanza["suites"])) {
      if (!suite_matches(found, suite)) continue;
      for (const auto& uri : words_of(stanza["uris"])) {
        out += source_line(key.empty() ? "" : "signed-by=" + key, uri, found, words_of(stanza["components"]));
      }
    }
  }
}

void select_from_lines(const std::string& text, const std::string& suite, std::string& out) {
  for (const auto& line : split(text, '\n')) {
    std::string rest(trim(line));
    if (!rest.starts_with("deb ") && !rest.starts_with("deb\t")) continue;
    rest = std::string(trim(rest.substr(4)));
    std::string options;
    if (rest.starts_with("[")) {
      size_t end = rest.find(']');
      if (end == std::string::npos) continue;
      options = std::string(trim(rest.substr(1, end - 1)));
      rest = rest.substr(end + 1);
    }
    auto words = words_of(rest.substr(0, rest.find('#')));
    if (words.size() < 3 || !suite_matches(words[1], suite)) continue;
    out += source_line(options, words[0], words[1], {words.begin() + 2, words.end()});
  }
}

/// Suites whose systemd package still holds systemd-resolved.
bool has_resolved_inside_systemd(const std::string& suite) {
  static const std::set<std::string> old = {"stretch", "buster", "bullseye", "bionic", "focal", "jammy"};
  return old.count(suite) != 0;
}

}  // namespace

std::string select_package_sources(const std::vector<SourcesFile>& files, const std::string& suite) {
  std::string out;
  for (const auto& file : files) {
    if (file.name.ends_with(".sources")) {
      select_from_deb822(file.text, suite, out);
    } else {
      select_from_lines(file.text, suite, out);
    }
  }
  // Without the suite itself there is nothing to build from.
  return contains(out, " " + suite + " ") ? out : "";
}

std::vector<SourcesFile> read_package_sources() {
  std::vector<SourcesFile> files;
  std::vector<fs::path> paths = {"/etc/apt/sources.list"};
  for (const char* pattern : {"/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources"}) {
    for (const auto& path : glob(pattern)) paths.push_back(path);
  }
  for (const auto& path : paths) {
    if (auto text = read_file_if_exists(path)) files.push_back({path.string(), *text});
  }
  return files;
}

std::vector<std::string> boot_packages(const RootfsPlan& plan, const std::string& architecture) {
  std::vector<std::string> packages;
  auto add = [&](std::initializer_list<std::string> names) { packages.insert(packages.end(), names); };
  const RootfsConfig& config = plan.config;
  if (plan.bootable() || config.container_boot) add({"systemd-sysv", "dbus"});
  if (!plan.bootable()) return packages;
  add({"udev", "kmod", "iproute2", "e2fsprogs", "initramfs-tools", "zstd"});
  if (config.dhcp && !has_resolved_inside_systemd(config.suite)) add({"systemd-resolved"});
  add({config.kernel_package.empty() ? "linux-image-cloud-" + architecture : config.kernel_package});
  if (plan.bios && architecture == "amd64") add({"grub-pc-bin"});
  if (plan.uefi) add({"grub-efi-" + architecture + "-bin"});
  return packages;
}

std::vector<std::string> mmdebstrap_arguments(const RootfsPlan& plan, const std::string& architecture,
                                              const std::string& seed, const std::string& root, bool has_sources,
                                              const std::vector<std::string>& proxies) {
  const RootfsConfig& config = plan.config;
  std::vector<std::string> argv = {"mmdebstrap", "--mode=root", "--format=directory", "--variant=" + config.variant,
                                   "--architectures=" + architecture,
                                   "--aptopt=APT::Install-Recommends \"0\"",
                                   "--aptopt=APT::Sandbox::User \"root\"",
                                   "--aptopt=Acquire::Languages \"none\"",
                                   "--dpkgopt=force-unsafe-io"};
  for (const auto& proxy : proxies) argv.push_back("--aptopt=" + proxy);
  if (config.lean) {
    for (const auto& line : lean_excludes()) argv.push_back("--dpkgopt=" + line);
  }
  std::vector<std::string> packages = boot_packages(plan, architecture);
  packages.insert(packages.end(), config.packages.begin(), config.packages.end());
  if (!packages.empty()) argv.push_back("--include=" + join(packages, ","));
  argv.push_back("--essential-hook=cp -a " + shell_quote(seed + "/.") + " \"$1\"/");
  argv.insert(argv.end(), {config.suite, root});
  if (has_sources) argv.push_back("-");
  return argv;
}

std::vector<SeedFile> initramfs_seed() {
  return {
      {"/etc/initramfs-tools/conf.d/image",
       "# A small initramfs that finds its root on any usual machine.\n"
       "MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=3\nRESUME=none\n",
       0644},
      {initramfs_placeholder_path, "#!/bin/sh\n# Made once, when all packages are installed.\nexit 0\n", 0755},
      {"/etc/initramfs-tools/hooks/image",
       "#!/bin/sh\n"
       "# Disk controllers of hypervisors and of common machines; udev loads what is there.\n"
       "case \"$1\" in prereqs) exit 0 ;; esac\n"
       ". /usr/share/initramfs-tools/hook-functions\n"
       "manual_add_modules ext4 virtio_pci virtio_mmio virtio_blk virtio_scsi virtio_console \\\n"
       "  sd_mod ahci ata_piix ata_generic nvme usb_storage uas xhci_pci ehci_pci \\\n"
       "  mptspi mptsas vmw_pvscsi hv_vmbus hv_storvsc xen_blkfront mmc_block sdhci_pci\n",
       0755},
  };
}

std::string lean_dpkg_config() {
  return "# Documents, manuals and translations are left out of this image.\n" + join(lean_excludes(), "\n") + "\n";
}

std::string host_architecture() {
  utsname name{};
  ::uname(&name);
  std::string machine = name.machine;
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return machine;
}

}  // namespace kiln
