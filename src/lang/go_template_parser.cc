// The parser of Go's text/template: recursive descent over the tokens, one error ends it.
#include <fmt/format.h>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/go_template_ast.h"
#include "lang/go_template_lexer.h"

namespace kiln::go_template {
namespace {

/// Nesting of control clauses and parentheses; more is refused rather than risking the stack.
constexpr int max_parse_depth = 100;

bool is_term(TokenKind kind) {
  switch (kind) {
    case TokenKind::boolean:
    case TokenKind::char_constant:
    case TokenKind::dot:
    case TokenKind::field:
    case TokenKind::identifier:
    case TokenKind::number:
    case TokenKind::nil:
    case TokenKind::raw_string:
    case TokenKind::string:
    case TokenKind::variable:
    case TokenKind::left_paren: return true;
    default: return false;
  }
}

/// A token as error texts show it.
std::string describe(const Token& token) {
  if (token.kind == TokenKind::eof) return "EOF";
  if (token.kind == TokenKind::error) return token.text;
  if (token.kind >= TokenKind::dot) return "<" + token.text + ">";
  if (token.text.size() <= 10) return go_quote(token.text);
  std::string_view rest = token.text;
  for (int i = 0; i < 10 && !rest.empty(); ++i) take_rune(rest);
  return go_quote(std::string_view(token.text).substr(0, token.text.size() - rest.size())) + "...";
}

NodePtr make_node(NodeKind kind, size_t position) {
  auto node = std::make_unique<Node>();
  node->kind = kind;
  node->position = position;
  return node;
}

bool is_blank_tree(const Node& list) {
  for (const auto& child : list.children) {
    if (child->kind != NodeKind::text || !trim(child->text).empty()) return false;
  }
  return true;
}

class Parser {
 public:
  Parser(std::string_view source, const std::function<bool(std::string_view)>& is_function)
      : source_(source), tokens_(tokenize(source)), is_function_(is_function) {}

  Tree parse() {
    tree_.source = source_;
    tree_.root = make_node(NodeKind::list, 0);
    while (peek().kind != TokenKind::eof) {
      if (peek().kind == TokenKind::left_delimiter) {
        size_t back = at_;
        next();
        if (next_non_space().kind == TokenKind::kw_define) {
          parse_definition();
          continue;
        }
        at_ = back;
      }
      NodePtr node = text_or_action();
      if (!node) continue;
      if (is_mark(*node)) fail("unexpected " + to_string(*node));
      tree_.root->children.push_back(std::move(node));
    }
    return std::move(tree_);
  }

 private:
  struct Deeper {
    explicit Deeper(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > max_parse_depth) parser_.fail("max expression depth exceeded");
    }
    ~Deeper() { --parser_.depth_; }
    Parser& parser_;
  };

  static bool is_mark(const Node& node) { return node.kind == NodeKind::end_mark || node.kind == NodeKind::else_mark; }

  // The last token is eof or error; it is returned again and again.
  const Token& peek() {
    furthest_ = std::max(furthest_, std::min(at_, tokens_.size() - 1));
    return tokens_[std::min(at_, tokens_.size() - 1)];
  }
  const Token& next() {
    const Token& token = peek();
    ++at_;
    return token;
  }
  const Token& next_non_space() {
    while (peek().kind == TokenKind::space) ++at_;
    return next();
  }
  const Token& peek_non_space() {
    while (peek().kind == TokenKind::space) ++at_;
    return peek();
  }

  [[noreturn]] void fail(const std::string& message) {
    throw SyntaxError{fmt::format("template: root:{}: {}", tokens_[furthest_].line, message)};
  }
  [[noreturn]] void unexpected(const Token& token, std::string_view context) {
    if (token.kind != TokenKind::error) fail(fmt::format("unexpected {} in {}", describe(token), context));
    std::string extra;
    if (action_line_ != 0 && action_line_ != token.line) {
      extra = fmt::format(" in action started at root:{}", action_line_);
      if (token.text.ends_with(" action")) extra = extra.substr(std::string_view(" in action").size());
    }
    fail(token.text + extra);
  }
  const Token& expect(TokenKind kind, std::string_view context) {
    const Token& token = next_non_space();
    if (token.kind != kind) unexpected(token, context);
    return token;
  }
  std::string quoted_name(const Token& token, std::string_view context) {
    if (token.kind != TokenKind::string && token.kind != TokenKind::raw_string) unexpected(token, context);
    auto name = go_unquote(token.text);
    if (!name) fail("invalid syntax");
    return *name;
  }

  void define(const std::string& name, NodePtr body) {
    auto& slot = tree_.defined[name];
    if (slot && !is_blank_tree(*slot)) {
      if (!is_blank_tree(*body)) fail(fmt::format("template: multiple definition of template {}", go_quote(name)));
      return;
    }
    slot = std::move(body);
  }

  void parse_definition() {
    Deeper deeper(*this);
    const std::string context = "define clause";
    std::string name = quoted_name(next_non_space(), context);
    expect(TokenKind::right_delimiter, context);
    auto outer = std::exchange(variables_, {"$"});
    auto [list, mark] = item_list();
    if (mark->kind != NodeKind::end_mark) fail(fmt::format("unexpected {} in {}", to_string(*mark), context));
    variables_ = std::move(outer);
    define(name, std::move(list));
  }

  /// A list up to {{end}} or {{else}}, and that mark.
  std::pair<NodePtr, NodePtr> item_list() {
    NodePtr list = make_node(NodeKind::list, peek_non_space().position);
    while (peek_non_space().kind != TokenKind::eof) {
      NodePtr node = text_or_action();
      if (!node) continue;
      if (is_mark(*node)) return {std::move(list), std::move(node)};
      list->children.push_back(std::move(node));
    }
    fail("unexpected EOF");
  }

  NodePtr text_or_action() {
    const Token& token = next_non_space();
    if (token.kind == TokenKind::text) {
      NodePtr node = make_node(NodeKind::text, token.position);
      node->text = token.text;
      return node;
    }
    if (token.kind != TokenKind::left_delimiter) unexpected(token, "input");
    action_line_ = token.line;
    size_t begin = token.position;
    NodePtr node = action();
    action_line_ = 0;
    if (node->kind == NodeKind::action) {
      node->position = begin;
      node->end = tokens_[std::min(at_, tokens_.size()) - 1].end;
    }
    return node;
  }

  NodePtr action() {
    const Token& token = next_non_space();
    switch (token.kind) {
      case TokenKind::kw_block: return block_control();
      case TokenKind::kw_break: return leave_control(NodeKind::break_clause, token.position);
      case TokenKind::kw_continue: return leave_control(NodeKind::continue_clause, token.position);
      case TokenKind::kw_else: return else_control(token.position);
      case TokenKind::kw_end: {
        size_t position = token.position;
        expect(TokenKind::right_delimiter, "end");
        return make_node(NodeKind::end_mark, position);
      }
      case TokenKind::kw_if: return branch_control(NodeKind::if_clause, "if");
      case TokenKind::kw_range: return branch_control(NodeKind::range_clause, "range");
      case TokenKind::kw_with: return branch_control(NodeKind::with_clause, "with");
      case TokenKind::kw_template: return template_control();
      default: break;
    }
    --at_;
    NodePtr node = make_node(NodeKind::action, token.position);
    node->pipe = pipeline("command", TokenKind::right_delimiter);
    return node;
  }

  NodePtr leave_control(NodeKind kind, size_t position) {
    NodePtr node = make_node(kind, position);
    std::string name = to_string(*node);
    const Token& token = next_non_space();
    if (token.kind != TokenKind::right_delimiter) unexpected(token, name);
    if (range_depth_ == 0) fail(name + " outside {{range}}");
    return node;
  }

  NodePtr else_control(size_t position) {
    TokenKind kind = peek_non_space().kind;
    // "else if" and "else with" leave the keyword for branch_control.
    if (kind != TokenKind::kw_if && kind != TokenKind::kw_with) expect(TokenKind::right_delimiter, "else");
    return make_node(NodeKind::else_mark, position);
  }

  NodePtr branch_control(NodeKind kind, const char* word) {
    Deeper deeper(*this);
    size_t scope = variables_.size();
    NodePtr node = make_node(kind, peek().position);
    node->pipe = pipeline(word, TokenKind::right_delimiter);
    if (kind == NodeKind::range_clause) ++range_depth_;
    auto [body, mark] = item_list();
    if (kind == NodeKind::range_clause) --range_depth_;
    node->body = std::move(body);
    if (mark->kind == NodeKind::else_mark) {
      TokenKind chained = kind == NodeKind::if_clause ? TokenKind::kw_if : TokenKind::kw_with;
      if (kind != NodeKind::range_clause && peek().kind == chained) {
        next();
        node->otherwise = make_node(NodeKind::list, mark->position);
        node->otherwise->children.push_back(branch_control(kind, word));
      } else {
        auto [otherwise, last] = item_list();
        if (last->kind != NodeKind::end_mark) fail("expected end; found " + to_string(*last));
        node->otherwise = std::move(otherwise);
      }
    }
    variables_.resize(scope);
    return node;
  }

  NodePtr template_control() {
    const std::string context = "template clause";
    const Token& name = next_non_space();
    NodePtr node = make_node(NodeKind::template_call, name.position);
    node->text = quoted_name(name, context);
    if (next_non_space().kind != TokenKind::right_delimiter) {
      --at_;
      node->pipe = pipeline(context, TokenKind::right_delimiter);
    }
    return node;
  }

  NodePtr block_control() {
    Deeper deeper(*this);
    const std::string context = "block clause";
    const Token& token = next_non_space();
    NodePtr node = make_node(NodeKind::template_call, token.position);
    node->text = quoted_name(token, context);
    node->pipe = pipeline(context, TokenKind::right_delimiter);
    auto outer = std::exchange(variables_, {"$"});
    auto [list, mark] = item_list();
    if (mark->kind != NodeKind::end_mark) fail(fmt::format("unexpected {} in {}", to_string(*mark), context));
    variables_ = std::move(outer);
    define(node->text, std::move(list));
    return node;
  }

  /// "$x :=", "$x =", "$i, $e :=" in front of a pipeline.
  void declarations(Node& pipe, std::string_view context) {
    while (peek_non_space().kind == TokenKind::variable) {
      size_t back = at_;
      Token variable = next();
      const Token& after = peek_non_space();
      if (after.kind == TokenKind::assign || after.kind == TokenKind::declare) {
        pipe.assigns = after.kind == TokenKind::assign;
        next();
        pipe.declared.push_back(variable.text);
        variables_.push_back(variable.text);
        return;
      }
      if (after.kind != TokenKind::character || after.text != ",") {
        at_ = back;
        return;
      }
      next();
      pipe.declared.push_back(variable.text);
      variables_.push_back(variable.text);
      if (context != "range" || pipe.declared.size() >= 2) fail(fmt::format("too many declarations in {}", context));
      TokenKind kind = peek_non_space().kind;
      if (kind != TokenKind::variable && kind != TokenKind::right_delimiter && kind != TokenKind::right_paren) {
        fail("range can only initialize variables");
      }
    }
  }

  NodePtr pipeline(std::string_view context, TokenKind end) {
    Deeper deeper(*this);
    NodePtr pipe = make_node(NodeKind::pipeline, peek_non_space().position);
    declarations(*pipe, context);
    for (;;) {
      const Token& token = next_non_space();
      if (token.kind == end) break;
      if (!is_term(token.kind)) unexpected(token, context);
      --at_;
      pipe->children.push_back(command());
    }
    if (pipe->children.empty()) fail(fmt::format("missing value for {}", context));
    for (size_t i = 1; i < pipe->children.size(); ++i) {
      switch (pipe->children[i]->children.front()->kind) {
        case NodeKind::boolean:
        case NodeKind::dot:
        case NodeKind::nil:
        case NodeKind::number:
        case NodeKind::string: fail(fmt::format("non executable command in pipeline stage {}", i + 1));
        default: break;
      }
    }
    return pipe;
  }

  NodePtr command() {
    NodePtr node = make_node(NodeKind::command, peek_non_space().position);
    for (;;) {
      peek_non_space();
      if (NodePtr argument = operand()) node->children.push_back(std::move(argument));
      const Token& token = next();
      if (token.kind == TokenKind::space) continue;
      if (token.kind == TokenKind::right_delimiter || token.kind == TokenKind::right_paren) --at_;
      else if (token.kind != TokenKind::pipe) unexpected(token, "operand");
      break;
    }
    if (node->children.empty()) fail("empty command");
    return node;
  }

  /// A term with the .Fields that follow it.
  NodePtr operand() {
    NodePtr node = term();
    if (!node || peek().kind != TokenKind::field) return node;
    std::vector<std::string> names;
    size_t position = peek().position;
    while (peek().kind == TokenKind::field) names.push_back(next().text.substr(1));
    switch (node->kind) {
      case NodeKind::field:
      case NodeKind::variable:
        node->position = position;
        node->names.insert(node->names.end(), names.begin(), names.end());
        return node;
      case NodeKind::boolean:
      case NodeKind::string:
      case NodeKind::number:
      case NodeKind::nil:
      case NodeKind::dot: fail("unexpected . after term " + go_quote(to_string(*node)));
      default: break;
    }
    NodePtr chain = make_node(NodeKind::chain, position);
    chain->names = std::move(names);
    chain->children.push_back(std::move(node));
    return chain;
  }

  NodePtr term() {
    Token token = next_non_space();
    switch (token.kind) {
      case TokenKind::identifier: {
        if (!is_function_(token.text)) fail(fmt::format("function {} not defined", go_quote(token.text)));
        NodePtr node = make_node(NodeKind::identifier, token.position);
        node->text = token.text;
        return node;
      }
      case TokenKind::dot: return make_node(NodeKind::dot, token.position);
      case TokenKind::nil: return make_node(NodeKind::nil, token.position);
      case TokenKind::variable: return variable(token);
      case TokenKind::field: {
        NodePtr node = make_node(NodeKind::field, token.position);
        node->names = {token.text.substr(1)};
        return node;
      }
      case TokenKind::boolean: {
        NodePtr node = make_node(NodeKind::boolean, token.position);
        node->value = Value(token.text == "true");
        return node;
      }
      case TokenKind::char_constant:
      case TokenKind::number: return number(token);
      case TokenKind::left_paren: return pipeline("parenthesized pipeline", TokenKind::right_paren);
      case TokenKind::string:
      case TokenKind::raw_string: {
        auto text = go_unquote(token.text);
        if (!text) fail("invalid syntax");
        NodePtr node = make_node(NodeKind::string, token.position);
        node->text = token.text;
        node->value = Value(std::move(*text));
        return node;
      }
      default: --at_; return nullptr;
    }
  }

  NodePtr variable(const Token& token) {
    for (const auto& known : variables_) {
      if (known != token.text) continue;
      NodePtr node = make_node(NodeKind::variable, token.position);
      node->names = {token.text};
      return node;
    }
    fail(fmt::format("undefined variable {}", go_quote(token.text)));
  }

  NodePtr number(const Token& token) {
    auto value = parse_go_number(token.text);
    if (!value) {
      if (token.kind == TokenKind::char_constant) {
        fail(token.text == "''" ? "invalid syntax" : "malformed character constant: " + token.text);
      }
      bool digits = token.text.find_first_not_of("+-0123456789") == std::string::npos;
      bool octal = digits && token.text.size() < 20;
      fail((digits && !octal ? "integer overflow: " : "illegal number syntax: ") + go_quote(token.text));
    }
    NodePtr node = make_node(NodeKind::number, token.position);
    node->text = token.text;
    node->value = std::move(*value);
    return node;
  }

  std::string_view source_;
  std::vector<Token> tokens_;
  const std::function<bool(std::string_view)>& is_function_;
  Tree tree_;
  size_t at_ = 0;
  size_t furthest_ = 0;
  size_t action_line_ = 0;
  int range_depth_ = 0;
  int depth_ = 0;
  std::vector<std::string> variables_{"$"};
};

}  // namespace

Tree parse(std::string_view source, const std::function<bool(std::string_view)>& is_function) {
  return Parser(source, is_function).parse();
}

}  // namespace kiln::go_template
