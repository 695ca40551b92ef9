// Go's own template functions: len, index, slice, comparisons, printing, escaping.
#include <fmt/format.h>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/go_printf.h"
#include "lang/go_template_functions.h"

namespace kiln::go_template {
namespace {

enum class BasicKind { boolean, integer, floating, string, none };

BasicKind basic_kind(const Ref& value) {
  if (!value) return BasicKind::none;
  switch (value->kind()) {
    case Value::Kind::boolean: return BasicKind::boolean;
    case Value::Kind::number: return is_float(value->as_number()) ? BasicKind::floating : BasicKind::integer;
    case Value::Kind::string: return BasicKind::string;
    default: return BasicKind::none;
  }
}

bool is_nothing(const Ref& value) { return !value || value->is_null(); }

double as_float(const Ref& value) { return std::strtod(value->as_number().text.c_str(), nullptr); }
int64_t as_integer(const Ref& value) { return std::strtoll(value->as_number().text.c_str(), nullptr, 10); }

bool equal(const Ref& a, const Ref& b) {
  if (is_nothing(a) || is_nothing(b)) return is_nothing(a) && is_nothing(b);
  BasicKind kind = basic_kind(a);
  if (kind != basic_kind(b)) {
    throw FunctionError{fmt::format("incompatible types for comparison: {} and {}", type_name(a), type_name(b))};
  }
  if (kind == BasicKind::none) {
    throw FunctionError{fmt::format("non-comparable type {}: {}", go_sprintf("%s", {a}), type_name(a))};
  }
  if (kind == BasicKind::floating) return as_float(a) == as_float(b);
  return *a == *b;
}

bool less(const Ref& a, const Ref& b) {
  BasicKind kind = basic_kind(a);
  if (kind == BasicKind::none || basic_kind(b) == BasicKind::none) throw FunctionError{"invalid type for comparison"};
  if (kind != basic_kind(b)) {
    throw FunctionError{fmt::format("incompatible types for comparison: {} and {}", type_name(a), type_name(b))};
  }
  switch (kind) {
    case BasicKind::integer: return as_integer(a) < as_integer(b);
    case BasicKind::floating: return as_float(a) < as_float(b);
    case BasicKind::string: return a->as_string() < b->as_string();
    default: throw FunctionError{"invalid type for comparison"};
  }
}

Ref bool_ref(bool value) { return make_ref(Value(value)); }
Ref printed(std::string text) {
  check_length(text.size());
  return make_ref(Value(std::move(text)));
}

Ref run_eq(const Call& call) {
  if (call.size() == 1) throw FunctionError{"missing argument for comparison"};
  for (size_t i = 1; i < call.size(); ++i) {
    if (equal(call[0], call[i])) return bool_ref(true);
  }
  return bool_ref(false);
}

/// An index as len allows it: an integer in [0, size) or, for slices, [0, size].
size_t checked_index(const Ref& index, size_t size, bool end_allowed) {
  if (is_nothing(index)) throw FunctionError{"cannot index slice/array with nil"};
  if (basic_kind(index) != BasicKind::integer) {
    throw FunctionError{"cannot index slice/array with type " + type_name(index)};
  }
  int64_t number = as_integer(index);
  if (number < 0 || static_cast<uint64_t>(number) >= size + (end_allowed ? 1 : 0)) {
    throw FunctionError{fmt::format("index out of range: {}", number)};
  }
  return static_cast<size_t>(number);
}

Ref run_index(const Call& call) {
  Ref item = call[0];
  if (is_nothing(item)) throw FunctionError{"index of untyped nil"};
  for (size_t i = 1; i < call.size(); ++i) {
    if (is_nothing(item)) throw FunctionError{"index of nil pointer"};
    if (item->is_list()) {
      item = Ref(item, &item->as_list()[checked_index(call[i], item->as_list().size(), false)]);
    } else if (item->is_string()) {
      size_t at = checked_index(call[i], item->as_string().size(), false);
      item = make_ref(Value(static_cast<int64_t>(static_cast<unsigned char>(item->as_string()[at]))));
    } else if (item->is_object()) {
      if (is_nothing(call[i])) throw FunctionError{"value is nil; should be of type string"};
      if (!call[i]->is_string())
        throw FunctionError{fmt::format("value has type {}; should be string", type_name(call[i]))};
      const Value* found = item->find(call.text(i));
      item = found ? Ref(item, found) : Ref();
      if (!item && i + 1 < call.size()) throw FunctionError{"index of nil pointer"};
    } else {
      throw FunctionError{"can't index item of type " + type_name(item)};
    }
  }
  return item;
}

Ref run_slice(const Call& call) {
  const Ref& item = call[0];
  if (is_nothing(item)) throw FunctionError{"slice of untyped nil"};
  if (call.size() > 4) throw FunctionError{fmt::format("too many slice indexes: {}", call.size() - 1)};
  if (!item->is_string() && !item->is_list()) throw FunctionError{"can't slice item of type " + type_name(item)};
  if (item->is_string() && call.size() == 4) throw FunctionError{"cannot 3-index slice a string"};
  size_t size = item->is_string() ? item->as_string().size() : item->as_list().size();
  size_t bounds[3] = {0, size, size};
  for (size_t i = 1; i < call.size(); ++i) bounds[i - 1] = checked_index(call[i], size, true);
  if (bounds[0] > bounds[1]) throw FunctionError{fmt::format("invalid slice index: {} > {}", bounds[0], bounds[1])};
  if (bounds[1] > bounds[2]) throw FunctionError{fmt::format("invalid slice index: {} > {}", bounds[1], bounds[2])};
  if (item->is_string()) return make_ref(Value(item->as_string().substr(bounds[0], bounds[1] - bounds[0])));
  auto begin = item->as_list().begin();
  return make_ref(Value(Value::List(begin + static_cast<long>(bounds[0]), begin + static_cast<long>(bounds[1]))));
}

Ref run_len(const Call& call) {
  const Ref& item = call[0];
  if (is_nothing(item)) throw FunctionError{"reflect: call of reflect.Value.Type on zero Value"};
  switch (item->kind()) {
    case Value::Kind::string: return make_ref(Value(static_cast<int64_t>(item->as_string().size())));
    case Value::Kind::list: return make_ref(Value(static_cast<int64_t>(item->as_list().size())));
    case Value::Kind::object: return make_ref(Value(static_cast<int64_t>(item->as_object().size())));
    default: throw FunctionError{"len of type " + type_name(item)};
  }
}

/// Go's Sprint: a blank between two operands when neither is a string.
std::string sprint(const Call& call) {
  std::string out;
  bool previous_string = true;
  for (size_t i = 0; i < call.size(); ++i) {
    bool is_string = call[i] && call[i]->is_string();
    if (i > 0 && !is_string && !previous_string) out += ' ';
    out += print_value(call[i]);
    check_length(out.size());
    previous_string = is_string;
  }
  return out;
}

Ref run_println(const Call& call) {
  std::string out;
  for (size_t i = 0; i < call.size(); ++i) {
    if (i) out += ' ';
    out += print_value(call[i]);
    check_length(out.size());
  }
  return printed(out + "\n");
}

/// What html, js and urlquery escape: the arguments printed one after another.
std::string escapable(const Call& call) {
  if (call.size() == 1 && call[0] && call[0]->is_string()) return call.text(0);
  std::string out;
  bool previous_string = true;
  for (size_t i = 0; i < call.size(); ++i) {
    bool is_string = !call[i] || call[i]->is_string() || call[i]->is_null();
    if (i > 0 && !is_string && !previous_string) out += ' ';
    out += is_nothing(call[i]) ? "<no value>" : print_value(call[i]);
    check_length(out.size());
    previous_string = is_string;
  }
  return out;
}

Ref run_html(const Call& call) {
  std::string out;
  for (char c : escapable(call)) {
    switch (c) {
      case '\0': out += "\xEF\xBF\xBD"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out += c;
    }
  }
  return printed(std::move(out));
}

Ref run_js(const Call& call) {
  std::string text = escapable(call);
  std::string_view rest = text;
  std::string out;
  while (!rest.empty()) {
    std::string_view before = rest;
    uint32_t rune = take_rune(rest);
    switch (rune) {
      case '\\': out += "\\\\"; break;
      case '\'': out += "\\'"; break;
      case '"': out += "\\\""; break;
      case '<':
      case '>':
      case '&':
      case '=':
      case 0x2028:
      case 0x2029: out += fmt::format("\\u{:04X}", rune); break;
      default:
        if (rune < 0x20 || (rune >= 0x7F && rune < 0xA0)) out += fmt::format("\\u{:04X}", rune);
        else out += before.substr(0, before.size() - rest.size());
    }
  }
  return printed(std::move(out));
}

Ref run_urlquery(const Call& call) {
  std::string out;
  for (char c : escapable(call)) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 std::string_view("-_.~").find(c) != std::string_view::npos;
    if (plain && c != '\0') out += c;
    else if (c == ' ') out += '+';
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return printed(std::move(out));
}

/// No value of a template is a function; the executor, which knows the words, refuses the others.
Ref run_call(const Call& call) {
  throw FunctionError{is_nothing(call[0]) ? "call of nil" : "non-function of type " + type_name(call[0])};
}

Ref run_printf(const Call& call) {
  return printed(go_sprintf(call.text(0), std::vector<Ref>(call.arguments.begin() + 1, call.arguments.end())));
}

}  // namespace

bool is_true(const Ref& value) {
  if (is_nothing(value)) return false;
  switch (value->kind()) {
    case Value::Kind::boolean: return value->as_bool();
    case Value::Kind::number: return as_float(value) != 0;
    case Value::Kind::string: return !value->as_string().empty();
    case Value::Kind::list: return !value->as_list().empty();
    case Value::Kind::object: return !value->as_object().empty();
    default: return true;
  }
}

const std::vector<Function>& go_functions() {
  static const std::vector<Function> functions = {
      {"and", "vv*", nullptr},
      {"call", "vv*", run_call},
      {"eq", "vv*", run_eq},
      {"ge", "vv", [](const Call& call) { return bool_ref(!less(call[0], call[1])); }},
      {"gt", "vv", [](const Call& call) { return bool_ref(!less(call[0], call[1]) && !equal(call[0], call[1])); }},
      {"html", "v*", run_html},
      {"index", "vv*", run_index},
      {"js", "v*", run_js},
      {"le", "vv", [](const Call& call) { return bool_ref(less(call[0], call[1]) || equal(call[0], call[1])); }},
      {"len", "v", run_len},
      {"lt", "vv", [](const Call& call) { return bool_ref(less(call[0], call[1])); }},
      {"ne", "vv", [](const Call& call) { return bool_ref(!equal(call[0], call[1])); }},
      {"not", "v", [](const Call& call) { return bool_ref(!is_true(call[0])); }},
      {"or", "vv*", nullptr},
      {"print", "v*", [](const Call& call) { return printed(sprint(call)); }},
      {"printf", "sv*", run_printf},
      {"println", "v*", run_println},
      {"slice", "vv*", run_slice},
      {"urlquery", "v*", run_urlquery},
  };
  return functions;
}

}  // namespace kiln::go_template
