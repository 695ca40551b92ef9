#include "core/gc.h"

#include <algorithm>

#include "base/error.h"

namespace kiln {

namespace {

GcItem collect_one(Journal& journal, const Resource& resource, const GcOptions& options) {
  if (!is_orphan(resource)) return {resource, GcOutcome::in_use, {}};
  if (resource.kind == ResourceKind::aws && !options.aws) return {resource, GcOutcome::left, {}};
  if (options.dry_run) return {resource, GcOutcome::would_remove, {}};
  try {
    remove_resource(resource);
    journal.remove(resource.id);
    return {resource, GcOutcome::removed, {}};
  } catch (const std::exception& error) {
    return {resource, GcOutcome::failed, error.what()};
  }
}

}  // namespace

GcSummary run_gc(Journal& journal, const GcOptions& options, const std::function<void(const GcItem&)>& report) {
  GcSummary summary;
  auto resources = journal.all();
  std::reverse(resources.begin(), resources.end());
  for (const auto& resource : resources) {
    GcItem item = collect_one(journal, resource, options);
    switch (item.outcome) {
      case GcOutcome::removed:
      case GcOutcome::would_remove: ++summary.removed; break;
      case GcOutcome::in_use: ++summary.in_use; break;
      case GcOutcome::failed: ++summary.failed; break;
      case GcOutcome::left: ++summary.left; break;
    }
    report(item);
  }
  return summary;
}

}  // namespace kiln
