// inspect: what a template declares (packer-surface 2.4).
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "cli/command.h"
#include "cli/template_input.h"

namespace kiln {

namespace {

std::string padded(const std::string& text, size_t width) { return fmt::format("{:<{}}", text, width); }

bool is_sensitive(const Template& parsed, const VariableDeclaration& variable) {
  const auto& names = parsed.sensitive_variables;
  return variable.sensitive || std::find(names.begin(), names.end(), variable.name) != names.end();
}

/// Any variable whose default equals a sensitive one's is masked, too: the secret would be readable there.
std::set<std::string> sensitive_defaults(const Template& parsed) {
  std::set<std::string> values;
  for (const auto& variable : parsed.variables) {
    if (is_sensitive(parsed, variable) && variable.default_value && variable.default_value->is_string()) {
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
    width = std::max(width, variable.name.size());
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
  auto secrets = sensitive_defaults(parsed);
  ui.say("Optional variables and their defaults:\n");
  for (const auto& [name, variable] : optional) {
    const Value& value = *variable->default_value;
    std::string text = value.is_string() ? value.as_string() : to_json(value);
    if (is_sensitive(parsed, *variable) || secrets.count(text)) text = "<sensitive>";
    ui.machine("template-variable", {name, text, "0"});
    ui.say(fmt::format("  {} = {}", padded(name, width), text));
  }
  ui.say("");
}

void inspect_builders(const Template& parsed, const Ui& ui) {
  ui.say("Builders:\n");
  if (parsed.build().sources.empty()) ui.say("  <No builders>");
  std::map<std::string, std::string> types;
  size_t width = 0;
  for (const auto& builder : parsed.build().sources) {
    types[builder.name] = builder.type;
    width = std::max(width, builder.name.size());
  }
  for (const auto& [name, type] : types) {
    ui.machine("template-builder", {name, type});
    ui.say("  " + padded(name, width) + (name == type ? "" : " (" + type + ")"));
  }
  ui.say("");
}

void inspect_legacy(const Template& parsed, const Ui& ui) {
  ui.say("Packer Inspect: JSON mode");
  if (!parsed.description.empty()) {
    ui.say("Description:\n");
    ui.say(parsed.description + "\n");
  }
  inspect_variables(parsed, ui);
  inspect_builders(parsed, ui);
  ui.say("Provisioners:\n");
  if (parsed.build().provisioners.empty()) ui.say("  <No provisioners>");
  for (const auto& provisioner : parsed.build().provisioners) {
    ui.machine("template-provisioner", {provisioner.type});
    ui.say("  " + provisioner.type);
  }
  ui.say(
      "\nNote: If your build names contain user variables or template\n"
      "functions such as 'timestamp', these are processed at build time,\n"
      "and therefore only show in their raw form here.");
}

std::string step_text(const std::string& type, const std::string& name) {
  return name.empty() ? type : type + "." + name;
}

std::string builds_text(const Template& outline) {
  std::string out = "> builds:\n";
  for (size_t i = 0; i < outline.builds.size(); ++i) {
    const BuildDeclaration& build = outline.builds[i];
    out += build.name.empty() ? fmt::format("\n  > <unnamed build {}>:\n", i) : fmt::format("\n  > {}:\n", build.name);
    if (!build.description.empty()) out += "\n  > Description: " + build.description + "\n";
    out += "\n    sources:\n";
    for (const auto& source : build.sources) out += fmt::format("\n      {}\n", source.filter_name);
    if (build.sources.empty()) out += "\n      <no source>\n";
    out += "\n    provisioners:\n\n";
    for (const auto& step : build.provisioners) out += "      " + step_text(step.type, step.name) + "\n";
    if (build.provisioners.empty()) out += "      <no provisioner>\n";
    out += "\n    post-processors:\n";
    for (size_t chain = 0; chain < build.post_processors.size(); ++chain) {
      out += fmt::format("\n      {}:\n", chain);
      for (const auto& step : build.post_processors[chain]) out += "        " + step_text(step.type, step.name) + "\n";
    }
    if (build.post_processors.empty()) out += "\n      <no post-processor>\n";
  }
  return out;
}

}  // namespace

std::string hcl_variables_text(const HclEvaluation& evaluation) {
  std::string out = "> input-variables:\n\n";
  for (const auto& [name, value] : evaluation.variables()) {
    out += fmt::format("var.{}: {}\n", name, go_quote(hcl_console_text(value)));
  }
  out += "\n> local-variables:\n\n";
  for (const auto& [name, value] : evaluation.locals()) {
    if (!evaluation.failed(name)) out += fmt::format("local.{}: {}\n", name, go_quote(hcl_console_text(value)));
  }
  return out;
}

int run_inspect(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  auto loaded =
      load_template(invocation, options, arguments.size() == 1 ? arguments[0] : "", DataSources::run);
  if (!loaded) return 1;
  Ui ui = invocation.ui();
  if (!loaded->hcl) {
    inspect_legacy(loaded->legacy, ui);
    return 0;
  }
  std::shared_ptr<HclEvaluation> evaluation;
  Template outline = outline_hcl(invocation, *loaded->hcl, evaluation);
  ui.say("Packer Inspect: HCL2 mode\n");
  ui.say(hcl_variables_text(*evaluation) + "\n" + builds_text(outline));
  return 0;
}

}  // namespace kiln
