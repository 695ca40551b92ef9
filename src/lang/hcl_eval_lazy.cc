// The functions that look at their arguments' expressions: try, can, convert.
#include <fmt/format.h>

#include <utility>

#include "lang/hcl_convert.h"
#include "lang/hcl_evaluator.h"
#include "lang/hcl_json.h"

namespace kiln {

HclValue HclEvaluator::call_lazy(const HclExpression& e, const HclFunction& function, const Arguments& arguments,
                                 const HclScope& scope, Diagnostics& diagnostics) {
  try {
    HclValue result;
    if (e.name == "try") result = call_try(arguments, scope);
    else if (e.name == "can") result = call_can(arguments, scope);
    else result = call_convert(arguments, scope, diagnostics);
    return kept(e, std::move(result));
  } catch (const HclFunctionError& error) {
    report_call_error(e, function, arguments, error, scope, diagnostics);
    return HclValue::unknown(HclType::dynamic());
  }
}

/// An argument whose diagnostics are not shown to anybody.
HclValue HclEvaluator::tried_value(const Arguments& arguments, size_t i, const HclScope& scope, Diagnostics& found) {
  bool outer = std::exchange(quiet_, true);
  HclValue out = argument_value(arguments, i, scope, found);
  quiet_ = outer;
  return out;
}

/// The first argument that evaluates without a mistake.
HclValue HclEvaluator::call_try(const Arguments& arguments, const HclScope& scope) {
  if (arguments.written.empty()) throw HclFunctionError{"at least one argument is required"};
  std::string wrong;
  for (size_t i = 0; i < arguments.written.size(); ++i) {
    Diagnostics found;
    HclValue value = tried_value(arguments, i, scope, found);
    if (!found.has_errors()) {
      // What is not known yet may still go wrong, and then another argument is the result.
      return value.is_wholly_known() ? value : HclValue::unknown(HclType::dynamic());
    }
    for (const auto& item : found.items()) {
      wrong += fmt::format("- {} (at {})\n  {}\n", item.summary, hcl_place(item), item.detail);
    }
  }
  throw HclFunctionError{"no expression succeeded:\n" + wrong +
                         "\nAt least one expression must produce a successful result"};
}

/// Whether the argument evaluates without a mistake.
HclValue HclEvaluator::call_can(const Arguments& arguments, const HclScope& scope) {
  Diagnostics found;
  HclValue value = tried_value(arguments, 0, scope, found);
  if (found.has_errors()) return HclValue::boolean(false);
  return value.is_wholly_known() ? HclValue::boolean(true) : HclValue::unknown(HclType::boolean());
}

/// convert(value, type): the type is written as a constraint.
HclValue HclEvaluator::call_convert(const Arguments& arguments, const HclScope& scope, Diagnostics& diagnostics) {
  Diagnostics found;
  HclValue value = argument_value(arguments, 0, scope, found);
  auto constraint = hcl_type_constraint(*arguments.written[1], found);
  diagnostics.append(found);
  HclValue unknown = HclValue::unknown(HclType::dynamic());
  if (!constraint || found.has_errors() || !spend_walk(*arguments.written[0], value)) return unknown;
  bool sensitive = false;
  HclValue plain = value.unmarked_deep(&sensitive);
  std::string error;
  auto converted = hcl_convert(plain, constraint->type, &error);
  if (!converted) throw HclFunctionError{error, 0};
  return hcl_marked(std::move(*converted), sensitive);
}

}  // namespace kiln
