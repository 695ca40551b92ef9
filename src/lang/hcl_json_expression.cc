// Values of HCL's JSON syntax as expressions. Source: HCL's JSON syntax specification.
#include <algorithm>

#include "base/error.h"
#include "lang/hcl_json.h"

namespace kiln {
namespace {

/// The text of a JSON string as a file of its own, and the way from its bytes to those of the JSON file.
struct HclJsonText {
  std::shared_ptr<const SourceFile> file;
  std::vector<size_t> places;  ///< relative to the string's opening quote
  SourceRange string;          ///< quotes included
};

HclJsonText hcl_json_text(const SourceRange& range) {
  HclJsonText out;
  out.string = range;
  size_t wrong = 0;
  std::string_view quoted = std::string_view(range.file->text).substr(range.begin, range.end - range.begin);
  auto text = unquote_hcl_json(quoted, wrong, &out.places);
  KILN_CHECK(text.has_value());
  out.file = std::make_shared<SourceFile>(SourceFile{range.file->name, std::move(*text)});
  return out;
}

void move_to_json(SourceRange& range, const HclJsonText& text) {
  if (range.file != text.file) return;
  auto moved = [&](size_t at) {
    return text.string.begin + text.places[std::min(at, text.places.size() - 1)];
  };
  range = {text.string.file, moved(range.begin), moved(range.end)};
}

/// The tree was made just now and is nobody else's yet.
void move_to_json(HclExpression& expression, const HclJsonText& text) {
  SourceRange name = expression.name_range();
  move_to_json(expression.range, text);
  if (name.known()) {
    move_to_json(name, text);
    expression.set_name_range(name.begin, name.end);
  }
  for (auto& step : expression.steps) {
    move_to_json(step.range, text);
  }
  for (const auto& item : expression.items) {
    if (item) move_to_json(const_cast<HclExpression&>(*item), text);
  }
}

std::shared_ptr<HclExpression> hcl_json_node(HclExpressionKind kind, const SourceRange& range) {
  auto node = std::make_shared<HclExpression>();
  node->kind = kind;
  node->range = range;
  node->json = true;
  return node;
}

/// The template, its places in the JSON file; null when it is none.
std::shared_ptr<HclExpression> hcl_json_template(const SourceRange& range) {
  HclJsonText inner = hcl_json_text(range);
  Diagnostics ignored;
  auto tree = parse_hcl_template(inner.file, ignored);
  if (!tree || ignored.has_errors()) return nullptr;
  auto node = std::const_pointer_cast<HclExpression>(tree);
  move_to_json(*node, inner);
  if (node->kind != HclExpressionKind::literal) return node;
  // "$${" alone: the literal says "${", the string as it was written goes beside it.
  auto outer = hcl_json_node(HclExpressionKind::tmpl, range);
  outer->depth = 2;
  outer->items.push_back(std::move(node));
  return outer;
}

HclExpressionPtr hcl_json_string(const std::string& text, const SourceRange& range) {
  std::shared_ptr<HclExpression> node;
  if (text.find("${") == std::string::npos && text.find("%{") == std::string::npos) {
    node = hcl_json_node(HclExpressionKind::literal, range);
  } else {
    node = hcl_json_template(range);
    if (!node) node = hcl_json_node(HclExpressionKind::wrong_string, range);
  }
  node->range = range;
  node->json = true;
  node->value = Value(text);
  return node;
}

}  // namespace

HclExpressionPtr hcl_json_expression(const Value& value) {
  auto add = [](HclExpression& parent, HclExpressionPtr item) {
    parent.depth = std::max(parent.depth, item->depth + 1);
    parent.items.push_back(std::move(item));
  };
  switch (value.kind()) {
    case Value::Kind::string:
      return hcl_json_string(value.as_string(), value.range);
    case Value::Kind::list: {
      auto node = hcl_json_node(HclExpressionKind::tuple, value.range);
      for (const Value& item : value.as_list()) add(*node, hcl_json_expression(item));
      return node;
    }
    case Value::Kind::object: {
      auto node = hcl_json_node(HclExpressionKind::object, value.range);
      for (const Member& member : value.as_object()) {
        add(*node, hcl_json_string(member.key, member.key_range));
        add(*node, hcl_json_expression(member.value));
      }
      return node;
    }
    default: {
      auto node = hcl_json_node(HclExpressionKind::literal, value.range);
      node->value = value;
      return node;
    }
  }
}

HclExpressionPtr parse_hcl_json_static(const HclExpression& expression) {
  if (expression.kind == HclExpressionKind::bound) return parse_hcl_json_static(*expression.items[0]);
  if (!expression.json || !expression.value.is_string()) return nullptr;
  HclJsonText inner = hcl_json_text(expression.range);
  Diagnostics ignored;
  auto tree = parse_hcl_expression(inner.file, ignored);
  if (!tree || ignored.has_errors()) return nullptr;
  move_to_json(const_cast<HclExpression&>(*tree), inner);
  return tree;
}

void report_hcl_json_string(const HclExpression& wrong_string, Diagnostics& diagnostics) {
  HclJsonText inner = hcl_json_text(wrong_string.range);
  Diagnostics found;
  parse_hcl_template(inner.file, found);
  for (Diagnostic item : found.items()) {
    move_to_json(item.range, inner);
    diagnostics.add(std::move(item));
  }
}

}  // namespace kiln
