#include "cli/template_input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/diagnostic_text.h"
#include "cli/environment.h"
#include "lang/packer_json.h"

namespace kiln {

namespace {

constexpr const char* tiny_template = R"({"builders": [{"type": "null", "communicator": "none"}]})";

std::string read_standard_input() {
  std::string all;
  for (std::string part; !(part = read_some(STDIN_FILENO)).empty();) all += part;
  return all;
}

bool has_hcl_name(const std::string& path) {
  return path.ends_with(".pkr.hcl") || path.ends_with(".pkr.json");
}

Error hcl_not_yet(const std::string& path) {
  return Error(
      ErrorKind::user,
      fmt::format(
          "Error: HCL2 templates are not supported yet\n\n{} is an HCL2 template. This version of Kiln "
          "reads Packer's legacy JSON\ntemplates; HCL2 is the next milestone.\n",
          path.empty() ? "The input" : path));
}

/// HCL2 or a path that is none: throws what has to be said. Else it is legacy JSON.
void check_language(const CommandOptions& options, const std::string& path) {
  std::error_code ignored;
  bool stdin_or_none = path.empty() || path == "-";
  if (!stdin_or_none && fs::is_directory(path, ignored)) {
    for (const auto& entry : fs::directory_iterator(path, ignored)) {
      if (has_hcl_name(entry.path().filename().string())) throw hcl_not_yet(path);
    }
    throw Error(ErrorKind::user,
                fmt::format("Error: Could not find any config file in {}\n\nA config file must be suffixed "
                            "with `.pkr.hcl` or `.pkr.json`. A folder can be\nreferenced.\n",
                            path));
  }
  if (!stdin_or_none && !fs::exists(path, ignored)) {
    std::string missing = fmt::format("stat {}: no such file or directory", path);
    if (has_hcl_name(path)) throw Error(ErrorKind::user, "Error: \n\n" + missing + "\n");
    throw Error(ErrorKind::user, fmt::format("\"{}\": {}", path, missing));
  }
  if (has_hcl_name(path) || options.config_type == "hcl2") throw hcl_not_yet(path);
}

std::string go_json_type(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::boolean:
      return "bool";
    case Value::Kind::list:
      return "array";
    case Value::Kind::object:
      return "object";
    default:
      return std::string(to_string(value.kind()));
  }
}

void read_variable_file(const std::string& path, std::map<std::string, std::string>& values) {
  auto file = std::make_shared<SourceFile>(SourceFile{path, read_file(path)});
  auto fail = [&](std::string what, const SourceRange& range) {
    std::string place = render_place(range);
    throw Error(ErrorKind::user, fmt::format("Error reading variables in '{}': {}{}", path, what,
                                             place.empty() ? "" : "\n\n" + place));
  };
  Diagnostics diagnostics;
  Value root = parse_json(file, diagnostics);
  if (diagnostics.has_errors()) {
    const Diagnostic& first = diagnostics.items()[0];
    fail(replace_all(first.summary, "Error parsing JSON: ", ""), first.range);
  }
  if (!root.is_object()) {
    fail(fmt::format("json: cannot unmarshal {} into Go value of type map[string]string", go_json_type(root)),
         root.range);
  }
  for (const auto& member : root.as_object()) {
    if (member.value.is_null()) continue;
    if (!member.value.is_string()) {
      fail(fmt::format("json: cannot unmarshal {} into Go value of type string", go_json_type(member.value)),
           member.value.range);
    }
    values[member.key] = member.value.as_string();
  }
}

OnError on_error_of(const std::string& word) {
  if (word == "abort") return OnError::abort;
  if (word == "ask") return OnError::ask;
  if (word == "run-cleanup-provisioner") return OnError::run_cleanup_provisioner;
  return OnError::cleanup;
}

}  // namespace

std::optional<Template> load_template(Invocation& invocation, const CommandOptions& options,
                                      const std::string& path) {
  check_language(options, path);
  std::string text = path.empty() ? tiny_template : path == "-" ? read_standard_input() : read_file(path);
  auto file = std::make_shared<SourceFile>(SourceFile{path == "-" ? "<stdin>" : path, std::move(text)});
  Diagnostics diagnostics;
  Template parsed = parse_packer_json(file, diagnostics);
  parsed.path = path;
  if (!diagnostics.has_errors()) return parsed;
  invocation.ui().error(legacy_parse_text(diagnostics));
  return std::nullopt;
}

std::map<std::string, std::string> given_variables(const CommandOptions& options) {
  std::map<std::string, std::string> values;
  for (const auto& path : options.variable_files) read_variable_file(path, values);
  for (const auto& [name, value] : options.variables) values[name] = value;
  return values;
}

TemplateScope make_scope(const Template& parsed) {
  TemplateScope scope;
  scope.packer_version = packer_version;
  scope.started = std::chrono::system_clock::now();
  scope.working_directory = fs::current_path().string();
  if (parsed.path == "-")
    scope.template_dir = scope.working_directory;
  else if (!parsed.path.empty())
    scope.template_dir = fs::absolute(parsed.path).lexically_normal().parent_path().string();
  scope.env = [](const std::string& name) { return get_env(name.c_str()); };
  return scope;
}

PlanInput make_plan_input(const Invocation& invocation, const CommandOptions& options,
                          const Template& parsed) {
  PlanInput input;
  input.variables = given_variables(options);
  input.only = options.only;
  input.except = options.except;
  input.force = options.force;
  input.debug = options.debug;
  input.on_error = on_error_of(options.on_error);
  input.run_id = invocation.run_id;
  input.cache_directory = cache_directory();
  input.scope = make_scope(parsed);
  return input;
}

void mask_sensitive(Invocation& invocation, const Template& parsed,
                    const std::map<std::string, std::string>& values) {
  for (const auto& name : parsed.sensitive_variables) {
    if (auto found = values.find(name); found != values.end()) invocation.redactor.add(found->second);
  }
}

}  // namespace kiln
