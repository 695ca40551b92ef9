#include "kit/local_shell.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <random>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "core/journal.h"
#include "kit/guest_script.h"

namespace kiln {

namespace {

constexpr std::array known_systems = {"darwin", "freebsd", "linux", "openbsd", "solaris", "windows"};

void add_source_options(OptionTable<LocalShellConfig>& table) {
  table.add(&LocalShellConfig::command, {.name = "command", .doc = "One command. Deprecated: use inline."});
  table.add(&LocalShellConfig::inline_lines, {.name = "inline", .doc = "Commands, joined to one script."});
  table.add(&LocalShellConfig::script, {.name = "script", .doc = "Path of a script.", .reads = true});
  table.add(&LocalShellConfig::scripts, {.name = "scripts", .doc = "Paths of scripts, run in order.", .reads = true});
}

void add_run_options(OptionTable<LocalShellConfig>& table) {
  table.add(&LocalShellConfig::environment_vars,
            {.name = "environment_vars", .doc = "Variables as a list of \"key=value\"."});
  table.add(&LocalShellConfig::env,
            {.name = "env", .doc = "Variables as a map; they win over environment_vars."});
  table.add(&LocalShellConfig::env_var_format, {.name = "env_var_format",
                                                .default_text = "%s='%s' ",
                                                .doc = "How one variable is written into {{.Vars}}."});
  table.add(&LocalShellConfig::execute_command_value,
            {.name = "execute_command",
             .type = "list(string)",
             .default_text = "[\"/bin/sh\", \"-c\", \"{{.Vars}} {{.Script}}\"]",
             .doc = "The program and its arguments: templates over .Vars, .Script, .Command and build data.",
             .raw = true});
  table.add(
      &LocalShellConfig::inline_shebang,
      {.name = "inline_shebang", .default_text = "/bin/sh -e", .doc = "Interpreter of inline scripts."});
  table.add(&LocalShellConfig::only_on,
            {.name = "only_on", .doc = "Run only when Kiln runs on one of these systems."});
  table.add(&LocalShellConfig::tempfile_extension,
            {.name = "tempfile_extension", .doc = "Extension of the temporary file of an inline script."});
  table.add(
      &LocalShellConfig::use_linux_pathing,
      {.name = "use_linux_pathing", .default_text = "false", .doc = "Only means something on Windows."});
  table.add(&LocalShellConfig::valid_exit_codes,
            {.name = "valid_exit_codes", .default_text = "[0]", .doc = "Exit codes that count as success."});
}

SourceRange place_of(const PrepareInput& input, const char* key) {
  const Value* value = input.config.find(key);
  return value != nullptr ? value->range : input.config.range;
}

void judge_sources(LocalShellConfig& config, const PrepareInput& input) {
  if (!config.command.empty() && config.inline_lines.empty())
    config.inline_lines = {config.command};
  else if (!config.command.empty())
    config.script = config.script.empty() ? "-" : config.script;
  int given = !config.inline_lines.empty() + !config.script.empty() + !config.scripts.empty();
  if (given == 0) {
    input.diagnostics.error("Command, Inline, Script and Scripts options cannot all be empty.", "",
                            input.config.range);
  }
  if (given > 1) {
    input.diagnostics.error(
        "You may only specify one of the following options: Command, Inline, Script or Scripts. Please "
        "consolidate "
        "these options in your config.",
        "", input.config.range);
  }
  if (given == 1 && !config.script.empty()) config.scripts = {config.script};
  if (config.use_linux_pathing && !config.inline_lines.empty()) {
    input.diagnostics.error(
        "Packer is unable to use the Command and Inline features with the Windows Linux Subsystem. Please "
        "use the "
        "Script or Scripts options instead",
        "", place_of(input, "use_linux_pathing"));
  }
  for (const auto& path : config.scripts) {
    std::error_code error;
    if (fs::exists(path, error)) continue;
    input.diagnostics.error(fmt::format("Bad script '{}': stat {}: no such file or directory", path, path),
                            "", place_of(input, config.script.empty() ? "scripts" : "script"));
  }
}

void decode_execute_command(LocalShellConfig& config, const PrepareInput& input,
                            const std::string& component) {
  const Value& value = config.execute_command_value;
  DecodeContext decode = input.decode(component);
  if (value.is_string() && component.starts_with("post-processor")) {
    config.execute_command = {"sh", "-c", value.as_string()};
  } else {
    decode_value(value, "execute_command", config.execute_command, decode);
  }
  if (config.execute_command.empty()) config.execute_command = {"/bin/sh", "-c", "{{.Vars}} {{.Script}}"};
  for (const auto& part : config.execute_command) {
    if (auto error = validate_template(part, input.build.scope)) {
      input.diagnostics.error(fmt::format("invalid 'execute_command': {} in:\n\n{}", *error, part), "",
                              value.range);
    }
  }
}

void judge_systems(const LocalShellConfig& config, const PrepareInput& input) {
  for (const auto& system : config.only_on) {
    if (std::find(known_systems.begin(), known_systems.end(), system) != known_systems.end()) continue;
    input.diagnostics.error(fmt::format("Invalid OS specified in only_on: '{}'\nSupported OS names: {}",
                                        system, fmt::join(known_systems, ", ")),
                            "", place_of(input, "only_on"));
  }
}

std::string render_local(const std::string& text, const char* what, const Value& dot,
                         const StageContext& context) {
  if (!contains(text, "{{")) return text;
  Rendered rendered = render_template(text, context.scope, dot);
  if (!rendered.ok()) throw Error(ErrorKind::user, fmt::format("{}: {}", what, *rendered.error));
  return rendered.text;
}

/// A script file of our own, journaled, removed at the end.
class LocalScriptFile {
 public:
  LocalScriptFile(const std::string& text, const std::string& extension, StageContext& context)
      : journal_(context.journal) {
    std::string name = fmt::format("packer-shell{}", std::random_device{}());
    if (!extension.empty()) name += "." + extension;
    path_ = fs::temp_directory_path() / name;
    resource_ = journal_.append(ResourceKind::path, path_.string(), context.build.display_name);
    Fd file(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700));
    if (!file.is_open()) throw_errno("open " + path_.string());
    write_all(file.get(), text);
  }
  ~LocalScriptFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
    journal_.remove(resource_.id);
  }
  LocalScriptFile(const LocalScriptFile&) = delete;
  LocalScriptFile& operator=(const LocalScriptFile&) = delete;
  const fs::path& path() const { return path_; }

 private:
  Journal& journal_;
  Resource resource_;
  fs::path path_;
};

std::string local_variables(const LocalShellConfig& config, const StageContext& context) {
  std::map<std::string, std::string> variables = http_variables(context.scope.build_data);
  variables["PACKER_BUILD_NAME"] = context.build.name;
  variables["PACKER_BUILDER_TYPE"] = context.build.builder_type;
  add_environment_vars(config.environment_vars, variables);
  for (const auto& [key, value] : config.env) variables[key] = value;
  std::string out;
  for (const auto& [key, value] : variables) {
    std::string rendered = render_local(value, "Error interpolating env", context.scope.build_data, context);
    out += format_variable(config.env_var_format, key, escape_single_quotes(rendered));
  }
  return out;
}

std::vector<std::string> local_command(const LocalShellConfig& config, const fs::path& script,
                                       const StageContext& context) {
  Value dot = context.scope.build_data.is_object() ? context.scope.build_data : Value::empty_object();
  dot.set("Vars", local_variables(config, context));
  dot.set("Script", script.string());
  dot.set("Command", script.string());
  std::vector<std::string> out;
  for (const auto& part : config.execute_command) {
    out.push_back(render_local(part, "Error processing command", dot, context));
  }
  return out;
}

ExitStatus run_journaled(const std::vector<std::string>& argv, const std::string& shown,
                         StageContext& context) {
  Resource resource =
      context.journal.append(ResourceKind::process, "shell-local " + shown, context.build.display_name);
  Command command{argv};
  if (!resource.token.empty()) command.env["KILN_RESOURCE"] = resource.token;
  if (!context.build.run_id.empty()) command.env["PACKER_RUN_UUID"] = context.build.run_id;
  OutputLines lines(context.ui);
  try {
    ExitStatus status = run_streaming(command, lines.out(), lines.err(), Deadline::never(), context.stop);
    lines.finish();
    context.journal.remove(resource.id);
    return status;
  } catch (const Error& error) {
    lines.finish();
    try {  // the shell is gone already; what it started may not be
      remove_resource(resource);
      context.journal.remove(resource.id);
    } catch (const Error& left) {
      context.log.line("left behind: " + left.message());
    }
    if (error.kind() == ErrorKind::cancelled) throw;
    context.log.line(error.message());
    throw Error(error.kind(),
                fmt::format("Error executing script: {}\n\nPlease see output above for more information.\n{}",
                            shown, error.message()));
  }
}

void run_local_script(const LocalShellConfig& config, const fs::path& script, StageContext& context) {
  context.ui.say("Running local shell script: " + script.string());
  auto argv = local_command(config, fs::absolute(script).lexically_normal(), context);
  ExitStatus status = run_journaled(argv, script.string(), context);
  const auto& valid = config.valid_exit_codes;
  if (std::find(valid.begin(), valid.end(), status.code) != valid.end()) return;
  throw Error(ErrorKind::user,
              fmt::format("Script exited with non-zero exit status: {}. Allowed exit codes are: [{}]",
                          status.code, fmt::join(valid, " ")));
}

}  // namespace

const OptionTable<LocalShellConfig>& local_shell_options() {
  static const OptionTable<LocalShellConfig> table = [] {
    OptionTable<LocalShellConfig> made;
    add_source_options(made);
    add_run_options(made);
    return made;
  }();
  return table;
}

LocalShellConfig prepare_local_shell(const PrepareInput& input, const std::string& component) {
  LocalShellConfig config;
  DecodeContext decode = input.decode(component);
  local_shell_options().decode(input.config, config, decode);
  decode_execute_command(config, input, component);
  judge_sources(config, input);
  judge_systems(config, input);
  check_environment_vars(config.environment_vars, place_of(input, "environment_vars"), input.diagnostics);
  if (config.inline_shebang.empty()) config.inline_shebang = "/bin/sh -e";
  if (config.env_var_format.empty()) config.env_var_format = "%s='%s' ";
  if (config.valid_exit_codes.empty()) config.valid_exit_codes = {0};
  if (config.tempfile_extension.starts_with('.')) config.tempfile_extension.erase(0, 1);
  return config;
}

void run_local_shell(const LocalShellConfig& config, StageContext& context) {
  if (!config.only_on.empty() &&
      std::find(config.only_on.begin(), config.only_on.end(), "linux") == config.only_on.end()) {
    context.ui.say("Skipping shell-local due to runtime OS");
    return;
  }
  for (const auto& script : config.scripts) run_local_script(config, script, context);
  if (config.inline_lines.empty()) return;
  std::string text = "#!" + config.inline_shebang + "\n";
  for (const auto& line : config.inline_lines) {
    text += render_local(line, "Error interpolating Inline", context.scope.build_data, context) + "\n";
  }
  LocalScriptFile file(text, config.tempfile_extension, context);
  run_local_script(config, file.path(), context);
}

}  // namespace kiln
