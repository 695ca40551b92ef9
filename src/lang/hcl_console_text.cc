// How `console` shows a value.
#include <fmt/format.h>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/go_printf.h"
#include "lang/hcl_eval.h"

namespace kiln {
namespace {

/// As Go prints an int or, for what is none, a float64.
std::string console_number(const HclNumber& number) {
  if (auto integer = number.to_int64()) return fmt::format("{}", *integer);
  auto value = std::make_shared<Value>(float_value(number.to_double()));
  return go_template::go_sprintf("%v", {value});
}

void console_value(const HclValue& value, size_t indent, std::string& out) {
  if (value.is_null()) {
    out += "null";
    return;
  }
  if (!value.is_known()) {
    out += "<unknown>";
    return;
  }
  const std::string inner(indent + 2, ' ');
  switch (value.type().kind()) {
    case HclType::Kind::boolean: out += value.as_boolean() ? "true" : "false"; return;
    case HclType::Kind::number: out += console_number(value.as_number()); return;
    case HclType::Kind::string: out += go_quote(value.as_string()); return;
    case HclType::Kind::list:
    case HclType::Kind::set:
    case HclType::Kind::tuple: {
      if (value.length() == 0) {
        out += "[]";
        return;
      }
      out += "[\n";
      for (const auto& item : value.items()) {
        out += inner;
        console_value(item, indent + 2, out);
        out += ",\n";
      }
      out += inner.substr(2) + "]";
      return;
    }
    default: {
      std::string members;
      for (const auto& [name, member] : value.members()) {
        if (member.is_null()) continue;
        members += inner + go_quote(name) + " = ";
        console_value(member, indent + 2, members);
        members += "\n";
      }
      out += members.empty() ? "{}" : "{\n" + members + inner.substr(2) + "}";
      return;
    }
  }
}

}  // namespace

std::string hcl_console_text(const HclValue& value) {
  if (value.has_content() && value.type().is(HclType::Kind::string)) return value.as_string();
  std::string out;
  console_value(value, 0, out);
  return out;
}

}  // namespace kiln
