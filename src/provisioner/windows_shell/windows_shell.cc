#include "provisioner/windows_shell/windows_shell.h"

#include <chrono>

#include "base/error.h"
#include "base/file.h"
#include "kit/guest_script.h"
#include "kit/script_run.h"

namespace kiln {

namespace {

struct WindowsShellConfig {
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
  Duration start_retry_timeout = std::chrono::minutes(5);
};

using Config = WindowsShellConfig;

const OptionTable<Config>& windows_shell_options() {
  static const OptionTable<Config> table = [] {
    OptionTable<Config> t;
    t.add(&Config::inline_lines, {.name = "inline", .doc = "Commands, joined to one script."});
    t.add(&Config::script, {.name = "script", .doc = "Path of a local script.", .reads = true});
    t.add(&Config::scripts, {.name = "scripts", .doc = "Paths of local scripts, run in order.", .reads = true});
    t.add(&Config::binary, {.name = "binary",
                            .default_text = "false",
                            .doc = "Send scripts as they are, without turning CRLF into LF."});
    t.add(&Config::valid_exit_codes,
          {.name = "valid_exit_codes", .default_text = "[0]", .doc = "Exit codes that count as success."});
    t.add(&Config::environment_vars,
          {.name = "environment_vars", .doc = "Variables as a list of \"key=value\"."});
    t.add(&Config::env, {.name = "env", .doc = "Variables as a map; they win over environment_vars."});
    t.add(&Config::env_var_format, {.name = "env_var_format",
                                    .default_text = "set \"%s=%s\" && ",
                                    .doc = "How one variable is written into {{.Vars}}."});
    t.add(&Config::execute_command,
          {.name = "execute_command",
           .default_text = "{{.Vars}}\"{{.Path}}\"",
           .doc = "The command that runs a script: a template over .Vars and .Path.",
           .raw = true});
    t.add(&Config::remote_path, {.name = "remote_path",
                                 .default_text = "c:/Windows/Temp/script.bat",
                                 .doc = "Remote path of the script. It is left there."});
    t.add(&Config::start_retry_timeout, {.name = "start_retry_timeout",
                                         .default_text = "5m",
                                         .doc = "How long to try to start the script.",
                                         .in_key = false});
    return t;
  }();
  return table;
}

class WindowsShellProvisioner : public Provisioner {
 public:
  void prepare(const PrepareInput& input) override;
  void run(Communicator& communicator, StageContext& context) override;

 private:
  void run_script(Communicator& communicator, const std::string& shown, const std::string& text,
                  StageContext& context) const;
  std::string command(StageContext& context) const;

  Config config_;
};

void WindowsShellProvisioner::prepare(const PrepareInput& input) {
  config_ = {};
  DecodeContext decode = input.decode("provisioner windows-shell");
  windows_shell_options().decode(input.config, config_, decode);
  check_raw_template("execute_command", config_.execute_command, input);
  config_.scripts = judge_scripts({config_.inline_lines, config_.script, config_.scripts}, input);
  const Value* vars = input.config.find("environment_vars");
  check_environment_vars(config_.environment_vars, vars != nullptr ? vars->range : input.config.range,
                         input.diagnostics);
  if (config_.execute_command.empty()) config_.execute_command = R"({{.Vars}}"{{.Path}}")";
  if (config_.env_var_format.empty()) config_.env_var_format = R"(set "%s=%s" && )";
  if (config_.remote_path.empty()) config_.remote_path = "c:/Windows/Temp/script.bat";
  if (config_.valid_exit_codes.empty()) config_.valid_exit_codes = {0};
}

std::string WindowsShellProvisioner::command(StageContext& context) const {
  auto variables = standard_variables(context.build, context.scope.build_data);
  add_environment_vars(config_.environment_vars, variables);
  for (const auto& [key, value] : config_.env) variables[key] = value;
  std::string text;
  for (const auto& [key, value] : variables) text += format_variable(config_.env_var_format, key, value);
  Value dot = Value::empty_object();
  dot.set("Vars", text);
  dot.set("Path", config_.remote_path);
  return render_option(config_.execute_command, "Error processing command", dot, context);
}

void WindowsShellProvisioner::run_script(Communicator& communicator, const std::string& shown,
                                         const std::string& text, StageContext& context) const {
  context.ui.say("Provisioning with shell script: " + shown);
  std::string line = command(context);
  std::string sent = config_.binary ? text : normalize_script(text);
  Deadline deadline = Deadline::in(config_.start_retry_timeout);
  int status = retry_until(deadline, context, [&] {
    during("Error uploading script",
           [&] { upload_text(communicator, config_.remote_path, sent, 0644, deadline, context.stop); });
    return run_script_command(communicator, line, context);
  });
  require_valid_exit(status, config_.valid_exit_codes);
}

void WindowsShellProvisioner::run(Communicator& communicator, StageContext& context) {
  context.ui.say("Provisioning with windows-shell...");
  for (const auto& path : config_.scripts) {
    std::string text = during("Error opening windows-shell script", [&] { return read_file(path); });
    run_script(communicator, path, text, context);
  }
  if (config_.inline_lines.empty()) return;
  std::string text;
  for (const auto& line : config_.inline_lines) text += line + "\n";
  run_script(communicator, shown_inline_name("windows-shell-provisioner"), text, context);
}

}  // namespace

ComponentEntry<Provisioner> windows_shell_provisioner() {
  return {"windows-shell", "Runs batch scripts on a Windows machine.", windows_shell_options,
          [] { return std::make_unique<WindowsShellProvisioner>(); }};
}

}  // namespace kiln
