// Tokens, diagnostics and bodies of HCL's native syntax.
#include "lang/hcl_parser.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "lang/go_literal.h"

namespace kiln {
namespace {

/// Blocks, brackets and templates within each other; more is refused.
constexpr int max_hcl_nesting = 150;
constexpr int max_invalid_reports = 20;
constexpr std::string_view equals_sign_needed =
    "An argument or block definition is required here. To set an argument, use the equals sign \"=\" to introduce the "
    "argument value.";

/// How a token changes the nesting of brackets.
int nesting(HclTokenKind kind) {
  switch (kind) {
    case HclTokenKind::open_brace:
    case HclTokenKind::open_bracket:
    case HclTokenKind::open_paren:
    case HclTokenKind::open_quote:
    case HclTokenKind::open_heredoc:
    case HclTokenKind::template_interpolation:
    case HclTokenKind::template_control: return 1;
    case HclTokenKind::close_brace:
    case HclTokenKind::close_bracket:
    case HclTokenKind::close_paren:
    case HclTokenKind::close_quote:
    case HclTokenKind::close_heredoc:
    case HclTokenKind::template_end: return -1;
    default: return 0;
  }
}

struct InvalidText {
  std::string summary;
  std::string detail;
};

/// Whether a newline behind such a token breaks a quoted string.
bool is_within_quotes(HclTokenKind before) {
  return before == HclTokenKind::open_quote || before == HclTokenKind::quoted_literal ||
         before == HclTokenKind::template_end;
}

InvalidText describe_invalid(std::string_view text) {
  if (text.starts_with("/*"))
    return {"Unterminated comment",
            "The comment that starts here is never closed by "
            "\"*/\"."};
  if (text == "'")
    return {"Invalid character",
            "Single quotes are not valid. Use double quotes (\") to enclose "
            "strings."};
  if (text == "`")
    return {"Invalid character",
            "The \"`\" character is not valid. To create a multi-line "
            "string, use the \"heredoc\" syntax, like \"<<EOT\"."};
  if (text == ";")
    return {"Invalid character",
            "The \";\" character is not valid. Use newlines to separate "
            "arguments and blocks, and commas to separate items in collection values."};
  if (text == "&" || text == "|" || text == "^" || text == "~") {
    std::string detail = "Bitwise operators are not supported.";
    if (text == "&") detail += " Did you mean boolean AND (\"&&\")?";
    if (text == "|") detail += " Did you mean boolean OR (\"||\")?";
    if (text == "~") detail += " Did you mean boolean NOT (\"!\")?";
    return {"Unsupported operator", detail};
  }
  if (text == "\u201C" || text == "\u201D")
    return {
        "Invalid character",
        "\"Curly quotes\" are not valid here. These can sometimes be inadvertently introduced when sharing code via "
        "documents or discussion forums. It might help to replace the character with a \"straight quote\"."};
  return {"Invalid character", "This character is not used within the language."};
}

}  // namespace

HclParser::DepthScope::DepthScope(HclParser& parser) : parser_(parser) {
  if (++parser_.depth_ <= max_hcl_nesting) return;
  --parser_.depth_;
  parser_.fail("Nested too deeply", fmt::format("Nothing may be nested more than {} levels.", max_hcl_nesting),
               parser_.range_of(parser_.peek()));
}

/// The last token, end_of_file, is never passed.
HclToken HclParser::next() {
  HclToken token = peek();
  last_end_ = token.end();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

void HclParser::report(std::string summary, std::string detail, SourceRange range, std::string hint) {
  diagnostics_.error(std::move(summary), std::move(detail), std::move(range), std::move(hint));
}

void HclParser::fail(std::string summary, std::string detail, SourceRange range, std::string hint) {
  report(std::move(summary), std::move(detail), std::move(range), std::move(hint));
  throw Failure{};
}

void HclParser::report_invalid_tokens() {
  int reports = 0;
  std::string_view text = file_->text;
  if (!is_valid_utf8(text)) {
    size_t good = 0;
    for (std::string_view rest = text; !rest.empty(); good = text.size() - rest.size()) {
      std::string_view before = rest;
      if (take_rune(rest) == 0xFFFD && before.size() - rest.size() == 1) break;
    }
    report("Invalid character encoding",
           "All input files must be UTF-8 encoded. Ensure that UTF-8 encoding is "
           "selected in your editor.",
           {file_, good, good + 1});
  }
  if (!tokens_.flawed()) return;
  for (size_t i = 0; i < tokens_.size() && reports < max_invalid_reports; ++i) {
    Kind kind = tokens_.kind(i);
    if (kind != Kind::newline && kind != Kind::invalid) continue;
    const HclToken token = tokens_[i];
    if (kind == Kind::newline && i > 0 && is_within_quotes(tokens_.kind(i - 1))) {
      report("Invalid multi-line string",
             "Quoted strings may not be split over multiple lines. To produce a "
             "multi-line string, either use the \\n escape to represent a newline character or use the "
             "\"heredoc\" multi-line template syntax.",
             range_of(token));
      ++reports;
    }
    if (kind != Kind::invalid) continue;
    InvalidText text = describe_invalid(token.text);
    report(text.summary, text.detail, range_of(token));
    ++reports;
  }
}

HclBody HclParser::parse_file() {
  NewlineScope newlines(*this, true);
  HclBody out = body(Kind::end_of_file);
  out.range = {file_, 0, file_->text.size()};
  return out;
}

HclBody HclParser::body(Kind end) {
  HclBody out;
  HclBodyItems items;
  auto outer = std::exchange(body_names_, {});
  for (;;) {
    const HclToken token = peek();
    if (token.kind == end || token.kind == Kind::end_of_file) {
      body_names_ = std::move(outer);
      out.set_items(std::move(items));
      out.end = range_of(token);
      return out;
    }
    if (token.kind == Kind::newline) {
      next();
      continue;
    }
    size_t first = at_;
    try {
      body_item(items);
    } catch (const Failure&) {
      newlines_matter_ = true;
      skip_item(first);
    }
  }
}

/// Goes on behind the line on which an item with a mistake ends: brackets opened since its first token are closed
/// first; a brace that closes the enclosing block is left for it.
void HclParser::skip_item(size_t first_token) {
  int open = 0;
  for (size_t i = first_token; i < at_; ++i) open = std::max(0, open + nesting(tokens_.kind(i)));
  while (!at(Kind::end_of_file)) {
    const HclToken token = peek();
    if (open == 0 && token.kind == Kind::newline && at_ > first_token) return;
    if (open == 0 && token.kind == Kind::close_brace && at_ > first_token && depth_ > 0) return;
    open = std::max(0, open + nesting(token.kind));
    next();
  }
}

void HclParser::body_item(HclBodyItems& items) {
  const HclToken first = peek();
  if (first.kind == Kind::open_quote) {
    fail("Invalid argument name", "Argument names must not be quoted.", range_of(first));
  }
  if (first.kind == Kind::close_brace) {
    fail("Argument or block definition required",
         "An argument or block definition is required "
         "here.",
         range_of(first), "This closing brace closes nothing.");
  }
  if (first.kind != Kind::identifier) {
    fail("Argument or block definition required",
         "An argument or block definition is required "
         "here.",
         range_of(first));
  }
  next();
  switch (peek_kind()) {
    case Kind::assign: return attribute(items, first);
    case Kind::open_quote:
    case Kind::open_brace:
    case Kind::identifier: return block(items, first);
    default:
      fail("Argument or block definition required",
           std::string(equals_sign_needed), range_of(first));
  }
}

/// From the equals sign on. The expression's tree has told its mistakes and is dropped.
HclAttribute HclParser::attribute_value(const HclToken& name) {
  next();
  HclAttribute out;
  size_t begin = peek().begin;
  if (!pass_plain_expression()) expression();
  out.expression = HclWritten(range_from(begin));
  out.name = std::string(name.text);
  out.name_range = range_of(name);
  out.range = range_from(name.begin);
  return out;
}

void HclParser::attribute(HclBodyItems& items, const HclToken& name) {
  add_attribute(items, attribute_value(name));
  if (at(Kind::newline) || at(Kind::end_of_file)) return;
  if (at(Kind::comma)) {
    fail("Unexpected comma after argument",
         "Argument definitions must be separated by newlines, not commas. An "
         "argument definition must end with a newline.",
         range_of(peek()));
  }
  fail("Missing newline after argument", "An argument definition must end with a newline.", range_of(peek()));
}

void HclParser::add_attribute(HclBodyItems& items, HclAttribute attribute) {
  auto name = std::string_view(file_->text).substr(attribute.name_range.begin, attribute.name.size());
  auto [index, is_new] = body_names_.emplace(name, items.attributes.size());
  if (!is_new) {
    const HclAttribute* first = &items.attributes[index->second];
    auto place = line_column(first->name_range);
    report(
        "Attribute redefined",
        fmt::format("The argument \"{}\" was already set at {}:{},{}-{}. Each argument may be set only "
                    "once.",
                    attribute.name, file_->name, place.line, place.column, place.column + first->name.size()),
        attribute.name_range);
    return;
  }
  items.attributes.push_back(std::move(attribute));
}

void HclParser::labels(HclBlock& block) {
  while (!at(Kind::open_brace)) {
    const HclToken token = peek();
    if (token.kind == Kind::identifier) {
      next();
      block.labels.push_back({std::string(token.text), range_of(token)});
    } else if (token.kind == Kind::open_quote) {
      size_t last = at_ + 1;
      while (tokens_.kind(last) == Kind::quoted_literal) ++last;
      if (tokens_.kind(last) == Kind::newline)
        fail("Invalid string literal", "This item is not valid in a string literal.", range_of(tokens_[last]));
      auto label = quoted();
      if (label->kind != HclExpressionKind::literal) {
        size_t mark = file_->text.find_first_of("$%", label->range.begin);
        char which = mark < label->range.end ? file_->text[mark] : '$';
        fail("Invalid string literal",
             fmt::format("Template sequences are not allowed in this string. To include a literal {0}, double it (as "
                         "{1}) to escape it.",
                         go_quote(std::string(1, which)), go_quote(std::string(2, which))),
             label->range);
      }
      block.labels.push_back({label->value.as_string(), label->range});
    } else if (token.kind == Kind::assign) {
      fail("Invalid block definition",
           "The equals sign \"=\" indicates an argument definition, and must not be "
           "used when defining a block.",
           range_of(token));
    } else if (token.kind == Kind::newline) {
      fail("Invalid block definition",
           "A block definition must have block content delimited by \"{\" and "
           "\"}\", starting on the same line as the block header.",
           range_of(token));
    } else {
      fail("Invalid block definition",
           "Either a quoted string block label or an opening brace (\"{\") is "
           "expected here.",
           range_of(token));
    }
  }
}

void HclParser::block(HclBodyItems& items, const HclToken& type) {
  HclBlock out;
  out.type = std::string(type.text);
  out.type_range = range_of(type);
  labels(out);
  out.header = {file_, type.begin, last_end_};
  DepthScope deeper(*this);
  const HclToken open = next();
  if (at(Kind::newline)) {
    out.body = this->body(Kind::close_brace);
  } else if (!at(Kind::close_brace)) {
    single_line_body(out);
  } else {
    out.body.end = range_of(peek());
  }
  if (at(Kind::end_of_file)) {
    report("Unclosed configuration block",
           "There is no closing brace for this block before the end of the "
           "file. This may be caused by incorrect brace nesting elsewhere in this file.",
           range_of(open));
    out.range = range_from(type.begin);
    items.blocks.push_back(std::move(out));
    return;
  }
  next();
  out.body.range = range_from(open.begin);
  out.range = range_from(type.begin);
  items.blocks.push_back(std::move(out));
  if (!at(Kind::newline) && !at(Kind::end_of_file)) {
    fail("Missing newline after block definition", "A block definition must end with a newline.",
         range_of(peek()));
  }
}

/// "name { argument = value }"
void HclParser::single_line_body(HclBlock& block) {
  const HclToken name = peek();
  if (name.kind != Kind::identifier) {
    fail("Argument or block definition required",
         "An argument or block definition is required "
         "here.",
         range_of(name));
  }
  next();
  if (!at(Kind::assign)) {
    bool block = at(Kind::open_quote) || at(Kind::open_brace) || at(Kind::identifier);
    if (!block) fail("Argument or block definition required", std::string(equals_sign_needed), range_of(name));
    fail("Argument definition required",
         fmt::format("A single-line block definition can contain only a single "
                     "argument. If you meant to define argument \"{}\", use an equals sign to assign it a "
                     "value. To define "
                     "a nested block, place it on a line of its own within its parent block.",
                     name.text),
         {file_, name.begin, peek().end()});
  }
  HclBodyItems items;
  items.attributes.push_back(attribute_value(name));
  block.body.set_items(std::move(items));
  block.body.end = range_of(peek());
  if (at(Kind::close_brace) || at(Kind::end_of_file)) return;
  if (at(Kind::comma)) {
    fail("Invalid single-argument block definition",
         "Single-line block syntax can include only one argument "
         "definition. To define multiple arguments, use the multi-line block syntax with one argument "
         "definition per line.",
         range_of(peek()));
  }
  if (!at(Kind::newline)) {
    fail("Invalid single-argument block definition",
         "A single-line block definition must end with a closing brace immediately after its single argument "
         "definition.",
         range_of(peek()));
  }
  fail("Invalid single-argument block definition",
       "An argument definition on the same line as its containing "
       "block creates a single-line block definition, which must also be closed on the same line. Place the "
       "block's closing brace immediately after the argument definition.",
       range_of(peek()));
}

const Value& HclStep::key() const {
  static const Value none;
  return key_ ? *key_ : none;
}

SourceRange HclExpression::name_range() const {
  return name_end_ == 0 ? SourceRange{} : SourceRange{range.file, name_begin_, name_end_};
}

void HclExpression::set_name_range(size_t begin, size_t end) {
  name_begin_ = static_cast<uint32_t>(begin);
  name_end_ = static_cast<uint32_t>(end);
}

const std::string& HclExpression::value_name() const {
  static const std::string none;
  return rest_ ? rest_->value_name : none;
}

void HclExpression::set_value_name(std::string value_name) {
  rest_ = std::make_shared<const Rest>(Rest{std::move(value_name), nullptr});
}

const HclBindings* HclExpression::bindings() const { return rest_ ? rest_->bindings.get() : nullptr; }

void HclExpression::set_bindings(std::shared_ptr<const HclBindings> bindings) {
  rest_ = std::make_shared<const Rest>(Rest{{}, std::move(bindings)});
}

namespace {

const HclBodyItems& items_or_none(const std::shared_ptr<const HclBodyItems>& items) {
  static const HclBodyItems none;
  return items ? *items : none;
}

}  // namespace

const std::vector<HclAttribute>& HclBody::attributes() const { return items_or_none(items_).attributes; }

const std::vector<HclBlock>& HclBody::blocks() const { return items_or_none(items_).blocks; }

void HclBody::set_items(HclBodyItems items) { items_ = std::make_shared<const HclBodyItems>(std::move(items)); }

const HclAttribute* HclBody::find(std::string_view name) const {
  for (const auto& attribute : attributes()) {
    if (attribute.name == name) return &attribute;
  }
  return nullptr;
}

HclExpressionPtr HclParser::parse_first_expression() {
  try {
    return expression();
  } catch (const Failure&) {
    return nullptr;
  }
}

HclExpressionPtr HclParser::parse_whole_expression() {
  try {
    NewlineScope newlines(*this, false);
    auto out = expression();
    if (at(Kind::end_of_file)) return out;
    fail("Extra characters after expression", "The expression has ended here.", range_of(peek()));
  } catch (const Failure&) {
    return nullptr;
  }
}

HclExpressionPtr HclParser::parse_whole_template() {
  try {
    return template_until(Kind::end_of_file, false, 0);
  } catch (const Failure&) {
    return nullptr;
  }
}

namespace {

bool is_too_long(const SourceFile& file, Diagnostics& diagnostics) {
  if (file.text.size() <= max_hcl_text) return false;
  diagnostics.error("File too large", fmt::format("{} has more than {} bytes.", file.name, max_hcl_text));
  return true;
}

/// The parser of a text that nobody has looked through yet.
HclParser parser_of(std::shared_ptr<const SourceFile> file, HclTokens tokens, Diagnostics& diagnostics) {
  HclParser parser(std::move(file), std::move(tokens), diagnostics);
  parser.report_invalid_tokens();
  return parser;
}

}  // namespace

HclBody parse_hcl(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics) {
  if (is_too_long(*file, diagnostics)) return {};
  auto tokens = lex_hcl(file->text, HclComments::drop);
  return parser_of(std::move(file), std::move(tokens), diagnostics).parse_file();
}

HclExpressionPtr parse_hcl_expression(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics) {
  if (is_too_long(*file, diagnostics)) return nullptr;
  auto tokens = lex_hcl(file->text, HclComments::drop);
  return parser_of(std::move(file), std::move(tokens), diagnostics).parse_whole_expression();
}

HclExpressionPtr parse_hcl_template(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics) {
  if (is_too_long(*file, diagnostics)) return nullptr;
  auto tokens = lex_hcl_template(file->text, HclComments::drop);
  return parser_of(std::move(file), std::move(tokens), diagnostics).parse_whole_template();
}

HclExpressionPtr HclWritten::tree() const {
  if (made_ || !range_.known()) return made_;
  Diagnostics told;
  auto tokens = lex_hcl(std::string_view(range_.file->text).substr(0, range_.end), HclComments::drop, range_.begin);
  auto out = HclParser(range_.file, std::move(tokens), told).parse_first_expression();
  KILN_CHECK(out);
  return out;
}

}  // namespace kiln
