// How plug-ins are named and where they lie (packer-surface 1.8): pure, over names alone.
//   DIRECTORY/github.com/acme/tester/packer-plugin-tester_v1.0.0_x5.0_linux_amd64, and the same with
//   _SHA256SUM
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "lang/version.h"

namespace kiln {

/// Why a source ("github.com/acme/tester") is none, in Packer's words; nullopt when it is one.
std::optional<std::string> invalid_plugin_source(std::string_view source);
/// "tester" of "github.com/acme/tester".
std::string plugin_name_of_source(std::string_view source);
/// Packer fetches from GitHub alone; what it says about others, else nullopt.
std::optional<std::string> not_on_github(std::string_view source);

/// What a plug-in's file name says.
struct PluginFileName {
  std::string name;     ///< "tester"
  std::string version;  ///< canonical: "1.0.0", "1.0.0-dev"
  int api_major = 0;
  int api_minor = 0;
  /// Whether the constraint takes it: a pre-release counts as the version that it comes before.
  bool fits(const VersionConstraint& constraint) const;
  /// Whether it speaks the protocol of this version: API 5.0.
  bool is_usable() const { return api_major == 5 && api_minor == 0; }
  std::string text(std::string_view platform) const;  ///< the file name again
};

/// `platform` is "linux_amd64". nullopt for other files: other platforms, versions that are not written
/// canonically, pre-releases but for "dev".
std::optional<PluginFileName> parse_plugin_file_name(std::string_view file, std::string_view platform);
/// The version as it stands in a file name: three numbers and the pre-release, without metadata.
std::string canonical_version(const Version& version);
/// Older first, then the lower API.
bool is_older(const PluginFileName& a, const PluginFileName& b);

}  // namespace kiln
