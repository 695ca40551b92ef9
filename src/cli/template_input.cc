#include "cli/template_input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/component_table.h"
#include "cli/diagnostic_text.h"
#include "cli/environment.h"
#include "cli/hcl_host.h"
#include "cli/template_cache.h"
#include "lang/packer_json.h"

namespace kiln {

namespace {

constexpr const char* tiny_template = R"({"builders": [{"type": "null", "communicator": "none"}]})";

std::string read_standard_input() {
  std::string all;
  for (std::string part; !(part = read_some(STDIN_FILENO)).empty();) all += part;
  return all;
}

/// A path that is none: throws what has to be said.
void check_path(const std::string& path) {
  std::error_code ignored;
  if (path.empty() || path == "-" || fs::exists(path, ignored)) return;
  std::string missing = fmt::format("stat {}: no such file or directory", path);
  if (path.ends_with(".pkr.hcl") || path.ends_with(".pkr.json")) {
    throw Error(ErrorKind::user, "Error: \n\n" + missing + "\n");
  }
  throw Error(ErrorKind::user, fmt::format("\"{}\": {}", path, missing));
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

std::optional<Template> load_legacy_template(Invocation& invocation, const CommandOptions&, const std::string& path) {
  check_path(path);
  std::string text = path.empty() ? tiny_template : path == "-" ? read_standard_input() : read_file(path);
  auto file = std::make_shared<SourceFile>(SourceFile{path == "-" ? "<stdin>" : path, std::move(text)});
  if (invocation.templates) {
    if (auto known = invocation.templates->legacy.find(path, {file})) return *known;
  }
  Diagnostics diagnostics;
  Template parsed = parse_packer_json(file, diagnostics);
  parsed.path = path;
  if (!diagnostics.has_errors()) {
    if (invocation.templates) invocation.templates->legacy.keep(path, {file}, parsed);
    return parsed;
  }
  invocation.ui().error(legacy_parse_text(diagnostics));
  return std::nullopt;
}

std::optional<LoadedTemplate> load_template(Invocation& invocation, const CommandOptions& options,
                                            const std::string& path, DataSources data_sources) {
  check_path(path);
  LoadedTemplate loaded;
  if (is_hcl_template(options, path)) {
    loaded.hcl = load_hcl(invocation, options, path, data_sources);
    if (!loaded.hcl) return std::nullopt;
  } else {
    auto legacy = load_legacy_template(invocation, options, path);
    if (!legacy) return std::nullopt;
    loaded.legacy = std::move(*legacy);
  }
  return loaded;
}

std::map<std::string, std::string> given_variables(const CommandOptions& options) {
  std::map<std::string, std::string> values;
  for (const auto& path : options.variable_files) read_variable_file(path, values);
  for (const auto& [name, value] : options.variables) values[name] = value;
  return values;
}

namespace {

std::string template_directory(const Template& parsed) {
  fs::path whole = fs::absolute(parsed.path).lexically_normal();
  std::error_code ignored;
  return (fs::is_directory(whole, ignored) ? whole : whole.parent_path()).string();
}

}  // namespace

TemplateScope make_scope(const Template& parsed) {
  TemplateScope scope;
  scope.packer_version = packer_version;
  scope.started = std::chrono::system_clock::now();
  scope.working_directory = fs::current_path().string();
  if (parsed.path == "-")
    scope.template_dir = scope.working_directory;
  else if (!parsed.path.empty())
    scope.template_dir = template_directory(parsed);
  scope.env = [](const std::string& name) { return get_env(name.c_str()); };
  if (parsed.is_hcl()) {
    scope.functions["user"] = [](const std::vector<std::string>&) -> std::string {
      throw Error(ErrorKind::user, "test");  // Packer's own words: HCL2 has no user variables
    };
  }
  return scope;
}

namespace {

/// What the command line adds to a template; for legacy JSON that includes the variable files.
PlanInput make_plan_input(const Invocation& invocation, const CommandOptions& options, const Template& parsed) {
  PlanInput input;
  if (!parsed.is_hcl()) input.variables = given_variables(options);
  input.only = options.only;
  input.except = options.except;
  input.force = options.force;
  input.debug = options.debug;
  input.on_error = on_error_of(options.on_error);
  input.run_id = invocation.run_id;
  input.cache_directory = cache_directory();
  input.scope = make_scope(parsed);
  auto read = secret_reader(*invocation.redactor);
  for (const char* name : {"aws_secretsmanager", "aws_secretsmanager_raw", "consul_key", "vault"}) {
    input.variable_functions[name] = [read, name](const std::vector<std::string>& arguments) {
      return read(name, arguments);
    };
  }
  if (options.timeless) {
    input.scope.started = {};
    input.scope.functions["uuid"] = [](const std::vector<std::string>&) {
      return std::string("00000000-0000-0000-0000-000000000000");
    };
  }
  return input;
}

}  // namespace

Template lower_template(Invocation& invocation, LoadedTemplate& loaded, Diagnostics& diagnostics) {
  if (!loaded.hcl) return loaded.legacy;
  diagnostics.append(loaded.hcl->warnings);
  return lower_hcl(invocation, *loaded.hcl, diagnostics);
}

Plan plan_template(Invocation& invocation, const CommandOptions& options, LoadedTemplate& loaded,
                   Diagnostics& diagnostics) {
  return plan_lowered(invocation, options, lower_template(invocation, loaded, diagnostics), diagnostics);
}

Plan plan_lowered(Invocation& invocation, const CommandOptions& options, const Template& lowered,
                  Diagnostics& diagnostics) {
  for (const auto& secret : lowered.secrets) invocation.redactor->add(secret);
  bool initialised = !diagnostics.has_errors();
  PlanInput input = make_plan_input(invocation, options, lowered);
  input.values_failed = lowered.is_hcl() && !initialised;
  Plan plan = make_plan(lowered, input, component_table(), diagnostics);
  for (const auto& secret : plan.secrets) invocation.redactor->add(secret);
  // Without its values an HCL2 template builds nothing; the components' mistakes are told all the same.
  if (!initialised) plan.stages.clear();
  return plan;
}

std::string mistakes_text(const LoadedTemplate& loaded, const Diagnostics& diagnostics) {
  return loaded.hcl ? hcl_text(diagnostics) : legacy_prepare_text(diagnostics);
}

void mask_sensitive(Invocation& invocation, const Template& parsed,
                    const std::map<std::string, std::string>& values) {
  for (const auto& name : parsed.sensitive_variables) {
    if (auto found = values.find(name); found != values.end()) invocation.redactor->add(found->second);
  }
}

}  // namespace kiln
