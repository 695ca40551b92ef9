// What a component gets while a stage runs.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "base/log.h"
#include "base/wait.h"
#include "core/event.h"
#include "core/undo.h"
#include "lang/go_template.h"
#include "lang/option.h"
#include "lang/value.h"

namespace kiln {

class Journal;
class StateRun;

/// -on-error
enum class OnError { cleanup, abort, ask, run_cleanup_provisioner };

/// What is the same for all components of one build. A plain value; part of the Plan.
struct BuildInfo {
  std::string name;          ///< PACKER_BUILD_NAME, {{build_name}}
  std::string display_name;  ///< prefix and machine-readable target
  std::string builder_type;
  bool force = false;
  bool debug = false;
  OnError on_error = OnError::cleanup;
  std::string core_version;  ///< the Packer version Kiln answers for
  std::string run_id;        ///< PACKER_RUN_UUID
  std::filesystem::path cache_directory;  ///< PACKER_CACHE_DIR or its default; may not exist yet
  TemplateScope scope;       ///< for strings rendered at prepare and at run time
  /// The digest of all that the artifact is made from, for builders whose artifacts live elsewhere
  /// (Builder::find_made); empty: nothing is made of it.
  std::string inputs_key;
  bool hand_on_later =
      false;  ///< finish() leaves to Builder::hand_on() what is only to be done after the tests
};

/// Prepares a component: pure but for looking at files the options name. Never throws for a bad template.
struct PrepareInput {
  const Value& config;  ///< without meta-arguments
  const BuildInfo& build;
  Diagnostics& diagnostics;
  DecodeContext decode(std::string component) const { return {build.scope, diagnostics, std::move(component)}; }
};

/// The running stage. Owned by its thread; references outlive every component of the stage.
struct StageContext {
  const BuildInfo& build;
  Ui ui;
  Stop stop;
  Undo& undo;
  Journal& journal;
  const Log& log;
  /// Where evidence of a failure is kept (serial log, screenshot); exists; moved to safety when the build fails.
  std::filesystem::path evidence_directory;
  /// Scope with build_data_known set; its build_data is completed by the engine once the machine is up.
  TemplateScope scope;
  /// Runs one named step ("StepRun"): emits step events, and pauses in -debug as Packer does.
  std::function<void(const std::string& name, const std::function<void()>& body)> step;
  /// Where states of the machine are kept; nullptr: they are not.
  StateRun* states = nullptr;
};

}  // namespace kiln
