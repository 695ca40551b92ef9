#include "cli/state_planning.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/text.h"
#include "cli/component_table.h"
#include "cli/template_input.h"
#include "core/plan_outline.h"

namespace kiln {

namespace {

bool environment_wants_states() {
  std::string word = lower(get_env("KILN_CACHE").value_or(""));
  return !word.empty() && word != "0" && word != "false" && word != "no" && word != "off";
}

std::string steps_text(const std::vector<PlannedState>& states) {
  std::string out = "boot";
  for (size_t i = 1; i < states.size(); ++i) out += fmt::format(", {} ({})", i + 1, states[i].step);
  return out;
}

/// The build up to its artifact: what post-processors make of it is made anew each time.
OutlinedBuild made_by_builder(OutlinedBuild build) {
  std::erase_if(build.steps, [](const OutlinedStep& step) {
    return step.kind == "post-processor" || step.kind == "error-cleanup-provisioner";
  });
  return build;
}

}  // namespace

bool wants_states(const CommandOptions& options, bool by_default) {
  if (options.no_cache) return false;
  if (options.cache || options.resume || !options.rebuild_from.empty()) return true;
  return get_env("KILN_CACHE") ? environment_wants_states() : by_default;
}

size_t state_index(const std::vector<PlannedState>& states, const std::string& called,
                   const std::string& flag) {
  if (called == "boot") return 0;
  size_t number = 0;
  auto [end, error] = std::from_chars(called.data(), called.data() + called.size(), number);
  if (error == std::errc() && end == called.data() + called.size() && number >= 1 && number <= states.size())
    return number - 1;
  for (size_t i = 1; i < states.size(); ++i) {
    if (states[i].step == called || contains(states[i].what, go_quote(called))) return i;
  }
  throw Error(ErrorKind::user, fmt::format("{} names no step: {}. There are: {}.", flag, go_quote(called),
                                           steps_text(states)));
}

std::shared_ptr<StatePlan> make_state_plan(const CommandOptions& options, std::shared_ptr<StateCache> cache,
                                           std::vector<PlannedState> states) {
  auto plan = std::make_shared<StatePlan>();
  plan->cache = std::move(cache);
  plan->states = std::move(states);
  plan->explain = options.explain;
  if (options.rebuild) plan->rebuild_from = 0;
  if (!options.rebuild_from.empty())
    plan->rebuild_from = state_index(plan->states, options.rebuild_from, "-rebuild-from");
  return plan;
}

std::vector<std::string> fates_of_states(const StatePlan& plan) {
  StateReach reach = reach_of(plan);
  size_t next = reach.index ? *reach.index + 1 : 0;
  // What is behind the last state that is kept need not run either where the image itself is there.
  bool all_kept = next_kept(plan, next) == plan.states.size() && plan.rebuild_from == SIZE_MAX;
  if (all_kept && plan.images && plan.images->find_by_key(plan.result_key)) next = plan.states.size();
  std::vector<std::string> out;
  for (size_t i = 0; i < plan.states.size(); ++i) {
    if (i < next)
      out.push_back("cached");
    else if (i > next)
      out.push_back("runs, because a step before it does");
    else if (!reach.why_not_next.empty())
      out.push_back("runs, because " + reach.why_not_next);
    else
      out.push_back("runs: " + (plan.states[i].passed.empty() ? "no state of it is there" : plan.states[i].passed));
  }
  return out;
}

void tell_fates(OutlinedBuild& build, const StatePlan& plan) {
  auto fates = fates_of_states(plan);
  size_t next = 0;
  for (auto& step : build.steps) {
    bool has_state = step.kind == "source" || step.kind == "provisioner";
    if (has_state && next < fates.size()) step.cache = fates[next++];
  }
}

void trim_states(StateCache& cache) {
  try {
    cache.trim(state_cache_budget());
  } catch (const Error&) {
    // The next run tries again.
  }
}

bool plan_states(Invocation& invocation, const CommandOptions& options, const std::string& path, Plan& plan) {
  CommandOptions still = options;
  still.timeless = true;
  auto loaded = load_template(invocation, still, path, DataSources::run);
  if (!loaded) return false;
  Diagnostics diagnostics;
  Plan keyed = plan_template(invocation, still, *loaded, diagnostics);
  auto outlines = outline_plan(keyed, component_table(), keyed_hash_of_secrets(state_directory()));
  std::shared_ptr<StateCache> cache = open_state_cache(state_cache_directory());
  std::shared_ptr<ImageStore> images = open_image_store(image_store_directory());
  auto digests = open_file_digests(state_directory());
  for (size_t i = 0; i < keyed.stages.size(); ++i) {
    const std::string& name = keyed.stages[i].info.display_name;
    auto stage = std::find_if(plan.stages.begin(), plan.stages.end(),
                              [&](const Stage& one) { return one.info.display_name == name; });
    if (stage == plan.stages.end()) continue;
    auto states = make_state_plan(options, cache, planned_states(keyed.stages[i], outlines[i], {}, *digests));
    states->result_inputs = build_inputs(made_by_builder(outlines[i]), {}, *digests);
    states->result_key = document_key(states->result_inputs);
    if (stage->builder->keeps_no_states().empty()) states->images = images;
    stage->info.inputs_key = states->result_key;
    stage->take_made = states->rebuild_from == SIZE_MAX;
    stage->states = std::move(states);
  }
  return true;
}

}  // namespace kiln
