// The functions of a template: Go's own and Packer's. Internal to lang.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lang/go_template.h"

namespace kiln::go_template {

/// A value while a template runs. Empty: there is none (a missing field), which is not the same as a null.
using Ref = std::shared_ptr<const Value>;
Ref make_ref(Value value);

/// Why a function failed; the caller puts "error calling NAME: " in front. Never leaves this folder.
struct FunctionError {
  std::string message;
};

/// How much a rendering may still do, so that no template takes the machine down. Shared by all its passes.
struct Budget {
  size_t steps = 500'000;           ///< nodes and loop turns
  size_t bytes = 32 * 1024 * 1024;  ///< parsed, read and written by functions
};
/// No text grows beyond this.
constexpr size_t max_template_text = 8 * 1024 * 1024;
/// Throws FunctionError when the text is too long.
void check_length(size_t length);

struct Call {
  const TemplateScope& scope;
  const std::vector<Ref>& arguments;
  const Ref& operator[](size_t i) const { return arguments[i]; }
  const std::string& text(size_t i) const { return arguments[i]->as_string(); }
  int64_t integer(size_t i) const;
  size_t size() const { return arguments.size(); }
};

/// `parameters`: one letter each, s string, i integer, v any; a "*" behind the last makes it variadic.
struct Function {
  std::string_view name;
  std::string_view parameters;
  Ref (*run)(const Call&);
  bool variadic() const { return parameters.ends_with('*'); }
  size_t fixed() const { return variadic() ? parameters.size() - 2 : parameters.size(); }
  char parameter(size_t i) const { return i < fixed() ? parameters[i] : parameters[parameters.size() - 2]; }
};

/// nullptr when there is no such function. "and" and "or" are there by name only: the executor runs them.
const Function* find_function(std::string_view name);
/// Go's text/template functions (go_template_builtins.cc).
const std::vector<Function>& go_functions();

bool is_true(const Ref& value);
/// Go's name of the type of a value: "int", "string", "map[string]interface {}", ...
std::string type_name(const Ref& value);
/// Go's %v.
std::string print_value(const Ref& value);
std::string print_value(const Value& value);

}  // namespace kiln::go_template
