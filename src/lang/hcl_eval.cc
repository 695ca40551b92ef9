// Evaluation of HCL expressions: the entrance, literals, the budget.
#include "lang/hcl_eval.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_evaluator.h"
#include "lang/hcl_json.h"

namespace kiln {
namespace {

/// A diagnostic costs, so that a loop over many items does not make as many of them.
constexpr uint64_t steps_a_diagnostic = 500;

const HclHost& host_of(const HclScope& scope) {
  static const HclHost none;
  for (const HclScope* at = &scope; at; at = at->parent) {
    if (at->host) return *at->host;
  }
  return none;
}

/// Names longer than this, or more of them, are not looked through for a near one.
constexpr size_t max_name = 100;
constexpr size_t max_names = 5000;

}  // namespace

std::string hcl_suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() > max_name || candidates.size() > max_names) return "";
  return hcl_name_suggestion(word, {candidates.begin(), candidates.end()});
}

std::string hcl_name_hint(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() > max_name || candidates.size() > max_names) return "";
  auto nearest = nearest_name(word, candidates);
  return nearest ? fmt::format("Did you mean {}?", go_quote(*nearest)) : "";
}

bool HclEvaluator::spend(const HclExpression& e, uint64_t steps, uint64_t bytes) {
  if (exhausted_at_) return false;
  if (steps <= budget_.steps && bytes <= budget_.bytes) {
    budget_.steps -= steps;
    budget_.bytes -= bytes;
    return true;
  }
  exhausted_at_ = &e;
  return false;
}

bool HclEvaluator::spend_walk(const HclExpression& e, const HclValue& value) {
  return spend(e, value.weight());
}

HclValue HclEvaluator::kept(const HclExpression& e, HclValue result) {
  if (exhausted_at_) return HclValue::unknown(HclType::dynamic());
  if (result.weight() <= hcl_max_weight) return result;
  exhausted_at_ = &e;
  return HclValue::unknown(HclType::dynamic());
}

void HclEvaluator::fail(Diagnostics& diagnostics, std::string summary, std::string detail, const HclFault& at,
                        std::string hint) {
  budget_.steps -= std::min(budget_.steps, steps_a_diagnostic);
  Diagnostic made{Severity::error, std::move(summary), std::move(detail), at.range, std::move(hint)};
  if (at.shown && !quiet_) made.values = shown_values(*at.shown, *at.scope);
  diagnostics.add(std::move(made));
}

HclValue HclEvaluator::value(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  if (!spend(e, 1)) return HclValue::unknown(HclType::dynamic());
  switch (e.kind) {
    case Kind::literal: return literal(e, diagnostics);
    case Kind::tmpl: return joined(e, scope, diagnostics);
    case Kind::template_wrap:
    case Kind::parentheses: return value(*e.items[0], scope, diagnostics);
    case Kind::scope: return scope_value(e, scope, diagnostics);
    case Kind::traversal: return traversal(e, scope, diagnostics);
    case Kind::index: return index(e, scope, diagnostics);
    case Kind::splat: return splat(e, scope, diagnostics);
    case Kind::splat_item: return splat_item_ ? *splat_item_ : HclValue::unknown(HclType::dynamic());
    case Kind::call: return call(e, scope, diagnostics);
    case Kind::conditional:
    case Kind::template_if: return conditional(e, scope, diagnostics);
    case Kind::binary: return binary(e, scope, diagnostics);
    case Kind::unary: return unary(e, scope, diagnostics);
    case Kind::tuple: return tuple(e, scope, diagnostics);
    case Kind::object: return object(e, scope, diagnostics);
    case Kind::for_tuple: return for_tuple(e, scope, diagnostics);
    case Kind::for_object: return for_object(e, scope, diagnostics);
    case Kind::template_for: return template_for(e, scope, diagnostics);
    case Kind::bound: return bound(e, scope, diagnostics);
    case Kind::wrong_string: report_hcl_json_string(e, diagnostics); break;
  }
  return HclValue::unknown(HclType::dynamic());
}

HclValue HclEvaluator::literal(const HclExpression& e, Diagnostics& diagnostics) {
  switch (e.value.kind()) {
    case Value::Kind::boolean: return HclValue::boolean(e.value.as_bool());
    case Value::Kind::string: return HclValue::string(e.value.as_string());
    case Value::Kind::number: {
      auto number = HclNumber::parse(e.value.as_number().text);
      if (number) return HclValue::number(*number);
      fail(diagnostics, "Invalid number literal", "Failed to recognize the value of this number literal.", e.range);
      return HclValue::unknown(HclType::number());
    }
    case Value::Kind::unknown: return hcl_marked(HclValue::unknown(HclType::dynamic()), e.value.secret);
    default: return HclValue();
  }
}

HclValue HclEvaluator::bound(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  HclScope inner;
  inner.parent = &scope;
  const HclBindings* bindings = e.bindings();
  if (bindings) inner.variables = bindings->variables;
  return hcl_marked(value(*e.items[0], inner, diagnostics), bindings && bindings->sensitive);
}

HclValue evaluate_hcl(const HclExpression& expression, const HclScope& scope, Diagnostics& diagnostics) {
  const HclHost& host = host_of(scope);
  HclBudget own;
  HclEvaluator evaluator(host, host.budget ? *host.budget : own);
  Diagnostics found;
  HclValue value = evaluator.value(expression, scope, found);
  if (const HclExpression* at = evaluator.exhausted_at()) {
    found.error("Expression too large",
                "Evaluating this expression takes more steps or memory than one may take.",
                at->range.known() ? at->range : expression.range,
                "Lists that are repeated within each other grow very fast.");
  }
  diagnostics.append(found);
  return found.has_errors() ? HclValue::unknown(HclType::dynamic()) : value;
}

std::vector<std::string> hcl_shown_values(const HclExpression& expression, const HclScope& scope) {
  HclBudget budget;
  return HclEvaluator(host_of(scope), budget).shown_values(expression, scope);
}

HclValue evaluate_hcl_as(const HclExpression& expression, const HclType& type, const HclScope& scope,
                         const std::string& attribute, Diagnostics& diagnostics) {
  Diagnostics found;
  HclValue value = evaluate_hcl(expression, scope, found);
  diagnostics.append(found);
  if (found.has_errors()) return HclValue::unknown(type.without_optional());
  std::string error;
  if (auto converted = hcl_convert(value, type, &error)) return *converted;
  if (attribute.empty()) {
    diagnostics.error("Unsuitable value type", fmt::format("Unsuitable value: {}.", error), expression.range);
  } else {
    diagnostics.add({Severity::error, "Incorrect attribute value type",
                     fmt::format("Inappropriate value for attribute {}: {}.", go_quote(attribute), error),
                     expression.range, "", hcl_shown_values(expression, scope)});
  }
  return HclValue::unknown(type.without_optional());
}

}  // namespace kiln
