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
  Diagnostics found;
  for (const auto& item : e.items) {
    HclValue part = value(*item, scope, found);
    if (part.is_null()) {
      fail(found, summary, "The expression result is null. Cannot include a null value in a string template.",
           {*item, scope});
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
      fail(found, summary, fmt::format("Cannot include the given value in a string template: {}.", error),
           {*item, scope});
      continue;
    }
    // After a mistake the text is only that before it.
    if (!known || found.has_errors()) continue;
    if (!spend(e, 0, converted->as_string().size())) break;
    text += converted->as_string();
  }
  diagnostics.append(found);
  HclValue result = known ? kept(e, HclValue::string(std::move(text))) : HclValue::unknown(HclType::string());
  return hcl_marked(std::move(result), sensitive);
}

}  // namespace kiln
