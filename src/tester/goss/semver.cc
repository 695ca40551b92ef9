// Versions and ranges of versions: semver.org, ranges as blang/semver documents them.
#include <algorithm>
#include <charconv>
#include <optional>

#include "base/text.h"
#include "tester/goss/matcher.h"

namespace kiln {

namespace {

struct Version {
  uint64_t parts[3] = {0, 0, 0};
  std::vector<std::string> pre;
};

std::optional<uint64_t> version_number(std::string_view text) {
  uint64_t number = 0;
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool whole = problem == std::errc() && end == text.data() + text.size();
  if (!whole || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  return number;
}

std::optional<Version> parse_version(std::string text) {
  text = text.substr(0, text.find('+'));
  Version out;
  if (auto dash = text.find('-'); dash != std::string::npos) {
    out.pre = split(text.substr(dash + 1), '.');
    text = text.substr(0, dash);
  }
  auto numbers = split(text, '.');
  if (numbers.size() != 3) return std::nullopt;
  for (size_t i = 0; i < 3; ++i) {
    auto number = version_number(numbers[i]);
    if (!number) return std::nullopt;
    out.parts[i] = *number;
  }
  for (const auto& part : out.pre) {
    if (part.empty()) return std::nullopt;
  }
  return out;
}

int compare_pre(const std::string& a, const std::string& b) {
  auto left = version_number(a), right = version_number(b);
  if (left && right) return *left < *right ? -1 : *left > *right;
  if (left || right) return left ? -1 : 1;  // numbers come before words
  return a.compare(b);
}

int compare_versions(const Version& a, const Version& b) {
  for (size_t i = 0; i < 3; ++i) {
    if (a.parts[i] != b.parts[i]) return a.parts[i] < b.parts[i] ? -1 : 1;
  }
  if (a.pre.empty() || b.pre.empty())
    return static_cast<int>(a.pre.empty()) - static_cast<int>(b.pre.empty());
  for (size_t i = 0; i < std::min(a.pre.size(), b.pre.size()); ++i) {
    if (int order = compare_pre(a.pre[i], b.pre[i])) return order;
  }
  return a.pre.size() < b.pre.size() ? -1 : a.pre.size() > b.pre.size();
}

bool holds(const std::string& op, int order) {
  if (op == ">") return order > 0;
  if (op == ">=") return order >= 0;
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  if (op == "!" || op == "!=") return order != 0;
  return order == 0;
}

/// "1.x", "1.2.x": from the first such version to before the next.
std::optional<bool> in_wildcard(const Version& version, const std::string& op, const std::string& text) {
  auto numbers = split(text, '.');
  Version low, high;
  size_t fixed = 0;
  while (fixed < numbers.size() && fixed < 3 && version_number(numbers[fixed])) {
    low.parts[fixed] = high.parts[fixed] = *version_number(numbers[fixed]);
    ++fixed;
  }
  if (fixed == 0 || fixed >= 3 || fixed == numbers.size()) return std::nullopt;
  for (size_t i = fixed; i < numbers.size(); ++i) {
    if (numbers[i] != "x" && numbers[i] != "X" && numbers[i] != "*") return std::nullopt;
  }
  ++high.parts[fixed - 1];
  bool below = compare_versions(version, low) < 0, above = compare_versions(version, high) >= 0;
  if (op == ">") return above;
  if (op == ">=") return !below;
  if (op == "<") return below;
  if (op == "<=") return !above;
  if (op == "!" || op == "!=") return below || above;
  return !below && !above;
}

std::optional<bool> satisfies_one(const Version& version, const std::string& condition) {
  size_t digits = condition.find_first_not_of("<>=!");
  if (digits == std::string::npos) return std::nullopt;
  std::string op = condition.substr(0, digits), text = condition.substr(digits);
  static const std::vector<std::string> known{"", "=", "==", ">", ">=", "<", "<=", "!", "!="};
  if (std::find(known.begin(), known.end(), op) == known.end()) return std::nullopt;
  if (text.find_first_of("xX*") != std::string::npos && text.find('-') == std::string::npos) {
    return in_wildcard(version, op, text);
  }
  auto limit = parse_version(text);
  if (!limit) return std::nullopt;
  return holds(op, compare_versions(version, *limit));
}

/// Conditions between blanks; an operator may stand apart from its version.
std::vector<std::string> conditions_of(const std::string& text) {
  std::vector<std::string> out;
  std::string held;
  for (const auto& word : split(text, ' ')) {
    if (word.empty()) continue;
    held += word;
    if (word.find_first_not_of("<>=!") == std::string::npos) continue;
    out.push_back(std::exchange(held, ""));
  }
  if (!held.empty()) out.push_back(held);
  return out;
}

}  // namespace

std::optional<bool> satisfies_semver(const std::string& version, const std::string& range) {
  auto parsed = parse_version(version);
  if (!parsed) return std::nullopt;
  bool any = false;
  for (const auto& alternative : split(range, std::string_view("||"))) {
    bool all = true;
    auto conditions = conditions_of(alternative);
    if (conditions.empty()) return std::nullopt;
    for (const auto& condition : conditions) {
      auto one = satisfies_one(*parsed, condition);
      if (!one) return std::nullopt;
      all = all && *one;
    }
    any = any || all;
  }
  return any;
}

}  // namespace kiln
