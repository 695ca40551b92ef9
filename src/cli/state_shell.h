// A throw-away machine from a kept state, for `shell -at`.
#pragma once
#include <string>

#include "cli/command.h"
#include "core/image_testing.h"

namespace kiln {

/// The machine of a template's build as it was after the step that options.at names: "boot", a step's number,
/// a provisioner's type or name, or "failed", where the last failing step left it. nullopt: the template is
/// wrong, and that was shown. Throws Error{user} when there is no such state.
std::optional<ImageTestPlan> plan_of_state(Invocation& invocation, const CommandOptions& options,
                                           const std::string& path);

}  // namespace kiln
