#include "kit/script_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/guest_script.h"

namespace kiln {

std::vector<std::string> judge_scripts(const ScriptChoice& choice, const PrepareInput& input) {
  auto place = [&](const char* key) {
    const Value* value = input.config.find(key);
    return value != nullptr ? value->range : input.config.range;
  };
  std::vector<std::string> scripts = choice.scripts;
  if (!choice.script.empty() && !scripts.empty()) {
    input.diagnostics.error("Only one of script or scripts can be specified.", "", place("scripts"));
  }
  if (!choice.script.empty()) scripts = {choice.script};
  if (scripts.empty() && choice.inline_lines.empty()) {
    input.diagnostics.error("Either a script file or inline script must be specified.", "",
                            input.config.range);
  } else if (!scripts.empty() && !choice.inline_lines.empty()) {
    input.diagnostics.error("Only a script file or an inline script can be specified, not both.", "",
                            place("inline"));
  }
  for (const auto& path : scripts) {
    std::error_code error;
    if (fs::exists(path, error)) continue;
    input.diagnostics.error(fmt::format("Bad script '{}': stat {}: no such file or directory", path, path),
                            "", place(choice.script.empty() ? "scripts" : "script"));
  }
  return scripts;
}

void check_raw_template(const std::string& option, const std::string& text, const PrepareInput& input) {
  auto error = validate_template(text, input.build.scope);
  if (!error) return;
  const Value* value = input.config.find(option);
  input.diagnostics.error(fmt::format("invalid '{}': {} in:\n\n{}", option, *error, text), "",
                          value != nullptr ? value->range : input.config.range);
}

std::string render_option(const std::string& text, const char* what, const Value& dot,
                          const StageContext& context) {
  if (!contains(text, "{{")) return text;
  Rendered rendered = render_template(text, context.scope, dot);
  if (!rendered.ok()) throw Error(ErrorKind::user, fmt::format("{}: {}", what, *rendered.error));
  return rendered.text;
}

Value command_dot(const StageContext& context, const std::map<std::string, std::string>& added) {
  Value dot = context.scope.build_data.is_object() ? context.scope.build_data : Value::empty_object();
  for (const auto& [key, value] : added) dot.set(key, value);
  return dot;
}

std::map<std::string, std::string> standard_variables(const BuildInfo& build, const Value& build_data) {
  std::map<std::string, std::string> variables = http_variables(build_data);
  variables["PACKER_BUILD_NAME"] = build.name;
  variables["PACKER_BUILDER_TYPE"] = build.builder_type;
  return variables;
}

std::string shown_inline_name(const std::string& prefix) {
  return fmt::format("{}/{}{}", fs::temp_directory_path().string(), prefix, std::random_device{}());
}

int run_script_command(Communicator& communicator, const std::string& command, StageContext& context) {
  OutputLines lines(context.ui);
  bool began = false;
  auto noting = [&began](const Sink& sink) {
    return [&began, sink](std::string_view bytes) {
      began = true;
      sink(bytes);
    };
  };
  try {
    int status =
        communicator.run(command, noting(lines.out()), noting(lines.err()), Deadline::never(), context.stop);
    lines.finish();
    return status;
  } catch (const Error& error) {
    lines.finish();
    if (!began || error.kind() != ErrorKind::remote) throw;
    context.log.line("lost while the script ran: " + error.message());
    return disconnected_status;
  }
}

void require_valid_exit(int status, const std::vector<int>& valid) {
  if (std::find(valid.begin(), valid.end(), status) != valid.end()) return;
  throw Error(ErrorKind::remote,
              fmt::format("Script exited with non-zero exit status: {}. Allowed exit codes are: [{}]", status,
                          fmt::join(valid, " ")));
}

}  // namespace kiln
