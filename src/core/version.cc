#include "core/version.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <vector>

#include "base/text.h"

namespace kiln {

namespace {

struct Version {
  std::vector<int64_t> numbers;  ///< at least three
  std::string pre_release;
};

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || out < 0) return std::nullopt;
  return out;
}

std::optional<Version> parse_version(std::string_view text) {
  Version version;
  if (text.starts_with('v')) text.remove_prefix(1);
  if (size_t plus = text.find('+'); plus != std::string_view::npos) text = text.substr(0, plus);
  if (size_t dash = text.find('-'); dash != std::string_view::npos) {
    version.pre_release = text.substr(dash + 1);
    if (version.pre_release.empty()) return std::nullopt;
    text = text.substr(0, dash);
  }
  for (const auto& part : split(text, '.')) {
    auto number = whole_number(part);
    if (!number) return std::nullopt;
    version.numbers.push_back(*number);
  }
  while (version.numbers.size() < 3) version.numbers.push_back(0);
  return version;
}

int compare_pre_release_parts(const std::string& left, const std::string& right) {
  auto left_number = whole_number(left);
  auto right_number = whole_number(right);
  if (left_number && right_number) return *left_number < *right_number ? -1 : *left_number > *right_number;
  if (left_number) return -1;
  if (right_number) return 1;
  return left.compare(right);
}

int compare_pre_releases(const std::string& left, const std::string& right) {
  if (left.empty() || right.empty()) return static_cast<int>(left.empty()) - static_cast<int>(right.empty());
  auto lefts = split(left, '.');
  auto rights = split(right, '.');
  for (size_t i = 0; i < std::min(lefts.size(), rights.size()); ++i) {
    if (int order = compare_pre_release_parts(lefts[i], rights[i])) return order;
  }
  return static_cast<int>(lefts.size()) - static_cast<int>(rights.size());
}

}  // namespace

std::optional<int> compare_versions(std::string_view left, std::string_view right) {
  auto a = parse_version(left);
  auto b = parse_version(right);
  if (!a || !b) return std::nullopt;
  size_t length = std::max(a->numbers.size(), b->numbers.size());
  a->numbers.resize(length);
  b->numbers.resize(length);
  if (a->numbers != b->numbers) return a->numbers < b->numbers ? -1 : 1;
  return compare_pre_releases(a->pre_release, b->pre_release);
}

bool is_version(std::string_view text) { return parse_version(text).has_value(); }

}  // namespace kiln
