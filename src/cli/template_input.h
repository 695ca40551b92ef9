// Reading what a command works on: the template and the variable files.
#pragma once
#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/hcl_input.h"
#include "core/plan.h"
#include "lang/template.h"

namespace kiln {

/// A template of either language, read.
struct LoadedTemplate {
  Template legacy;              ///< parsed whole; of HCL2 nothing
  std::optional<HclInput> hcl;  ///< HCL2: files and variables
};

/// Reads a template (packer-surface 1.6); "" is Packer's tiny built-in one, "-" standard input. What is wrong is shown
/// through the invocation; then nullopt.
std::optional<LoadedTemplate> load_template(Invocation& invocation, const CommandOptions& options,
                                            const std::string& path, DataSources data_sources);
/// The same for what takes legacy JSON alone.
std::optional<Template> load_legacy_template(Invocation& invocation, const CommandOptions& options,
                                             const std::string& path);

/// A template of either language as what is planned: evaluated and selected.
Template lower_template(Invocation& invocation, LoadedTemplate& loaded, Diagnostics& diagnostics);
/// Evaluates, selects, checks all components' options. Secrets are masked from then on.
Plan plan_template(Invocation& invocation, const CommandOptions& options, LoadedTemplate& loaded,
                   Diagnostics& diagnostics);
/// The same of a template that is evaluated already.
Plan plan_lowered(Invocation& invocation, const CommandOptions& options, const Template& lowered,
                  Diagnostics& diagnostics);
/// Mistakes as the template's language has them shown.
std::string mistakes_text(const LoadedTemplate& loaded, const Diagnostics& diagnostics);

/// -var-file and -var merged: later files win, -var wins over files. Throws Error{user} in Packer's words.
std::map<std::string, std::string> given_variables(const CommandOptions& options);

/// What template functions may see.
TemplateScope make_scope(const Template& parsed);

/// Has the values of sensitive variables masked from now on.
void mask_sensitive(Invocation& invocation, const Template& parsed,
                    const std::map<std::string, std::string>& values);

}  // namespace kiln
