// The tree of a Go text/template. Internal to lang: go_template.h is what others use.
// Node kinds and how they print follow the documented grammar; printing matters because error texts quote nodes.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lang/value.h"

namespace kiln::go_template {

enum class NodeKind {
  list, text, action, pipeline, command, identifier, variable, dot, nil, boolean, number, string, field, chain,
  if_clause, range_clause, with_clause, template_call, break_clause, continue_clause, else_mark, end_mark,
};

struct Node;
using NodePtr = std::unique_ptr<Node>;

/// One node. Which members are used depends on the kind:
///  list: children · text: text · action: pipe · pipeline: declared, assigns, children (commands)
///  command: children (arguments) · identifier, number: text · string: text (as written), value · boolean: value
///  field: names · variable: names (first with its $) · chain: children[0], names
///  if/range/with: pipe, body, otherwise · template_call: text (name), pipe
struct Node {
  NodeKind kind;
  size_t position = 0;  ///< byte offset in the source
  size_t end = 0;       ///< actions: offset behind the right delimiter
  std::string text;
  Value value;          ///< constants
  std::vector<std::string> names;
  std::vector<std::string> declared;
  bool assigns = false;  ///< "=" instead of ":="
  std::vector<NodePtr> children;
  NodePtr pipe;
  NodePtr body;
  NodePtr otherwise;
};

/// The node in canonical form, as Go's error texts show it.
std::string to_string(const Node& node);

/// A parsed source: the root list and the templates it defines.
struct Tree {
  std::string source;
  NodePtr root;
  std::map<std::string, NodePtr> defined;
};

/// A syntax error, already in Go's words ("template: root:1: unclosed action"). Never leaves this folder.
struct SyntaxError {
  std::string message;
};

/// Parses; throws SyntaxError. `is_function` says which names may be called.
Tree parse(std::string_view source, const std::function<bool(std::string_view)>& is_function);

}  // namespace kiln::go_template
