// What a command does with the cache of machine states, as its flags and the environment say.
#pragma once
#include <memory>

#include "cli/command.h"
#include "core/build_inputs.h"
#include "core/plan.h"

namespace kiln {

/// -cache, -resume or KILN_CACHE; -no-cache wins. `by_default`: without any of them.
bool wants_states(const CommandOptions& options, bool by_default);

/// The plan of one stage. Throws Error{user} when -rebuild-from names no step of it.
std::shared_ptr<StatePlan> make_state_plan(const CommandOptions& options, std::shared_ptr<StateCache> cache,
                                           std::vector<PlannedState> states);

/// Gives every stage of a template's plan its states: the template is evaluated once more, with time and
/// chance standing still, so that its keys are the same tomorrow. False: that failed, and was shown.
bool plan_states(Invocation& invocation, const CommandOptions& options, const std::string& path, Plan& plan);

/// What becomes of each state of the plan: "cached", or why it is made: "runs, because x.sh changed".
std::vector<std::string> fates_of_states(const StatePlan& plan);
/// The same, said with the build's steps.
void tell_fates(OutlinedBuild& build, const StatePlan& plan);

/// Keeps the cache within its budget after a run. Never throws: what cannot be removed stays.
void trim_states(StateCache& cache);

/// The index of the state that a person calls so: "boot", a step's number, a provisioner's type or name.
/// Throws Error{user} with what there is.
size_t state_index(const std::vector<PlannedState>& states, const std::string& called,
                   const std::string& flag);

}  // namespace kiln
