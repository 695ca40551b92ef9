#include "lang/hcl_fileset.h"

#include <fmt/format.h>

#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "lang/go_literal.h"

namespace kiln::hcl_fn {
namespace {

constexpr size_t max_alternatives = 1024;

[[noreturn]] void bad_pattern() { throw Error(ErrorKind::user, "syntax error in pattern"); }

/// Index of an unescaped `c` from `at` on.
size_t find_unescaped(std::string_view text, char c, size_t at) {
  for (; at < text.size(); ++at) {
    if (text[at] == '\\')
      ++at;
    else if (text[at] == c)
      return at;
  }
  return std::string_view::npos;
}

/// The brace that closes the one before `at`, and where the commas in between are; nullopt when there is
/// none.
std::optional<std::vector<size_t>> alternatives(std::string_view pattern, size_t at) {
  std::vector<size_t> ends;
  int depth = 1;
  for (; at < pattern.size(); ++at) {
    char c = pattern[at];
    if (c == '\\')
      ++at;
    else if (c == '{')
      ++depth;
    else if (c == ',' && depth == 1)
      ends.push_back(at);
    else if (c == '}' && --depth == 0) {
      ends.push_back(at);
      return ends;
    }
  }
  return {};
}

/// The pattern without braces, once for each choice. A brace that does not close is kept: matching stumbles
/// over it.
void expand_braces(const std::string& pattern, std::vector<std::string>& out) {
  for (size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] == '\\') {
      ++at;
    } else if (pattern[at] == '[') {
      at = std::min(find_unescaped(pattern, ']', at + 1), pattern.size());
    } else if (pattern[at] == '{') {
      auto ends = alternatives(pattern, at + 1);
      if (!ends) break;
      size_t begin = at + 1;
      std::string before = pattern.substr(0, at), after = pattern.substr(ends->back() + 1);
      for (size_t end : *ends) {
        expand_braces(fmt::format("{}{}{}", before, pattern.substr(begin, end - begin), after), out);
        begin = end + 1;
      }
      return;
    }
  }
  if (out.size() >= max_alternatives) {
    throw Error(ErrorKind::user, "the braces in the pattern stand for more than 1024 patterns");
  }
  out.push_back(pattern);
}

/// Takes a character of a class, maybe escaped.
uint32_t take_class_rune(std::string_view& set) {
  if (set.empty() || set.front() == '-') bad_pattern();
  if (set.front() == '\\') {
    set.remove_prefix(1);
    if (set.empty()) bad_pattern();
  }
  return take_rune(set);
}

bool in_class(std::string_view set, uint32_t rune) {
  if (set.empty()) bad_pattern();
  bool inverted = set.front() == '^';
  if (inverted) set.remove_prefix(1);
  bool found = false;
  while (!set.empty()) {
    uint32_t low = take_class_rune(set), high = low;
    if (set.starts_with('-')) {
      set.remove_prefix(1);
      high = take_class_rune(set);
    }
    found = found || (low <= rune && rune <= high);
  }
  return found != inverted;
}

/// Takes what stands for one character off the pattern and tells whether it is this one.
bool take_match(std::string_view& pattern, uint32_t rune) {
  char c = pattern.front();
  if (c == '[') {
    size_t end = find_unescaped(pattern, ']', 1);
    if (end == std::string_view::npos) bad_pattern();
    std::string_view set = pattern.substr(1, end - 1);
    pattern.remove_prefix(end + 1);
    return in_class(set, rune);
  }
  if (c == '{') bad_pattern();
  if (c == '\\') {
    pattern.remove_prefix(1);
    if (pattern.empty()) bad_pattern();
    return take_rune(pattern) == rune;
  }
  uint32_t wanted = take_rune(pattern);
  return c == '?' || wanted == rune;
}

/// One part of a path. A star that fails is tried again one character on; earlier ones need no second look.
bool match_part(std::string_view pattern, std::string_view name) {
  std::string_view star, star_name;
  bool has_star = false;
  while (!name.empty()) {
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      star = pattern;
      star_name = name;
      has_star = true;
      continue;
    }
    std::string_view rest = name;
    if (!pattern.empty() && take_match(pattern, take_rune(rest))) {
      name = rest;
      continue;
    }
    if (!has_star) return false;
    take_rune(star_name);
    name = star_name;
    pattern = star;
  }
  return pattern.find_first_not_of('*') == std::string_view::npos;
}

/// As match_part, for parts: "**" is their star.
bool match_parts(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  size_t p = 0, n = 0, star = 0, star_path = 0;
  bool has_star = false;
  while (n < path.size()) {
    if (p < pattern.size() && pattern[p] == "**") {
      if (p + 1 == pattern.size()) return true;
      star = ++p;
      star_path = n;
      has_star = true;
    } else if (p < pattern.size() && match_part(pattern[p], path[n])) {
      ++p;
      ++n;
    } else if (has_star) {
      p = star;
      n = ++star_path;
    } else {
      return false;
    }
  }
  return p == pattern.size();
}

std::vector<std::string> pattern_parts(std::string_view pattern) {
  std::vector<std::string> out;
  size_t begin = 0;
  while (true) {
    size_t end = find_unescaped(pattern, '/', begin);
    out.emplace_back(pattern.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) return out;
    begin = end + 1;
  }
}

}  // namespace

std::string clean_path(std::string_view path) {
  bool absolute = path.starts_with('/');
  std::vector<std::string> kept;
  for (auto& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..")
      kept.push_back(part);
    else if (!kept.empty() && kept.back() != "..")
      kept.pop_back();
    else if (!absolute)
      kept.push_back("..");
  }
  std::string out = (absolute ? "/" : "") + join(kept, "/");
  return out.empty() ? "." : out;
}

std::string base_of_path(std::string_view path) {
  if (path.empty()) return ".";
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path == "/") return "/";
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string directory_of_path(std::string_view path) {
  return clean_path(path.substr(0, path.rfind('/') + 1));
}

std::string join_path(const std::string& base, const std::string& path) {
  if (path.starts_with('/') || base.empty()) return clean_path(path);
  return clean_path(base + "/" + path);
}

std::string relative_path(const std::string& base, const std::string& path) {
  auto parts = [](const std::string& text) {
    auto out = split(text, '/');
    std::erase_if(out, [](const std::string& part) { return part.empty() || part == "."; });
    return out;
  };
  auto from = parts(base), to = parts(path);
  size_t common = 0;
  while (common < from.size() && common < to.size() && from[common] == to[common]) ++common;
  std::vector<std::string> out(from.size() - common, "..");
  out.insert(out.end(), to.begin() + static_cast<std::ptrdiff_t>(common), to.end());
  return out.empty() ? "." : join(out, "/");
}

bool match_file(std::string_view pattern, std::string_view path) {
  std::vector<std::string> choices;
  expand_braces(std::string(pattern), choices);
  for (const auto& choice : choices) {
    if (match_parts(pattern_parts(choice), split(path, '/'))) return true;
  }
  return false;
}

std::vector<std::string> match_files(
    const std::string& pattern, const std::function<std::vector<std::string>(const std::string&)>& list) {
  // What comes before the first part with a special character is a plain directory.
  size_t special = std::min(pattern.find_first_of("*?[{\\"), pattern.size());
  size_t slash = special == 0 ? std::string::npos : pattern.rfind('/', special - 1);
  std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : pattern.substr(0, slash);
  std::string rest = slash == std::string::npos ? pattern : pattern.substr(slash + 1);
  std::vector<std::string> choices, out;
  expand_braces(rest, choices);
  std::vector<std::vector<std::string>> parts;
  parts.reserve(choices.size());
  for (const auto& choice : choices) parts.push_back(pattern_parts(choice));
  for (const auto& file : list(directory)) {
    auto path = split(file, '/');
    for (const auto& choice : parts) {
      if (!match_parts(choice, path)) continue;
      out.push_back(clean_path(fmt::format("{}/{}", directory, file)));
      break;
    }
  }
  return out;
}

}  // namespace kiln::hcl_fn
