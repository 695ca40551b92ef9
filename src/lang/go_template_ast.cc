#include "lang/go_template_ast.h"

#include "base/text.h"

namespace kiln::go_template {
namespace {

std::string joined(const std::vector<NodePtr>& nodes, std::string_view separator) {
  std::string out;
  for (const auto& node : nodes) {
    if (!out.empty()) out += separator;
    bool parenthesised = node->kind == NodeKind::pipeline;
    out += parenthesised ? "(" + to_string(*node) + ")" : to_string(*node);
  }
  return out;
}

std::string branch(std::string_view word, const Node& node) {
  std::string out = "{{" + std::string(word) + " " + to_string(*node.pipe) + "}}" + to_string(*node.body);
  if (node.otherwise) out += "{{else}}" + to_string(*node.otherwise);
  return out + "{{end}}";
}

std::string pipeline_text(const Node& node) {
  std::string out = join(node.declared, ", ");
  if (!node.declared.empty()) out += node.assigns ? " = " : " := ";
  return out + joined(node.children, " | ");
}

std::string dotted(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += "." + name;
  return out;
}

}  // namespace

std::string to_string(const Node& node) {
  switch (node.kind) {
    case NodeKind::list: return joined(node.children, "");
    case NodeKind::text: return node.text;
    case NodeKind::action: return "{{" + to_string(*node.pipe) + "}}";
    case NodeKind::pipeline: return pipeline_text(node);
    case NodeKind::command: return joined(node.children, " ");
    case NodeKind::identifier:
    case NodeKind::number:
    case NodeKind::string: return node.text;
    case NodeKind::variable: return join(node.names, ".");
    case NodeKind::dot: return ".";
    case NodeKind::nil: return "nil";
    case NodeKind::boolean: return node.value.as_bool() ? "true" : "false";
    case NodeKind::field: return dotted(node.names);
    case NodeKind::chain: return joined(node.children, "") + dotted(node.names);
    case NodeKind::if_clause: return branch("if", node);
    case NodeKind::range_clause: return branch("range", node);
    case NodeKind::with_clause: return branch("with", node);
    case NodeKind::template_call:
      return "{{template " + go_quote(node.text) + (node.pipe ? " " + to_string(*node.pipe) : "") + "}}";
    case NodeKind::break_clause: return "{{break}}";
    case NodeKind::continue_clause: return "{{continue}}";
    case NodeKind::else_mark: return "{{else}}";
    case NodeKind::end_mark: return "{{end}}";
  }
  return {};
}

}  // namespace kiln::go_template
