// regex regexall regex_replace replace. Source: go-cty's documentation of its standard library, Go's of
// package regexp.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/hcl_function_kit.h"

namespace kiln::hcl_fn {
namespace {

/// "(?<name>" is Go's second way to write "(?P<name>"; this RE2 knows only the first. And RE2 knows "\\C", a
/// byte, which Go does not: `has_byte` is set.
std::string with_named_groups(std::string_view pattern, bool* has_byte) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    out += c;
    if (c == '\\' && i + 1 < pattern.size()) {
      if (pattern[i + 1] == 'Q' && !in_class) {  // literal text up to \E
        size_t end = std::min(pattern.find("\\E", i), pattern.size());
        out += pattern.substr(i + 1, end - i - 1);
        i = end - 1;
      } else {
        *has_byte = *has_byte || pattern[i + 1] == 'C';
        out += pattern[++i];
      }
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
      for (size_t first = i + 1; first < pattern.size(); ++first) {  // "]" right at the start is itself
        if (pattern[first] == '^' && first == i + 1) {
          out += pattern[first];
          continue;
        }
        if (pattern[first] == ']') out += ']', ++first;
        i = first - 1;
        break;
      }
    } else if (c == '(' && pattern.substr(i + 1).starts_with("?<") && i + 3 < pattern.size() &&
               pattern[i + 3] != '=' && pattern[i + 3] != '!') {
      out += "?P<";
      i += 2;
    }
  }
  return out;
}

/// Go's words for what is wrong with a pattern.
std::string_view regex_problem(RE2::ErrorCode code) {
  switch (code) {
    case RE2::ErrorBadEscape:
      return "invalid escape sequence";
    case RE2::ErrorBadCharClass:
      return "invalid character class";
    case RE2::ErrorBadCharRange:
      return "invalid character class range";
    case RE2::ErrorMissingBracket:
      return "missing closing ]";
    case RE2::ErrorMissingParen:
      return "missing closing )";
    case RE2::ErrorUnexpectedParen:
      return "unexpected )";
    case RE2::ErrorTrailingBackslash:
      return "trailing backslash at end of expression";
    case RE2::ErrorRepeatArgument:
      return "missing argument to repetition operator";
    case RE2::ErrorRepeatSize:
      return "invalid repeat count";
    case RE2::ErrorRepeatOp:
      return "invalid nested repetition operator";
    case RE2::ErrorBadPerlOp:
      return "invalid or unsupported Perl syntax";
    case RE2::ErrorBadUTF8:
      return "invalid UTF-8";
    case RE2::ErrorBadNamedCapture:
      return "invalid named capture";
    case RE2::ErrorPatternTooLarge:
      return "expression too large";
    default:
      return "regexp/syntax: internal error";
  }
}

struct CompiledRegex {
  std::unique_ptr<RE2> re;
  std::string problem;     ///< not empty: it does not compile
  std::string expression;  ///< the part of the pattern that is wrong
};

CompiledRegex compile_regex(const std::string& pattern) {
  RE2::Options options;
  options.set_log_errors(false);
  CompiledRegex out;
  bool has_byte = false;
  out.re = std::make_unique<RE2>(with_named_groups(pattern, &has_byte), options);
  if (out.re->ok() && has_byte) {
    out.problem = regex_problem(RE2::ErrorBadEscape);
    out.expression = "\\C";
  }
  if (out.re->ok()) return out;
  out.problem = regex_problem(out.re->error_code());
  out.expression = out.re->error_arg();
  bool whole = out.re->error_code() == RE2::ErrorMissingParen ||
               out.re->error_code() == RE2::ErrorUnexpectedParen ||
               out.re->error_code() == RE2::ErrorPatternTooLarge;
  if (whole) out.expression = pattern;
  if (out.re->error_code() == RE2::ErrorTrailingBackslash) out.expression = "";
  return out;
}

std::vector<std::string> group_names(const RE2& re) {
  std::vector<std::string> out(static_cast<size_t>(re.NumberOfCapturingGroups()) + 1);
  for (const auto& [number, name] : re.CapturingGroupNames()) out[static_cast<size_t>(number)] = name;
  return out;
}

/// What a match becomes: text without groups, a tuple of unnamed ones, an object of named ones.
HclType match_type(const std::string& pattern) {
  CompiledRegex regex = compile_regex(pattern);
  if (!regex.problem.empty()) {
    fail(fmt::format("invalid regexp pattern: {} in {}", regex.problem, regex.expression), 0);
  }
  std::vector<std::string> names = group_names(*regex.re);
  HclType::Attributes attributes;
  size_t unnamed = 0;
  for (size_t i = 1; i < names.size(); ++i) {
    if (names[i].empty())
      ++unnamed;
    else
      attributes[names[i]] = HclType::string();
  }
  if (unnamed > 0 && !attributes.empty()) {
    fail("invalid regexp pattern: cannot mix both named and unnamed capture groups", 0);
  }
  if (unnamed > 0) return HclType::tuple(std::vector<HclType>(unnamed, HclType::string()));
  return attributes.empty() ? HclType::string() : HclType::object(std::move(attributes));
}

using Groups = std::vector<re2::StringPiece>;

HclValue match_value(const Groups& groups, const std::vector<std::string>& names, const HclType& type) {
  auto text_of = [](re2::StringPiece piece) {
    if (piece.data() == nullptr) return HclValue::null(HclType::string());
    return HclValue::string(std::string(piece.data(), piece.size()));
  };
  if (type.is(HclType::Kind::string)) return text_of(groups[0]);
  if (type.is(HclType::Kind::tuple)) {
    HclValue::Items items;
    for (size_t i = 1; i < groups.size(); ++i) items.push_back(text_of(groups[i]));
    return HclValue::tuple(std::move(items));
  }
  HclValue::Members members;
  for (size_t i = 1; i < groups.size(); ++i) members[names[i]] = text_of(groups[i]);
  return HclValue::object(std::move(members));
}

/// Walks over all matches that do not overlap, as Go finds them: an empty one is not taken right behind
/// another.
class RegexMatches {
 public:
  RegexMatches(const RE2& re, std::string_view text)
      : re_(re),
        text_(text.data(), text.size()),
        groups_(static_cast<size_t>(re.NumberOfCapturingGroups()) + 1) {}

  bool next() {
    while (at_ <= text_.size()) {
      if (!re_.Match(text_, at_, text_.size(), RE2::UNANCHORED, groups_.data(),
                     static_cast<int>(groups_.size())))
        break;
      bool accept = end() != begin() || begin() != previous_end_;
      if (end() == begin()) {
        std::string_view rest(text_.data() + end(), text_.size() - end());
        size_t before = rest.size();
        if (!rest.empty()) take_rune(rest);
        at_ = end() + std::max<size_t>(before - rest.size(), 1);
      } else {
        at_ = end();
      }
      previous_end_ = end();
      if (accept) return true;
    }
    at_ = text_.size() + 1;
    return false;
  }
  size_t begin() const { return static_cast<size_t>(groups_[0].data() - text_.data()); }
  size_t end() const { return begin() + groups_[0].size(); }
  const Groups& groups() const { return groups_; }

 private:
  const RE2& re_;
  re2::StringPiece text_;
  Groups groups_;
  size_t at_ = 0;
  size_t previous_end_ = static_cast<size_t>(-1);
};

bool is_group_name_byte(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// "$1", "${1}", "$name" of a replacement; any other "$" is itself.
void expand_replacement(std::string_view replacement, const Groups& groups,
                        const std::vector<std::string>& names, std::string& out) {
  while (!replacement.empty()) {
    size_t dollar = std::min(replacement.find('$'), replacement.size());
    out += replacement.substr(0, dollar);
    replacement.remove_prefix(dollar);
    if (replacement.empty()) break;
    if (replacement.starts_with("$$")) {
      out += '$';
      replacement.remove_prefix(2);
      continue;
    }
    bool braces = replacement.starts_with("${");
    size_t begin = braces ? 2 : 1, end = begin;
    while (end < replacement.size() && is_group_name_byte(replacement[end])) ++end;
    if (end == begin || (braces && (end >= replacement.size() || replacement[end] != '}'))) {
      out += '$';
      replacement.remove_prefix(1);
      continue;
    }
    std::string_view name = replacement.substr(begin, end - begin);
    replacement.remove_prefix(end + (braces ? 1 : 0));
    bool number = name.size() < 9 &&
                  std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
                  !(name.size() > 1 && name[0] == '0');
    for (size_t i = 0; i < groups.size(); ++i) {
      bool is_it = number ? std::to_string(i) == name : i > 0 && names[i] == name;
      if (!is_it || groups[i].data() == nullptr) continue;
      out.append(groups[i].data(), groups[i].size());
      break;
    }
    check_text(out.size());
  }
}

HclValue regex_first(const Arguments& arguments, const HclType& type, const HclHost&) {
  CompiledRegex regex = compile_regex(arguments[0].as_string());
  RegexMatches matches(*regex.re, arguments[1].as_string());
  if (!matches.next()) fail("pattern did not match any part of the given string");
  return match_value(matches.groups(), group_names(*regex.re), type);
}

HclValue regex_all(const Arguments& arguments, const HclType& type, const HclHost&) {
  CompiledRegex regex = compile_regex(arguments[0].as_string());
  std::vector<std::string> names = group_names(*regex.re);
  RegexMatches matches(*regex.re, arguments[1].as_string());
  HclValue::Items items;
  while (matches.next()) {
    check_items(items.size() + 1);
    items.push_back(match_value(matches.groups(), names, type.element()));
  }
  return HclValue::list(type.element(), std::move(items));
}

std::string regex_replace(const std::vector<std::string>& texts) {
  CompiledRegex regex = compile_regex(texts[1]);
  if (!regex.problem.empty()) {
    fail(fmt::format("error parsing regexp: {}: `{}`", regex.problem, regex.expression));
  }
  std::vector<std::string> names = group_names(*regex.re);
  RegexMatches matches(*regex.re, texts[0]);
  std::string out;
  size_t taken = 0;
  while (matches.next()) {
    out += std::string_view(texts[0]).substr(taken, matches.begin() - taken);
    expand_replacement(texts[2], matches.groups(), names, out);
    check_text(out.size());
    taken = matches.end();
  }
  return out + texts[0].substr(taken);
}

/// Go's strings.Replace: an empty text is found before every character and at the end.
std::string replace_every(const std::vector<std::string>& texts) {
  const auto& [text, old_text, new_text] = std::tie(texts[0], texts[1], texts[2]);
  std::string out;
  std::string_view rest = text;
  while (true) {
    size_t at = rest.find(old_text);
    if (old_text.empty()) {
      out += new_text;
      std::string_view before = rest;
      if (rest.empty()) return out;
      take_rune(rest);
      out += before.substr(0, before.size() - rest.size());
    } else {
      if (at == std::string_view::npos) return out.append(rest);
      out.append(rest.substr(0, at)).append(new_text);
      rest.remove_prefix(at + old_text.size());
    }
    check_text(out.size());
  }
}

}  // namespace

void add_regex(HclFunctionTable& table) {
  table["regex"] = function(
      "Finds the first match of a regular expression: its text, a tuple of its groups, or an object of its "
      "named groups.",
      {text("pattern"), text("string")},
      [](const Arguments& a) { return a[0].is_known() ? match_type(a[0].as_string()) : HclType::dynamic(); },
      regex_first);
  table["regexall"] = function(
      "Finds all matches of a regular expression.", {text("pattern"), text("string")},
      [](const Arguments& a) {
        return HclType::list(a[0].is_known() ? match_type(a[0].as_string()) : HclType::dynamic());
      },
      regex_all);
  table["regex_replace"] =
      text_function("Replaces all matches of a regular expression; $1 or ${name} stands for a group.",
                    {"str", "pattern", "replace"}, regex_replace);
  table["replace"] = text_function("Replaces every occurrence of a text by another.",
                                   {"str", "substr", "replace"}, replace_every);
}

}  // namespace kiln::hcl_fn
