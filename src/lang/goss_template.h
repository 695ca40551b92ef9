// Gossfiles are Go templates before they are YAML: Go's own functions, goss's, and the usual ones of Sprig.
// Source of the rules: goss's documentation ("Templates") and Sprig's.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "lang/go_template.h"

namespace kiln {

struct GossTemplateScope {
  Value vars;                              ///< {{ .Vars.x }}: an object
  std::map<std::string, std::string> env;  ///< {{ .Env.X }}
  std::function<std::string(const std::string& path)> read_file;  ///< {{ readFile "path" }}; may throw Error
};

/// Renders once; what is not there is an error, as in goss.
Rendered render_goss_template(std::string_view text, const GossTemplateScope& scope);

}  // namespace kiln
