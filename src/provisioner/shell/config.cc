#include "provisioner/shell/config.h"

#include <fmt/format.h>

#include <random>

#include "base/file.h"
#include "base/text.h"
#include "kit/guest_script.h"
#include "kit/script_run.h"

namespace kiln {

namespace {

void add_script_options(OptionTable<ShellConfig>& table) {
  table.add(&ShellConfig::inline_lines, {.name = "inline", .doc = "Commands, joined to one script."});
  table.add(&ShellConfig::script, {.name = "script", .doc = "Path of a local script.", .reads = true});
  table.add(&ShellConfig::scripts, {.name = "scripts", .doc = "Paths of local scripts, run in order.", .reads = true});
  table.add(&ShellConfig::binary, {.name = "binary",
                                   .default_text = "false",
                                   .doc = "Send scripts as they are, without turning CRLF into LF."});
  table.add(&ShellConfig::valid_exit_codes,
            {.name = "valid_exit_codes", .default_text = "[0]", .doc = "Exit codes that count as success."});
  table.add(&ShellConfig::environment_vars,
            {.name = "environment_vars", .doc = "Variables as a list of \"key=value\"."});
  table.add(&ShellConfig::env, {.name = "env", .doc = "Variables as a map; they win over environment_vars."});
  table.add(&ShellConfig::env_var_format,
            {.name = "env_var_format",
             .default_text = "%s='%s' ",
             .doc = "How one variable is written into {{.Vars}} (or into the file of variables)."});
  table.add(&ShellConfig::use_env_var_file,
            {.name = "use_env_var_file",
             .default_text = "false",
             .doc = "Send the variables as a file, {{.EnvVarFile}}, instead of on the command line."});
  table.add(
      &ShellConfig::execute_command,
      {.name = "execute_command",
       .default_text = "chmod +x {{.Path}}; {{.Vars}} {{.Path}}",
       .doc = "The command that runs a script: a template over .Vars, .Path, .EnvVarFile and build data.",
       .raw = true});
  table.add(
      &ShellConfig::inline_shebang,
      {.name = "inline_shebang", .default_text = "/bin/sh -e", .doc = "Interpreter of inline scripts."});
}

void add_remote_options(OptionTable<ShellConfig>& table) {
  table.add(&ShellConfig::remote_folder,
            {.name = "remote_folder", .default_text = "/tmp", .doc = "Remote directory for the script."});
  table.add(&ShellConfig::remote_file,
            {.name = "remote_file", .default_text = "script_NNNN.sh", .doc = "Remote name of the script."});
  table.add(&ShellConfig::remote_path,
            {.name = "remote_path", .doc = "Remote path of the script. Default: remote_folder/remote_file."});
  table.add(&ShellConfig::skip_clean,
            {.name = "skip_clean", .default_text = "false", .doc = "Leave the script on the machine."});
  table.add(&ShellConfig::start_retry_timeout,
            {.name = "start_retry_timeout",
             .default_text = "5m",
             .doc = "How long to try to start the script, and how long a machine may take to come back.",
             .in_key = false});
  table.add(
      &ShellConfig::expect_disconnect,
      {.name = "expect_disconnect",
       .default_text = "false",
       .doc = "The script may break the connection, by a restart for example. The next step waits until the "
              "machine is back; the boot id of the guest tells a restart from a hiccup."});
  table.add(&ShellConfig::pause_after, {.name = "pause_after",
                                        .default_text = "0s",
                                        .doc = "Wait so long after the script.",
                                        .in_key = false});
}

int random_suffix() {
  static thread_local std::mt19937 generator{std::random_device{}()};
  return std::uniform_int_distribution<int>(0, 9998)(generator);
}

void fill_defaults(ShellConfig& config) {
  config.inline_shebang_set = !config.inline_shebang.empty();
  if (!config.inline_shebang_set) config.inline_shebang = "/bin/sh -e";
  if (config.valid_exit_codes.empty()) config.valid_exit_codes = {0};
  if (config.execute_command.empty()) {
    config.execute_command = config.use_env_var_file ? "chmod +x {{.Path}}; . {{.EnvVarFile}} && {{.Path}}"
                                                     : "chmod +x {{.Path}}; {{.Vars}} {{.Path}}";
  }
  if (config.env_var_format.empty())
    config.env_var_format = config.use_env_var_file ? "export %s='%s'\n" : "%s='%s' ";
  if (config.remote_folder.empty()) config.remote_folder = "/tmp";
  if (config.remote_file.empty()) config.remote_file = fmt::format("script_{}.sh", random_suffix());
  if (config.remote_path.empty()) config.remote_path = config.remote_folder + "/" + config.remote_file;
}

}  // namespace

const OptionTable<ShellConfig>& shell_options() {
  static const OptionTable<ShellConfig> table = [] {
    OptionTable<ShellConfig> made;
    add_script_options(made);
    add_remote_options(made);
    return made;
  }();
  return table;
}

ShellConfig prepare_shell(const PrepareInput& input) {
  ShellConfig config;
  DecodeContext decode = input.decode("provisioner shell");
  shell_options().decode(input.config, config, decode);
  check_raw_template("execute_command", config.execute_command, input);
  config.scripts = judge_scripts({config.inline_lines, config.script, config.scripts}, input);
  const Value* vars = input.config.find("environment_vars");
  check_environment_vars(config.environment_vars, vars != nullptr ? vars->range : input.config.range,
                         input.diagnostics);
  fill_defaults(config);
  return config;
}

std::map<std::string, std::string> shell_variables(const ShellConfig& config, const BuildInfo& build,
                                                   const Value& build_data) {
  std::map<std::string, std::string> variables = standard_variables(build, build_data);
  add_environment_vars(config.environment_vars, variables);
  for (const auto& [key, value] : config.env) variables[key] = value;
  return variables;
}

std::string format_variables(const ShellConfig& config, const std::map<std::string, std::string>& variables) {
  std::string out;
  for (const auto& [key, value] : variables) {
    out += format_variable(config.env_var_format, key, escape_single_quotes(value));
  }
  return out;
}

std::string inline_script(const ShellConfig& config, const std::vector<std::string>& lines) {
  return inline_script_text(lines, config.inline_shebang, config.inline_shebang_set);
}

bool turns_machine_off(const std::string& script) {
  auto has = [&](const char* word) { return contains(script, word); };
  if (has("reboot") || has("shutdown -r") || has("kexec")) return false;
  return has("poweroff") || has("shutdown -h") || has("shutdown -P") || has("shutdown now") || has("halt") ||
         has("init 0");
}

}  // namespace kiln
