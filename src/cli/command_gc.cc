// gc: removes what runs left behind that are no more.
#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/image_text.h"
#include "core/gc.h"
#include "core/image_store.h"
#include "core/state_cache.h"

namespace kiln {

namespace {

const char* resource_word(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::process:
      return "process";
    case ResourceKind::path:
      return "path";
    case ResourceKind::container:
      return "container";
    case ResourceKind::aws:
      return "AWS";
  }
  return "thing";
}

void say_item(const GcItem& item, const Ui& ui) {
  const Resource& resource = item.resource;
  std::string build = resource.stage.empty() ? "" : fmt::format("build '{}', ", resource.stage);
  std::string when = resource.made_at.empty() ? "at an unknown time" : resource.made_at;
  std::string what =
      fmt::format("{} {} ({}made {})", resource_word(resource.kind), resource.name, build, when);
  switch (item.outcome) {
    case GcOutcome::removed:
      return ui.say("Removed " + what);
    case GcOutcome::would_remove:
      return ui.say("Would remove " + what);
    case GcOutcome::in_use:
      return ui.say("In use: " + what);
    case GcOutcome::left:
      return ui.say("Left: " + what);
    case GcOutcome::elsewhere:
      return ui.say("Left: " + what + ": its run is on another machine or another user's");
    case GcOutcome::failed:
      return ui.error(fmt::format("Could not remove {}: {}", what, item.error));
  }
}

/// Content that a killed process put into the store of images without saying so in its index: opening sweeps it.
/// Before the journal is gone through, whose entries are what shows that there may be any.
void sweep_image_store(const Ui& ui) {
  try {
    fs::path directory = image_store_directory();
    if (fs::exists(directory / "index.db")) open_image_store(directory);
  } catch (const Error& error) {
    ui.error(error.message());
  }
}

/// Likewise what it was writing into the cache of machine states.
void sweep_state_cache(const Ui& ui) {
  try {
    if (fs::exists(state_cache_directory())) open_state_cache(state_cache_directory())->trim(state_cache_budget());
  } catch (const Error& error) {
    ui.error(error.message());
  }
}

/// What is tagged there in the environment's region, whatever the journal knows.
void collect_in_aws(Journal& journal, const GcOptions& options, GcSummary& summary, const Ui& ui) {
  auto env = [](const std::string& name) { return get_env(name.c_str()); };
  AwsSettings settings;
  settings.region = aws_default_region("", "", env);
  settings.endpoints = {"", env};
  settings.credentials.region = settings.region;
  try {
    if (settings.region.empty()) throw Error(ErrorKind::user, "no region is known: set AWS_REGION");
    AwsClient client(settings);
    auto states = open_state_cache(state_cache_directory());
    run_aws_gc(client, journal, *states, options, summary, [&](const GcItem& item) { say_item(item, ui); });
  } catch (const Error& error) {
    ui.say("AWS was not asked for what is tagged there: " + error.message());
  }
}

}  // namespace

int run_gc(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return show_help;
  Ui ui = invocation.ui();
  auto journal = open_journal(state_directory(), invocation.run_id);
  if (!options.dry_run) {
    sweep_image_store(ui);
    sweep_state_cache(ui);
  }
  GcOptions what{options.dry_run, options.aws, std::nullopt};
  if (!options.gc_older_than.empty()) what.older_than = parse_age(options.gc_older_than);
  GcSummary summary = run_gc(*journal, what, [&](const GcItem& item) { say_item(item, ui); });
  if (options.aws) collect_in_aws(*journal, what, summary, ui);
  if (summary.removed + summary.failed + summary.in_use + summary.left + summary.elsewhere == 0) {
    ui.say("Nothing is left over.");
  } else {
    ui.say(fmt::format("{} {}, {} in use by runs that are still going, {} could not be removed.",
                       summary.removed, options.dry_run ? "would be removed" : "removed", summary.in_use,
                       summary.failed));
  }
  if (summary.left > 0) ui.say(fmt::format("{} in AWS left alone: kiln gc --aws removes them.", summary.left));
  if (summary.elsewhere > 0) {
    ui.say(fmt::format(
        "{} in AWS of runs elsewhere left alone: kiln gc --aws -older-than=AGE removes them by their age.",
        summary.elsewhere));
  }
  return summary.failed == 0 ? 0 : 1;
}

}  // namespace kiln
