// inspect: what a template declares (packer-surface 2.4).
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "cli/command.h"
#include "cli/template_input.h"

namespace kiln {

namespace {

std::string padded(const std::string& text, size_t width) { return fmt::format("{:<{}}", text, width); }

/// Any variable whose default equals a sensitive one's is masked: Packer goes by the value.
std::set<std::string> sensitive_defaults(const Template& parsed) {
  std::set<std::string> values;
  for (const auto& variable : parsed.variables) {
    const auto& names = parsed.sensitive_variables;
    bool sensitive =
        variable.sensitive || std::find(names.begin(), names.end(), variable.name) != names.end();
    if (sensitive && variable.default_value && variable.default_value->is_string()) {
      values.insert(variable.default_value->as_string());
    }
  }
  values.erase("");
  return values;
}

void inspect_variables(const Template& parsed, const Ui& ui) {
  std::map<std::string, const VariableDeclaration*> required, optional;
  size_t width = 0;
  for (const auto& variable : parsed.variables) {
    bool given = variable.default_value && !variable.default_value->is_null();
    (given ? optional : required)[variable.name] = &variable;
    if (given) width = std::max(width, variable.name.size());
  }
  if (parsed.variables.empty()) {
    ui.say("Variables:\n");
    ui.say("  <No variables>");
    return ui.say("");
  }
  if (!required.empty()) {
    ui.say("Required variables:\n");
    for (const auto& [name, variable] : required) {
      ui.machine("template-variable", {name, "", "1"});
      ui.say("  " + name);
    }
    ui.say("");
  }
  if (optional.empty()) return;
  auto secrets = sensitive_defaults(parsed);
  ui.say("Optional variables and their defaults:\n");
  for (const auto& [name, variable] : optional) {
    const Value& value = *variable->default_value;
    std::string text = value.is_string() ? value.as_string() : to_json(value);
    if (secrets.count(text)) text = "<sensitive>";
    ui.machine("template-variable", {name, text, "0"});
    ui.say(fmt::format("  {} = {}", padded(name, width), text));
  }
  ui.say("");
}

void inspect_builders(const Template& parsed, const Ui& ui) {
  ui.say("Builders:\n");
  if (parsed.builders.empty()) ui.say("  <No builders>");
  std::map<std::string, std::string> types;
  size_t width = 0;
  for (const auto& builder : parsed.builders) {
    types[builder.name] = builder.type;
    width = std::max(width, builder.name.size());
  }
  for (const auto& [name, type] : types) {
    ui.machine("template-builder", {name, type});
    ui.say("  " + padded(name, width) + (name == type ? "" : " (" + type + ")"));
  }
  ui.say("");
}

}  // namespace

int run_inspect(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  auto parsed = load_template(invocation, options, arguments.size() == 1 ? arguments[0] : "");
  if (!parsed) return 1;
  Ui ui = invocation.ui();
  ui.say("Packer Inspect: JSON mode");
  if (!parsed->description.empty()) {
    ui.say("Description:\n");
    ui.say(parsed->description + "\n");
  }
  inspect_variables(*parsed, ui);
  inspect_builders(*parsed, ui);
  ui.say("Provisioners:\n");
  if (parsed->provisioners.empty()) ui.say("  <No provisioners>");
  for (const auto& provisioner : parsed->provisioners) {
    ui.machine("template-provisioner", {provisioner.type});
    ui.say("  " + provisioner.type);
  }
  ui.say(
      "\nNote: If your build names contain user variables or template\n"
      "functions such as 'timestamp', these are processed at build time,\n"
      "and therefore only show in their raw form here.");
  return 0;
}

}  // namespace kiln
