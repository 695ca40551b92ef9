// Operators: arithmetic, comparison, logic, and "condition ? yes : no".
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_evaluator.h"

namespace kiln {
namespace {

using TypeKind = HclType::Kind;

enum class HclOperator { add, subtract, multiply, divide, modulo, less, less_equal, greater, greater_equal, equal,
                         not_equal, logical_and, logical_or };

HclOperator operator_named(std::string_view name) {
  static constexpr std::string_view names[] = {"+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "&&", "||"};
  auto at = std::find(std::begin(names), std::end(names), name);
  return static_cast<HclOperator>(at - std::begin(names));
}

bool is_logical(HclOperator op) { return op == HclOperator::logical_and || op == HclOperator::logical_or; }
bool is_equality(HclOperator op) { return op == HclOperator::equal || op == HclOperator::not_equal; }

HclType operand_type(HclOperator op) {
  if (is_equality(op)) return HclType::dynamic();
  return is_logical(op) ? HclType::boolean() : HclType::number();
}

HclType result_type(HclOperator op) {
  return op <= HclOperator::modulo ? HclType::number() : HclType::boolean();
}

/// Why two numbers of which one is infinite, or by which is divided, have no result; "" when they have one.
std::string undefined_result(HclOperator op, const HclNumber& a, const HclNumber& b) {
  bool both = a.is_infinite() && b.is_infinite();
  bool with_zero = (a.is_infinite() && b.sign() == 0) || (a.sign() == 0 && b.is_infinite());
  switch (op) {
    case HclOperator::add: return both && a.sign() != b.sign() ? "can't compute sum of opposing infinities" : "";
    case HclOperator::subtract: return both && a.sign() == b.sign() ? "can't subtract infinity from itself" : "";
    case HclOperator::multiply: return with_zero ? "can't multiply zero by infinity" : "";
    case HclOperator::divide:
      return both || (a.sign() == 0 && b.sign() == 0) ? "can't divide zero by zero or infinity by infinity" : "";
    case HclOperator::modulo:
      return b.sign() != 0 && (a.is_infinite() || b.is_infinite()) ? "can't use modulo with zero and infinity" : "";
    default: return "";
  }
}

/// Two numbers under an operator; `error` is set when there is no result. Division by zero gives infinity.
HclValue calculate(HclOperator op, const HclNumber& a, const HclNumber& b, std::string& error) {
  error = undefined_result(op, a, b);
  if (!error.empty()) return HclValue();
  switch (op) {
    case HclOperator::add: return HclValue::number(a + b);
    case HclOperator::subtract: return HclValue::number(a - b);
    case HclOperator::multiply: return HclValue::number(a * b);
    case HclOperator::divide: return HclValue::number(a / b);
    case HclOperator::modulo: return HclValue::number(b.sign() == 0 ? a : HclNumber::modulo(a, b));
    case HclOperator::less: return HclValue::boolean(compare(a, b) < 0);
    case HclOperator::less_equal: return HclValue::boolean(compare(a, b) <= 0);
    case HclOperator::greater: return HclValue::boolean(compare(a, b) > 0);
    case HclOperator::greater_equal: return HclValue::boolean(compare(a, b) >= 0);
    default: return HclValue();
  }
}

/// Here a null counts as false, which lets "null && x" be false; where it does not settle the result it is refused.
bool holds(const HclValue& value, bool expected) {
  return value.is_known() && (!value.is_null() && value.as_boolean()) == expected;
}

/// Which side of "&&" or "||" settles the result, with only that side's diagnostics.
struct Settled {
  HclValue value;
  bool by_left;
};
std::optional<Settled> settle(HclOperator op, const HclValue& left, const HclValue& right, bool left_failed) {
  // What one side must be to settle it: false for "and", true for "or".
  bool controls = op == HclOperator::logical_or;
  HclValue unknown = HclValue::unknown(HclType::boolean());
  if (!left.is_known() && !right.is_known()) {
    if (left_failed) return std::nullopt;
    return Settled{unknown, true};
  }
  if (holds(left, controls)) return Settled{HclValue::boolean(controls), true};
  if (holds(right, controls)) return Settled{HclValue::boolean(controls), false};
  if (!left.is_known() && holds(right, !controls)) return Settled{unknown, true};
  if (!right.is_known() && holds(left, !controls)) return Settled{unknown, false};
  return std::nullopt;
}

/// The result of an operator for operands of the right types; `error` is set when there is none.
HclValue apply(HclOperator op, const HclValue& left, const HclValue& right, std::string& error) {
  if (is_equality(op)) {
    HclValue equal = hcl_equal(left, right);
    if (op == HclOperator::equal || !equal.is_known()) return equal;
    return hcl_marked(HclValue::boolean(!equal.as_boolean()), equal.sensitive());
  }
  if (left.is_null() || right.is_null()) {
    error = "argument must not be null";
    return HclValue();
  }
  if (!left.is_known() || !right.is_known()) return HclValue::unknown(result_type(op));
  if (op == HclOperator::logical_and) return HclValue::boolean(left.as_boolean() && right.as_boolean());
  if (op == HclOperator::logical_or) return HclValue::boolean(left.as_boolean() || right.as_boolean());
  return calculate(op, left.as_number(), right.as_number(), error);
}

/// The first thing in which the types of a conditional's two results differ. Only for types that do not unify.
std::string mismatch(const HclType& yes, const HclType& no);

std::string object_mismatch(const HclType& yes, const HclType& no) {
  for (const auto& [name, type] : yes.attributes()) {
    auto other = no.attributes().find(name);
    if (other == no.attributes().end()) {
      return fmt::format("The 'true' value includes object attribute {}, which is absent in the 'false' value",
                         go_quote(name));
    }
    if (!(type == other->second)) {
      return fmt::format("Type mismatch for object attribute {}: {}", go_quote(name), mismatch(type, other->second));
    }
  }
  for (const auto& [name, type] : no.attributes()) {
    if (yes.attributes().count(name) == 0) {
      return fmt::format("The 'false' value includes object attribute {}, which is absent in the 'true' value",
                         go_quote(name));
    }
  }
  return "";
}

std::string tuple_mismatch(const HclType& yes, const HclType& no) {
  const auto& a = yes.elements();
  const auto& b = no.elements();
  if (a.size() != b.size()) {
    return fmt::format("The 'true' tuple has length {}, but the 'false' tuple has length {}", a.size(), b.size());
  }
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(a[i] == b[i])) return fmt::format("Type mismatch for tuple element {}: {}", i, mismatch(a[i], b[i]));
  }
  return "";
}

std::string mismatch(const HclType& yes, const HclType& no) {
  std::string text;
  if (yes.is(TypeKind::object) && no.is(TypeKind::object)) text = object_mismatch(yes, no);
  if (yes.is(TypeKind::tuple) && no.is(TypeKind::tuple)) text = tuple_mismatch(yes, no);
  if (yes.is_collection() && yes.kind() == no.kind()) {
    const HclType& a = yes.element();
    const HclType& b = no.element();
    if (a.kind() == b.kind() && (a.is(TypeKind::object) || a.is(TypeKind::tuple))) {
      const char* noun = yes.is(TypeKind::list) ? "list" : yes.is(TypeKind::set) ? "set" : "map";
      text = fmt::format("Mismatched {} element types: {}", noun, mismatch(a, b));
    }
  }
  if (!text.empty()) return text;
  std::string yes_name = yes.friendly_name();
  std::string no_name = no.friendly_name();
  if (yes_name == no_name) {
    return "At least one deeply-nested attribute or element is not compatible across both the 'true' and the 'false' "
           "value";
  }
  return fmt::format("The 'true' value is {}, but the 'false' value is {}", yes_name, no_name);
}

/// A bare null, which fits any type.
bool is_untyped_null(const HclValue& value) {
  return value.is_null() && value.type().is_dynamic() && !value.sensitive();
}

/// The type of a conditional's result, and which of the two values has to be converted to it.
struct CommonType {
  HclType type;
  bool converts_yes = false;
  bool converts_no = false;
};
std::optional<CommonType> common_type(const HclValue& yes, const HclValue& no) {
  if (is_untyped_null(yes)) return CommonType{no.type(), true, false};
  if (is_untyped_null(no)) return CommonType{yes.type(), false, true};
  if (yes.type().is_dynamic() || no.type().is_dynamic()) return CommonType{};
  if (yes.type() == no.type()) return CommonType{yes.type(), false, false};
  auto type = hcl_unify({yes.type(), no.type()}, true);
  if (!type) return std::nullopt;
  return CommonType{*type, true, true};
}

/// What is known of a conditional's result while its condition is not: what both values have in common.
HclValue undecided(const HclType& type, const HclValue& yes, const HclValue& no) {
  if (yes.is_null() && no.is_null()) return HclValue::null(type);
  if (!yes.has_content() || !no.has_content()) return HclValue::unknown(type);
  if (yes.type().is(TypeKind::number) && no.type().is(TypeKind::number) && yes.as_number() == no.as_number())
    return yes;
  if (!yes.type().is_collection() || !(yes.type() == no.type()) || yes.length() != no.length()) {
    return HclValue::unknown(type);
  }
  const HclType& element = yes.type().element();
  if (yes.type().is(TypeKind::list)) {
    return HclValue::list(element, HclValue::Items(yes.length(), HclValue::unknown(element)));
  }
  if (yes.length() > 0) return HclValue::unknown(type);
  return yes.type().is(TypeKind::set) ? HclValue::set(element, {}) : HclValue::map(element, {});
}

}  // namespace

HclValue HclEvaluator::binary(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  HclOperator op = operator_named(e.name);
  const HclType type = operand_type(op);
  Diagnostics found[2];
  HclValue operands[2];
  bool unsuitable = false;
  for (int side = 0; side < 2; ++side) {
    HclValue given = value(*e.items[side], scope, found[side]);
    std::string error;
    auto converted = hcl_convert(given, type, &error);
    if (converted) {
      operands[side] = std::move(*converted);
      continue;
    }
    unsuitable = true;
    fail(diagnostics, "Invalid operand",
         fmt::format("Unsuitable value for {} operand: {}.", side == 0 ? "left" : "right", error),
         {*e.items[side], scope});
  }
  bool sensitive = operands[0].sensitive() || operands[1].sensitive();
  HclValue unknown = hcl_marked(HclValue::unknown(result_type(op)), sensitive);
  if (!unsuitable && is_logical(op)) {
    if (auto settled = settle(op, operands[0], operands[1], found[0].has_errors())) {
      diagnostics.append(found[settled->by_left ? 0 : 1]);
      return hcl_marked(settled->value, sensitive);
    }
  }
  diagnostics.append(found[0]);
  diagnostics.append(found[1]);
  if (unsuitable || found[0].has_errors() || found[1].has_errors()) return unknown;
  if (is_equality(op) && !(spend_walk(e, operands[0]) && spend_walk(e, operands[1]))) return unknown;
  std::string error;
  HclValue result = apply(op, operands[0], operands[1], error);
  if (error.empty()) return hcl_marked(std::move(result), sensitive);
  fail(diagnostics, "Operation failed", fmt::format("Error during operation: {}.", error), {e, scope});
  return unknown;
}

HclValue HclEvaluator::unary(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  bool negates = e.name == "-";
  const HclType type = negates ? HclType::number() : HclType::boolean();
  Diagnostics found;
  HclValue given = value(*e.items[0], scope, found);
  std::string error;
  auto operand = hcl_convert(given, type, &error);
  if (!operand) {
    fail(found, "Invalid operand", fmt::format("Unsuitable value for unary operand: {}.", error), {*e.items[0], scope});
  }
  diagnostics.append(found);
  if (found.has_errors()) return HclValue::unknown(type);
  if (operand->is_null()) {
    fail(diagnostics, "Operation failed", "Error during operation: argument must not be null.", {e, scope});
    return HclValue::unknown(type);
  }
  if (!operand->is_known()) return *operand;
  HclValue result = negates ? HclValue::number(-operand->as_number()) : HclValue::boolean(!operand->as_boolean());
  return hcl_marked(std::move(result), operand->sensitive());
}

HclValue HclEvaluator::conditional(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  const HclExpression& condition = *e.items[0];
  Diagnostics branch_found[2];
  HclValue branches[2];
  for (int i = 0; i < 2; ++i) {
    // A template's "if" may have no "else".
    const auto& branch = e.items[i + 1];
    branches[i] = branch ? value(*branch, scope, branch_found[i]) : HclValue::string("");
  }
  auto common = common_type(branches[0], branches[1]);
  if (!common) {
    SourceRange range = e.items[1]->range;
    if (e.items[2]) range.end = e.items[2]->range.end;
    fail(diagnostics, "Inconsistent conditional result types",
         fmt::format("The true and false result expressions must have consistent types. {}.",
                     mismatch(branches[0].type(), branches[1].type())),
         {range, e, scope});
    return HclValue::unknown(HclType::dynamic());
  }
  HclValue decided = value(condition, scope, diagnostics);
  bool sensitive = decided.sensitive() || branches[0].sensitive() || branches[1].sensitive();
  HclValue unknown = hcl_marked(HclValue::unknown(common->type), sensitive);
  if (decided.is_null()) {
    fail(diagnostics, "Null condition", "The condition value is null. Conditions must either be true or false.",
         {condition, scope});
    return unknown;
  }
  if (!decided.is_known()) {
    if (!spend(e, 0, sizeof(HclValue) * branches[0].weight())) return unknown;
    return hcl_marked(kept(e, undecided(common->type, branches[0], branches[1])), sensitive);
  }
  auto truth = hcl_convert(decided, HclType::boolean());
  if (!truth) {
    fail(diagnostics, "Incorrect condition type", "The condition expression must be of type bool.", {condition, scope});
    return unknown;
  }
  int taken = truth->as_boolean() ? 0 : 1;
  diagnostics.append(branch_found[taken]);
  HclValue& result = branches[taken];
  if ((taken == 0 ? common->converts_yes : common->converts_no) && !(result.type() == common->type)) {
    if (!spend_walk(e, result)) return unknown;
    std::string error;
    auto converted = hcl_convert(result, common->type, &error);
    if (!converted) {
      fail(diagnostics, "Inconsistent conditional result types",
           fmt::format("The {} result value has the wrong type: {}.", taken == 0 ? "true" : "false", error),
           {e.items[taken + 1] ? *e.items[taken + 1] : e, scope});
      return unknown;
    }
    result = kept(e, std::move(*converted));
  }
  return hcl_marked(std::move(result), sensitive);
}

}  // namespace kiln
