// Evaluates HCL expressions. Source: the HCL native syntax specification; texts of diagnostics as HCL's.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lang/diagnostic.h"
#include "lang/hcl_ast.h"
#include "lang/hcl_function.h"
#include "lang/hcl_value.h"

namespace kiln {

/// What names mean. A chain: a child scope hides its parent's names. Plain data owned by whoever evaluates; it must
/// outlive the evaluation.
struct HclScope {
  const HclScope* parent = nullptr;
  std::map<std::string, HclValue, std::less<>> variables;
  /// Objects whose members are looked up one by one, so that `local.x` does not cost a copy of all locals. The whole
  /// (`local` alone, `local[k]`) is made when asked for. Unlike an object, the map may grow between evaluations.
  std::map<std::string, const std::map<std::string, HclValue>*, std::less<>> namespaces;
  HclFunctions functions;         ///< of the nearest scope that has some
  const HclHost* host = nullptr;  ///< likewise
};

/// How much work and memory evaluation may take; what is spent is taken off. A sum that runs out is a diagnostic.
struct HclBudget {
  uint64_t steps = 5'000'000;            ///< expressions evaluated, items visited
  uint64_t bytes = uint64_t{256} << 20;  ///< made anew: text, items of collections
};
/// The largest weight (HclValue::weight) that the result of an expression may have.
inline constexpr uint64_t hcl_max_weight = 1 << 18;

/// Variables that an expression brings along itself (see HclExpressionKind::bound).
struct HclBindings {
  std::map<std::string, HclValue, std::less<>> variables;
  bool sensitive = false;  ///< values depend on a sensitive for_each: the expression's value is marked
  bool unknown = false;    ///< how often the block is repeated is not known yet; its attributes are unknown literals
  size_t copies = 1;       ///< how many items the dynamic blocks around make in all: bounded
};

/// The value; on mistakes diagnostics are added (all that are found) and the value is unknown. Recursion is bounded by the
/// parser's limit on depth; work and sizes of results are bounded too (a template or for-expression that grows without measure
/// is refused with a diagnostic).
HclValue evaluate_hcl(const HclExpression& expression, const HclScope& scope, Diagnostics& diagnostics);
/// The same, converted: on failure a diagnostic "Unsuitable value type" / "Incorrect attribute value type" style at the
/// expression ("Inappropriate value for attribute ...: string required." when `attribute` is not empty).
HclValue evaluate_hcl_as(const HclExpression& expression, const HclType& type, const HclScope& scope,
                         const std::string& attribute, Diagnostics& diagnostics);

/// What the expression's names mean, one a line (`var.x as "abc"`), for a diagnostic about its value; without secrets.
std::vector<std::string> hcl_shown_values(const HclExpression& expression, const HclScope& scope);

/// A variable and the literal steps taken of it, as far as they can be told without evaluating: `local.a[0].b`.
struct HclReference {
  std::string root;
  std::vector<HclStep> steps;
  SourceRange range;
};
/// All free variables of the expression, in written order; names bound by for-expressions are left out.
std::vector<HclReference> hcl_references(const HclExpression& expression);
/// Names of all functions called.
std::vector<std::string> hcl_called_functions(const HclExpression& expression);
/// The expression as a reference with only literal steps (no calls, no operators): `source.null.x`; nullopt otherwise.
std::optional<HclReference> hcl_as_reference(const HclExpression& expression);

/// How `console` prints (packer-surface 1.4): strings raw at the top, quoted within.
std::string hcl_console_text(const HclValue& value);

}  // namespace kiln
