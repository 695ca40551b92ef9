#include "tester/goss/matcher.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace kiln {

namespace {

using Kind = Value::Kind;

GossMatch yes_if(bool matched) { return {matched, "", ""}; }
GossMatch senseless(std::string why) { return {false, std::move(why), ""}; }

bool is_scalar(const Value& value) {
  return value.is_string() || value.kind() == Kind::number || value.kind() == Kind::boolean;
}

std::optional<double> parsed_number(std::string_view text) {
  std::string trimmed(trim(text));
  if (trimmed.empty()) return std::nullopt;
  char* end = nullptr;
  double number = std::strtod(trimmed.c_str(), &end);
  if (*end != '\0') return std::nullopt;
  return number;
}

std::optional<double> number_of(const Value& value) {
  if (value.kind() == Kind::number) return parsed_number(value.as_number().text);
  if (value.is_string() || value.is_list()) return parsed_number(goss_text(value));
  return std::nullopt;
}

GossMatch compare_numbers(const std::string& name, const Value& expected, const Value& actual) {
  auto right = expected.kind() == Kind::number ? number_of(expected) : std::nullopt;
  if (!right) return senseless(fmt::format("{} is no number to compare with", goss_shown(expected)));
  auto left = number_of(actual);
  if (!left) return senseless(fmt::format("{} is no number", goss_shown(actual)));
  if (name == "gt") return yes_if(*left > *right);
  if (name == "ge") return yes_if(*left >= *right);
  if (name == "lt") return yes_if(*left < *right);
  if (name == "le") return yes_if(*left <= *right);
  return yes_if(*left == *right);
}

Value as_array(const Value& actual) {
  if (!actual.is_string()) return actual;
  Value::List lines;
  for (auto& line : split(actual.as_string(), '\n')) lines.emplace_back(std::move(line));
  return Value(std::move(lines));
}

/// Pairs every matcher with an element of its own, if that can be done: augmenting paths. Returns the matchers
/// left alone.
std::vector<size_t> pair_elements(const Value::List& matchers, const Value::List& elements) {
  std::vector<std::vector<size_t>> fits(matchers.size());
  for (size_t i = 0; i < matchers.size(); ++i) {
    for (size_t j = 0; j < elements.size(); ++j) {
      if (match_goss(matchers[i], elements[j]).matched) fits[i].push_back(j);
    }
  }
  std::vector<std::optional<size_t>> owner(elements.size());
  std::vector<bool> tried;
  std::function<bool(size_t)> place = [&](size_t matcher) {
    for (size_t element : fits[matcher]) {
      if (tried[element]) continue;
      tried[element] = true;
      if (owner[element] && !place(*owner[element])) continue;
      owner[element] = matcher;
      return true;
    }
    return false;
  };
  std::vector<size_t> alone;
  for (size_t i = 0; i < matchers.size(); ++i) {
    tried.assign(elements.size(), false);
    if (!place(i)) alone.push_back(i);
  }
  return alone;
}

GossMatch contain_elements(const Value::List& matchers, const Value& actual, bool exactly) {
  if (!actual.is_list()) return senseless(fmt::format("a list is expected, found {}", goss_shown(actual)));
  auto alone = pair_elements(matchers, actual.as_list());
  GossMatch out = yes_if(alone.empty() && (!exactly || matchers.size() == actual.as_list().size()));
  Value::List missing;
  for (size_t i : alone) missing.push_back(matchers[i]);
  if (!missing.empty()) out.missing = to_json(Value(missing));
  return out;
}

GossMatch contain_one(const Value& matcher, const Value& actual) {
  if (!actual.is_list()) return senseless(fmt::format("a list is expected, found {}", goss_shown(actual)));
  for (const auto& item : actual.as_list()) {
    if (match_goss(matcher, item).matched) return yes_if(true);
  }
  return yes_if(false);
}

GossMatch have_length(const Value& expected, const Value& actual) {
  size_t length = actual.is_string()   ? actual.as_string().size()
                  : actual.is_list()   ? actual.as_list().size()
                  : actual.is_object() ? actual.as_object().size()
                                       : std::string::npos;
  if (length == std::string::npos) return senseless(fmt::format("{} has no length", goss_shown(actual)));
  return compare_numbers("eq", expected, Value(static_cast<int64_t>(length)));
}

GossMatch have_key(const Value& matcher, const Value& actual) {
  if (!actual.is_object()) return senseless(fmt::format("{} has no keys", goss_shown(actual)));
  for (const auto& member : actual.as_object()) {
    if (match_goss(matcher, Value(member.key)).matched) return yes_if(true);
  }
  return yes_if(false);
}

GossMatch match_semver(const std::string& range, const Value& actual) {
  Value::List versions = actual.is_list() ? actual.as_list() : Value::List{actual};
  bool all = true;
  for (const auto& version : versions) {
    auto one = version.is_string() ? satisfies_semver(version.as_string(), range) : std::nullopt;
    if (!one) return senseless(fmt::format("{} is no version of three numbers, or \"{}\" no range", goss_shown(version), range));
    all = all && *one;
  }
  if (versions.empty()) return senseless("there is no version");
  return yes_if(all);
}

GossMatch match_expression(const std::string& pattern, const Value& actual) {
  RE2 expression(pattern, RE2::Quiet);
  if (!expression.ok()) return senseless("error parsing regexp: " + expression.error());
  return yes_if(RE2::PartialMatch(goss_text(actual), expression));
}

// --- gjson: member.member, indexes, # (how many, or that of each), @this ---

/// Of what is nested too deeply for a stage's small stack only the outside is kept.
Value from_json(const nlohmann::json& json, int depth = 0) {
  if (depth > 200) return {};
  switch (json.type()) {
    case nlohmann::json::value_t::boolean:
      return Value(json.get<bool>());
    case nlohmann::json::value_t::number_integer:
    case nlohmann::json::value_t::number_unsigned:
    case nlohmann::json::value_t::number_float:
      return Value(Number{json.dump()});
    case nlohmann::json::value_t::string:
      return Value(json.get<std::string>());
    case nlohmann::json::value_t::array: {
      Value::List list;
      for (const auto& item : json) list.push_back(from_json(item, depth + 1));
      return Value(std::move(list));
    }
    case nlohmann::json::value_t::object: {
      Value object = Value::empty_object();
      for (const auto& [key, item] : json.items()) object.set(key, from_json(item, depth + 1));
      return object;
    }
    default:
      return {};
  }
}

std::vector<std::string> gjson_steps(const std::string& path) {
  std::vector<std::string> steps(1);
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\' && i + 1 < path.size()) {
      steps.back() += path[++i];
    } else if (path[i] == '.' || path[i] == '|') {
      steps.emplace_back();
    } else {
      steps.back() += path[i];
    }
  }
  return steps;
}

std::optional<Value> gjson_get(const Value& from, const std::vector<std::string>& steps, size_t at) {
  if (at == steps.size()) return from;
  const std::string& step = steps[at];
  if (step == "@this") return gjson_get(from, steps, at + 1);
  if (from.is_object()) {
    const Value* found = from.find(step);
    return found == nullptr ? std::nullopt : gjson_get(*found, steps, at + 1);
  }
  if (!from.is_list()) return std::nullopt;
  const auto& list = from.as_list();
  if (step == "#" && at + 1 == steps.size()) return Value(static_cast<int64_t>(list.size()));
  if (step == "#") {
    Value::List out;
    for (const auto& item : list) {
      if (auto one = gjson_get(item, steps, at + 1)) out.push_back(*one);
    }
    return Value(std::move(out));
  }
  auto index = parsed_number(step);
  if (!index || *index < 0 || *index >= static_cast<double>(list.size())) return std::nullopt;
  return gjson_get(list[static_cast<size_t>(*index)], steps, at + 1);
}

GossMatch match_gjson(const Value& paths, const Value& actual) {
  if (!actual.is_string()) return senseless(fmt::format("a text of JSON is expected, found {}", goss_shown(actual)));
  auto json = nlohmann::json::parse(actual.as_string(), nullptr, false);
  if (json.is_discarded()) return senseless("Invalid json");
  Value root = from_json(json);
  for (const auto& [path, matcher, range] : paths.as_object()) {
    auto found = gjson_get(root, gjson_steps(path), 0);
    if (!found) return senseless("Path not found: " + path);
    GossMatch one = match_goss(matcher, *found);
    if (!one.matched) return one;
  }
  return yes_if(true);
}

// --- the table of matchers ---

enum class Takes { anything, text, number, patterns, matcher, matchers, element, paths };

struct MatcherKind {
  Takes takes;
  std::function<GossMatch(const Value& argument, const Value& actual)> match;
};

GossMatch match_all(const Value& matchers, const Value& actual) {
  for (const auto& one : matchers.as_list()) {
    GossMatch result = match_goss(one, actual);
    if (!result.matched) return result;
  }
  return yes_if(true);
}

GossMatch match_any(const Value& matchers, const Value& actual) {
  for (const auto& one : matchers.as_list()) {
    GossMatch result = match_goss(one, actual);
    if (result.matched || !result.error.empty()) return result;
  }
  return yes_if(false);
}

GossMatch match_not(const Value& matcher, const Value& actual) {
  GossMatch result = match_goss(matcher, actual);
  return result.error.empty() ? yes_if(!result.matched) : result;
}

std::map<std::string, MatcherKind> make_matchers() {
  std::map<std::string, MatcherKind> out;
  auto numeric = [&](const std::string& name) {
    out[name] = {Takes::number, [name](const Value& a, const Value& found) { return compare_numbers(name, a, found); }};
  };
  for (auto name : {"gt", "ge", "lt", "le"}) numeric(name);
  out["equal"] = {Takes::anything, [](const Value& a, const Value& found) { return yes_if(a == found); }};
  out["have-prefix"] = {Takes::text, [](const Value& a, const Value& found) {
                          return yes_if(goss_text(found).starts_with(a.as_string()));
                        }};
  out["have-suffix"] = {Takes::text, [](const Value& a, const Value& found) {
                          return yes_if(goss_text(found).ends_with(a.as_string()));
                        }};
  out["contain-substring"] = {Takes::text, [](const Value& a, const Value& found) {
                                return yes_if(contains(goss_text(found), a.as_string()));
                              }};
  out["match-regexp"] = {Takes::text,
                         [](const Value& a, const Value& found) { return match_expression(a.as_string(), found); }};
  out["semver-constraint"] = {Takes::text,
                              [](const Value& a, const Value& found) { return match_semver(a.as_string(), found); }};
  out["have-len"] = {Takes::number, have_length};
  out["have-key"] = {Takes::matcher, have_key};
  out["have-patterns"] = {Takes::patterns, [](const Value& a, const Value& found) {
                            return match_goss_patterns(a.as_list(), goss_text(found));
                          }};
  out["contain-element"] = {Takes::element,
                            [](const Value& a, const Value& found) { return contain_one(a, as_array(found)); }};
  out["contain-elements"] = {Takes::matchers, [](const Value& a, const Value& found) {
                               return contain_elements(a.as_list(), as_array(found), false);
                             }};
  out["consist-of"] = {Takes::matchers, [](const Value& a, const Value& found) {
                         return contain_elements(a.as_list(), found, true);
                       }};
  out["and"] = {Takes::matchers, match_all};
  out["or"] = {Takes::matchers, match_any};
  out["not"] = {Takes::matcher, match_not};
  out["gjson"] = {Takes::paths, match_gjson};
  return out;
}

const std::map<std::string, MatcherKind>& goss_matchers() {
  static const auto table = make_matchers();
  return table;
}

void complain_of_argument(const std::string& name, const char* wanted, const Value& argument, Diagnostics& diagnostics) {
  diagnostics.error(fmt::format("\"{}\" takes {}, not {}", name, wanted, to_string(argument.kind())), "", argument.range);
}

void check_expression(const std::string& pattern, const SourceRange& range, Diagnostics& diagnostics) {
  RE2 expression(pattern, RE2::Quiet);
  if (!expression.ok()) diagnostics.error("error parsing regexp: " + expression.error(), "", range);
}

void check_argument(const std::string& name, Takes takes, const Value& argument, Diagnostics& diagnostics) {
  auto wrong = [&](const char* wanted) { complain_of_argument(name, wanted, argument, diagnostics); };
  auto each = [&] {
    for (const auto& item : argument.as_list()) check_goss_matcher(item, diagnostics);
  };
  switch (takes) {
    case Takes::anything:
      return;
    case Takes::text:
      if (!argument.is_string()) return wrong("a text");
      if (name == "match-regexp") check_expression(argument.as_string(), argument.range, diagnostics);
      if (name == "semver-constraint" && !satisfies_semver("1.0.0", argument.as_string())) {
        diagnostics.error(fmt::format("\"{}\" is no range of versions, as \">=1.2.0 <2.0.0\"", argument.as_string()), "", argument.range);
      }
      return;
    case Takes::number:
      if (argument.kind() != Kind::number) wrong("a number");
      return;
    case Takes::patterns:
      if (!argument.is_list()) return wrong("a list of patterns");
      for (const auto& item : argument.as_list()) {
        if (!item.is_string()) wrong("a list of patterns");
      }
      return;
    case Takes::matcher:
      return check_goss_matcher(argument, diagnostics);
    case Takes::matchers:
      if (!argument.is_list()) return wrong("a list of matchers");
      return each();
    case Takes::element:
      if (argument.is_list() || argument.kind() == Kind::boolean) return wrong("a matcher, a text or a number");
      return check_goss_matcher(argument, diagnostics);
    case Takes::paths:
      if (!argument.is_object()) return wrong("paths with their matchers");
      for (const auto& member : argument.as_object()) check_goss_matcher(member.value, diagnostics);
      return;
  }
}

// --- patterns ---

struct Pattern {
  bool inverse = false;
  std::string text;
  std::unique_ptr<RE2> expression;
  bool in(const std::string& line) const {
    return expression ? RE2::PartialMatch(line, *expression) : contains(line, text);
  }
};

Pattern parse_pattern(const std::string& written) {
  Pattern out;
  out.inverse = written.starts_with('!');
  bool slashes = (written.starts_with("/") || written.starts_with("!/")) && written.ends_with("/");
  if (slashes && written.size() > (out.inverse ? 2u : 1u)) {
    size_t begin = out.inverse ? 2 : 1;
    out.text = written.substr(begin, written.size() - begin - 1);
    out.expression = std::make_unique<RE2>(out.text, RE2::Quiet);
  } else {
    size_t begin = written.find_first_not_of("\\/!");
    out.text = begin == std::string::npos ? "" : written.substr(begin);
  }
  return out;
}

bool pattern_holds(const Pattern& pattern, const std::vector<std::string>& lines) {
  bool found = std::any_of(lines.begin(), lines.end(), [&](const std::string& line) { return pattern.in(line); });
  return found != pattern.inverse;
}

std::vector<std::string> lines_of(const std::string& text) {
  if (text.empty()) return {};
  auto lines = split(text, '\n');
  if (lines.back().empty()) lines.pop_back();
  for (auto& line : lines) {
    if (line.ends_with('\r')) line.pop_back();
  }
  return lines;
}

}  // namespace

GossMatch match_goss_patterns(const Value::List& patterns, const std::string& text) {
  auto lines = lines_of(text);
  Value::List missing;
  for (const auto& written : patterns) {
    if (!written.is_string()) return senseless(fmt::format("{} is no pattern", goss_shown(written)));
    Pattern pattern = parse_pattern(written.as_string());
    if (pattern.expression && !pattern.expression->ok()) {
      return senseless("error parsing regexp: " + pattern.expression->error());
    }
    if (!written.as_string().empty() && !pattern_holds(pattern, lines)) missing.push_back(written);
  }
  GossMatch out = yes_if(missing.empty());
  if (!missing.empty()) out.missing = to_json(Value(missing));
  return out;
}

void check_goss_matcher(const Value& expected, Diagnostics& diagnostics) {
  if (is_scalar(expected)) return;
  if (expected.is_null()) {
    diagnostics.error("A value or a matcher is missing here", "", expected.range);
    return;
  }
  if (expected.is_list()) {
    for (const auto& item : expected.as_list()) check_goss_matcher(item, diagnostics);
    return;
  }
  const auto& members = expected.as_object();
  if (members.size() != 1) {
    diagnostics.error(members.empty() ? "A matcher is missing here" : "Only one matcher can stand here", "",
                      members.empty() ? expected.range : members[1].key_range,
                      members.empty() ? "" : "Several are joined by `and: [...]`.");
    return;
  }
  const Member& only = members.front();
  auto kind = goss_matchers().find(only.key);
  if (kind == goss_matchers().end()) {
    std::vector<std::string> names;
    for (const auto& [name, one] : goss_matchers()) names.push_back(name);
    auto nearest = nearest_name(only.key, names);
    diagnostics.error(fmt::format("There is no matcher \"{}\"", only.key), "", only.key_range,
                      nearest ? fmt::format("Did you mean \"{}\"?", *nearest) : "");
    return;
  }
  check_argument(only.key, kind->second.takes, only.value, diagnostics);
}

GossMatch match_goss(const Value& expected, const Value& actual) {
  switch (expected.kind()) {
    case Kind::string:
      return yes_if(goss_text(actual) == expected.as_string());
    case Kind::number:
      return compare_numbers("eq", expected, actual);
    case Kind::boolean:
      return yes_if(actual == expected);
    case Kind::list:
      return contain_elements(expected.as_list(), actual, false);
    case Kind::object:
      break;
    default:
      return senseless("nothing is expected");
  }
  if (expected.as_object().size() != 1) return senseless("one matcher is expected");
  const Member& only = expected.as_object().front();
  auto kind = goss_matchers().find(only.key);
  if (kind == goss_matchers().end()) return senseless("there is no matcher " + only.key);
  Diagnostics wrong;
  check_argument(only.key, kind->second.takes, only.value, wrong);
  if (wrong.has_errors()) return senseless(wrong.items().front().summary);
  return kind->second.match(only.value, actual);
}

std::string goss_text(const Value& value) {
  switch (value.kind()) {
    case Kind::string:
      return value.as_string();
    case Kind::number:
      return value.as_number().text;
    case Kind::boolean:
      return value.as_bool() ? "true" : "false";
    case Kind::list: {
      std::vector<std::string> lines;
      for (const auto& item : value.as_list()) lines.push_back(goss_text(item));
      return join(lines, "\n");
    }
    case Kind::null:
      return "<nil>";
    default:
      return to_json(value);
  }
}

std::string goss_shown(const Value& value) { return is_scalar(value) ? goss_text(value) : to_json(value); }

}  // namespace kiln
