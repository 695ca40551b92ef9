// Options of the powershell provisioner and the pure decisions that follow from them.
#pragma once
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "core/stage_context.h"
#include "lang/option.h"

namespace kiln {

struct PowershellConfig {
  std::vector<std::string> inline_lines;
  std::string script;
  std::vector<std::string> scripts;
  bool binary = false;
  std::vector<int> valid_exit_codes;
  std::vector<std::string> environment_vars;
  std::map<std::string, std::string> env;
  std::string env_var_format;
  std::string execute_command;
  std::string remote_path;
  std::string remote_env_var_path;
  std::string elevated_user;
  std::string elevated_password;
  std::string elevated_execute_command;
  std::string elevated_env_var_format;
  std::string execution_policy;  ///< lower case after prepare; "none": no such argument
  int debug_mode = 0;
  bool skip_clean = false;
  bool use_pwsh = false;
  Duration start_retry_timeout = std::chrono::minutes(5);
  Duration pause_after{0};
  bool elevated() const { return !elevated_user.empty(); }
};

const OptionTable<PowershellConfig>& powershell_options();

/// Decodes, fills in defaults, judges (Packer's texts and order).
PowershellConfig prepare_powershell(const PrepareInput& input);

/// The command templates when there are none in the template file.
std::string default_powershell_command(const PowershellConfig& config);

/// A value between double quotes in PowerShell: $ " ` ' get a back-tick.
std::string escape_powershell(const std::string& value);

/// All variables as PowerShell assigns them: what the file of variables holds.
std::string powershell_variables(const PowershellConfig& config, const BuildInfo& build,
                                 const Value& build_data);

/// The lines of an inline script inside what makes their failures the script's: a terminating error is exit
/// code 1, a program's exit code is the script's.
std::string inline_powershell(const std::vector<std::string>& lines, const std::string& variables,
                              int debug_mode);

/// The script that removes `paths`, itself among them.
std::string clean_up_script(const std::vector<std::string>& paths);

}  // namespace kiln
