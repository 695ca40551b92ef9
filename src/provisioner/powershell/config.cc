#include "provisioner/powershell/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "kit/guest_script.h"
#include "kit/script_run.h"

namespace kiln {

namespace {

using Config = PowershellConfig;

constexpr const char* policies[] = {"bypass",     "allsigned", "default",      "remotesigned",
                                    "restricted", "undefined", "unrestricted", "none"};

// The text is in Packer's documents, and people copy it from there: it is not improved upon.
constexpr const char* quiet =
    "if (Test-Path variable:global:ProgressPreference){set-variable -name variable:global:ProgressPreference "
    "-value 'SilentlyContinue'};";

void add_what(OptionTable<Config>& table) {
  table.add(&Config::inline_lines, {.name = "inline", .doc = "Commands, joined to one script."});
  table.add(&Config::script, {.name = "script", .doc = "Path of a local script.", .reads = true});
  table.add(&Config::scripts, {.name = "scripts", .doc = "Paths of local scripts, run in order.", .reads = true});
  table.add(&Config::binary, {.name = "binary",
                              .default_text = "false",
                              .doc = "Send scripts as they are, without turning CRLF into LF."});
  table.add(&Config::valid_exit_codes,
            {.name = "valid_exit_codes", .default_text = "[0]", .doc = "Exit codes that count as success."});
  table.add(&Config::environment_vars,
            {.name = "environment_vars", .doc = "Variables as a list of \"key=value\"."});
  table.add(&Config::env, {.name = "env", .doc = "Variables as a map; they win over environment_vars."});
  table.add(&Config::env_var_format, {.name = "env_var_format",
                                      .default_text = "$env:%s=\"%s\"; ",
                                      .doc = "How one variable is written into the file of variables."});
}

void add_how(OptionTable<Config>& table) {
  table.add(&Config::execute_command,
            {.name = "execute_command",
             .default_text = "by execution_policy, use_pwsh and debug_mode",
             .doc = "The command that runs a script: a template over .Path, .Vars (the path of the file of "
                    "variables) and build data.",
             .raw = true});
  table.add(&Config::execution_policy,
            {.name = "execution_policy",
             .default_text = "bypass",
             .doc = "bypass, allsigned, default, remotesigned, restricted, undefined, unrestricted, or none: "
                    "no such argument."});
  table.add(&Config::use_pwsh, {.name = "use_pwsh",
                                .default_text = "false",
                                .doc = "Run pwsh (PowerShell 7) in place of powershell."});
  table.add(&Config::debug_mode,
            {.name = "debug_mode", .default_text = "0", .doc = "Trace level for Set-PsDebug: 0, 1 or 2."});
  table.add(&Config::remote_path, {.name = "remote_path",
                                   .default_text = "c:/Windows/Temp/script-UUID.ps1",
                                   .doc = "Remote path of the script."});
  table.add(&Config::remote_env_var_path, {.name = "remote_env_var_path",
                                           .default_text = "c:/Windows/Temp/packer-ps-env-vars-UUID.ps1",
                                           .doc = "Remote path of the file of variables."});
  table.add(&Config::skip_clean,
            {.name = "skip_clean", .default_text = "false", .doc = "Leave the files on the machine."});
  table.add(&Config::start_retry_timeout, {.name = "start_retry_timeout",
                                           .default_text = "5m",
                                           .doc = "How long to try to start the script.",
                                           .in_key = false});
  table.add(&Config::pause_after, {.name = "pause_after",
                                   .default_text = "0s",
                                   .doc = "Wait so long after the scripts.",
                                   .in_key = false});
}

void add_elevated(OptionTable<Config>& table) {
  table.add(
      &Config::elevated_user,
      {.name = "elevated_user",
       .doc = "Run with full rights as this user, by a scheduled task. Service accounts (SYSTEM) need no "
              "password. A template over build data.",
       .raw = true});
  table.add(&Config::elevated_password, {.name = "elevated_password",
                                         .doc = "Its password. A template over build data.",
                                         .secret = true,
                                         .raw = true});
  table.add(&Config::elevated_execute_command, {.name = "elevated_execute_command",
                                                .default_text = "as execute_command",
                                                .doc = "The command that the scheduled task runs.",
                                                .raw = true});
  table.add(&Config::elevated_env_var_format,
            {.name = "elevated_env_var_format",
             .default_text = "$env:%s=\"%s\"; ",
             .doc = "env_var_format of scripts that run with elevated_user."});
}

void judge_policy(Config& config, const PrepareInput& input) {
  const Value* given = input.config.find("execution_policy");
  if (given == nullptr || given->is_null()) {
    config.execution_policy = "bypass";
    return;
  }
  std::string policy = lower(config.execution_policy);
  // Packer also takes the number of a policy in its list.
  bool number =
      !policy.empty() && policy.find_first_not_of("0123456789", policy[0] == '-' ? 1 : 0) == policy.npos;
  if (number && policy.size() == 1 && policy[0] <= '7') {
    policy = policies[policy[0] - '0'];
  } else if (number) {
    input.diagnostics.error(
        "Invalid execution policy provided. Please supply one of: \"bypass\", \"allsigned\", \"default\", "
        "\"remotesigned\", \"restricted\", \"undefined\", \"unrestricted\", \"none\".",
        "", given->range);
  } else if (std::find(std::begin(policies), std::end(policies), policy) == std::end(policies)) {
    input.diagnostics.error(
        fmt::format("error decoding 'execution_policy': {} does not belong to ExecutionPolicy values",
                    config.execution_policy),
        "", given->range, fmt::format("The policies are {}.", fmt::join(policies, ", ")));
  }
  config.execution_policy = policy;
}

void fill_powershell_defaults(Config& config) {
  const std::string uuid = random_uuid();
  if (config.env_var_format.empty()) config.env_var_format = R"($env:%s="%s"; )";
  if (config.elevated_env_var_format.empty()) config.elevated_env_var_format = R"($env:%s="%s"; )";
  if (config.remote_path.empty()) config.remote_path = fmt::format("c:/Windows/Temp/script-{}.ps1", uuid);
  if (config.remote_env_var_path.empty()) {
    config.remote_env_var_path = fmt::format("c:/Windows/Temp/packer-ps-env-vars-{}.ps1", uuid);
  }
  if (config.valid_exit_codes.empty()) config.valid_exit_codes = {0};
  if (config.execute_command.empty()) config.execute_command = default_powershell_command(config);
  if (config.elevated_execute_command.empty()) {
    config.elevated_execute_command = default_powershell_command(config);
  }
}

SourceRange place_of(const PrepareInput& input, const char* key) {
  const Value* value = input.config.find(key);
  return value != nullptr ? value->range : input.config.range;
}

}  // namespace

const OptionTable<PowershellConfig>& powershell_options() {
  static const OptionTable<Config> table = [] {
    OptionTable<Config> made;
    add_what(made);
    add_how(made);
    add_elevated(made);
    return made;
  }();
  return table;
}

PowershellConfig prepare_powershell(const PrepareInput& input) {
  Config config;
  DecodeContext decode = input.decode("provisioner powershell");
  powershell_options().decode(input.config, config, decode);
  judge_policy(config, input);
  check_raw_template("execute_command", config.execute_command, input);
  check_raw_template("elevated_execute_command", config.elevated_execute_command, input);
  check_raw_template("elevated_user", config.elevated_user, input);
  check_raw_template("elevated_password", config.elevated_password, input);
  if (config.elevated_user.empty() && !config.elevated_password.empty()) {
    input.diagnostics.error("Must supply an 'elevated_user' if 'elevated_password' provided", "",
                            place_of(input, "elevated_password"));
  }
  config.scripts = judge_scripts({config.inline_lines, config.script, config.scripts}, input);
  check_environment_vars(config.environment_vars, place_of(input, "environment_vars"), input.diagnostics);
  if (config.debug_mode < 0 || config.debug_mode > 2) {
    input.diagnostics.error(
        fmt::format("{} is an invalid Trace level for `debug_mode`; valid values are 0, 1, and 2",
                    config.debug_mode),
        "", place_of(input, "debug_mode"));
  }
  fill_powershell_defaults(config);
  return config;
}

std::string default_powershell_command(const PowershellConfig& config) {
  bool bare = config.execution_policy == "none";
  std::string program = bare ? ""
                             : fmt::format("{} -executionpolicy {} ", config.use_pwsh ? "pwsh" : "powershell",
                                           config.execution_policy);
  if (!config.inline_lines.empty()) return program + "-file {{.Path}}";
  std::string trace = config.debug_mode != 0 ? fmt::format("Set-PsDebug -Trace {};", config.debug_mode) : "";
  std::string block = "& { " + std::string(quiet) + trace + ". {{.Vars}}; &'{{.Path}}'; exit $LastExitCode }";
  return bare ? block : program + "\"" + block + "\"";
}

std::string escape_powershell(const std::string& value) {
  std::string out;
  for (char c : value) {
    if (c == '$' || c == '"' || c == '`' || c == '\'') out += '`';
    out += c;
  }
  return out;
}

std::string powershell_variables(const PowershellConfig& config, const BuildInfo& build,
                                 const Value& build_data) {
  auto variables = standard_variables(build, build_data);
  add_environment_vars(config.environment_vars, variables);
  for (const auto& [key, value] : config.env) variables[key] = value;
  const std::string& format = config.elevated() ? config.elevated_env_var_format : config.env_var_format;
  std::string out;
  for (const auto& [key, value] : variables) out += format_variable(format, key, escape_powershell(value));
  return out;
}

std::string inline_powershell(const std::vector<std::string>& lines, const std::string& variables,
                              int debug_mode) {
  std::string out = "$global:ProgressPreference = 'SilentlyContinue'\n";
  if (debug_mode != 0) out += fmt::format("Set-PsDebug -Trace {}\n", debug_mode);
  out += "$kilnExitCode = 0\ntry {\n" + variables + "\n";
  for (const auto& line : lines) out += line + "\n";
  return out +
         "} catch {\n"
         "$kilnExitCode = 1\n"
         "Write-Error \"An error occurred: $_\"\n"
         "}\n"
         "if ((Test-Path variable:global:LASTEXITCODE) -and $global:LASTEXITCODE) {\n"
         "$kilnExitCode = $global:LASTEXITCODE\n"
         "}\n"
         "exit $kilnExitCode\n";
}

std::string clean_up_script(const std::vector<std::string>& paths) {
  std::string out;
  for (const auto& path : paths) out += fmt::format("if (Test-Path {0}) {{Remove-Item {0}}}\n", path);
  return out;
}

}  // namespace kiln
