// The evaluator of HCL's expressions, as one class over the tree. Internal to lang: hcl_eval.h is what others use.
// Values of sub-expressions that went wrong are unknown, so that one expression gives all of its diagnostics. Which
// diagnostics of which part are dropped (the branch not taken, the operand that does not count) is HCL's rule.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lang/hcl_eval.h"

namespace kiln {

/// Where a mistake is, and the expression whose names are shown with their values (HCL's choice, often a part of what is
/// at the place). Refers to what it is made of.
struct HclFault {
  const SourceRange& range;
  const HclExpression* shown = nullptr;
  const HclScope* scope = nullptr;

  HclFault(const SourceRange& place) : range(place) {}  // NOLINT: a place alone is a fault without values
  HclFault(const HclExpression& e, const HclScope& scope) : HclFault(e.range, e, scope) {}
  HclFault(const SourceRange& place, const HclExpression& e, const HclScope& scope)
      : range(place), shown(&e), scope(&scope) {}
};

class HclEvaluator {
 public:
  HclEvaluator(const HclHost& host, HclBudget& budget) : host_(host), budget_(budget) {}

  HclValue value(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  /// Where the budget ran out; nullptr while it has not. Everything evaluated since is unknown.
  const HclExpression* exhausted_at() const { return exhausted_at_; }
  /// What the expression's names mean, as HCL shows it beside a mistake: `var.x as "abc"`, sorted. Secrets are left out.
  std::vector<std::string> shown_values(const HclExpression& e, const HclScope& scope);

 private:
  using Kind = HclExpressionKind;

  // hcl_eval.cc
  HclValue literal(const HclExpression& e, Diagnostics& diagnostics);
  HclValue bound(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  /// Takes it off the budget; false when it has run out.
  bool spend(const HclExpression& e, uint64_t steps, uint64_t bytes = 0);
  /// What an operation that looks at all of the value costs.
  bool spend_walk(const HclExpression& e, const HclValue& value);
  /// The result, or unknown when it is too large to be kept.
  HclValue kept(const HclExpression& e, HclValue result);
  void fail(Diagnostics& diagnostics, std::string summary, std::string detail, const HclFault& at,
            std::string hint = {});

  // hcl_eval_access.cc
  HclValue scope_value(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  HclValue namespace_value(const HclExpression& e, const std::map<std::string, HclValue>& members,
                           const HclScope& scope, Diagnostics& diagnostics);
  HclValue traversal(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  HclValue index(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  HclValue take_steps(HclValue value, const HclExpression& e, size_t first, const HclScope& scope,
                      Diagnostics& diagnostics);
  // Each replaces the value by a part of it; false after a diagnostic.
  bool take_attribute(HclValue& value, const std::string& name, const HclFault& at, Diagnostics& diagnostics);
  bool take_index(HclValue& value, const HclValue& key, const HclFault& at, Diagnostics& diagnostics);
  bool take_item(HclValue& value, const HclValue& key, const HclFault& at, Diagnostics& diagnostics);
  bool take_map_member(HclValue& value, const HclValue& key, const HclFault& at, Diagnostics& diagnostics);
  bool take_object_member(HclValue& value, const HclValue& key, bool was_number, const HclFault& at,
                          Diagnostics& diagnostics);

  // hcl_eval_splat.cc
  HclValue splat(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  HclValue splat_each(const HclExpression& e, HclValue item, const HclScope& scope, Diagnostics& diagnostics);
  HclType splat_type(const HclExpression& e, const HclType& source, const HclScope& scope, Diagnostics& diagnostics);
  HclValue splat_list(const HclExpression& e, const HclType& source, HclValue::Items items, const HclScope& scope,
                      Diagnostics& diagnostics);

  // hcl_eval_operators.cc
  HclValue conditional(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  HclValue binary(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  HclValue unary(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);

  // hcl_eval_collections.cc
  HclValue tuple(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  HclValue object(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  /// The key of an object's item; nullopt when it is not known (or wrong).
  std::optional<std::string> object_key(const HclExpression& key, const HclValue& value, const HclFault& at,
                                        Diagnostics& diagnostics);

  // hcl_eval_for.cc
  struct Loop;
  bool loop_source(const HclExpression& e, const HclExpression* condition, const HclScope& scope, Loop& loop,
                   Diagnostics& diagnostics);
  bool loop_condition_type(const HclExpression& e, const HclExpression& condition, Loop& loop,
                           Diagnostics& diagnostics);
  template <class Body>
  void iterate(const HclExpression& e, Loop& loop, Body&& body);
  bool included(const HclExpression& condition, Loop& loop, Diagnostics& diagnostics);
  std::optional<std::string> loop_key(const HclExpression& key, Loop& loop, Diagnostics& diagnostics);
  HclValue for_tuple(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  HclValue for_object(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  HclValue template_for(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);

  // hcl_eval_call.cc
  /// What a function is called with: expressions, the last of them maybe expanded to values already.
  struct Arguments {
    std::vector<const HclExpression*> written;  ///< one an argument; the expanded ones are all the same expression
    HclValue::Items expanded;                   ///< the values of the last written.size() - first_expanded arguments
    size_t first_expanded = 0;
  };
  static HclFault argument_fault(const HclExpression& e, const Arguments& arguments, size_t i, const HclScope& scope);
  HclValue call(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  const HclFunction* find_function(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);
  bool expand_last(const HclExpression& e, const HclScope& scope, Arguments& arguments, Diagnostics& diagnostics);
  bool check_count(const HclExpression& e, const HclFunction& function, const Arguments& arguments,
                   const HclScope& scope, Diagnostics& diagnostics);
  /// The argument's value; of an expanded one without evaluating again.
  HclValue argument_value(const Arguments& arguments, size_t i, const HclScope& scope, Diagnostics& diagnostics);
  void report_call_error(const HclExpression& e, const HclFunction& function, const Arguments& arguments,
                         const HclFunctionError& error, const HclScope& scope, Diagnostics& diagnostics);

  // hcl_eval_lazy.cc
  HclValue call_lazy(const HclExpression& e, const HclFunction& function, const Arguments& arguments,
                     const HclScope& scope, Diagnostics& diagnostics);
  HclValue tried_value(const Arguments& arguments, size_t i, const HclScope& scope, Diagnostics& found);
  HclValue call_try(const Arguments& arguments, const HclScope& scope);
  HclValue call_can(const Arguments& arguments, const HclScope& scope);
  HclValue call_convert(const Arguments& arguments, const HclScope& scope, Diagnostics& diagnostics);

  // hcl_eval_template.cc
  HclValue joined(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics);

  const HclHost& host_;
  HclBudget& budget_;
  const HclExpression* exhausted_at_ = nullptr;
  bool quiet_ = false;  ///< diagnostics made now are not shown: without values
  const HclValue* splat_item_ = nullptr;  ///< what splat_item means now
};

/// The same value, sensitive when `sensitive` says so or it was already.
inline HclValue hcl_marked(HclValue value, bool sensitive) {
  return sensitive && !value.sensitive() ? value.with_sensitive() : std::move(value);
}
/// " Did you mean "x"?" when a name is as near as HCL wants for that (fewer than three edits), else "".
std::string hcl_suggestion(std::string_view word, const std::vector<std::string>& candidates);
/// The hint for a name that is near by our own measure, else "".
std::string hcl_name_hint(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace kiln
