#include "lang/option.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace kiln {

namespace {

void wrong_type(const Value& value, const std::string& name, std::string_view expected, DecodeContext& context) {
  context.diagnostics.error(
      fmt::format("'{}' expected type '{}', got unconvertible type '{}'", name, expected, to_string(value.kind())), "",
      value.range, fmt::format("In {}: \"{}\" takes a {}.", context.component, name, expected));
}

void not_a(const Value& value, const std::string& name, std::string_view expected, DecodeContext& context) {
  context.diagnostics.error(fmt::format("cannot parse '{}' as {}: {}", name, expected, go_quote(value.as_string())), "",
                            value.range, fmt::format("In {}: \"{}\" takes a {}.", context.component, name, expected));
}

std::optional<bool> parse_go_bool(std::string_view text) {
  for (auto word : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == word) return true;
  }
  for (auto word : {"0", "f", "F", "false", "FALSE", "False", ""}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

std::optional<double> parse_number(std::string_view text) {
  double out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

std::optional<int64_t> parse_integer(std::string_view text) {
  int base = 10;
  bool negative = text.starts_with('-');
  std::string_view digits = negative || text.starts_with('+') ? text.substr(1) : text;
  if (digits.starts_with("0x")) base = 16, digits.remove_prefix(2);
  else if (digits.starts_with("0o")) base = 8, digits.remove_prefix(2);
  else if (digits.size() > 1 && digits[0] == '0') base = 8, digits.remove_prefix(1);
  int64_t out = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out, base);
  if (error != std::errc() || digits.empty() || end != digits.data() + digits.size()) return std::nullopt;
  return negative ? -out : out;
}

/// Renders every string in the value; template errors become diagnostics in Packer's wording.
Value render_strings(const Value& value, const std::string& key, DecodeContext& context) {
  Value out = value;
  if (value.is_string()) {
    if (!contains(value.as_string(), "{{")) return out;
    if (auto error = validate_template(value.as_string(), context.scope)) {
      context.diagnostics.error(fmt::format("invalid '{}': {} in:\n\n{}", key, *error, value.as_string()), "",
                                value.range);
      return out;
    }
    Rendered rendered = render_template_once(value.as_string(), context.scope);
    if (!rendered.ok()) {
      context.diagnostics.error(fmt::format("render '{}': {} in:\n\n{}", key, *rendered.error, value.as_string()), "",
                                value.range);
      return out;
    }
    out = Value(rendered.text);
    out.range = value.range;
    out.secret = value.secret;
  } else if (value.is_list()) {
    for (auto& item : out.as_list()) item = render_strings(item, key, context);
  } else if (value.is_object()) {
    for (auto& member : out.as_object()) {
      Value key_value{member.key};
      key_value.range = member.key_range;
      member.key = render_strings(key_value, key, context).as_string();
      member.value = render_strings(member.value, key + "." + member.key, context);
    }
  }
  return out;
}

}  // namespace

bool decode_value(const Value& value, const std::string& name, std::string& out, DecodeContext& context) {
  switch (value.kind()) {
    case Value::Kind::string: out = value.as_string(); return true;
    case Value::Kind::number: out = value.as_number().text; return true;
    case Value::Kind::boolean: out = value.as_bool() ? "1" : "0"; return true;
    case Value::Kind::null: return true;
    case Value::Kind::unknown: out = "<unknown>"; return true;
    default: wrong_type(value, name, "string", context); return false;
  }
}

bool decode_value(const Value& value, const std::string& name, bool& out, DecodeContext& context) {
  switch (value.kind()) {
    case Value::Kind::boolean: out = value.as_bool(); return true;
    case Value::Kind::number: out = parse_number(value.as_number().text).value_or(0) != 0; return true;
    case Value::Kind::string:
      if (auto parsed = parse_go_bool(value.as_string())) {
        out = *parsed;
        return true;
      }
      not_a(value, name, "bool", context);
      return false;
    case Value::Kind::null: return true;
    case Value::Kind::unknown: out = false; return true;
    default: wrong_type(value, name, "bool", context); return false;
  }
}

bool decode_value(const Value& value, const std::string& name, int64_t& out, DecodeContext& context) {
  switch (value.kind()) {
    case Value::Kind::number: {
      if (auto integer = parse_integer(value.as_number().text)) out = *integer;
      else out = static_cast<int64_t>(parse_number(value.as_number().text).value_or(0));
      return true;
    }
    case Value::Kind::boolean: out = value.as_bool() ? 1 : 0; return true;
    case Value::Kind::string:
      if (auto parsed = parse_integer(value.as_string().empty() ? "0" : value.as_string())) {
        out = *parsed;
        return true;
      }
      not_a(value, name, "number", context);
      return false;
    case Value::Kind::null: return true;
    case Value::Kind::unknown: out = 0; return true;
    default: wrong_type(value, name, "number", context); return false;
  }
}

bool decode_value(const Value& value, const std::string& name, int& out, DecodeContext& context) {
  int64_t wide = out;
  if (!decode_value(value, name, wide, context)) return false;
  if (wide < INT32_MIN || wide > INT32_MAX) {
    context.diagnostics.error(fmt::format("'{}' is out of range: {}", name, wide), "", value.range);
    return false;
  }
  out = static_cast<int>(wide);
  return true;
}

bool decode_value(const Value& value, const std::string& name, double& out, DecodeContext& context) {
  std::string text;
  if (value.kind() == Value::Kind::number) text = value.as_number().text;
  else if (value.is_string()) text = value.as_string();
  else if (value.is_null() || value.is_unknown()) return true;
  else {
    wrong_type(value, name, "number", context);
    return false;
  }
  auto parsed = parse_number(text);
  if (!parsed) {
    not_a(Value(text), name, "number", context);
    return false;
  }
  out = *parsed;
  return true;
}

bool decode_value(const Value& value, const std::string& name, Duration& out, DecodeContext& context) {
  if (value.is_string()) {
    if (auto parsed = parse_go_duration(value.as_string())) {
      out = *parsed;
      return true;
    }
    context.diagnostics.error(
        fmt::format("error decoding '{}': time: invalid duration {}", name, go_quote(value.as_string())), "",
        value.range, "A duration is a number with a unit: \"300ms\", \"10s\", \"1h30m\".");
    return false;
  }
  int64_t nanos = out.count();
  if (!decode_value(value, name, nanos, context)) return false;
  out = Duration(nanos);
  return true;
}

bool decode_value(const Value& value, const std::string&, Value& out, DecodeContext&) {
  out = value;
  return true;
}

bool decode_value(const Value& value, const std::string& name, std::vector<std::string>& out, DecodeContext& context) {
  out.clear();
  if (value.is_null() || value.is_unknown()) return true;
  if (value.is_string()) {
    if (!value.as_string().empty()) out = split(value.as_string(), ',');
    return true;
  }
  if (value.is_object()) {
    wrong_type(value, name, "list(string)", context);
    return false;
  }
  Value::List list = value.is_list() ? value.as_list() : Value::List{value};
  bool ok = true;
  for (size_t i = 0; i < list.size(); ++i) {
    out.emplace_back();
    ok &= decode_value(list[i], fmt::format("{}[{}]", name, i), out.back(), context);
  }
  return ok;
}

bool decode_value(const Value& value, const std::string& name, std::vector<int>& out, DecodeContext& context) {
  out.clear();
  std::vector<std::string> texts;
  if (value.is_string()) {
    texts = split(value.as_string(), ',');
    Value::List list;
    for (auto& text : texts) {
      list.emplace_back(text);
      list.back().range = value.range;
    }
    return decode_value(Value(list), name, out, context);
  }
  if (value.is_null() || value.is_unknown()) return true;
  Value::List list = value.is_list() ? value.as_list() : Value::List{value};
  bool ok = true;
  for (size_t i = 0; i < list.size(); ++i) {
    out.push_back(0);
    ok &= decode_value(list[i], fmt::format("{}[{}]", name, i), out.back(), context);
  }
  return ok;
}

bool decode_value(const Value& value, const std::string& name, std::vector<std::vector<std::string>>& out,
                  DecodeContext& context) {
  out.clear();
  if (value.is_null() || value.is_unknown()) return true;
  if (!value.is_list()) {
    wrong_type(value, name, "list(list(string))", context);
    return false;
  }
  bool ok = true;
  for (size_t i = 0; i < value.as_list().size(); ++i) {
    out.emplace_back();
    ok &= decode_value(value.as_list()[i], fmt::format("{}[{}]", name, i), out.back(), context);
  }
  return ok;
}

bool decode_value(const Value& value, const std::string& name, std::map<std::string, std::string>& out,
                  DecodeContext& context) {
  out.clear();
  if (value.is_null() || value.is_unknown()) return true;
  Value::List maps = value.is_list() ? value.as_list() : Value::List{value};
  bool ok = true;
  for (const auto& map : maps) {
    if (!map.is_object()) {
      wrong_type(map, name, "map(string)", context);
      return false;
    }
    for (const auto& member : map.as_object()) {
      ok &= decode_value(member.value, name + "[" + member.key + "]", out[member.key], context);
    }
  }
  return ok;
}

void decode_options(const Value& object, const std::vector<OptionDoc>& docs, DecodeContext& context,
                    const std::function<void(size_t, const Value&)>& set) {
  if (!object.is_object()) {
    if (!object.is_null()) wrong_type(object, context.component, "object", context);
    return;
  }
  std::vector<std::string> names;
  names.reserve(docs.size());
  for (const auto& doc : docs) names.push_back(doc.name);
  std::vector<bool> seen(docs.size());
  for (const auto& member : object.as_object()) {
    size_t index = 0;
    auto is_named = [&](const OptionDoc& doc) {
      return doc.name == member.key ||
             std::find(doc.aliases.begin(), doc.aliases.end(), member.key) != doc.aliases.end();
    };
    while (index < docs.size() && !is_named(docs[index])) ++index;
    if (index == docs.size()) {
      if (member.key == "type" || member.key.starts_with("packer_")) continue;
      auto nearest = nearest_name(member.key, names);
      context.diagnostics.error(
          fmt::format("unknown configuration key: '{}'", go_quote(member.key)), "",
          member.key_range.known() ? member.key_range : member.value.range,
          nearest ? fmt::format("Did you mean \"{}\"?", *nearest)
                  : fmt::format("\"{}\" is no option of {}.", member.key, context.component));
      continue;
    }
    seen[index] = true;
    set(index, docs[index].raw ? member.value : render_strings(member.value, member.key, context));
  }
  for (size_t i = 0; i < docs.size(); ++i) {
    if (docs[i].required && !seen[i]) {
      context.diagnostics.error(fmt::format("\"{}\" must be specified", docs[i].name), "", object.range,
                                fmt::format("{} needs it: {}", context.component, docs[i].doc));
    }
  }
}

}  // namespace kiln
