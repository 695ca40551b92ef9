#include "cli/command.h"
#include "cli/diagnostic_text.h"
#include "cli/template_input.h"

namespace kiln {

int run_validate(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  options.warn_on_undeclared_variable = !options.no_warn_undeclared_variable;
  auto loaded = load_template(invocation, options, arguments[0],
                              options.evaluate_datasources ? DataSources::run : DataSources::leave_unknown);
  if (!loaded) return 1;
  if (options.syntax_only) {
    if (loaded->hcl && !loaded->hcl->warnings.empty()) invocation.ui().say(hcl_text(loaded->hcl->warnings));
    invocation.ui().say("Syntax-only check passed. Everything looks okay.");
    return 0;
  }
  Diagnostics diagnostics;
  plan_template(invocation, options, *loaded, diagnostics);
  if (diagnostics.has_errors()) {
    invocation.ui().error(mistakes_text(*loaded, diagnostics));
    return 1;
  }
  if (!diagnostics.empty()) invocation.ui().say(mistakes_text(*loaded, diagnostics));
  invocation.ui().say("The configuration is valid.");
  return 0;
}

}  // namespace kiln
