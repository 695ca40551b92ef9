// Go's text/template as Packer uses it: the language of legacy JSON templates and of strings inside components.
// Source of the rules: the Go text/template documentation and packer-surface part 4.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lang/value.h"

namespace kiln {

/// Everything a template's functions may see. A plain value; nothing is read from outside while rendering.
struct TemplateScope {
  std::string build_name;
  std::string build_type;
  std::string template_dir;       ///< absolute; empty: {{template_dir}} is an error
  std::string working_directory;  ///< {{pwd}}
  std::string packer_version;     ///< what {{packer_version}} says
  std::chrono::system_clock::time_point started{};  ///< {{timestamp}}, {{isotime}}: fixed per run
  std::map<std::string, std::string> user_variables;
  /// {{env `X`}}: only set while `variables` are rendered; elsewhere "env vars are not allowed here".
  std::function<std::optional<std::string>(const std::string&)> env;
  /// {{build `X`}}: values of the machine. While preparing (build_data_known false) `X` yields the placeholder
  /// "{{.X}}" for the names in it, any other name is an error; at run time a missing one is "<no value>".
  Value build_data;
  bool build_data_known = false;
  bool keep_dot_actions = false;  ///< while `variables` are rendered: {{ .Something }} is kept as it is
  /// Functions a component adds (clean_resource_name, ...): name -> implementation over string arguments.
  std::map<std::string, std::function<std::string(const std::vector<std::string>&)>> functions;
};

/// The text, or Go's error text ("template: root:1:7: executing \"root\" at <...>: error calling ...").
struct Rendered {
  std::string text;
  std::optional<std::string> error;
  bool ok() const { return !error.has_value(); }
};

/// Renders once (Packer's RenderOnce). `dot` is the data of {{ .Field }}: an object; null means none.
Rendered render_template_once(std::string_view text, const TemplateScope& scope, const Value& dot = {});
/// Renders until the text no longer changes (Packer's Render), a bounded number of times.
Rendered render_template(std::string_view text, const TemplateScope& scope, const Value& dot = {});
/// The names of all functions, sorted: Go's own and Packer's.
std::vector<std::string> template_function_names();
/// Syntax and function names only. nullopt when fine.
std::optional<std::string> validate_template(std::string_view text, const TemplateScope& scope);

}  // namespace kiln
