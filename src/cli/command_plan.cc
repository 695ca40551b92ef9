// plan: what a build would do, step by step, without doing it.
#include <fmt/format.h>

#include "base/fd.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/component_table.h"
#include "cli/pipeline_input.h"
#include "cli/template_input.h"
#include "core/plan_outline.h"

namespace kiln {

namespace {

constexpr size_t shown_key_digits = 12;

/// An option's value on one line; what is long is cut, for it can be read in the template.
std::string option_text(const Value& value) {
  constexpr size_t longest = 100;
  std::string text = value.is_string() ? go_quote(value.as_string()) : to_json(value);
  if (text.size() <= longest) return text;
  size_t cut = longest;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  return text.substr(0, cut) + "...";
}

std::string step_lines(const OutlinedStep& step, size_t number) {
  std::string called = step.name.empty() ? step.type : fmt::format("{} {}", step.type, go_quote(step.name));
  std::string out = fmt::format("  {:>2}  {:<56}  {}\n", number, step.kind + " " + called, step.key.substr(0, shown_key_digits));
  for (const auto& member : step.options.as_object()) {
    out += fmt::format("        {} = {}\n", member.key, option_text(member.value));
  }
  return out;
}

std::string build_lines(const OutlinedBuild& build) {
  std::string out = build.name + "\n";
  for (size_t i = 0; i < build.steps.size(); ++i) out += step_lines(build.steps[i], i + 1);
  for (const auto& text : build.left_out) out += "   -  left out: " + text + "\n";
  return out + "\n";
}

}  // namespace

int run_plan(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.empty() || (arguments.size() == 1 && is_pipeline_path(arguments[0]))) {
    return run_pipeline_plan(invocation, options, find_pipeline(arguments));
  }
  if (arguments.size() != 1) return show_help;
  auto loaded = load_template(invocation, options, arguments[0],
                              options.evaluate_datasources ? DataSources::run : DataSources::leave_unknown);
  if (!loaded) return 1;
  Ui ui = invocation.ui();
  Diagnostics diagnostics;
  Plan plan = plan_template(invocation, options, *loaded, diagnostics);
  if (diagnostics.has_errors()) {
    ui.error(mistakes_text(*loaded, diagnostics));
    return 1;
  }
  auto builds = outline_plan(plan, component_table());
  if (options.json) {
    ui.say(to_json(outline_value(builds)));
    return 0;
  }
  if (!diagnostics.empty()) ui.say(mistakes_text(*loaded, diagnostics));
  std::string out;
  for (const auto& build : builds) out += build_lines(build);
  size_t steps = 0;
  for (const auto& build : builds) steps += build.steps.size();
  ui.say(out + fmt::format("{} build{}, {} step{}. Nothing was done.", builds.size(), builds.size() == 1 ? "" : "s", steps,
                           steps == 1 ? "" : "s"));
  return 0;
}

}  // namespace kiln
