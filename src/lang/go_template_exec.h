// Running a parsed template. Internal to lang.
#pragma once
#include "lang/go_template_ast.h"
#include "lang/go_template_functions.h"

namespace kiln::go_template {

/// A function that stands in for Packer's: while a template is translated, or where another program's functions are
/// meant.
struct StandInFunction {
  std::string parameters;  ///< as Function's: one letter each, s string, i integer; a "*" makes the last variadic
  std::function<std::string(const std::vector<std::string>&)> run;
  std::function<Ref(const std::vector<Ref>&)> value = {};  ///< instead of `run`: takes and gives any value
};
using StandInFunctions = std::map<std::string, StandInFunction, std::less<>>;

/// Whether a template of this scope may call it. With stand-ins there are only they and Go's own functions.
bool is_function(std::string_view name, const TemplateScope& scope, const StandInFunctions* stand_ins = nullptr);

/// What {{ .Missing }} is.
enum class MissingKey { no_value, error };

/// Runs the tree once. The error text is Go's.
Rendered execute(const Tree& tree, const TemplateScope& scope, const Value& dot, Budget& budget,
                 const StandInFunctions* stand_ins = nullptr, MissingKey missing = MissingKey::no_value);

}  // namespace kiln::go_template
