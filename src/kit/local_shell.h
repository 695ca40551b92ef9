// shell-local: scripts on this machine, as provisioner and as post-processor alike (packer-surface 6.2).
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/stage_context.h"
#include "lang/option.h"

namespace kiln {

struct LocalShellConfig {
  std::string command;
  std::vector<std::string> inline_lines;
  std::string script;
  std::vector<std::string> scripts;
  std::vector<std::string> environment_vars;
  std::map<std::string, std::string> env;
  std::string env_var_format;
  Value execute_command_value;  ///< as written: a list, or one string
  std::string inline_shebang;
  std::vector<std::string> only_on;
  std::string tempfile_extension;
  bool use_linux_pathing = false;
  std::vector<int> valid_exit_codes;
  std::vector<std::string> execute_command;  ///< after prepare_local_shell
};

const OptionTable<LocalShellConfig>& local_shell_options();

/// Decodes, fills in defaults, judges (Packer's texts). `component` is "provisioner shell-local" or
/// "post-processor shell-local"; the latter takes one string as execute_command for `sh -c`.
LocalShellConfig prepare_local_shell(const PrepareInput& input, const std::string& component);

/// Runs the scripts, each with its output told by the Ui. A failing one is Error. What it started is
/// journaled and, if it fails or is stopped, ended with all its children.
void run_local_shell(const LocalShellConfig& config, StageContext& context);

}  // namespace kiln
