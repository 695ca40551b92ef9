// Finds and removes what runs that are gone have left behind (`kiln gc`).
#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "core/journal.h"
#include "core/state_cache.h"
#include "wire/aws_client.h"

namespace kiln {

enum class GcOutcome {
  removed,
  would_remove,  ///< dry run
  in_use,        ///< the run that made it still lives
  left,          ///< a thing in AWS, and AWS is not to be asked
  elsewhere,  ///< a thing in AWS, of a run on another machine or by another user: nobody here knows whether
              ///< it lives
  failed,     ///< `error` says why; the entry stays
};

struct GcItem {
  Resource resource;
  GcOutcome outcome = GcOutcome::removed;
  std::string error;
};

struct GcOptions {
  bool dry_run = false;
  bool aws = false;  ///< also what was made in AWS, with the credentials of the environment
  std::optional<std::chrono::seconds> older_than;  ///< in AWS: things of runs elsewhere, too, of that age
};

struct GcSummary {
  int removed = 0;  ///< in a dry run: would be
  int in_use = 0;
  int failed = 0;
  int left = 0;
  int elsewhere = 0;
};

/// Goes through the journal, newest first, and tells `report` of every entry. Safe to run beside builds and
/// beside another gc. Throws Error{environment} when the journal itself cannot be read.
GcSummary run_gc(Journal& journal, const GcOptions& options, const std::function<void(const GcItem&)>& report);

/// Goes through what is tagged in AWS, in the client's region, and is in no journal here. What a run of this
/// user on this machine made that has ended is removed; what belongs to runs elsewhere only by age. AMIs that are
/// states of `states` stay, those that were and are in it no more go. Adds to `summary`. Throws AwsError, Error when
/// AWS cannot be asked.
void run_aws_gc(AwsClient& client, Journal& journal, StateCache& states, const GcOptions& options, GcSummary& summary,
                const std::function<void(const GcItem&)>& report);

}  // namespace kiln
