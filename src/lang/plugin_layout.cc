#include "lang/plugin_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <tuple>

#include "base/text.h"

namespace kiln {

namespace {

constexpr size_t most_source_parts = 16;
constexpr std::string_view file_prefix = "packer-plugin-";

/// The last part of a source is a label of a host name.
std::optional<std::string> wrong_plugin_label(const std::string& name) {
  auto wrong = [&](std::string_view why) {
    return fmt::format("Invalid plugin type {} in source: {}\"", go_quote(name), why);
  };
  if (contains(name, ".")) return wrong("dots are not allowed");
  if (contains(name, "--")) return wrong("cannot use multiple consecutive dashes");
  const std::string rule =
      "must contain only letters, digits, and dashes, and may not use leading or trailing dashes: idna: ";
  for (unsigned char c : name) {
    if (!std::isalnum(c) && c != '-' && c < 0x80)
      return wrong(rule + fmt::format("disallowed rune U+{:04X}", c));
  }
  if (name.starts_with('-') || name.ends_with('-')) return wrong(rule + "invalid label " + go_quote(name));
  return std::nullopt;
}

std::optional<std::string> wrong_plugin_url(std::string_view source, const std::vector<std::string>& parts) {
  std::vector<std::string> wrong;
  if (source.starts_with('/')) wrong.push_back("A source URL must not start with a '/' character.");
  if (source.ends_with('/')) wrong.push_back("A source URL must not end with a '/' character.");
  if (contains(source, ":")) wrong.push_back("A source URL must not contain a scheme (e.g. https://).");
  if (contains(source, "?")) wrong.push_back("A source URL must not contain a query (e.g. ?var=val)");
  if (contains(source, "#")) wrong.push_back("A source URL must not contain a fragment (e.g. #anchor).");
  if (parts.size() < 3)
    wrong.push_back("A source URL must at least contain a host and a path with 2 components");
  if (wrong.empty()) return std::nullopt;
  return "The provided source URL is invalid.\nThe following errors have been discovered:\n* " +
         join(wrong, "\n* ") + "\n\nA valid source looks like \"github.com/hashicorp/happycloud\"";
}

std::optional<int> api_number(std::string_view text) {
  int out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || out < 0)
    return std::nullopt;
  return out;
}

}  // namespace

std::string plugin_name_of_source(std::string_view source) {
  return std::string(source.substr(source.rfind('/') + 1));
}

std::optional<std::string> invalid_plugin_source(std::string_view source) {
  auto parts = split(source, '/');
  const std::string& name = parts.back();
  std::optional<std::string> wrong = wrong_plugin_url(source, parts);
  if (!wrong && parts.size() > most_source_parts) {
    wrong = fmt::format(
        "The source URL must have at most {} components, and the one provided has {}.\nThis is unsupported "
        "by Packer, "
        "please consider using a source that has less components to it.\nIf this is a blocking issue for "
        "you, please open "
        "an issue to ask for supporting more components to the source URI.",
        most_source_parts, parts.size());
  }
  if (!wrong) wrong = wrong_plugin_label(name);
  if (!wrong && name.starts_with(file_prefix)) {
    wrong = fmt::format(
        "Plugin source has a type with the prefix \"packer-plugin-\", which isn't valid.\nAlthough that "
        "prefix is often "
        "used in the names of version control repositories for Packer plugins, plugin source strings should "
        "not include "
        "it.\n\nDid you mean {}?",
        go_quote(name.substr(file_prefix.size())));
  } else if (!wrong && name.starts_with("packer-")) {
    wrong = fmt::format(
        "Plugin source has a type with the \"packer-\" prefix, which isn't valid.\nIf you are the author of "
        "this plugin, "
        "rename it to not include the prefix.\nEx: {}",
        go_quote(name.substr(7)));
  }
  if (!wrong) return std::nullopt;
  return fmt::format("Invalid source string {}: {}", go_quote(source), *wrong);
}

std::optional<std::string> not_on_github(std::string_view source) {
  if (source.starts_with("github.com/") && std::count(source.begin(), source.end(), '/') == 2)
    return std::nullopt;
  return fmt::format(
      "{} doesn't appear to be a valid \"github.com\" source address; check source and try again.",
      go_quote(source));
}

std::string canonical_version(const Version& version) {
  std::vector<std::string> numbers;
  for (auto number : version.numbers) numbers.push_back(std::to_string(number));
  return join(numbers, ".") + (version.prerelease.empty() ? "" : "-" + version.prerelease);
}

bool PluginFileName::fits(const VersionConstraint& constraint) const {
  auto core = Version::parse(version);
  if (!core) return false;
  core->prerelease.clear();
  return constraint.allows(*core);
}

std::string PluginFileName::text(std::string_view platform) const {
  return fmt::format("{}{}_v{}_x{}.{}_{}", file_prefix, name, version, api_major, api_minor, platform);
}

std::optional<PluginFileName> parse_plugin_file_name(std::string_view file, std::string_view platform) {
  if (!file.starts_with(file_prefix) || !file.ends_with("_" + std::string(platform))) return std::nullopt;
  file.remove_prefix(file_prefix.size());
  file.remove_suffix(platform.size() + 1);
  auto parts = split(file, '_');
  if (parts.size() != 3 || parts[0].empty() || !parts[1].starts_with('v') || !parts[2].starts_with('x'))
    return std::nullopt;
  PluginFileName out;
  out.name = parts[0];
  out.version = parts[1].substr(1);
  auto version = Version::parse(out.version);
  if (!version || version->numbers.size() != 3 || canonical_version(*version) != out.version)
    return std::nullopt;
  if (!version->prerelease.empty() && version->prerelease != "dev") return std::nullopt;
  auto api = split(parts[2].substr(1), '.');
  if (api.size() != 2) return std::nullopt;
  auto major = api_number(api[0]), minor = api_number(api[1]);
  if (!major || !minor) return std::nullopt;
  out.api_major = *major;
  out.api_minor = *minor;
  return out;
}

bool is_older(const PluginFileName& a, const PluginFileName& b) {
  auto left = Version::parse(a.version), right = Version::parse(b.version);
  int order = left && right ? compare(*left, *right) : 0;
  if (order != 0) return order < 0;
  return std::tie(a.api_major, a.api_minor) < std::tie(b.api_major, b.api_minor);
}

}  // namespace kiln
