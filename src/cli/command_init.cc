// init: whether the plug-ins that a template requires are there (packer-surface 1.8). Nothing is fetched.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/command.h"
#include "cli/diagnostic_text.h"
#include "cli/environment.h"
#include "cli/plugin_requirements.h"
#include "cli/template_input.h"

namespace kiln {

std::optional<HclInput> template_with_requirements(Invocation& invocation, CommandOptions& options,
                                                   const std::string& path) {
  auto loaded = load_template(invocation, options, path, DataSources::leave_unknown);
  if (!loaded) return std::nullopt;
  if (!loaded->hcl) {
    invocation.ui().error(
        "Error: Packer plugins currently only works with HCL2 configuration templates\n\n"
        "Please manually install plugins with the plugins command or use a HCL2\n"
        "configuration that will do that for you.\n\n"
        "What is built in needs no plug-ins: `docs` lists it.\n");
  }
  return std::move(loaded->hcl);
}

void say_no_requirements(Invocation& invocation) {
  invocation.ui().say(
      "No plugins requirement found, make sure you reference a Packer config\ncontaining a "
      "packer.required_plugins "
      "block. See\nhttps://www.packer.io/docs/templates/hcl_templates/blocks/packer\nfor more info.");
}

std::vector<InstalledPlugin> installed_for(const HclRequiredPlugin& plugin) {
  auto all = installed_plugins(plugin_directory(), plugin.source, VersionConstraint::parse(plugin.version));
  all.erase(std::remove_if(all.begin(), all.end(), [](const auto& found) { return !found.file.is_usable(); }),
            all.end());
  return all;
}

std::string how_to_get_plugin(Invocation& invocation, const std::string& source) {
  if (std::string version = builtin_plugin_version(source); !version.empty()) {
    return fmt::format("The components of {} are built in, as of version {}: there is nothing to install.",
                       source, version);
  }
  auto parts = split(source, '/');
  return fmt::format(
      "Get a release of packer-plugin-{0} for {1}, for example "
      "from\nhttps://{2}/{3}/packer-plugin-{0}/releases\n"
      "and install it with\n{4} plugins install -path FILE {5}",
      plugin_name_of_source(source), plugin_platform(), parts[0], parts[1], invocation.program, source);
}

int run_init(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  auto input = template_with_requirements(invocation, options, arguments[0]);
  if (!input) return 1;
  Ui ui = invocation.ui();
  const auto& required = input->config->required_plugins;
  if (required.empty()) {
    say_no_requirements(invocation);
    return 0;
  }
  int code = 0;
  std::vector<HclRequiredPlugin> missing;
  auto not_built_in = missing_plugins(*input->config);
  for (const auto& plugin : required) {
    bool lacks = std::any_of(not_built_in.begin(), not_built_in.end(),
                             [&](const auto& other) { return other.name == plugin.name; });
    auto found = lacks ? installed_for(plugin) : std::vector<InstalledPlugin>();
    if (!lacks) {
      ui.say(fmt::format("{} {}: built in (answers for version {})", plugin.source, plugin.version,
                         builtin_plugin_version(plugin.source)));
    } else if (!found.empty()) {
      ui.say(fmt::format("{} {}: installed, {}", plugin.source, plugin.version, found.back().path.string()));
    } else if (auto elsewhere = not_on_github(plugin.source)) {
      ui.error(fmt::format("Failed getting the {} plugin:\n{}", go_quote(plugin.source),
                           multierror_text({*elsewhere})));
      code = 1;
    } else {
      missing.push_back(plugin);
    }
  }
  if (missing.empty()) return code;
  Diagnostics diagnostics;
  report_missing_plugins(missing, diagnostics);
  ui.error(hcl_text(diagnostics));
  for (const auto& plugin : missing) ui.error(how_to_get_plugin(invocation, plugin.source) + "\n");
  return 1;
}

}  // namespace kiln
