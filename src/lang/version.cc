#include "lang/version.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/text.h"

namespace kiln {

namespace {

bool is_tag(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '.' || c == '~';
  });
}

int sign_of(int64_t value) { return value < 0 ? -1 : value > 0 ? 1 : 0; }

std::optional<int64_t> number_of(std::string_view text) {
  int64_t out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || out < 0) return std::nullopt;
  return out;
}

/// Pre-release tags part by part: numbers by value and before words; a tag that goes on is later.
int compare_tags(const std::string& a, const std::string& b) {
  if (a == b) return 0;
  if (a.empty()) return 1;
  if (b.empty()) return -1;
  auto left = split(a, '.'), right = split(b, '.');
  for (size_t i = 0; i < std::max(left.size(), right.size()); ++i) {
    if (i >= left.size()) return -1;
    if (i >= right.size()) return 1;
    if (left[i] == right[i]) continue;
    auto x = number_of(left[i]), y = number_of(right[i]);
    if (x && y) return sign_of(*x - *y);
    if (x || y) return x ? -1 : 1;
    return left[i] < right[i] ? -1 : 1;
  }
  return 0;
}

}  // namespace

std::optional<Version> Version::parse(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  Version out;
  if (size_t plus = text.find('+'); plus != std::string_view::npos) {
    if (!is_tag(text.substr(plus + 1))) return std::nullopt;
    text = text.substr(0, plus);
  }
  if (size_t dash = text.find('-'); dash != std::string_view::npos) {
    out.prerelease = std::string(text.substr(dash + 1));
    if (!is_tag(out.prerelease)) return std::nullopt;
    text = text.substr(0, dash);
  }
  for (const auto& part : split(std::string(text), '.')) {
    auto number = number_of(part);
    if (!number) return std::nullopt;
    out.numbers.push_back(*number);
  }
  out.written = out.numbers.size();
  while (out.numbers.size() < 3) out.numbers.push_back(0);
  return out;
}

int compare(const Version& a, const Version& b) {
  for (size_t i = 0; i < std::max(a.numbers.size(), b.numbers.size()); ++i) {
    int64_t x = i < a.numbers.size() ? a.numbers[i] : 0, y = i < b.numbers.size() ? b.numbers[i] : 0;
    if (x != y) return x < y ? -1 : 1;
  }
  return compare_tags(a.prerelease, b.prerelease);
}

std::optional<VersionConstraint> VersionConstraint::parse(std::string_view text) {
  VersionConstraint out;
  for (const auto& piece : split(std::string(text), ',')) {
    std::string_view rest = trim(piece);
    Part part;
    for (std::string_view op : {"!=", ">=", "<=", "~>", "=", ">", "<"}) {
      if (!rest.starts_with(op)) continue;
      part.op = op;
      rest.remove_prefix(op.size());
      break;
    }
    auto version = Version::parse(trim(rest));
    if (!version) return std::nullopt;
    part.version = *version;
    if (part.op.empty()) part.op = "=";
    out.parts_.push_back(std::move(part));
  }
  return out;
}

bool VersionConstraint::holds(const Part& part, const Version& version) {
  int order = compare(version, part.version);
  if (part.op == "=") return order == 0;
  if (part.op == "!=") return order != 0;
  // A pre-release fits only a constraint that names one of the same numbers.
  bool tags_fit = version.prerelease.empty() ||
                  (!part.version.prerelease.empty() && version.numbers == part.version.numbers);
  if (part.op == ">") return tags_fit && order > 0;
  if (part.op == "<") return tags_fit && order < 0;
  if (part.op == ">=") return tags_fit && order >= 0;
  if (part.op == "<=") return tags_fit && order <= 0;
  // "~> 1.2.3": at least that, and the same but for the last number written.
  if (!tags_fit && part.version.prerelease.empty()) return false;
  if (order < 0) return false;
  size_t fixed = part.version.written > 1 ? part.version.written - 1 : 1;
  for (size_t i = 0; i < fixed; ++i) {
    if ((i < version.numbers.size() ? version.numbers[i] : 0) != part.version.numbers[i]) return false;
  }
  return true;
}

bool VersionConstraint::allows(const Version& version) const {
  return std::all_of(parts_.begin(), parts_.end(), [&](const Part& part) { return holds(part, version); });
}

bool VersionConstraint::asks_for_older_than(const Version& version) const {
  if (allows(version)) return false;
  return std::all_of(parts_.begin(), parts_.end(), [&](const Part& part) {
    bool may_be_newer = part.op == "=" || part.op == "~>" || part.op == "<" || part.op == "<=";
    return holds(part, version) || (may_be_newer && compare(version, part.version) >= 0);
  });
}

bool VersionConstraint::has_prerelease() const {
  return std::any_of(parts_.begin(), parts_.end(), [](const Part& part) { return !part.version.prerelease.empty(); });
}

bool VersionConstraint::allows(std::string_view text) const {
  auto version = Version::parse(text);
  return version && allows(*version);
}

}  // namespace kiln
