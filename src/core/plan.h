// What will be done, as a value.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/components.h"
#include "core/state_plan.h"
#include "lang/template.h"

namespace kiln {

/// What the command line adds to a template.
struct PlanInput {
  std::map<std::string, std::string> variables;  ///< var files and -var merged
  std::vector<std::string> only;
  std::vector<std::string> except;
  bool force = false;
  bool debug = false;
  OnError on_error = OnError::cleanup;
  std::string run_id;
  std::filesystem::path cache_directory;
  TemplateScope scope;  ///< started, directories, env access, version
  /// Template functions that are known in `variables` alone.
  decltype(TemplateScope::functions) variable_functions = {};
  bool values_failed = false;  ///< some of the template's values could not be evaluated: what lacks them is not judged
};

struct PlannedProvisioner {
  ProvisionerDeclaration declaration;
  int max_retries = 0;
  std::unique_ptr<Provisioner> component;
};

struct PlannedPostProcessor {
  PostProcessorDeclaration declaration;
  std::unique_ptr<PostProcessor> component;
};

/// One build: a source taken through its steps.
struct Stage {
  BuildInfo info;
  SourceDeclaration source;
  std::unique_ptr<Builder> builder;
  std::vector<PlannedProvisioner> provisioners;
  std::optional<PlannedProvisioner> error_cleanup;
  std::vector<std::vector<PlannedPostProcessor>> post_processors;
  std::vector<std::string> left_out;  ///< steps that do not run for this build, each with why
  std::shared_ptr<const StatePlan> states;  ///< what of its machine's states is kept and used; none: nothing
  bool take_made =
      false;  ///< an artifact of the same inputs that is there is handed out (Builder::find_made)
  bool throw_away = false;  ///< a test of an image: the machine is undone, finish() is not called, nothing is made
};

struct Plan {
  std::vector<Stage> stages;  ///< those that prepared well
  std::map<std::string, std::string> variables;
  std::vector<std::string> secrets;  ///< values that must be masked
};

/// Pure but for what components' prepare() looks at. Stages with errors are left out and their errors reported.
Plan make_plan(const Template& parsed, const PlanInput& input, const Components& components,
               Diagnostics& diagnostics);

/// Readies a component with the configuration as it is with `info`'s build data: the planner with placeholders,
/// the engine again with the machine's, just before it runs. Overrides go by the source's raw name.
void prepare_provisioner(PlannedProvisioner& planned, const SourceDeclaration& source, const BuildInfo& info,
                         Diagnostics& diagnostics);
void prepare_post_processor(PlannedPostProcessor& planned, const SourceDeclaration& source, const BuildInfo& info,
                            Diagnostics& diagnostics);

}  // namespace kiln
