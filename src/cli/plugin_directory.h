// The directory in which plug-ins lie: what is in it, putting in, taking out. No plug-in is run for looking
// at it; one is trusted to be what its file name says when its checksum is right.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lang/plugin_layout.h"

namespace kiln {

/// "linux_amd64": Go's names for where this program runs.
std::string plugin_platform();

struct InstalledPlugin {
  std::filesystem::path path;
  PluginFileName file;
};

/// Every plug-in of this platform in the directory, by path; none when there is no directory.
std::vector<InstalledPlugin> installed_plugins(const std::filesystem::path& directory);
/// Those of one source, older ones first.
std::vector<InstalledPlugin> installed_plugins(const std::filesystem::path& directory,
                                               const std::string& source,
                                               const std::optional<VersionConstraint>& constraint);

/// What a program says of itself when it is run with "describe".
struct PluginDescription {
  std::string version;
  std::string api_version;  ///< "x5.0"
};
/// Copies a program to its place with its checksum beside it, and says where. Throws Error{user} when its
/// description is none that a plug-in may have.
std::filesystem::path install_plugin(const std::filesystem::path& directory, const std::string& source,
                                     const std::filesystem::path& program,
                                     const PluginDescription& description);
/// Removes the file and its checksum. Throws Error{user} "remove PATH: ...".
void remove_plugin(const std::filesystem::path& path);

}  // namespace kiln
