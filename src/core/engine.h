// Runs a Plan: one thread a running stage, one scheduler, results in an inbox.
#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/redact.h"
#include "core/journal.h"
#include "core/plan.h"

namespace kiln {

class EvidenceRoom;

struct RunOptions {
  int parallel_builds = 0;  ///< < 1: no limit
  std::filesystem::path evidence_root;  ///< bundles of failed builds go below it; empty: none are kept
  /// Set: the place of all plans of this run, which outlives them, and evidence_root does not count. Two plans that run
  /// at the same time under one run id need it.
  EvidenceRoom* evidence = nullptr;
  std::string evidence_name;  ///< what a bundle is called; empty: by the build's display name
  /// The command that runs this build alone again, for reproduce.txt; may be empty.
  std::function<std::string(const Stage&)> reproduce_command;
  const Redactor* redactor = nullptr;  ///< masks the bundle's log; else one made of the plan's secrets
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
