// gc: removes what runs left behind that are no more.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "core/journal.h"

namespace kiln {

static const char* resource_word(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::process: return "process";
    case ResourceKind::path: return "path";
    case ResourceKind::container: return "container";
  }
  return "thing";
}

int run_gc(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return show_help;
  Ui ui = invocation.ui();
  auto journal = open_journal(state_directory(), invocation.run_id);
  size_t removed = 0, running = 0, failed = 0;
  auto left = journal->all();
  // Newest first, as the run itself would have done.
  for (auto resource = left.rbegin(); resource != left.rend(); ++resource) {
    if (!is_orphan(*resource)) {
      ++running;
      continue;
    }
    std::string what = fmt::format("{} {} (build '{}', made {})", resource_word(resource->kind), resource->name,
                                   resource->stage, resource->made_at);
    if (options.dry_run) {
      ui.say("Would remove " + what);
      ++removed;
      continue;
    }
    try {
      remove_resource(*resource);
      journal->remove(resource->id);
      ui.say("Removed " + what);
      ++removed;
    } catch (const Error& error) {
      ui.error(fmt::format("Could not remove {}: {}", what, error.message()));
      ++failed;
    }
  }
  std::string end = removed + failed == 0 ? "Nothing is left over."
                    : options.dry_run    ? fmt::format("{} left over; `gc` without --dry-run removes them.", removed)
                                         : fmt::format("{} removed, {} could not be.", removed, failed);
  if (running > 0) end += fmt::format(" {} belong to runs that are still going.", running);
  ui.say(end);
  return failed == 0 ? 0 : 1;
}

}  // namespace kiln
