// Packer's commands that are still to come: each says so plainly.
#include <fmt/format.h>

#include "cli/command.h"

namespace kiln {

int run_not_yet(Invocation& invocation, CommandOptions&, const std::vector<std::string>&) {
  invocation.ui().error(
      fmt::format("Error: This command is not part of {} {} yet\n\n"
                  "Available are: build, validate, inspect, console, fmt, version, gc, docs.\n",
                  invocation.product(), invocation.as_packer() ? packer_version : KILN_VERSION));
  return 1;
}

}  // namespace kiln
