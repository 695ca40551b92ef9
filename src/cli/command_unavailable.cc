// Packer's commands that have nothing to do here, or are still to come: each says so plainly.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/command.h"
#include "cli/diagnostic_text.h"
#include "cli/template_input.h"

namespace kiln {

namespace {

constexpr const char* hcl_only =
    "Error: Packer plugins currently only works with HCL2 configuration templates\n\n"
    "Every component is built in, so a JSON template needs no plug-ins: build it as it is.\n";

/// The HCL2 template of that path; otherwise what is wrong has been said.
std::optional<HclInput> hcl_template(Invocation& invocation, CommandOptions& options, const std::string& path) {
  auto loaded = load_template(invocation, options, path, DataSources::leave_unknown);
  if (!loaded) return std::nullopt;
  if (!loaded->hcl) invocation.ui().error(hcl_only);
  return std::move(loaded->hcl);
}

}  // namespace

int run_init(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  auto input = hcl_template(invocation, options, arguments[0]);
  if (!input) return 1;
  Ui ui = invocation.ui();
  const auto& required = input->config->required_plugins;
  if (required.empty()) {
    ui.say("No plugins requirement found, make sure you reference a Packer config\ncontaining a packer.required_plugins "
           "block. See\nhttps://www.packer.io/docs/templates/hcl_templates/blocks/packer\nfor more info.");
    return 0;
  }
  auto missing = missing_plugins(*input->config);
  for (const auto& plugin : required) {
    bool lacks = std::any_of(missing.begin(), missing.end(), [&](const auto& other) { return other.name == plugin.name; });
    if (!lacks) {
      ui.say(fmt::format("{} {}: built in (answers for version {})", plugin.source, plugin.version,
                         builtin_plugin_version(plugin.source)));
    }
  }
  if (missing.empty()) return 0;
  Diagnostics diagnostics;
  report_missing_plugins(missing, diagnostics);
  ui.error(hcl_text(diagnostics));
  return 1;
}

int run_plugins(Invocation&, CommandOptions&, const std::vector<std::string>&) { return show_help; }

int run_plugins_installed(Invocation&, CommandOptions&, const std::vector<std::string>&) { return 0; }

int run_plugins_required(Invocation& invocation, CommandOptions& options,
                         const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  auto input = hcl_template(invocation, options, arguments[0]);
  if (!input) return 1;
  for (const auto& plugin : input->config->required_plugins) {
    std::string built_in = builtin_plugin_version(plugin.source);
    invocation.ui().message(fmt::format("{} {} {}{}", plugin.name, plugin.source, go_quote(plugin.version),
                                        built_in.empty() ? "" : " [built in: " + built_in + "]"));
  }
  return 0;
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
