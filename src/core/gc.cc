#include "core/gc.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "core/aws_orphans.h"

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

void count(const GcItem& item, GcSummary& summary) {
  switch (item.outcome) {
    case GcOutcome::removed:
    case GcOutcome::would_remove:
      ++summary.removed;
      break;
    case GcOutcome::in_use:
      ++summary.in_use;
      break;
    case GcOutcome::failed:
      ++summary.failed;
      break;
    case GcOutcome::left:
      ++summary.left;
      break;
    case GcOutcome::elsewhere:
      ++summary.elsewhere;
      break;
  }
}

constexpr auto aws_limit = std::chrono::minutes(10);

/// A process that cannot be seen from here (in another container) makes no AMI for longer.
constexpr auto longest_making = std::chrono::hours(24);

/// Whether it is left over, in use, or nobody here knows.
AwsOwner judge(const AwsTagged& thing, const std::string& cache_id) {
  AwsOwner owner = judge_aws_owner(thing.owner);
  bool of_this_cache = thing.state.starts_with(cache_id + "/");
  if (thing.state.empty() || owner == AwsOwner::lives) return owner;
  if (!of_this_cache) return AwsOwner::elsewhere;
  if (owner == AwsOwner::dead) return owner;
  auto age = aws_age(thing, std::chrono::system_clock::now());
  return age && *age > longest_making ? AwsOwner::dead : AwsOwner::elsewhere;
}

GcItem collect_tagged(AwsClient& client, const AwsTagged& thing, const std::string& cache_id,
                      const GcOptions& options) {
  Resource shown;
  shown.kind = ResourceKind::aws;
  shown.name = std::string(to_string(thing.resource.thing)) + " " + thing.resource.region + " " + thing.id;
  shown.run_id = thing.tag_value.substr(0, thing.tag_value.find('/'));
  shown.made_at = thing.made_at;
  AwsOwner owner = judge(thing, cache_id);
  if (owner == AwsOwner::lives) return {shown, GcOutcome::in_use, {}};
  auto age = aws_age(thing, std::chrono::system_clock::now());
  bool old = options.older_than && age && *age > *options.older_than;
  if (owner == AwsOwner::elsewhere && !old) return {shown, GcOutcome::elsewhere, {}};
  if (options.dry_run) return {shown, GcOutcome::would_remove, {}};
  try {
    remove_aws_thing(client, thing.resource, thing.tag_value, Deadline::in(aws_limit), Stop());
    return {shown, GcOutcome::removed, {}};
  } catch (const std::exception& error) {
    return {shown, GcOutcome::failed, error.what()};
  }
}

}  // namespace

void run_aws_gc(AwsClient& client, Journal& journal, StateCache& states, const GcOptions& options, GcSummary& summary,
                const std::function<void(const GcItem&)>& report) {
  std::set<std::string> known;
  for (const auto& entry : journal.all()) known.insert(aws_run_tag_value(entry));
  std::set<std::string> kept;  // looked at after the journal: a state is in one of them at any time
  for (const auto& state : states.list()) kept.insert(state_detail(state, "outside_tag"));
  const std::string cache_id = states.id();
  for (const auto& thing : find_aws_tagged(client, Deadline::in(aws_limit), Stop())) {
    if (thing.tag_value.empty() || known.contains(thing.tag_value)) continue;
    if (!thing.state.empty() && kept.contains(thing.state)) continue;
    GcItem item = collect_tagged(client, thing, cache_id, options);
    count(item, summary);
    report(item);
  }
}

GcSummary run_gc(Journal& journal, const GcOptions& options, const std::function<void(const GcItem&)>& report) {
  GcSummary summary;
  auto resources = journal.all();
  std::reverse(resources.begin(), resources.end());
  for (const auto& resource : resources) {
    GcItem item = collect_one(journal, resource, options);
    count(item, summary);
    report(item);
  }
  return summary;
}

}  // namespace kiln
