#include "cli/state_shell.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "cli/environment.h"
#include "cli/state_planning.h"
#include "cli/template_input.h"
#include "core/build_data.h"

namespace kiln {

namespace {

const Stage& only_stage(const Plan& plan) {
  if (plan.stages.size() == 1) return plan.stages[0];
  std::string names;
  for (const auto& stage : plan.stages) names += (names.empty() ? "" : ", ") + stage.info.display_name;
  throw Error(ErrorKind::user, plan.stages.empty()
                                   ? "the template has no build that is selected"
                                   : fmt::format("which build? Give -only with one of: {}", names));
}

MachineState failed_state(const Stage& stage) {
  std::optional<MachineState> newest;
  for (auto& state : stage.states->cache->list()) {
    bool fits =
        state.failed && state.build == stage.info.display_name && (!newest || state.made > newest->made);
    if (fits && stage.states->cache->find(state.key).state) newest = std::move(state);
  }
  if (!newest)
    throw Error(ErrorKind::user, fmt::format("no failed step of {} was kept: builds with -cache keep them",
                                             stage.info.display_name));
  return *newest;
}

/// " -at=3 is the machine before it.", where one is kept.
std::string state_before(const StatePlan& plan, size_t index) {
  while (index > 0 && !plan.states[index - 1].passed.empty()) --index;
  if (index == 0) return "";
  return fmt::format(" -at={} is the machine before it.", index == 1 ? "boot" : std::to_string(index));
}

MachineState state_after(const Stage& stage, const std::string& called) {
  if (called == "failed") return failed_state(stage);
  size_t index = state_index(stage.states->states, called, "-at");
  auto found = stage.states->cache->find(stage.states->states[index].key);
  if (found.state) return *found.state;
  if (const auto& planned = stage.states->states[index]; !planned.passed.empty()) {
    throw Error(ErrorKind::user,
                fmt::format("there is no state of {} after {}: {}.{}", stage.info.display_name, planned.what,
                            planned.passed, state_before(*stage.states, index)));
  }
  std::string why = found.why_not.empty() ? "none was kept with the template as it is now" : found.why_not;
  throw Error(
      ErrorKind::user,
      fmt::format("there is no state of {} after {}: {}. Run it with -cache, or see `kiln cache why`.",
                  stage.info.display_name, stage.states->states[index].what, why));
}

/// The builder's configuration, working in a place of its own.
Value machine_config(const Stage& stage) {
  Diagnostics ignored;  // it was planned without mistakes
  BodyInput input{stage.info.scope.build_data, false, stage.source.type, stage.source.override_name};
  Value config = stage.source.body(input, ignored);
  return stage.builder->throw_away_machine(std::move(config),
                                           state_cache_directory() / "tmp" / ("shell-" + random_uuid()));
}

}  // namespace

std::optional<ImageTestPlan> plan_of_state(Invocation& invocation, const CommandOptions& given,
                                           const std::string& path) {
  CommandOptions options = given;
  options.force = true;  // a result that is there is in nobody's way
  auto loaded = load_template(invocation, options, path, DataSources::run);
  if (!loaded) return std::nullopt;
  Diagnostics diagnostics;
  Plan plan = plan_template(invocation, options, *loaded, diagnostics);
  if (diagnostics.has_errors()) {
    invocation.ui().error(mistakes_text(*loaded, diagnostics));
    return std::nullopt;
  }
  const Stage& stage = only_stage(plan);
  if (!plan_states(invocation, options, path, plan)) return std::nullopt;
  MachineState state = state_after(stage, options.at);

  auto states = std::make_shared<StatePlan>();
  states->cache = stage.states->cache;
  states->read_only = true;
  PlannedState wanted;
  wanted.key = state.key;
  wanted.what = state.number == 0 ? "the start of the machine"
                                  : fmt::format("{} (step {})", state.step, state.number + 1);
  states->states.push_back(std::move(wanted));

  ImageTestPlan out;
  out.name = stage.info.display_name;
  out.builder_type = stage.source.type;
  out.machine = machine_config(stage);
  out.info = stage.info;
  out.states = std::move(states);
  return out;
}

}  // namespace kiln
