#include "lang/packer_hcl_internal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/text.h"

namespace kiln {

bool is_empty_collection(const HclValue& value) {
  bool collection = value.type().is(HclType::Kind::object) || value.type().is(HclType::Kind::tuple);
  return collection && value.has_content() && value.length() == 0;
}

bool looks_like_sentences(std::string_view text) {
  if (text.empty()) return false;
  auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80 && std::islower(first)) return false;
  char last = text.back();
  return last == '.' || last == '?' || last == '!';
}

bool is_bucket_name(std::string_view text) {
  return text.size() >= 3 && text.size() <= 36 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) || c == '-');
  });
}

std::optional<std::string> plugin_source_error(std::string_view source) {
  std::vector<std::string> wrong;
  auto parts = split(source, '/');
  const std::string& name = parts.back();
  if (name.starts_with("packer-")) {
    std::string prefix = name.starts_with("packer-plugin-") ? "packer-plugin-" : "packer-";
    return fmt::format("Plugin source has a type with the prefix {}, which isn't valid. Although that prefix is often used "
                       "in the names of version control repositories for Packer plugins, plugin source strings should not "
                       "include it.\n\nDid you mean {}?",
                       go_quote(prefix), go_quote(name.substr(prefix.size())));
  }
  if (source.starts_with('/')) wrong.push_back("A source URL must not start with a '/' character.");
  if (source.ends_with('/')) wrong.push_back("A source URL must not end with a '/' character.");
  if (contains(source, "://")) wrong.push_back("A source URL must not contain a scheme (e.g. https://).");
  if (contains(source, "?")) wrong.push_back("A source URL must not contain a query (e.g. ?foo=bar)");
  if (contains(source, "#")) wrong.push_back("A source URL must not contain a fragment (e.g. #anchor).");
  if (parts.size() < 3) wrong.push_back("A source URL must at least contain a host and a path with 2 components");
  if (parts.size() > 16) wrong.push_back("The source URL must have at most 16 components");
  bool label = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c >= 0x80;
  });
  if (wrong.empty() && (!label || contains(name, "--") || name.starts_with('-') || name.ends_with('-'))) {
    wrong.push_back("Invalid plugin type: a name of letters, digits and single dashes is expected, not " + go_quote(name));
  }
  if (wrong.empty()) return std::nullopt;
  return "The provided source URL is invalid.\nThe following errors have been discovered:\n* " + join(wrong, "\n* ") +
         "\n\nA valid source looks like \"github.com/hashicorp/happycloud\"";
}

}  // namespace kiln
