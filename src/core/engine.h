// Runs a Plan: one thread a running stage, one scheduler, results in an inbox.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "core/journal.h"
#include "core/plan.h"

namespace kiln {

struct RunOptions {
  int parallel_builds = 0;  ///< < 1: no limit
  std::filesystem::path evidence_root;  ///< bundles of failed builds go below it
};

struct StageResult {
  std::string stage;  ///< display name
  std::vector<Artifact> artifacts;
  std::string error;  ///< empty: it went well
  bool cancelled = false;
  std::chrono::nanoseconds duration{0};
  std::filesystem::path evidence;  ///< bundle of a failed build, or empty
};

/// Runs all stages; returns when every one has ended and cleaned up. Results in the plan's order. `stop` is the
/// run's: requesting it cancels every stage.
std::vector<StageResult> run_plan(Plan& plan, const RunOptions& options, EventSink& sink, Journal& journal,
                                  const Log& log, const Stop& stop);

}  // namespace kiln
