// Finds and removes what runs that are gone have left behind (`kiln gc`).
#pragma once
#include <functional>
#include <string>

#include "core/journal.h"

namespace kiln {

enum class GcOutcome {
  removed,
  would_remove,  ///< dry run
  in_use,        ///< the run that made it still lives
  left,          ///< a thing in AWS, and AWS is not to be asked
  failed,        ///< `error` says why; the entry stays
};

struct GcItem {
  Resource resource;
  GcOutcome outcome = GcOutcome::removed;
  std::string error;
};

struct GcOptions {
  bool dry_run = false;
  bool aws = false;  ///< also what was made in AWS, with the credentials of the environment
};

struct GcSummary {
  int removed = 0;  ///< in a dry run: would be
  int in_use = 0;
  int failed = 0;
  int left = 0;
};

/// Goes through the journal, newest first, and tells `report` of every entry. Safe to run beside builds and
/// beside another gc. Throws Error{environment} when the journal itself cannot be read.
GcSummary run_gc(Journal& journal, const GcOptions& options, const std::function<void(const GcItem&)>& report);

}  // namespace kiln
