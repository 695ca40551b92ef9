#include "cli/build_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace kiln {

namespace {

void report_failures(const std::vector<const StageResult*>& failed, const Ui& ui) {
  if (failed.empty()) return;
  ui.machine("error-count", {std::to_string(failed.size())});
  ui.error("\n==> Some builds didn't complete successfully and had errors:");
  for (const auto* result : failed) {
    Ui(ui.sink(), result->stage).machine("error", {result->error});
    ui.error(fmt::format("--> {}: {}", result->stage, result->error));
  }
}

void report_evidence(const std::vector<StageResult>& results, const Ui& ui) {
  for (const auto& result : results) {
    if (result.evidence.empty()) continue;
    ui.say(fmt::format("\n==> What was kept of the failed build '{}': {}", result.stage,
                       result.evidence.string()));
  }
}

void report_artifacts(const StageResult& result, const Ui& ui) {
  Ui records(ui.sink(), result.stage);
  records.machine("artifact-count", {std::to_string(result.artifacts.size())});
  for (size_t i = 0; i < result.artifacts.size(); ++i) {
    const Artifact& artifact = result.artifacts[i];
    std::string index = std::to_string(i);
    records.machine("artifact", {index, "builder-id", artifact.builder_id});
    records.machine("artifact", {index, "id", artifact.id});
    records.machine("artifact", {index, "string", artifact.description});
    records.machine("artifact", {index, "files-count", std::to_string(artifact.files.size())});
    for (size_t f = 0; f < artifact.files.size(); ++f) {
      records.machine("artifact", {index, "file", std::to_string(f), artifact.files[f]});
    }
    records.machine("artifact", {index, "end"});
    ui.say(fmt::format("--> {}: {}", result.stage, artifact.description));
  }
}

}  // namespace

bool report_results(const std::vector<StageResult>& results, std::chrono::nanoseconds duration,
                    bool interrupted, const Ui& ui) {
  ui.say(fmt::format("\n==> Wait completed after {}", format_duration_words(duration)));
  if (interrupted) {
    ui.say("Cleanly cancelled builds after being interrupted.");
    report_evidence(results, ui);
    return false;
  }
  std::vector<const StageResult*> failed;
  for (const auto& result : results) {
    if (!result.error.empty()) failed.push_back(&result);
  }
  report_failures(failed, ui);
  bool any = std::any_of(results.begin(), results.end(),
                         [](auto& r) { return r.error.empty() && !r.artifacts.empty(); });
  ui.say(any ? "\n==> Builds finished. The artifacts of successful builds are:"
             : "\n==> Builds finished but no artifacts were created.");
  for (const auto& result : results) {
    if (result.error.empty() && !result.artifacts.empty()) report_artifacts(result, ui);
  }
  report_evidence(results, ui);
  return failed.empty();
}

}  // namespace kiln
