// Any text as a template: no crash, no endless run; a valid one renders to a text or one of Go's errors.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "lang/go_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  std::string text(reinterpret_cast<const char*>(data), size);
  TemplateScope scope;
  scope.build_name = "name";
  scope.build_type = "type";
  scope.template_dir = "/dir";
  scope.started = std::chrono::system_clock::time_point(std::chrono::seconds(1600000000));
  scope.user_variables = {{"a", "value"}, {"b", "{{user `a`}}"}};
  scope.build_data = Value(std::map<std::string, std::string>{{"ID", "i-1"}});
  scope.functions["added"] = [](const std::vector<std::string>& words) { return words.empty() ? "" : words[0]; };
  Value dot = Value::empty_object();
  dot.set("S", Value("text"));
  dot.set("L", Value(Value::List{Value(1), Value("a"), Value()}));
  dot.set("M", Value(std::map<std::string, std::string>{{"k", "v"}}));
  auto invalid = validate_template(text, scope);
  Rendered once = render_template_once(text, scope, dot);
  // What does not parse does not render, and says the same.
  if (invalid) KILN_CHECK(once.error == invalid);
  if (once.error) KILN_CHECK(once.error->starts_with("template: "));
  render_template(text, scope, dot);
  return 0;
}
