// Reading what a command works on: the template and the variable files.
#pragma once
#include <optional>
#include <string>

#include "cli/command.h"
#include "core/plan.h"
#include "lang/template.h"

namespace kiln {

/// Reads and parses a legacy JSON template (packer-surface 1.6); "" is Packer's tiny built-in one, "-"
/// standard input. What is wrong is shown through the invocation; then nullopt.
std::optional<Template> load_template(Invocation& invocation, const CommandOptions& options,
                                      const std::string& path);

/// -var-file and -var merged: later files win, -var wins over files. Throws Error{user} in Packer's words.
std::map<std::string, std::string> given_variables(const CommandOptions& options);

/// What template functions may see.
TemplateScope make_scope(const Template& parsed);

/// What the command line adds to a template; reads the variable files.
PlanInput make_plan_input(const Invocation& invocation, const CommandOptions& options,
                          const Template& parsed);

/// Has the values of sensitive variables masked from now on.
void mask_sensitive(Invocation& invocation, const Template& parsed,
                    const std::map<std::string, std::string>& values);

}  // namespace kiln
