// Calls of functions.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_evaluator.h"

namespace kiln {
namespace {

/// Beside walking through the arguments.
constexpr uint64_t steps_a_call = 20;

std::vector<std::string> function_names(const HclFunctionTable& table, std::string_view prefix) {
  std::vector<std::string> names;
  for (const auto& [name, function] : table) {
    if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
  }
  return names;
}

const HclParameter* parameter_of(const HclFunction& function, size_t argument) {
  if (argument < function.parameters.size()) return &function.parameters[argument];
  return function.variadic ? &*function.variadic : nullptr;
}

}  // namespace

const HclFunction* HclEvaluator::find_function(const HclExpression& e, const HclScope& scope,
                                               Diagnostics& diagnostics) {
  const HclFunctionTable* nearest = nullptr;
  for (const HclScope* at = &scope; at; at = at->parent) {
    if (!at->functions) continue;
    const HclFunctionTable& functions = at->functions();
    if (!nearest) nearest = &functions;
    auto it = functions.find(e.name);
    if (it != functions.end()) return &it->second;
  }
  if (!nearest) {
    fail(diagnostics, "Function calls not allowed", "Functions may not be called here.", {e, scope});
    return nullptr;
  }
  size_t separator = e.name.rfind("::");
  std::string space = separator == std::string::npos ? "" : e.name.substr(0, separator + 2);
  std::string name = e.name.substr(space.size());
  auto names = function_names(*nearest, space);
  std::string suggestion = hcl_suggestion(name, names);
  std::string hint = suggestion.empty() ? hcl_name_hint(name, names) : "";
  std::string detail = fmt::format("There is no function named {}", go_quote(name));
  if (space.empty()) detail += "." + suggestion;
  else if (names.empty()) detail = fmt::format("There are no functions in namespace {}.", go_quote(space));
  else detail += fmt::format(" in namespace {}.{}", space, suggestion);
  fail(diagnostics, "Call to unknown function", std::move(detail), {e.name_range(), e, scope}, std::move(hint));
  return nullptr;
}

/// "f(x...)": false when there will be no call, with a diagnostic when that is a mistake.
bool HclEvaluator::expand_last(const HclExpression& e, const HclScope& scope, Arguments& arguments,
                               Diagnostics& diagnostics) {
  const HclExpression& last = *e.items.back();
  auto refuse = [&](std::string detail) {
    fail(diagnostics, "Invalid expanding argument value", std::move(detail), {last, scope});
    return false;
  };
  Diagnostics found;
  HclValue list = value(last, scope, found);
  diagnostics.append(found);
  if (found.has_errors()) return false;
  bool fits = list.type().is_sequence() || list.type().is_dynamic();
  if (!fits) return refuse("The expanding argument (indicated by ...) must be of a tuple, list, or set type.");
  if (list.is_null()) return refuse("The expanding argument (indicated by ...) must not be null.");
  if (!list.is_known()) return false;
  if (!spend(e, list.length(), sizeof(HclValue) * list.length())) return false;
  arguments.written.pop_back();
  arguments.first_expanded = arguments.written.size();
  for (const auto& item : list.items()) {
    arguments.written.push_back(&last);
    arguments.expanded.push_back(hcl_marked(item, list.sensitive()));
  }
  return true;
}

bool HclEvaluator::check_count(const HclExpression& e, const HclFunction& function, const Arguments& arguments,
                               const HclScope& scope, Diagnostics& diagnostics) {
  size_t given = arguments.written.size();
  size_t wanted = function.parameters.size();
  if (given < wanted) {
    SourceRange end = e.range;
    if (end.end > end.begin) end.begin = end.end - 1;
    fail(diagnostics, "Not enough function arguments",
         fmt::format("Function {} expects{} {} argument(s). Missing value for {}.", go_quote(e.name),
                     function.variadic ? " at least" : "", wanted, go_quote(function.parameters[given].name)),
         {end, e, scope});
    return false;
  }
  if (given > wanted && !function.variadic) {
    fail(diagnostics, "Too many function arguments",
         fmt::format("Function {} expects only {} argument(s).", go_quote(e.name), wanted),
         {arguments.written[wanted]->range, e, scope});
    return false;
  }
  return true;
}

HclValue HclEvaluator::argument_value(const Arguments& arguments, size_t i, const HclScope& scope,
                                      Diagnostics& diagnostics) {
  if (i >= arguments.first_expanded) return arguments.expanded[i - arguments.first_expanded];
  return value(*arguments.written[i], scope, diagnostics);
}

/// An expanded argument is a value without names of its own.
HclFault HclEvaluator::argument_fault(const HclExpression& e, const Arguments& arguments, size_t i,
                                      const HclScope& scope) {
  if (i >= arguments.written.size()) return {e, scope};
  const HclExpression& written = *arguments.written[i];
  return i < arguments.first_expanded ? HclFault(written, scope) : HclFault(written.range);
}

HclValue HclEvaluator::call(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  HclValue unknown = HclValue::unknown(HclType::dynamic());
  const HclFunction* function = find_function(e, scope, diagnostics);
  if (!function) return unknown;
  Arguments arguments;
  for (const auto& item : e.items) arguments.written.push_back(item.get());
  arguments.first_expanded = arguments.written.size();
  if (e.expands && !expand_last(e, scope, arguments, diagnostics)) return unknown;
  if (!check_count(e, *function, arguments, scope, diagnostics)) return unknown;
  if (function->lazy) return call_lazy(e, *function, arguments, scope, diagnostics);

  Diagnostics found;
  HclValue::Items values;
  values.reserve(arguments.written.size());
  for (size_t i = 0; i < arguments.written.size(); ++i) {
    HclValue given = argument_value(arguments, i, scope, found);
    const HclParameter& parameter = *parameter_of(*function, i);
    std::string error;
    if (!spend_walk(e, given)) break;
    auto converted = hcl_convert(given, parameter.type, &error);
    if (converted) {
      values.push_back(std::move(*converted));
      continue;
    }
    fail(found, "Invalid function argument",
         fmt::format("Invalid value for {} parameter: {}.", go_quote(parameter.name), error),
         argument_fault(e, arguments, i, scope));
  }
  diagnostics.append(found);
  if (found.has_errors() || !spend(e, steps_a_call)) return unknown;
  try {
    HclValue result = call_hcl_function(*function, values, host_);
    bool is_text = result.has_content() && result.type().is(HclType::Kind::string);
    uint64_t bytes = is_text ? result.as_string().size() : sizeof(HclValue) * std::min(result.weight(), hcl_max_weight);
    if (!spend(e, 0, bytes)) return unknown;
    return kept(e, std::move(result));
  } catch (const HclFunctionError& error) {
    report_call_error(e, *function, arguments, error, scope, diagnostics);
  } catch (const Error& error) {
    report_call_error(e, *function, arguments, {error.message(), -1}, scope, diagnostics);
  }
  return unknown;
}

void HclEvaluator::report_call_error(const HclExpression& e, const HclFunction& function, const Arguments& arguments,
                                     const HclFunctionError& error, const HclScope& scope,
                                     Diagnostics& diagnostics) {
  size_t at = static_cast<size_t>(error.argument);
  const HclParameter* parameter = error.argument < 0 ? nullptr : parameter_of(function, at);
  if (!parameter) {
    fail(diagnostics, "Error in function call",
         fmt::format("Call to function {} failed: {}.", go_quote(e.name), error.message), {e, scope});
    return;
  }
  fail(diagnostics, "Invalid function argument",
       fmt::format("Invalid value for {} parameter: {}.", go_quote(parameter->name), error.message),
       argument_fault(e, arguments, at, scope));
}

}  // namespace kiln
