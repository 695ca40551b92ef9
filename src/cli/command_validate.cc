#include "cli/command.h"
#include "cli/component_table.h"
#include "cli/diagnostic_text.h"
#include "cli/template_input.h"

namespace kiln {

int run_validate(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  auto parsed = load_template(invocation, options, arguments[0]);
  if (!parsed) return 1;
  PlanInput input = make_plan_input(invocation, options, *parsed);
  if (options.syntax_only) {
    invocation.ui().say("Syntax-only check passed. Everything looks okay.");
    return 0;
  }
  Diagnostics diagnostics;
  Plan plan = make_plan(*parsed, input, component_table(), diagnostics);
  for (const auto& secret : plan.secrets) invocation.redactor.add(secret);
  if (diagnostics.has_errors()) {
    invocation.ui().error(legacy_prepare_text(diagnostics));
    return 1;
  }
  if (!diagnostics.empty()) invocation.ui().say(legacy_prepare_text(diagnostics));
  invocation.ui().say("The configuration is valid.");
  return 0;
}

}  // namespace kiln
