#include "endpoint/selection.h"

namespace kiln::ec2 {

bool wildcard_match(std::string_view pattern, std::string_view text) {
  // Greedy, with one place to come back to: linear but for stars, and never more than pattern * text.
  size_t p = 0, t = 0;
  size_t star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    bool escaped = p + 1 < pattern.size() && pattern[p] == '\\';
    if (p < pattern.size() && !escaped && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() &&
               (escaped ? pattern[p + 1] == text[t] : pattern[p] == '?' || pattern[p] == text[t])) {
      p += escaped ? 2 : 1;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<Filter> filters_of(const Params& params) {
  std::vector<Filter> out;
  for (const Params* item : params.items("Filter")) {
    Filter filter{item->text("Name"), item->list("Value")};
    if (filter.name.empty()) throw missing_parameter("Filter.Name");
    if (filter.patterns.size() > 200)
      throw ApiError("FilterLimitExceeded", "A filter has at most 200 values.");
    // A filter without values lets nothing through, but for the tools that send an empty one and mean none.
    if (!filter.patterns.empty()) out.push_back(std::move(filter));
  }
  return out;
}

bool any_matches(const FilterValues& patterns, const FilterValues& values) {
  for (const auto& pattern : patterns) {
    for (const auto& value : values) {
      if (wildcard_match(pattern, value)) return true;
    }
  }
  return false;
}

std::optional<FilterValues> tag_filter_values(const Tags& tags, const std::string& name) {
  if (name.starts_with("tag:")) {
    auto found = tags.find(name.substr(4));
    return found == tags.end() ? FilterValues{} : FilterValues{found->second};
  }
  if (name != "tag-key" && name != "tag-value") return std::nullopt;
  FilterValues out;
  for (const auto& [key, value] : tags) out.push_back(name == "tag-key" ? key : value);
  return out;
}

Page page_of(const Params& params, size_t count) {
  Page out;
  std::string token = params.text("NextToken");
  if (!token.empty()) {
    std::string_view number = token;
    bool ours = token.starts_with("page-");
    if (ours) number.remove_prefix(5);
    auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), out.begin);
    if (!ours || error != std::errc() || end != number.data() + number.size()) {
      throw ApiError("InvalidNextToken", "The token '" + token + "' is not valid.");
    }
    out.begin = std::min(out.begin, count);
  }
  out.end = count;
  if (auto most = params.number("MaxResults")) {
    if (*most < 1) throw invalid_value("MaxResults", std::to_string(*most));
    out.end = std::min(count, out.begin + static_cast<size_t>(std::min<int64_t>(*most, 100000)));
  }
  if (out.end < count) out.next = "page-" + std::to_string(out.end);
  return out;
}

}  // namespace kiln::ec2
