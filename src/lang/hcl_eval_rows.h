// For tests of HCL's evaluation: typed values from JSON, values as text with all there is to know of them, and a few
// functions. Not part of the program.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_eval.h"

namespace kiln::hcl_rows {

inline std::shared_ptr<const SourceFile> file(std::string text) {
  return std::make_shared<SourceFile>(SourceFile{"row.hcl", std::move(text)});
}

/// A type as HCL writes it.
inline HclType type(const std::string& text) {
  Diagnostics diagnostics;
  auto expression = parse_hcl_expression(file(text), diagnostics);
  auto constraint = expression ? hcl_type_constraint(*expression, diagnostics) : std::nullopt;
  KILN_CHECK(constraint);
  return constraint->type;
}

/// JSON's values, and objects with one member: {"$unknown": TYPE}, {"$null": TYPE}, {"$sensitive": VALUE},
/// {"$list": [ELEMENT TYPE, ITEMS]}, "$set" and "$map" likewise.
inline HclValue value(const Value& json) {
  if (json.is_list()) {
    HclValue::Items items;
    for (const auto& item : json.as_list()) items.push_back(value(item));
    return HclValue::tuple(std::move(items));
  }
  if (!json.is_object()) return from_plain_value(json);
  const auto& members = json.as_object();
  if (members.size() == 1 && members[0].key.starts_with("$")) {
    const std::string& what = members[0].key;
    const Value& of = members[0].value;
    if (what == "$unknown") return HclValue::unknown(type(of.as_string()));
    if (what == "$null") return HclValue::null(type(of.as_string()));
    if (what == "$sensitive") return value(of).with_sensitive();
    HclType element = type(of.as_list()[0].as_string());
    HclValue content = value(of.as_list()[1]);
    if (what == "$list") return HclValue::list(element, content.items());
    if (what == "$set") return HclValue::set(element, content.items());
    return HclValue::map(element, content.members());
  }
  HclValue::Members out;
  for (const auto& member : members) out[member.key] = value(member.value);
  return HclValue::object(std::move(out));
}

inline std::string joined(const HclValue& value);

/// All of a value: "sensitive(list(string)["a"])", "unknown(number)", "{"k"=null(string)}".
inline std::string text(const HclValue& value) {
  if (value.sensitive()) return "sensitive(" + text(value.with_sensitive(false)) + ")";
  const HclType& type = value.type();
  if (!value.is_known()) return "unknown(" + type.text() + ")";
  if (value.is_null()) return "null(" + type.text() + ")";
  switch (type.kind()) {
    case HclType::Kind::boolean: return value.as_boolean() ? "true" : "false";
    case HclType::Kind::number: return value.as_number().text();
    case HclType::Kind::string: return go_quote(value.as_string());
    case HclType::Kind::list: return fmt::format("list({})[{}]", type.element().text(), joined(value));
    case HclType::Kind::set: return fmt::format("set({})[{}]", type.element().text(), joined(value));
    case HclType::Kind::map: return fmt::format("map({}){{{}}}", type.element().text(), joined(value));
    case HclType::Kind::tuple: return "[" + joined(value) + "]";
    default: return "{" + joined(value) + "}";
  }
}

inline std::string joined(const HclValue& value) {
  std::vector<std::string> parts;
  if (value.type().is_keyed()) {
    for (const auto& [name, member] : value.members()) parts.push_back(go_quote(name) + "=" + text(member));
    std::sort(parts.begin(), parts.end());
  } else {
    for (const auto& item : value.items()) parts.push_back(text(item));
  }
  return join(parts, ", ");
}

inline HclParameter any_parameter(std::string name) {
  HclParameter out{std::move(name), HclType::dynamic()};
  out.allow_null = out.allow_unknown = out.allow_dynamic = out.allow_marked = true;
  return out;
}

/// glue(between, parts...), half(even number), boom(), same(any), and the three that look at expressions.
inline const HclFunctionTable& functions() {
  static const HclFunctionTable table = [] {
    HclFunctionTable out;
    HclFunction& glue = out["glue"];
    glue.parameters = {{"between", HclType::string()}};
    glue.variadic = HclParameter{"parts", HclType::string()};
    glue.type = [](const auto&) { return HclType::string(); };
    glue.call = [](const auto& arguments, const auto&, const auto&) {
      std::vector<std::string> parts;
      for (size_t i = 1; i < arguments.size(); ++i) parts.push_back(arguments[i].as_string());
      return HclValue::string(join(parts, arguments[0].as_string()));
    };
    HclFunction& half = out["half"];
    half.parameters = {{"num", HclType::number()}};
    half.type = [](const auto&) { return HclType::number(); };
    half.call = [](const auto& arguments, const auto&, const auto&) {
      int64_t number = arguments[0].as_number().truncated().to_int64().value_or(0);
      if (number % 2 != 0) throw HclFunctionError{"must be even", 0};
      return HclValue::number(number / 2);
    };
    HclFunction& boom = out["boom"];
    boom.type = [](const auto&) { return HclType::string(); };
    boom.call = [](const auto&, const auto&, const auto&) -> HclValue { throw HclFunctionError{"no powder"}; };
    HclFunction& same = out["same"];
    same.parameters = {any_parameter("value")};
    same.type = [](const auto& arguments) { return arguments[0].type(); };
    same.call = [](const auto& arguments, const auto&, const auto&) { return arguments[0]; };
    out["can"].parameters = {any_parameter("expression")};
    out["try"].variadic = any_parameter("expressions");
    out["convert"].parameters = {any_parameter("value"), any_parameter("type")};
    for (const char* name : {"can", "try", "convert"}) out[name].lazy = true;
    return out;
  }();
  return table;
}

inline HclScope scope(const Value& variables) {
  HclScope out;
  for (const auto& member : variables.as_object()) out.variables[member.key] = value(member.value);
  out.functions = functions;
  return out;
}

/// The value as text, or `[["summary","detail"],...]`.
inline std::string outcome(const std::string& source, const HclScope& scope) {
  Diagnostics diagnostics;
  auto expression = parse_hcl_expression(file(source), diagnostics);
  HclValue result = expression ? evaluate_hcl(*expression, scope, diagnostics) : HclValue();
  if (diagnostics.empty()) return text(result);
  Value::List pairs;
  for (const auto& item : diagnostics.items())
    pairs.push_back(Value(Value::List{Value(item.summary), Value(item.detail)}));
  return to_json(Value(std::move(pairs)));
}

}  // namespace kiln::hcl_rows
