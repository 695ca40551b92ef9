// Running a parsed template. Internal to lang.
#pragma once
#include "lang/go_template_ast.h"
#include "lang/go_template_functions.h"

namespace kiln::go_template {

/// Runs the tree once. The error text is Go's.
Rendered execute(const Tree& tree, const TemplateScope& scope, const Value& dot, Budget& budget);

}  // namespace kiln::go_template
