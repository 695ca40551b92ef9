#include "lang/go_template.h"

#include <fmt/format.h>

#include "lang/go_template_ast.h"
#include "lang/go_template_exec.h"

namespace kiln {
namespace {

/// Packer renders until the text stays the same; a text that never does is refused.
constexpr int max_renderings = 100;

bool has_action(std::string_view text) { return text.find("{{") != std::string_view::npos; }

go_template::Tree parse_in_scope(std::string_view text, const TemplateScope& scope) {
  return go_template::parse(text, [&](std::string_view name) { return go_template::is_function(name, scope); });
}

Rendered render_pass(std::string_view text, const TemplateScope& scope, const Value& dot, go_template::Budget& budget) {
  if (!has_action(text)) return {std::string(text), std::nullopt};
  if (text.size() > go_template::max_template_text) return {"", "template: root:1: the template is longer than 8 MiB"};
  if (text.size() > budget.bytes) return {"", "template: root:1: the template handles too much text"};
  budget.bytes -= text.size();
  try {
    return go_template::execute(parse_in_scope(text, scope), scope, dot, budget);
  } catch (const go_template::SyntaxError& error) {
    return {"", error.message};
  }
}

}  // namespace

Rendered render_template_once(std::string_view text, const TemplateScope& scope, const Value& dot) {
  go_template::Budget budget;
  return render_pass(text, scope, dot, budget);
}

Rendered render_template(std::string_view text, const TemplateScope& scope, const Value& dot) {
  go_template::Budget budget;
  Rendered last{std::string(text), std::nullopt};
  for (int i = 0; i < max_renderings; ++i) {
    Rendered next = render_pass(last.text, scope, dot, budget);
    if (!next.ok() || next.text == last.text) return next;
    last = std::move(next);
  }
  return {"", fmt::format("template: root:1: the text still changes after {} renderings", max_renderings)};
}

std::optional<std::string> validate_template(std::string_view text, const TemplateScope& scope) {
  if (!has_action(text)) return std::nullopt;
  try {
    parse_in_scope(text, scope);
    return std::nullopt;
  } catch (const go_template::SyntaxError& error) {
    return error.message;
  }
}

}  // namespace kiln
