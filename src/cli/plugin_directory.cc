#include "cli/plugin_directory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

constexpr std::ptrdiff_t most_path_parts = 16;

fs::path checksum_path(const fs::path& plugin) { return plugin.string() + "_SHA256SUM"; }

bool has_its_checksum(const fs::path& plugin) {
  auto sum = read_file_if_exists(checksum_path(plugin));
  return sum && trim(*sum) == file_digest_hex("sha256", plugin);
}

/// A plug-in lies at least one directory deep, and may be run.
std::optional<InstalledPlugin> plugin_at(const fs::path& path, const fs::path& below) {
  auto parts = std::distance(below.begin(), below.end());
  if (parts < 2 || parts > most_path_parts + 1) return std::nullopt;
  auto file = parse_plugin_file_name(path.filename().string(), plugin_platform());
  if (!file || ::access(path.c_str(), X_OK) != 0 || !has_its_checksum(path)) return std::nullopt;
  return InstalledPlugin{path, *file};
}

}  // namespace

std::string plugin_platform() {
#if defined(__aarch64__)
  return "linux_arm64";
#else
  return "linux_amd64";
#endif
}

std::vector<InstalledPlugin> installed_plugins(const fs::path& directory) {
  std::vector<InstalledPlugin> out;
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored)) return out;
  for (const auto& entry :
       fs::recursive_directory_iterator(directory, fs::directory_options::skip_permission_denied)) {
    if (!entry.is_regular_file(ignored)) continue;
    if (auto plugin = plugin_at(entry.path(), entry.path().lexically_relative(directory)))
      out.push_back(*plugin);
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return out;
}

std::vector<InstalledPlugin> installed_plugins(const fs::path& directory, const std::string& source,
                                               const std::optional<VersionConstraint>& constraint) {
  std::vector<InstalledPlugin> out;
  for (auto& plugin : installed_plugins(directory)) {
    bool wanted =
        plugin.path.parent_path() == directory / source && plugin.file.name == plugin_name_of_source(source);
    if (wanted && (!constraint || plugin.file.fits(*constraint))) out.push_back(std::move(plugin));
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return is_older(a.file, b.file); });
  return out;
}

fs::path install_plugin(const fs::path& directory, const std::string& source, const fs::path& program,
                        const PluginDescription& description) {
  auto version = Version::parse(description.version);
  if (!version) {
    throw Error(ErrorKind::user,
                fmt::format("Error: Invalid version\n\nPlugin's reported version ({}) is not "
                            "semver-compatible: malformed version: {}\n",
                            go_quote(description.version), description.version));
  }
  if (!version->prerelease.empty() && version->prerelease != "dev") {
    throw Error(
        ErrorKind::user,
        fmt::format(
            "Error: Invalid version\n\nPacker can only install plugin releases with this command (ex: 1.0.0) "
            "or\ndevelopment pre-releases (ex: 1.0.0-dev), the binary's reported version is\n{}\n",
            go_quote(description.version)));
  }
  std::string name = fmt::format("packer-plugin-{}_v{}_{}_{}", plugin_name_of_source(source),
                                 canonical_version(*version), description.api_version, plugin_platform());
  if (!parse_plugin_file_name(name, plugin_platform())) {
    throw Error(ErrorKind::user,
                fmt::format("Error: Invalid API version\n\nThe plugin reports the API version {}; one like "
                            "\"x5.0\" was expected.\n",
                            go_quote(description.api_version)));
  }
  fs::path target = directory / source / name;
  std::string bytes = read_file(program);
  fs::create_directories(target.parent_path());
  write_file_atomically(target, bytes, 0755);
  write_file_atomically(checksum_path(target), digest_hex("sha256", bytes));
  return target;
}

void remove_plugin(const fs::path& path) {
  std::error_code error;
  if (!fs::remove(path, error)) {
    int number = error ? error.value() : ENOENT;
    throw Error(ErrorKind::user, fmt::format("remove {}: {}", path.string(), go_errno_text(number)));
  }
  fs::remove(checksum_path(path), error);
}

}  // namespace kiln
