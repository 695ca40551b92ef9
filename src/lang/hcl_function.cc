#include "lang/hcl_function.h"

#include <fmt/format.h>

#include "base/error.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_function_kit.h"

namespace kiln {
namespace {

const HclParameter& parameter_at(const HclFunction& function, size_t i) {
  return i < function.parameters.size() ? function.parameters[i] : *function.variadic;
}

void check_argument_count(const HclFunction& function, size_t given) {
  size_t required = function.parameters.size();
  if (!function.variadic && given != required) {
    hcl_fn::fail(fmt::format("wrong number of arguments ({} required; {} given)", required, given));
  }
  if (given < required) {
    hcl_fn::fail(fmt::format("wrong number of arguments (at least {} required; {} given)", required, given));
  }
}

std::vector<HclValue> convert_arguments(const HclFunction& function, const std::vector<HclValue>& arguments) {
  std::vector<HclValue> out;
  out.reserve(arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const HclParameter& parameter = parameter_at(function, i);
    if (parameter.type.is_dynamic() || parameter.type == arguments[i].type()) {
      out.push_back(arguments[i]);
      continue;
    }
    std::string error;
    auto converted = hcl_convert(arguments[i], parameter.type, &error);
    if (!converted) hcl_fn::fail(error, static_cast<int>(i));
    out.push_back(std::move(*converted));
  }
  return out;
}

}  // namespace

HclValue call_hcl_function(const HclFunction& function, const std::vector<HclValue>& arguments,
                           const HclHost& host) {
  KILN_CHECK(!function.lazy);
  check_argument_count(function, arguments.size());
  std::vector<HclValue> values = convert_arguments(function, arguments);
  bool sensitive = false;
  bool unknown = false;
  bool untyped = false;
  for (size_t i = 0; i < values.size(); ++i) {
    const HclParameter& parameter = parameter_at(function, i);
    if (!parameter.allow_marked && values[i].contains_sensitive()) {
      values[i] = values[i].unmarked_deep();
      sensitive = true;
    }
    if (untyped) continue;
    if (values[i].is_null() && !parameter.allow_null)
      hcl_fn::fail("argument must not be null", static_cast<int>(i));
    if (values[i].type().is_dynamic() && !parameter.allow_dynamic) {
      untyped = true;  // of what follows only the marks count
      continue;
    }
    if (!values[i].is_known() && !parameter.allow_unknown) unknown = true;
  }
  HclValue result;
  if (untyped) {
    result = HclValue::unknown(HclType::dynamic());
  } else {
    HclType type = function.type(values);
    result = unknown ? HclValue::unknown(type) : function.call(values, type, host);
  }
  return sensitive ? result.with_sensitive() : result;
}

const HclFunctionTable& hcl_functions() {
  static const HclFunctionTable table = [] {
    HclFunctionTable out;
    for (auto add : {hcl_fn::add_numeric, hcl_fn::add_string, hcl_fn::add_regex, hcl_fn::add_format,
                     hcl_fn::add_collection, hcl_fn::add_set, hcl_fn::add_encoding, hcl_fn::add_json,
                     hcl_fn::add_csv, hcl_fn::add_yaml, hcl_fn::add_file, hcl_fn::add_date, hcl_fn::add_hash,
                     hcl_fn::add_net, hcl_fn::add_type, hcl_fn::add_secret}) {
      add(out);
    }
    return out;
  }();
  return table;
}

namespace hcl_fn {

void fail(std::string message, int argument) { throw HclFunctionError{std::move(message), argument}; }

void check_text(size_t length) {
  if (length > max_text) fail("the result would be longer than 64 MiB");
}

void check_items(size_t count) {
  if (count > max_items) fail(fmt::format("the result would have more than {} elements", max_items));
}

HclParameter parameter(std::string name, HclType type, unsigned takes) {
  HclParameter out{std::move(name), std::move(type)};
  out.allow_null = takes & takes_null;
  out.allow_unknown = takes & takes_unknown;
  out.allow_dynamic = takes & takes_dynamic;
  out.allow_marked = takes & takes_marked;
  return out;
}
HclParameter text(std::string name, unsigned takes) {
  return parameter(std::move(name), HclType::string(), takes);
}
HclParameter number(std::string name, unsigned takes) {
  return parameter(std::move(name), HclType::number(), takes);
}
HclParameter any(std::string name, unsigned takes) {
  return parameter(std::move(name), HclType::dynamic(), takes);
}

TypeRule always(HclType type) {
  return [type = std::move(type)](const Arguments&) { return type; };
}

HclFunction function(std::string doc, std::vector<HclParameter> parameters, TypeRule type, Body body) {
  HclFunction out;
  out.doc = std::move(doc);
  out.parameters = std::move(parameters);
  out.type = std::move(type);
  out.call = std::move(body);
  return out;
}

HclFunction function(std::string doc, std::vector<HclParameter> parameters, HclParameter tail, TypeRule type,
                     Body body) {
  HclFunction out = function(std::move(doc), std::move(parameters), std::move(type), std::move(body));
  out.variadic = std::move(tail);
  return out;
}

HclFunction text_function(std::string doc, std::vector<std::string> names,
                          std::function<std::string(const std::vector<std::string>&)> body) {
  std::vector<HclParameter> parameters;
  parameters.reserve(names.size());
  for (auto& name : names) parameters.push_back(text(std::move(name)));
  return function(std::move(doc), std::move(parameters), always(HclType::string()),
                  [body = std::move(body)](const Arguments& arguments, const HclType&, const HclHost&) {
                    std::vector<std::string> texts;
                    for (const auto& argument : arguments) texts.push_back(argument.as_string());
                    return HclValue::string(body(texts));
                  });
}

int64_t whole_number(const HclValue& value, std::string_view prefix, int argument) {
  if (auto number = value.as_number().to_int64()) return *number;
  fail(fmt::format("{}value must be a whole number, between {} and {}", prefix, INT64_MIN, INT64_MAX),
       argument);
}

double floating(const HclValue& value, int argument) {
  double number = value.as_number().to_double();
  bool infinite = number > 1.7976931348623157e308 || number < -1.7976931348623157e308;
  // Infinity itself is taken; what only became it by lack of room is not.
  if (infinite && !(HclNumber::from_double(number) == value.as_number())) {
    fail(fmt::format("value must be between {0:f} and {1:f} inclusive", -1.7976931348623157e308,
                     1.7976931348623157e308),
         argument);
  }
  return number;
}

HclType list_of_text_type() { return HclType::list(HclType::string()); }

HclValue list_of_text(const std::vector<std::string>& items) {
  HclValue::Items out;
  out.reserve(items.size());
  for (const auto& item : items) out.push_back(HclValue::string(item));
  return HclValue::list(HclType::string(), std::move(out));
}

}  // namespace hcl_fn
}  // namespace kiln
