// plan: what a build would do, step by step, without doing it.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/component_table.h"
#include "cli/outline_text.h"
#include "cli/pipeline_input.h"
#include "cli/state_planning.h"
#include "cli/template_input.h"
#include "core/plan_outline.h"

namespace kiln {

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
  if (wants_states(options, false)) {
    if (!plan_states(invocation, options, arguments[0], plan)) return 1;
    for (size_t i = 0; i < builds.size(); ++i) {
      const Stage& stage = plan.stages[i];
      if (stage.states && stage.builder->keeps_no_states().empty()) tell_fates(builds[i], *stage.states);
    }
  }
  if (options.json) {
    ui.say(to_json(outline_value(builds)));
    return 0;
  }
  if (!diagnostics.empty()) ui.say(mistakes_text(*loaded, diagnostics));
  std::string out;
  for (const auto& build : builds) out += outline_text(build) + "\n";
  size_t steps = 0;
  for (const auto& build : builds) steps += build.steps.size();
  ui.say(out + fmt::format("{} build{}, {} step{}. Nothing was done.", builds.size(), builds.size() == 1 ? "" : "s",
                           steps, steps == 1 ? "" : "s"));
  return 0;
}

}  // namespace kiln
