// Go's fmt.Sprintf over template values. Internal to lang.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "lang/go_template_functions.h"

namespace kiln::go_template {

/// Mistakes in the format show in the text as Go shows them ("%!d(string=x)"). Throws FunctionError when the text
/// gets too long.
std::string go_sprintf(std::string_view format, const std::vector<Ref>& arguments);

}  // namespace kiln::go_template
