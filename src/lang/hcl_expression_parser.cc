// Expressions of HCL's native syntax.
#include <fmt/format.h>

#include "lang/hcl_number.h"
#include "lang/hcl_parser.h"

namespace kiln {
namespace {

/// Trees grow without nesting too ("a + b + c ..."); higher ones are refused.
constexpr int max_tree_height = 1000;
/// Numbers of so many digits and nothing else are surely numbers.
constexpr size_t max_plain_digits = 100;
/// Within each other, of what is passed without making a tree: too few for "Nested too deeply", if not much is around.
constexpr int max_plain_levels = 10;
constexpr int max_depth_around = 100;

/// How strongly a binary operator binds; 0: it is none.
int precedence(HclTokenKind kind) {
  switch (kind) {
    case HclTokenKind::logical_or: return 1;
    case HclTokenKind::logical_and: return 2;
    case HclTokenKind::equal:
    case HclTokenKind::not_equal: return 3;
    case HclTokenKind::less:
    case HclTokenKind::less_or_equal:
    case HclTokenKind::greater:
    case HclTokenKind::greater_or_equal: return 4;
    case HclTokenKind::plus:
    case HclTokenKind::minus: return 5;
    case HclTokenKind::star:
    case HclTokenKind::slash:
    case HclTokenKind::percent: return 6;
    default: return 0;
  }
}

bool is_plain_number(std::string_view text) {
  return text.size() <= max_plain_digits && text.find_first_not_of("0123456789") == std::string_view::npos;
}

template <class... Item>
std::vector<HclExpressionPtr> items_of(Item&&... items) {
  std::vector<HclExpressionPtr> out;
  out.reserve(sizeof...(items));
  (out.push_back(std::forward<Item>(items)), ...);
  return out;
}

bool is_literal_key(const HclExpression& key) {
  if (key.kind != HclExpressionKind::literal) return false;
  return key.value.is_string() || key.value.kind() == Value::Kind::number;
}

}  // namespace

HclParser::Expression HclParser::make(HclExpressionKind kind, size_t begin, std::vector<HclExpressionPtr> items) {
  auto node = std::make_shared<HclExpression>();
  node->kind = kind;
  node->range = range_from(begin);
  for (const auto& item : items) {
    if (item) node->depth = std::max(node->depth, item->depth + 1);
  }
  node->items = std::move(items);
  if (node->depth > max_tree_height) {
    fail("Expression too large",
         fmt::format("An expression may not be more than {} operations "
                     "deep.",
                     max_tree_height),
         node->range);
  }
  return node;
}

/// Passes an expression of the kinds that most are: text, whole numbers, names, calls and lists of such. Their tokens
/// alone show that nothing is wrong with them. False: it is another one, or wrong, and nothing was passed.
bool HclParser::pass_plain_expression() {
  if (depth_ > max_depth_around) return false;
  size_t end = plain_term(at_, 0);
  if (end == 0) return false;
  Kind after = tokens_.kind(end);
  if (after != Kind::newline && after != Kind::end_of_file && after != Kind::close_brace) return false;
  last_end_ = tokens_[end - 1].end();
  at_ = end;
  return true;
}

/// The token behind a plain term; 0: it is none.
size_t HclParser::plain_term(size_t at, int level) const {
  if (level > max_plain_levels) return 0;
  switch (tokens_.kind(at)) {
    case Kind::number: return is_plain_number(tokens_[at].text) ? at + 1 : 0;
    case Kind::open_quote: return plain_template(at, level);
    case Kind::open_bracket: return plain_list(at, Kind::close_bracket, level);
    case Kind::identifier:
      if (tokens_.kind(++at) == Kind::open_paren) return plain_list(at, Kind::close_paren, level);
      for (; tokens_.kind(at) == Kind::dot; at += 2) {
        if (tokens_.kind(at + 1) != Kind::identifier) return 0;
      }
      return at;
    default: return 0;
  }
}

/// Plain terms between brackets, of which the first is at `at`.
size_t HclParser::plain_list(size_t at, Kind close, int level) const {
  do {
    at = behind_newlines(at + 1);
    if (tokens_.kind(at) == close) return at + 1;
    if (tokens_.kind(at) == Kind::identifier && tokens_[at].text == "for") return 0;
    at = plain_term(at, level + 1);
    if (at == 0) return 0;
    at = behind_newlines(at);
  } while (tokens_.kind(at) == Kind::comma);
  return tokens_.kind(at) == close ? at + 1 : 0;
}

/// A quoted template without escapes and directives.
size_t HclParser::plain_template(size_t at, int level) const {
  for (++at;;) {
    switch (tokens_.kind(at)) {
      case Kind::close_quote: return at + 1;
      case Kind::quoted_literal:
        if (tokens_[at].text.find('\\') != std::string_view::npos) return 0;
        ++at;
        break;
      case Kind::template_interpolation:
        at = plain_term(behind_newlines(at + 1), level + 1);
        if (at == 0) return 0;
        at = behind_newlines(at);
        if (tokens_.kind(at++) != Kind::template_end) return 0;
        break;
      default: return 0;
    }
  }
}

size_t HclParser::behind_newlines(size_t at) const {
  while (tokens_.kind(at) == Kind::newline) ++at;
  return at;
}

HclExpressionPtr HclParser::expression() {
  DepthScope deeper(*this);
  size_t begin = peek().begin;
  auto condition = binary(1);
  if (!at(Kind::question)) return condition;
  next();
  auto yes = expression();
  if (!at(Kind::colon)) {
    fail("Missing false expression in conditional",
         "The conditional operator (...?...:...) requires a false "
         "expression, delimited by a colon.",
         range_of(peek()));
  }
  next();
  auto no = expression();
  return make(HclExpressionKind::conditional, begin, items_of(std::move(condition), std::move(yes), std::move(no)));
}

HclExpressionPtr HclParser::binary(int lowest) {
  size_t begin = peek().begin;
  auto left = with_steps();
  for (;;) {
    int strength = precedence(peek_kind());
    if (strength < lowest || strength == 0) return left;
    const HclToken sign = next();
    auto right = binary(strength + 1);
    auto node = make(HclExpressionKind::binary, begin, items_of(std::move(left), std::move(right)));
    node->name = std::string(sign.text);
    node->set_name_range(sign.begin, sign.end());
    left = std::move(node);
  }
}

HclExpressionPtr HclParser::with_steps() { return steps(term(), false); }

/// What is taken of a value: .name, [key], .* and [*]. Within an attribute-only splat only names follow.
HclExpressionPtr HclParser::steps(HclExpressionPtr base, bool names_only) {
  for (bool done = false; !done;) {
    if (at(Kind::dot)) base = attribute_step(std::move(base), names_only);
    else if (at(Kind::open_bracket) && !names_only) base = bracket_step(std::move(base), done);
    else done = true;
  }
  return base;
}

HclExpressionPtr HclParser::add_step(const HclExpressionPtr& base, HclStep step) {
  bool extends = base->kind == HclExpressionKind::scope || base->kind == HclExpressionKind::traversal;
  if (extends && base.use_count() == 1) {
    // Made here and not shared yet.
    auto node = std::const_pointer_cast<HclExpression>(base);
    node->steps.push_back(std::move(step));
    node->range = range_from(node->range.begin);
    return node;
  }
  auto node = make(HclExpressionKind::traversal, base->range.begin, {base});
  node->steps.push_back(std::move(step));
  return node;
}

HclExpressionPtr HclParser::attribute_step(HclExpressionPtr base, bool names_only) {
  const HclToken dot = next();
  if (at(Kind::identifier)) {
    const HclToken name = next();
    HclStep step;
    step.name = std::string(name.text);
    step.range = range_from(dot.begin);
    return add_step(base, std::move(step));
  }
  if (at(Kind::number)) return legacy_index(base);
  if (!at(Kind::star))
    fail("Invalid attribute name", "An attribute name is required after a dot.", range_of(peek()));
  const HclToken star = next();
  if (names_only) {
    fail("Nested splat expression not allowed",
         "A splat expression (*) cannot be used inside another "
         "attribute-only splat expression.",
         range_of(star), "Use [*] instead of .*");
  }
  size_t begin = base->range.begin;
  return splat(std::move(base), begin, true);
}

/// ".0": how old templates write "[0]". A number token may hold two of them ("0.1"), which HCL refuses.
HclExpressionPtr HclParser::legacy_index(const HclExpressionPtr& base) {
  const HclToken number = next();
  if (size_t dot = number.text.find('.'); dot != std::string_view::npos) {
    fail("Invalid legacy index syntax",
         fmt::format(
             "When using the legacy index syntax, chaining two indexes together is not permitted. Use the proper "
             "index syntax instead, like [{}][{}].",
             number.text.substr(0, dot), number.text.substr(dot + 1)),
         range_of(number));
  }
  check_number(number);
  HclStep step;
  step.kind = HclStep::Kind::index;
  step.set_key(Value(Number{std::string(number.text)}));
  step.range = range_of(number);
  return add_step(base, std::move(step));
}

/// What the lexer takes for a number need not be one: "1.2.3".
void HclParser::check_number(const HclToken& number) {
  if (is_plain_number(number.text)) return;
  if (HclNumber::parse(number.text)) return;
  report("Invalid number literal", "Failed to recognize the value of this number literal.", range_of(number));
}

HclExpressionPtr HclParser::bracket_step(HclExpressionPtr base, bool& done) {
  const HclToken open = next();
  size_t begin = base->range.begin;
  HclExpressionPtr key;
  {
    NewlineScope newlines(*this, false);
    if (at(Kind::star)) {
      next();
      if (!at(Kind::close_bracket))
        fail("Missing close bracket on splat index",
             "The star for a full splat "
             "operator must be immediately followed by a closing bracket (\"]\").",
             range_of(peek()));
    } else {
      key = expression();
      if (!at(Kind::close_bracket))
        fail("Missing close bracket on index",
             "The index operator must end with a "
             "closing bracket (\"]\").",
             range_of(peek()));
    }
    next();
  }
  if (!key) {
    done = true;
    return splat(std::move(base), begin, false);
  }
  if (!is_literal_key(*key)) {
    return make(HclExpressionKind::index, begin, items_of(std::move(base), std::move(key)));
  }
  HclStep step;
  step.kind = HclStep::Kind::index;
  step.set_key(key->value);
  step.range = range_from(open.begin);
  return add_step(base, std::move(step));
}

HclExpressionPtr HclParser::splat(HclExpressionPtr base, size_t begin, bool names_only) {
  DepthScope deeper(*this);
  auto each = steps(make(HclExpressionKind::splat_item, last_end_), names_only);
  bool itself = each->kind == HclExpressionKind::splat_item;
  auto node = make(HclExpressionKind::splat, begin, items_of(std::move(base), itself ? nullptr : each));
  node->name = names_only ? ".*" : "[*]";
  return node;
}

HclExpressionPtr HclParser::term() {
  const HclToken token = peek();
  switch (token.kind) {
    case Kind::open_paren: return parenthesised();
    case Kind::number: {
      const HclToken number = next();
      check_number(number);
      auto node = make(HclExpressionKind::literal, number.begin);
      node->value = Value(Number{std::string(number.text)});
      return node;
    }
    case Kind::identifier: return word();
    case Kind::open_quote: return quoted();
    case Kind::open_heredoc: return heredoc();
    case Kind::minus:
    case Kind::bang: return unary();
    case Kind::open_bracket: return tuple();
    case Kind::open_brace: return object();
    case Kind::end_of_file:
      fail("Missing expression",
           "Expected the start of an expression, but found the end "
           "of the file.",
           range_of(token));
    default:
      fail("Invalid expression",
           "Expected the start of an expression, but found an invalid expression token.", range_of(token),
           token.kind == Kind::newline ? "The line ends where a value is expected." : "");
  }
}

HclExpressionPtr HclParser::parenthesised() {
  NewlineScope newlines(*this, false);
  const HclToken open = next();
  auto inner = expression();
  if (!at(Kind::close_paren))
    fail("Unbalanced parentheses",
         "Expected a closing parenthesis to terminate the "
         "expression.",
         range_of(peek()));
  // The parenthesis is taken while newlines do not count, what follows is seen as the outer scope wants.
  next();
  return make(HclExpressionKind::parentheses, open.begin, items_of(std::move(inner)));
}

HclExpressionPtr HclParser::unary() {
  DepthScope deeper(*this);
  const HclToken sign = next();
  auto operand = with_steps();
  auto node = make(HclExpressionKind::unary, sign.begin, items_of(std::move(operand)));
  node->name = std::string(sign.text);
  node->set_name_range(sign.begin, sign.end());
  return node;
}

/// A variable, a function call, or true, false, null.
HclExpressionPtr HclParser::word() {
  const HclToken name = next();
  if (at(Kind::open_paren) || at(Kind::double_colon)) return call(name);
  bool constant = name.text == "true" || name.text == "false" || name.text == "null";
  auto node = make(constant ? HclExpressionKind::literal : HclExpressionKind::scope, name.begin);
  if (constant) {
    if (name.text != "null") node->value = Value(name.text == "true");
  } else {
    node->name = std::string(name.text);
    node->set_name_range(name.begin, name.end());
  }
  return node;
}

HclExpressionPtr HclParser::call(const HclToken& first) {
  std::string name(first.text);
  while (at(Kind::double_colon)) {
    next();
    if (!at(Kind::identifier))
      fail("Missing function name",
           "Function scope resolution symbol :: must be "
           "followed by a function name in this scope.",
           range_of(peek()));
    name += "::" + std::string(next().text);
  }
  size_t name_end = last_end_;
  if (!at(Kind::open_paren))
    fail("Missing open parenthesis",
         "Function selector must be followed by an open "
         "parenthesis to begin the function call.",
         range_of(peek()));
  std::vector<HclExpressionPtr> arguments;
  bool expands = false;
  {
    NewlineScope newlines(*this, false);
    const HclToken open = next();
    while (!at(Kind::close_paren)) {
      arguments.push_back(expression());
      if (at(Kind::ellipsis)) {
        next();
        expands = true;
        if (!at(Kind::close_paren)) {
          fail("Missing closing parenthesis",
               "An expanded function argument (with ...) must be immediately "
               "followed by closing parentheses.",
               range_of(peek()));
        }
        break;
      }
      if (at(Kind::comma)) {
        next();
      } else if (at(Kind::end_of_file)) {
        fail("Unterminated function call",
             "There is no closing parenthesis for this function call before the "
             "end of the file. This may be caused by incorrect parenthesis nesting elsewhere in this "
             "file.",
             {file_, first.begin, open.end()});
      } else if (!at(Kind::close_paren)) {
        fail("Missing argument separator",
             "A comma is required to separate each function argument from the "
             "next.",
             range_of(peek()));
      }
    }
    next();
  }
  auto node = make(HclExpressionKind::call, first.begin, std::move(arguments));
  node->name = std::move(name);
  node->set_name_range(first.begin, name_end);
  node->expands = expands;
  return node;
}

HclExpressionPtr HclParser::tuple() {
  NewlineScope newlines(*this, false);
  const HclToken open = next();
  if (at_keyword("for")) return for_expression(open.begin, Kind::close_bracket);
  std::vector<HclExpressionPtr> items;
  while (!at(Kind::close_bracket)) {
    items.push_back(expression());
    if (at(Kind::comma)) {
      next();
    } else if (at(Kind::end_of_file)) {
      fail("Unterminated tuple constructor expression",
           "There is no corresponding closing bracket before the "
           "end of the file. This may be caused by incorrect bracket nesting elsewhere in this file.",
           range_of(open));
    } else if (!at(Kind::close_bracket)) {
      fail("Missing item separator", "Expected a comma to mark the beginning of the next item.",
           range_of(peek()));
    }
  }
  next();
  return make(HclExpressionKind::tuple, open.begin, std::move(items));
}

HclExpressionPtr HclParser::object() {
  size_t begin = peek().begin;
  {
    NewlineScope newlines(*this, false);
    next();
    size_t back = at_;
    if (at_keyword("for")) return for_expression(begin, Kind::close_brace);
    at_ = back;
  }
  NewlineScope newlines(*this, true);
  std::vector<HclExpressionPtr> items;
  for (;;) {
    while (at(Kind::newline)) next();
    if (at(Kind::close_brace)) break;
    object_item(items);
  }
  next();
  return make(HclExpressionKind::object, begin, std::move(items));
}

HclExpressionPtr HclParser::object_key() {
  auto key = expression();
  if (key->kind != HclExpressionKind::scope || !key->steps.empty()) return key;
  auto node = make(HclExpressionKind::literal, key->range.begin);
  node->range = key->range;
  node->value = Value(key->name);
  return node;
}

void HclParser::object_item(std::vector<HclExpressionPtr>& items) {
  items.push_back(object_key());
  if (!at(Kind::assign) && !at(Kind::colon)) {
    if (at(Kind::newline) || at(Kind::comma)) {
      fail("Missing attribute value",
           "Expected an attribute value, introduced by an equals sign "
           "(\"=\").",
           range_of(peek()));
    }
    if (at(Kind::end_of_file)) {
      fail("Unterminated object constructor expression", "The file ends inside an object.", range_of(peek()));
    }
    fail("Missing key/value separator",
         "Expected an equals sign (\"=\") to mark the beginning of the attribute "
         "value. If you intended to given an attribute name containing periods or spaces, write the name in "
         "quotes to create a string literal.",
         range_of(peek()));
  }
  next();
  items.push_back(expression());
  if (at(Kind::comma) || at(Kind::newline)) {
    next();
  } else if (at(Kind::end_of_file)) {
    fail("Unterminated object constructor expression", "The file ends inside an object.", range_of(peek()));
  } else if (!at(Kind::close_brace)) {
    fail("Missing attribute separator",
         "Expected a newline or comma to mark the beginning of the next "
         "attribute.",
         range_of(peek()));
  }
}

/// "for", one or two names, "in". `what`: "'for' expression" or "'for' directive".
HclParser::ForNames HclParser::for_names(bool is_directive) {
  ForNames names;
  const std::string summary = is_directive ? "Invalid 'for' directive" : "Invalid 'for' expression";
  const std::string what = is_directive ? "For directive" : "For expression";
  next();
  if (!at(Kind::identifier)) fail(summary, what + " requires variable name after 'for'.", range_of(peek()));
  names.value = next().text;
  if (at(Kind::comma)) {
    next();
    if (!at(Kind::identifier)) fail(summary, what + " requires value variable name after comma.", range_of(peek()));
    names.key = std::exchange(names.value, next().text);
  }
  if (!at_keyword("in"))
    fail(summary,
         what + (is_directive ? " requires 'in' keyword after names."
                              : " requires the 'in' keyword after its name declarations."),
         range_of(peek()));
  next();
  return names;
}

HclExpressionPtr HclParser::for_expression(size_t begin, Kind close) {
  const std::string what = "'for' expression";
  ForNames names = for_names(false);
  auto collection = expression();
  if (!at(Kind::colon))
    fail("Invalid " + what,
         "For expression requires a colon after the collection "
         "expression.",
         range_of(peek()));
  next();
  HclExpressionPtr key;
  auto value = expression();
  if (at(Kind::fat_arrow)) {
    next();
    key = std::exchange(value, expression());
  }
  bool groups = at(Kind::ellipsis);
  if (groups) next();
  HclExpressionPtr condition;
  if (at_keyword("if")) {
    next();
    condition = expression();
  }
  if (!at(close))
    fail("Invalid " + what,
         "Extra characters after the end of the 'for' "
         "expression.",
         range_of(peek()));
  next();
  bool is_object = close == Kind::close_brace;
  if (!is_object && key)
    fail("Invalid " + what, "Key expression is not valid when building a tuple.", key->range);
  if (!is_object && groups)
    fail("Invalid " + what,
         "Grouping ellipsis (...) cannot be used when building a "
         "tuple.",
         value->range);
  if (is_object && !key)
    fail("Invalid " + what, "Key expression is required when building an object.", value->range);
  std::vector<HclExpressionPtr> items = is_object ? std::vector<HclExpressionPtr>{collection, key, value, condition}
                                                  : std::vector<HclExpressionPtr>{collection, value, condition};
  auto node = make(is_object ? HclExpressionKind::for_object : HclExpressionKind::for_tuple, begin, std::move(items));
  node->name = names.key;
  node->set_value_name(std::string(names.value));
  node->expands = groups;
  return node;
}

}  // namespace kiln
