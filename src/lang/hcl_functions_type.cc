// can try convert: what the evaluator does itself, since their arguments are not evaluated before.
#include "lang/hcl_function_kit.h"

namespace kiln::hcl_fn {
namespace {

HclFunction lazy(std::string doc, std::vector<HclParameter> parameters) {
  HclFunction out;
  out.doc = std::move(doc);
  out.lazy = true;
  out.parameters = std::move(parameters);
  return out;
}

}  // namespace

void add_type(HclFunctionTable& table) {
  constexpr unsigned all = takes_null | takes_unknown | takes_dynamic | takes_marked;
  table["can"] = lazy("Tells whether an expression can be evaluated.", {any("expression", all)});
  table["convert"] = lazy("Converts a value to a type.", {any("value", all), any("type", all)});
  table["try"] = lazy("Returns the first of the expressions that can be evaluated.", {});
  table["try"].variadic = any("expressions", all);
}

}  // namespace kiln::hcl_fn
