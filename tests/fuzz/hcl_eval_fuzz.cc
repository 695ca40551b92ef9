// Any text as an expression that is evaluated: no crash, bounded; the same twice; what it refers to can be told.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "lang/hcl_ast.h"
#include "lang/hcl_eval.h"

namespace {

using kiln::HclType;
using kiln::HclValue;

kiln::HclFunctionTable make_functions() {
  kiln::HclFunctionTable out;
  kiln::HclFunction& pick = out["pick"];
  pick.parameters = {{"number", HclType::number()}};
  pick.variadic = kiln::HclParameter{"items", HclType::string()};
  pick.type = [](const auto&) { return HclType::string(); };
  pick.call = [](const auto& arguments, const auto&, const auto&) {
    auto at = arguments[0].as_number().to_int64();
    if (!at || *at < 1 || static_cast<size_t>(*at) >= arguments.size()) {
      throw kiln::HclFunctionError{"there is no such item", 0};
    }
    return arguments[static_cast<size_t>(*at)];
  };
  out["can"].parameters = {{"expression", HclType::dynamic()}};
  out["try"].variadic = kiln::HclParameter{"expressions", HclType::dynamic()};
  out["convert"].parameters = {{"value", HclType::dynamic()}, {"type", HclType::dynamic()}};
  for (const char* name : {"can", "try", "convert"}) out[name].lazy = true;
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  static const HclFunctionTable functions = make_functions();
  auto file =
      std::make_shared<SourceFile>(SourceFile{"fuzz.hcl", std::string(reinterpret_cast<const char*>(data), size)});
  Diagnostics parsing;
  HclExpressionPtr expression = parse_hcl_expression(file, parsing);
  if (!expression) return 0;
  HclBudget budget;
  budget.steps = 50'000;
  budget.bytes = 4 << 20;
  HclHost host;
  host.budget = &budget;
  HclScope scope;
  scope.host = &host;
  scope.functions = []() -> const HclFunctionTable& { return functions; };
  scope.variables["n"] = HclValue::number(3);
  scope.variables["s"] = HclValue::string("text");
  scope.variables["z"] = HclValue();
  scope.variables["l"] = HclValue::list(HclType::string(), {HclValue::string("a"), HclValue::string("b")});
  scope.variables["m"] = HclValue::map(HclType::number(), {{"k", HclValue::number(1)}});
  scope.variables["e"] = HclValue::set(HclType::number(), {HclValue::number(2), HclValue::number(1)});
  scope.variables["t"] = HclValue::tuple({HclValue::number(1), HclValue::string("x"), HclValue::boolean(true)});
  scope.variables["o"] = HclValue::object({{"a", HclValue::number(1)}, {"b", scope.variables["t"]}});
  scope.variables["h"] = HclValue::string("hidden").with_sensitive();
  scope.variables["u"] = HclValue::unknown(HclType::list(HclType::string()));
  scope.variables["d"] = HclValue::unknown(HclType::dynamic());
  Diagnostics found;
  HclValue value = evaluate_hcl(*expression, scope, found);
  if (found.has_errors()) KILN_CHECK(!value.is_known());
  for (const auto& item : found.items()) {
    KILN_CHECK(item.range.known() && item.range.begin <= item.range.end && item.range.end <= size);
    KILN_CHECK(!item.summary.empty());
  }
  hcl_console_text(value);
  hcl_references(*expression);
  hcl_called_functions(*expression);
  hcl_as_reference(*expression);
  budget.steps = 50'000;
  budget.bytes = 4 << 20;
  Diagnostics again;
  HclValue same = evaluate_hcl(*expression, scope, again);
  KILN_CHECK(found.items().size() == again.items().size());
  KILN_CHECK(value.type() == same.type() && value.raw_equals(same) && value.sensitive() == same.sensitive());
  return 0;
}
