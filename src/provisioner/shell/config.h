// Options of the shell provisioner and the pure decisions that follow from them.
#pragma once
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "core/stage_context.h"
#include "lang/option.h"

namespace kiln {

struct ShellConfig {
  std::vector<std::string> inline_lines;
  std::string script;
  std::vector<std::string> scripts;
  bool binary = false;
  std::vector<int> valid_exit_codes;
  std::vector<std::string> environment_vars;
  std::map<std::string, std::string> env;
  std::string env_var_format;
  bool use_env_var_file = false;
  std::string execute_command;
  std::string inline_shebang;
  std::string remote_folder;
  std::string remote_file;
  std::string remote_path;
  bool skip_clean = false;
  Duration start_retry_timeout = std::chrono::minutes(5);
  bool expect_disconnect = false;
  Duration pause_after{0};
  bool inline_shebang_set = false;  ///< by the person
};

const OptionTable<ShellConfig>& shell_options();

/// Decodes, fills in defaults, judges (Packer's texts).
ShellConfig prepare_shell(const PrepareInput& input);

/// The variables a script sees: Packer's own, environment_vars, env; sorted by name.
std::map<std::string, std::string> shell_variables(const ShellConfig& config, const BuildInfo& build,
                                                   const Value& build_data);
/// They as text: what {{.Vars}} is, or what the file of variables holds.
std::string format_variables(const ShellConfig& config, const std::map<std::string, std::string>& variables);

/// The text of an inline script: shebang when it needs one, then the lines.
std::string inline_script(const ShellConfig& config, const std::vector<std::string>& lines);

/// Whether a script's text switches the machine off rather than restarting it.
bool turns_machine_off(const std::string& script);

}  // namespace kiln
