// Packer's commands that have nothing to do here, or are still to come: each says so plainly.
#include <fmt/format.h>

#include "base/text.h"
#include "cli/command.h"
#include "cli/template_input.h"

namespace kiln {

namespace {

constexpr const char* hcl_only =
    "Error: Packer plugins currently only works with HCL2 configuration templates\n\n"
    "Every component is built in, so a JSON template needs no plug-ins: build it as it is.\n";

int refuse_template(Invocation& invocation, CommandOptions& options, const std::string& path) {
  if (load_template(invocation, options, path)) invocation.ui().error(hcl_only);
  return 1;
}

}  // namespace

int run_init(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  return refuse_template(invocation, options, arguments[0]);
}

int run_plugins(Invocation&, CommandOptions&, const std::vector<std::string>&) { return show_help; }

int run_plugins_installed(Invocation&, CommandOptions&, const std::vector<std::string>&) { return 0; }

int run_plugins_required(Invocation& invocation, CommandOptions& options,
                         const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  return refuse_template(invocation, options, arguments[0]);
}

int run_plugins_change(Invocation& invocation, CommandOptions&, const std::vector<std::string>&) {
  invocation.ui().error(
      "Error: Plug-ins cannot be installed or removed yet\n\n"
      "Every component of this version is built in; `docs` lists them.\n");
  return 1;
}

int run_not_yet(Invocation& invocation, CommandOptions&, const std::vector<std::string>&) {
  invocation.ui().error(
      fmt::format("Error: This command is not part of {} {} yet\n\n"
                  "Available are: build, validate, inspect, console, fmt, version, gc, docs.\n",
                  invocation.product(), invocation.as_packer() ? packer_version : KILN_VERSION));
  return 1;
}

}  // namespace kiln
