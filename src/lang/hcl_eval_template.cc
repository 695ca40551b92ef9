// Text with interpolations: "a${b}c".
#include <fmt/format.h>

#include "lang/hcl_convert.h"
#include "lang/hcl_evaluator.h"

namespace kiln {

HclValue HclEvaluator::joined(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  const std::string summary = "Invalid template interpolation value";
  std::string text;
  bool known = true;
  bool sensitive = false;
  for (const auto& item : e.items) {
    HclValue part = value(*item, scope, diagnostics);
    if (part.is_null()) {
      fail(diagnostics, summary, "The expression result is null. Cannot include a null value in a string template.",
           item->range);
      continue;
    }
    sensitive = sensitive || part.sensitive();
    if (!part.is_known()) {
      known = false;
      continue;
    }
    std::string error;
    auto converted = hcl_convert(part, HclType::string(), &error);
    if (!converted) {
      fail(diagnostics, summary, fmt::format("Cannot include the given value in a string template: {}.", error),
           item->range);
      continue;
    }
    if (!spend(e, 0, converted->as_string().size())) break;
    text += converted->as_string();
  }
  HclValue result = known ? kept(e, HclValue::string(std::move(text))) : HclValue::unknown(HclType::string());
  return hcl_marked(std::move(result), sensitive);
}

}  // namespace kiln
