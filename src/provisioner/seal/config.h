// Options of the seal provisioner.
#pragma once
#include <string>
#include <vector>

#include "core/stage_context.h"
#include "lang/option.h"

namespace kiln {

struct SealConfig {
  // What is cleaned, and looked for afterwards.
  bool temporary_keys = true;
  bool host_keys = true;
  bool machine_id = true;
  bool cloud_init = true;
  bool history = true;
  bool package_caches = true;
  bool logs = true;
  bool temporary_files = true;
  bool leases = true;
  bool random_seed = true;
  bool trim = true;

  bool check = true;
  bool only_check = false;
  std::vector<std::string> keep;  ///< absolute paths on the machine
  std::string execute_command;
  std::string remote_folder;
  std::string remote_path;  ///< made up from remote_folder
  Duration start_retry_timeout = std::chrono::minutes(5);
};

const OptionTable<SealConfig>& seal_options();

/// Decodes, fills in defaults, judges.
SealConfig prepare_seal(const PrepareInput& input);

}  // namespace kiln
