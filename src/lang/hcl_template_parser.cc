// Templates of HCL's native syntax: quoted strings, heredocs, "${...}" and "%{...}" sequences.
#include <fmt/format.h>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/hcl_json.h"
#include "lang/hcl_parser.h"

namespace kiln {
namespace {

/// White space as Unicode has it: a character that is some, at the front of the text.
bool starts_with_space(std::string_view text, size_t& length) {
  if (text.empty()) return false;
  std::string_view rest = text;
  uint32_t rune = take_rune(rest);
  length = text.size() - rest.size();
  return rune == ' ' || (rune >= '\t' && rune <= '\r') || rune == 0x85 || rune == 0xA0 || rune == 0x1680 ||
         (rune >= 0x2000 && rune <= 0x200A) || rune == 0x2028 || rune == 0x2029 || rune == 0x202F || rune == 0x205F ||
         rune == 0x3000;
}

/// Bytes of white space at the front, at most `most` characters of it; `count` says how many there were.
size_t leading_spaces(std::string_view text, size_t most = std::string_view::npos, size_t* count = nullptr) {
  size_t bytes = 0;
  size_t found = 0;
  for (size_t length = 0; found < most && starts_with_space(text.substr(bytes), length); ++found) bytes += length;
  if (count) *count = found;
  return bytes;
}

/// Where white space at the end begins.
size_t trailing_spaces_begin(std::string_view text) {
  size_t end = text.size();
  for (size_t at = end; at > 0;) {
    do --at;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
    size_t length = 0;
    if (!starts_with_space(text.substr(at, end - at), length) || at + length != end) break;
    end = at;
  }
  return end;
}

/// "<<-": the indent that all lines share is taken off. Blank lines do not count.
template <class Parts>
void flush_indent(Parts& parts) {
  size_t smallest = std::string::npos;
  std::vector<std::string*> lines;
  bool at_line_start = true;
  for (auto& part : parts) {
    bool literal = part.kind == std::decay_t<decltype(part)>::Kind::literal;
    if (std::exchange(at_line_start, false)) {
      size_t spaces = 0;
      size_t bytes = literal ? leading_spaces(part.text, std::string_view::npos, &spaces) : 0;
      bool blank = literal && bytes == part.text.size() && part.text.ends_with('\n');
      if (!blank) smallest = std::min(smallest, spaces);
      if (!blank && literal) lines.push_back(&part.text);
    }
    if (literal && part.text.ends_with('\n')) at_line_start = true;
  }
  for (std::string* line : lines) line->erase(0, leading_spaces(*line, smallest));
}

}  // namespace

std::string hcl_unescape_markers(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    bool doubled = (text[i] == '$' || text[i] == '%') && text.substr(i + 1, 2) == std::string{text[i], '{'};
    if (doubled) {
      out += '{';
      i += 2;
    }
  }
  return out;
}

HclExpressionPtr HclParser::quoted() {
  const HclToken open = next();
  // Most are one literal.
  if (tokens_.kind(at_) == Kind::quoted_literal && tokens_.kind(at_ + 1) == Kind::close_quote) {
    DepthScope deeper(*this);
    const HclToken text = next();
    return literal_text(text, open.begin);
  }
  return template_until(Kind::close_quote, false, open.begin);
}

/// The quoted literal, up to the quote that closes it, which is taken.
HclExpressionPtr HclParser::literal_text(const HclToken& token, size_t begin) {
  std::string text = unescape(token);
  next();
  auto node = make(HclExpressionKind::literal, begin);
  node->value = Value(std::move(text));
  return node;
}

HclExpressionPtr HclParser::heredoc() {
  const HclToken open = next();
  return template_until(Kind::close_heredoc, open.text.starts_with("<<-"), open.begin);
}

HclExpressionPtr HclParser::template_until(Kind end, bool flush, size_t begin) {
  DepthScope deeper(*this);
  NewlineScope newlines(*this, true);
  bool closed = true;
  std::vector<Part> parts = template_parts(end, closed);
  if (!closed) {
    fail("Unterminated template string", "No closing marker was found for the string.", range_from(begin));
  }
  next();
  if (flush) flush_indent(parts);
  return build_template(parts, begin);
}

/// The parts up to `end`, which is left. Literals are unescaped and trimmed where a sequence asks for it ("~").
std::vector<HclParser::Part> HclParser::template_parts(Kind end, bool& closed) {
  std::vector<Part> parts;
  parts.reserve(4);  // most have no more
  bool trims_next = false;
  for (;;) {
    const HclToken token = peek();
    if (token.kind == end) return parts;
    switch (token.kind) {
      case Kind::quoted_literal:
      case Kind::string_literal: {
        next();
        Part part;
        part.text = token.kind == Kind::quoted_literal ? unescape(token) : hcl_unescape_markers(token.text);
        if (std::exchange(trims_next, false)) part.text.erase(0, leading_spaces(part.text));
        part.begin = token.begin;
        part.end = token.end();
        parts.push_back(std::move(part));
        break;
      }
      case Kind::template_interpolation:
      case Kind::template_control: {
        bool trims = token.text.ends_with('~');
        if (trims && !parts.empty() && parts.back().kind == Part::Kind::literal) {
          auto& text = parts.back().text;
          text.resize(trailing_spaces_begin(text));
        }
        parts.push_back(token.kind == Kind::template_interpolation ? interpolation(trims_next) : control(trims_next));
        break;
      }
      default: closed = false; return parts;
    }
  }
}

void HclParser::close_sequence(const HclToken& open, std::string_view summary, bool& trims_next) {
  if (!at(Kind::template_end)) {
    bool ended = at(Kind::end_of_file) || at(Kind::close_quote) || at(Kind::open_quote);
    bool is_interpolation = summary == "Extra characters after interpolation expression";
    if (!is_interpolation && !at(Kind::end_of_file)) ended = false;
    const char* detail = "Expected a closing brace to end the sequence, but found extra characters.";
    if (at(Kind::end_of_file)) {
      detail =
          "There is no closing brace for this interpolation sequence before the end of the file. This might be caused "
          "by incorrect nesting inside the given expression.";
    } else if (ended) {
      detail =
          "There is no closing brace for this interpolation sequence before the end of the quoted template. "
          "This might be caused by incorrect nesting inside the given expression.";
    } else if (is_interpolation) {
      detail =
          "Expected a closing brace to end the interpolation expression, but found extra characters.\n\nThis can "
          "happen "
          "when you include interpolation syntax for another language, such as shell scripting, but forget to escape "
          "the "
          "interpolation start token. If this is an embedded sequence for another language, escape it by starting with "
          "\"$${\" instead of just \"${\".";
    }
    fail(ended ? "Unclosed template interpolation sequence" : std::string(summary), detail,
         ended ? range_of(open) : range_of(peek()));
  }
  trims_next = next().text.starts_with('~');
}

HclParser::Part HclParser::interpolation(bool& trims_next) {
  NewlineScope newlines(*this, false);
  const HclToken open = next();
  Part part;
  part.kind = Part::Kind::interpolation;
  part.expression = expression();
  close_sequence(open, "Extra characters after interpolation expression", trims_next);
  part.begin = open.begin;
  part.end = last_end_;
  return part;
}

HclParser::Part HclParser::control(bool& trims_next) {
  NewlineScope newlines(*this, false);
  const HclToken open = next();
  if (!at(Kind::identifier)) {
    fail("Invalid template directive",
         "A template directive keyword (\"if\", \"for\", etc) is expected at the "
         "beginning of a %{ sequence.",
         range_of(peek()));
  }
  const HclToken keyword = peek();
  Part part;
  if (keyword.text == "for") {
    part.kind = Part::Kind::for_start;
    part.names = for_names(true);
    part.expression = expression();
  } else {
    next();
    if (keyword.text == "if") {
      part.kind = Part::Kind::if_start;
      part.expression = expression();
    } else if (keyword.text == "else") {
      part.kind = Part::Kind::else_mark;
    } else if (keyword.text == "endif") {
      part.kind = Part::Kind::if_end;
    } else if (keyword.text == "endfor") {
      part.kind = Part::Kind::for_end;
    } else {
      auto nearest = nearest_name(keyword.text, {"if", "else", "endif", "for", "endfor"});
      fail("Invalid template control keyword",
           fmt::format("\"{}\" is not a valid template control keyword.{}", keyword.text,
                       nearest ? fmt::format(" Did you mean \"{}\"?", *nearest) : ""),
           range_of(keyword));
    }
  }
  close_sequence(open, fmt::format("Extra characters in {} marker", keyword.text), trims_next);
  part.begin = open.begin;
  part.end = last_end_;
  return part;
}

std::string HclParser::unescape(const HclToken& token) {
  if (token.text.find_first_of("\\$%") == std::string_view::npos) return std::string(token.text);
  std::string out;
  for (size_t i = 0; i < token.text.size();) {
    char c = token.text[i];
    if (c == '\\') {
      i = escape(token, i, out);
    } else if ((c == '$' || c == '%') && token.text.substr(i + 1, 2) == std::string{c, '{'}) {
      out += {c, '{'};
      i += 3;
    } else {
      out += c;
      ++i;
    }
  }
  return out;
}

/// The escape sequence at `at`; returns where it ends. A wrong one is reported and left out.
size_t HclParser::escape(const HclToken& token, size_t at, std::string& out) {
  std::string_view rest = token.text.substr(at + 1);
  auto wrong = [&](size_t length, std::string detail) {
    size_t begin = token.begin + at;
    report("Invalid escape sequence", std::move(detail), {file_, begin, begin + length},
           "A backslash itself is written \"\\\\\".");
    return at + length;
  };
  if (rest.empty()) return wrong(1, "A backslash needs a character behind it.");
  static constexpr std::string_view names = "nrt\"\\";
  static constexpr std::string_view meanings = "\n\r\t\"\\";
  size_t which = names.find(rest[0]);
  if (which != std::string_view::npos) {
    out += meanings[which];
    return at + 2;
  }
  if (rest[0] != 'u' && rest[0] != 'U') {
    std::string_view after = rest;
    take_rune(after);
    size_t length = rest.size() - after.size();
    return wrong(1 + length, fmt::format("The symbol \"{}\" is not a valid escape sequence "
                                         "selector.",
                                         rest.substr(0, length)));
  }
  size_t digits = rest[0] == 'u' ? 4 : 8;
  uint64_t rune = 0;
  for (size_t i = 1; i <= digits; ++i) {
    auto digit =
        i < rest.size() ? std::string_view("0123456789abcdef").find(lower(rest.substr(i, 1))) : std::string_view::npos;
    if (digit == std::string_view::npos) {
      return wrong(1 + i, fmt::format("The \\{} escape sequence must be followed by {} hexadecimal "
                                      "digits.",
                                      rest[0], digits == 4 ? "four" : "eight"));
    }
    rune = rune * 16 + digit;
  }
  if (rune > 0x10FFFF) return wrong(2 + digits, fmt::format("Cannot encode character U+{:04X} in UTF-8.", rune));
  append_rune(out, static_cast<uint32_t>(rune));
  return at + 2 + digits;
}

HclExpressionPtr HclParser::joined(std::vector<HclExpressionPtr> items, size_t begin, size_t end) {
  bool constant = items.empty() ||
                  (items.size() == 1 && items[0]->kind == HclExpressionKind::literal && items[0]->value.is_string());
  auto node = make(constant ? HclExpressionKind::literal : HclExpressionKind::tmpl, begin);
  if (constant) {
    node->value = items.empty() ? Value("") : items[0]->value;
  } else {
    for (const auto& item : items) node->depth = std::max(node->depth, item->depth + 1);
    node->items = std::move(items);
  }
  node->range.end = end;
  return node;
}

HclExpressionPtr HclParser::build_template(std::vector<Part>& parts, size_t begin) {
  size_t end = last_end_;
  if (parts.size() == 1 && parts[0].kind == Part::Kind::interpolation) {
    return make(HclExpressionKind::template_wrap, begin, {std::move(parts[0].expression)});
  }
  size_t at = 0;
  auto items = build_items(parts, at);
  if (at < parts.size()) {
    static constexpr std::string_view names[] = {"", "", "", "else", "endif", "", "endfor"};
    fail(fmt::format("Unexpected {} directive", names[static_cast<size_t>(parts[at].kind)]),
         "The control directives within this template are unbalanced.", range_of(parts[at]));
  }
  return joined(std::move(items), begin, end);
}

/// Literals, interpolations and whole directives, up to a mark that belongs to an outer one.
std::vector<HclExpressionPtr> HclParser::build_items(std::vector<Part>& parts, size_t& at) {
  std::vector<HclExpressionPtr> items;
  items.reserve(parts.size() - at);
  while (at < parts.size()) {
    Part& part = parts[at];
    switch (part.kind) {
      case Part::Kind::literal: {
        bool melds = !items.empty() && at > 0 && parts[at - 1].kind == Part::Kind::literal;
        if (melds) {
          auto before = std::const_pointer_cast<HclExpression>(items.back());
          before->value = Value(before->value.as_string() + part.text);
          before->range.end = part.end;
        } else {
          auto node = make(HclExpressionKind::literal, part.begin);
          node->value = Value(std::move(part.text));
          node->range.end = part.end;
          items.push_back(std::move(node));
        }
        ++at;
        break;
      }
      case Part::Kind::interpolation: items.push_back(std::move(part.expression)); ++at; break;
      case Part::Kind::if_start:
      case Part::Kind::for_start: items.push_back(build_directive(parts, at)); break;
      default: return items;
    }
  }
  return items;
}

HclExpressionPtr HclParser::build_directive(std::vector<Part>& parts, size_t& at) {
  DepthScope deeper(*this);
  Part& start = parts[at++];
  bool is_if = start.kind == Part::Kind::if_start;
  auto body = [&] {
    size_t first = at;
    auto items = build_items(parts, at);
    size_t end = at > first ? parts[at - 1].end : start.end;
    size_t begin = items.empty() ? end : parts[first].begin;
    return joined(std::move(items), begin, end);
  };
  HclExpressionPtr yes = body();
  HclExpressionPtr no;
  if (is_if && at < parts.size() && parts[at].kind == Part::Kind::else_mark) {
    ++at;
    no = body();
  }
  if (at == parts.size()) {
    fail("Unexpected end of template",
         fmt::format("The {0} directive at {1} is missing its corresponding end{0} directive.", is_if ? "if" : "for",
                     hcl_place(range_of(start))),
         range_of(start));
  }
  if (parts[at].kind != (is_if ? Part::Kind::if_end : Part::Kind::for_end)) {
    bool is_else = parts[at].kind == Part::Kind::else_mark;
    std::string place = hcl_place(range_of(start));
    std::string detail =
        !is_if ? fmt::format("Expecting an endfor directive corresponding to the for directive at {}.", place)
        : is_else ? fmt::format("Already in the else clause for the if started at {}.", place)
                  : fmt::format("Expecting an endif directive for the if started at {}.", place);
    fail(is_else ? "Unexpected else directive" : is_if ? "Unexpected endfor directive" : "Unexpected endif directive",
         detail, range_of(parts[at]));
  }
  size_t end = parts[at++].end;
  std::vector<HclExpressionPtr> items = is_if ? std::vector<HclExpressionPtr>{start.expression, yes, no}
                                              : std::vector<HclExpressionPtr>{start.expression, yes};
  auto kind = is_if ? HclExpressionKind::template_if : HclExpressionKind::template_for;
  auto node = make(kind, start.begin, std::move(items));
  node->range.end = end;
  if (!is_if) {
    node->name = start.names.key;
    node->set_value_name(std::string(start.names.value));
  }
  return node;
}

}  // namespace kiln
