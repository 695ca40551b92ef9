#include "provisioner/seal/config.h"

#include <fmt/format.h>

#include <random>

#include "base/text.h"
#include "kit/boot_command.h"
#include "kit/script_run.h"

namespace kiln {

namespace {

void add_part_options(OptionTable<SealConfig>& t) {
  using C = SealConfig;
  auto part = [&t](bool C::*member, const char* name, const char* doc) {
    t.add(member, {.name = name, .default_text = "true", .doc = doc});
  };
  part(&C::temporary_keys, "temporary_keys",
       "Remove the build's own ssh key, and those that other builds have forgotten, from all authorized_keys.");
  part(&C::host_keys, "host_keys",
       "Remove the ssh host keys. Where nothing would make new ones at the first start, a systemd unit that does is "
       "installed.");
  part(&C::machine_id, "machine_id", "Empty /etc/machine-id; D-Bus' copy becomes a link to it.");
  part(&C::cloud_init, "cloud_init", "Have cloud-init forget that it has run, so that it runs on every copy.");
  part(&C::history, "history", "Remove the shell histories of root and all users.");
  part(&C::package_caches, "package_caches", "Remove what apt, dnf, yum, zypper, pacman, apk and pip have fetched.");
  part(&C::logs, "logs", "Empty the logs below /var/log; rotated ones and the journal are removed.");
  part(&C::temporary_files, "temporary_files",
       "Remove what is in /tmp and /var/tmp, but for sockets and what services use at the moment.");
  part(&C::leases, "leases", "Remove DHCP leases and names given to network cards.");
  part(&C::random_seed, "random_seed",
       "Remove the seeds of the random number generator: no two machines may share one.");
  part(&C::trim, "trim", "Tell the disk which blocks are free (fstrim), where that is possible.");
}

void add_run_options(OptionTable<SealConfig>& t) {
  using C = SealConfig;
  t.add(&C::check, {.name = "check", .default_text = "true",
                    .doc = "Look at the machine afterwards and fail, naming every leftover that is found."});
  t.add(&C::only_check, {.name = "only_check", .default_text = "false",
                         .doc = "Clean nothing, only look: for machines that are cleaned by a script of your own."});
  t.add(&C::keep, {.name = "keep",
                   .doc = "Absolute paths on the machine, files or directories, that are left alone and "
                          "are no leftovers."});
  t.add(&C::execute_command,
        {.name = "execute_command", .default_text = "/bin/sh {{.Path}}",
         .doc = "The command that runs the script: a template over .Path and build data. The script becomes root by "
                "sudo without a password when it is not root already.",
         .raw = true});
  t.add(&C::remote_folder, {.name = "remote_folder", .default_text = "/tmp", .doc = "Remote directory for the script.",
                            .in_key = false});
  t.add(&C::start_retry_timeout, {.name = "start_retry_timeout", .default_text = "5m",
                                  .doc = "How long to try to start the script.", .in_key = false});
}

int seal_suffix() {
  static thread_local std::mt19937 generator{std::random_device{}()};
  return std::uniform_int_distribution<int>(0, 9998)(generator);
}

void judge_keep(const SealConfig& config, const PrepareInput& input) {
  for (const auto& path : config.keep) {
    bool good = path.size() > 1 && path[0] == '/' && path.find('\n') == std::string::npos;
    if (good || path.starts_with("<")) continue;  // a placeholder: known when the machine is
    input.diagnostics.error(fmt::format("keep: {} is no absolute path", go_quote(path)), "",
                            option_range(input.config, "keep"));
  }
}

}  // namespace

const OptionTable<SealConfig>& seal_options() {
  static const OptionTable<SealConfig> table = [] {
    OptionTable<SealConfig> made;
    add_part_options(made);
    add_run_options(made);
    return made;
  }();
  return table;
}

SealConfig prepare_seal(const PrepareInput& input) {
  SealConfig config;
  DecodeContext decode = input.decode("provisioner seal");
  seal_options().decode(input.config, config, decode);
  check_raw_template("execute_command", config.execute_command, input);
  judge_keep(config, input);
  if (config.only_check && !config.check) {
    input.diagnostics.error("only_check = true and check = false leave nothing to do", "",
                            option_range(input.config, "check"));
  }
  for (auto& path : config.keep) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  }
  if (config.execute_command.empty()) config.execute_command = "/bin/sh {{.Path}}";
  if (config.remote_folder.empty()) config.remote_folder = "/tmp";
  if (config.remote_path.empty())
    config.remote_path = fmt::format("{}/seal_{}.sh", config.remote_folder, seal_suffix());
  return config;
}

}  // namespace kiln
