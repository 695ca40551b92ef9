// HCL2 templates from files to values: which files, variables from everywhere, evaluation, builds.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "cli/command.h"
#include "lang/packer_hcl.h"

namespace kiln {

/// Whether Packer would read it as HCL2 (packer-surface 1.6).
bool is_hcl_template(const CommandOptions& options, const std::string& path);

/// An HCL2 template with its variables' values; nothing else is evaluated yet.
struct HclInput {
  std::shared_ptr<PackerHcl> config;
  HclEnvironment environment;
  Diagnostics warnings;  ///< to be shown with what comes later
};

enum class DataSources { run, leave_unknown };

/// Reads the files and the variables (packer-surface 5.2, steps 1 to 8). What is wrong is shown; then nullopt.
/// `more` are block types beyond Packer's.
std::optional<HclInput> load_hcl(Invocation& invocation, const CommandOptions& options, const std::string& path,
                                 DataSources data_sources, const std::vector<HclBlockSchema>& more = {});

/// Plug-ins that the template requires and that are not built in.
std::vector<HclRequiredPlugin> missing_plugins(const PackerHcl& config);
/// Packer's words for them, with what is built in.
void report_missing_plugins(const std::vector<HclRequiredPlugin>& missing, Diagnostics& diagnostics);
/// "1.1.4" for a plug-in whose components are built in; empty for others.
std::string builtin_plugin_version(const std::string& source);

/// Evaluates and lowers (steps 9 to 14 but for the components' own checks). Secrets are masked from then on.
Template lower_hcl(Invocation& invocation, HclInput& input, Diagnostics& diagnostics);
/// The same for showing: mistakes do not count, and nothing is selected.
Template outline_hcl(Invocation& invocation, HclInput& input, std::shared_ptr<HclEvaluation>& evaluation);

/// Variables and locals as `inspect` and the console's `variables` list them.
std::string hcl_variables_text(const HclEvaluation& evaluation);

}  // namespace kiln
