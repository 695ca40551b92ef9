#include "core/engine.h"

#include <sys/resource.h>

#include "base/error.h"
#include "core/graph_run.h"
#include "core/run_stage.h"
#include "core/slots.h"

namespace kiln {

namespace {

constexpr const char* builds_slot = "parallel-builds";

/// Every running stage holds a few descriptors: lets this process have as many as it may.
void allow_descriptors(size_t stages) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  if (stages * 16 + 64 <= limit.rlim_cur) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

StageResult never_started(const Stage& stage, std::string error, bool cancelled) {
  StageResult result;
  result.stage = stage.info.display_name;
  result.error = std::move(error);
  result.cancelled = cancelled;
  return result;
}

}  // namespace

std::vector<StageResult> run_plan(Plan& plan, const RunOptions& options, EventSink& sink, Journal& journal,
                                  const Log& log, const Stop& stop) {
  if (plan.stages.empty()) return {};
  allow_descriptors(plan.stages.size());
  Redactor own;
  for (const auto& secret : plan.secrets) own.add(secret);
  EvidenceRoom own_evidence(options.evidence_root, plan.stages.front().info.run_id, journal);
  RunShared shared{options, sink, journal, log, options.redactor != nullptr ? *options.redactor : own,
                   options.evidence != nullptr ? *options.evidence : own_evidence};
  bool serial = false;
  for (const auto& stage : plan.stages) serial |= stage.info.debug;
  Slots slots;
  slots.limit(builds_slot, serial ? 1 : options.parallel_builds);
  std::vector<GraphNode> nodes(plan.stages.size());
  for (auto& node : nodes) node.slots = {{builds_slot, 1}};
  std::vector<StageResult> results(plan.stages.size());
  GraphWork work;
  work.run = [&](size_t i, const Stop& stage_stop) {
    results[i] = run_stage(plan.stages[i], shared, stage_stop);
    return results[i].error.empty();
  };
  work.skip = [&](size_t i, std::optional<size_t>) {
    results[i] = never_started(plan.stages[i], "context canceled", true);
  };
  work.refuse = [&](size_t i, const std::string& error) { results[i] = never_started(plan.stages[i], error, false); };
  run_graph(nodes, slots, work, false, stop);
  return results;
}

}  // namespace kiln
