// What templates say of plug-ins: shared by `init` and `plugins`.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/hcl_input.h"
#include "cli/plugin_directory.h"

namespace kiln {

/// The HCL2 template of that path; nullopt when what is wrong has been said, also that JSON requires no
/// plug-ins.
std::optional<HclInput> template_with_requirements(Invocation& invocation, CommandOptions& options,
                                                   const std::string& path);
void say_no_requirements(Invocation& invocation);
/// Installed plug-ins that meet a requirement, older ones first.
std::vector<InstalledPlugin> installed_for(const HclRequiredPlugin& plugin);
/// What to do for a plug-in that is not there.
std::string how_to_get_plugin(Invocation& invocation, const std::string& source);

}  // namespace kiln
