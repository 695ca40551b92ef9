#include "lang/hcl_format.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "lang/hcl_lexer.h"

namespace kiln {

namespace {

using Kind = HclTokenKind;

struct FormatToken {
  std::string_view text;
  uint32_t spaces = 0;  ///< before it
  Kind kind;
};

using FormatTokens = std::vector<FormatToken>;
using Cell = std::span<FormatToken>;

/// A line in the three cells that are aligned on their own: what leads, "= value", "# comment". All lines' tokens lie
/// behind each other.
struct FormatLine {
  Cell lead;
  Cell assign;
  Cell comment;
};

/// +1 for what opens, -1 for what closes.
int bracket_change(Kind kind) {
  switch (kind) {
    case Kind::open_brace:
    case Kind::open_bracket:
    case Kind::open_paren:
    case Kind::template_interpolation:
    case Kind::template_control: return 1;
    case Kind::close_brace:
    case Kind::close_bracket:
    case Kind::close_paren:
    case Kind::template_end: return -1;
    default: return 0;
  }
}

int net_brackets(Cell tokens) {
  int net = 0;
  for (const auto& token : tokens) {
    net += bracket_change(token.kind);
    if (token.kind == Kind::open_heredoc) break;
  }
  return net;
}

size_t characters_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

size_t columns(Cell tokens) {
  size_t n = 0;
  for (const auto& token : tokens) n += token.spaces + characters_of(token.text);
  return n;
}

/// Tokens with the spaces that stood before them; the newline of a line comment is a token of its own.
FormatTokens tokens_with_spaces(std::string_view text) {
  HclTokens lexed = lex_hcl(text, HclComments::keep);
  FormatTokens out;
  out.reserve(lexed.size() + lexed.size() / 8);
  size_t end = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  for (size_t i = 0; i < lexed.size(); ++i) {
    const HclToken token = lexed[i];
    auto spaces = static_cast<uint32_t>(token.begin - end);
    end = token.end();
    std::string_view body = token.text;
    if (token.kind == Kind::comment && body.ends_with('\n')) {
      size_t newline = body.ends_with("\r\n") ? 2 : 1;
      out.push_back({body.substr(0, body.size() - newline), spaces, Kind::comment});
      out.push_back({body.substr(body.size() - newline), 0, Kind::newline});
    } else {
      out.push_back({body, spaces, token.kind});
    }
  }
  return out;
}

/// Moves a trailing comment and an assignment into their own cells.
FormatLine into_cells(Cell lead) {
  FormatLine line{lead, {}, {}};
  size_t tail = !lead.empty() && (lead.back().kind == Kind::newline || lead.back().kind == Kind::end_of_file) ? 1 : 0;
  if (lead.size() > tail + 1 && lead[lead.size() - tail - 1].kind == Kind::comment) {
    line.comment = lead.last(tail + 1);
    lead = line.lead = lead.first(lead.size() - tail - 1);
  }
  int open = 0;
  for (size_t i = 0; i < lead.size(); ++i) {
    open += bracket_change(lead[i].kind);
    if (lead[i].kind != Kind::assign) continue;
    Cell value = lead.subspan(i);
    // Neither an attribute of a one-line block nor a value that goes on in the next lines is part of a column.
    if (i == 0 || open > 0 || net_brackets(value) > 0) return line;
    line.assign = value;
    line.lead = lead.first(i);
    return line;
  }
  return line;
}

/// A line ends with a newline token: a heredoc, whose newlines are content, is part of the line that begins it.
std::vector<FormatLine> into_lines(FormatTokens& tokens) {
  std::vector<FormatLine> lines;
  size_t begin = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    bool ends = tokens[i].kind == Kind::newline || i + 1 == tokens.size();
    if (!ends) continue;
    lines.push_back(into_cells(Cell(tokens).subspan(begin, i + 1 - begin)));
    begin = i + 1;
  }
  return lines;
}

/// Net brackets of the whole line decide how far the following ones are indented.
void indent(std::vector<FormatLine>& lines) {
  std::vector<int> open;
  for (auto& line : lines) {
    if (line.lead.empty()) continue;
    auto& first = line.lead.front();
    int net = net_brackets(line.lead) + net_brackets(line.assign);
    if (first.kind == Kind::end_of_file) continue;
    if (first.kind == Kind::newline) {
      first.spaces = 0;
      continue;
    }
    if (net > 0) {
      first.spaces = static_cast<uint32_t>(2 * open.size());
      open.push_back(net);
      continue;
    }
    int closed = -net;
    while (closed > 0 && !open.empty()) {
      int here = std::min(closed, open.back());
      closed -= here;
      open.back() -= here;
      if (open.back() == 0) open.pop_back();
    }
    first.spaces = static_cast<uint32_t>(2 * open.size());
  }
}

bool is_word(const FormatToken& token, std::string_view word) {
  return token.kind == Kind::identifier && token.text == word;
}

bool touches_template_text(Kind subject, Kind after) {
  return subject == Kind::quoted_literal || subject == Kind::string_literal || subject == Kind::open_quote ||
         subject == Kind::open_heredoc || after == Kind::quoted_literal || after == Kind::string_literal ||
         after == Kind::close_quote || after == Kind::close_heredoc;
}

/// Whether a minus after `before` is a subtraction.
bool is_operand_end(Kind before) {
  switch (before) {
    case Kind::identifier:
    case Kind::number:
    case Kind::close_paren:
    case Kind::close_bracket:
    case Kind::close_brace:
    case Kind::close_quote:
    case Kind::close_heredoc:
    case Kind::star: return true;
    default: return false;
  }
}

bool space_after(const FormatToken& subject, const FormatToken* before, const FormatToken& after) {
  Kind s = subject.kind;
  Kind a = after.kind;
  if (a == Kind::newline || a == Kind::end_of_file) return false;
  if (s == Kind::identifier && a == Kind::open_paren) return false;
  if (s == Kind::dot || a == Kind::dot || s == Kind::double_colon || a == Kind::double_colon) return false;
  if (a == Kind::comma || a == Kind::ellipsis) return false;
  if (s == Kind::comma) return true;
  if (touches_template_text(s, a)) return false;
  // "${a}${b}": a space would be part of the text.
  if (s == Kind::template_end && (a == Kind::template_interpolation || a == Kind::template_control)) return false;
  if (is_word(subject, "in") && before && before->kind == Kind::identifier) return true;
  if (a == Kind::open_bracket && (s == Kind::identifier || s == Kind::number || bracket_change(s) < 0)) return false;
  if (s == Kind::minus) return before && is_operand_end(before->kind);
  if (s == Kind::bang) return false;
  if (s == Kind::open_brace && a == Kind::close_brace) return false;
  if (s == Kind::open_brace || a == Kind::close_brace) return true;
  if (bracket_change(s) > 0 || bracket_change(a) < 0) return false;
  return true;
}

void space_out(Cell tokens) {
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    tokens[i + 1].spaces = space_after(tokens[i], i ? &tokens[i - 1] : nullptr, tokens[i + 1]) ? 1 : 0;
  }
}

/// Aligns the first token of `cell` over each run of lines that have one.
template <class Before>
void align(std::vector<FormatLine>& lines, Cell FormatLine::* cell, Before before) {
  std::vector<size_t> widths;  ///< of what stands before it, in the run
  for (size_t start = 0; start < lines.size(); ++start) {
    widths.clear();
    size_t end = start;
    for (; end < lines.size() && !(lines[end].*cell).empty(); ++end) widths.push_back(before(lines[end]));
    size_t widest = widths.empty() ? 0 : *std::max_element(widths.begin(), widths.end());
    for (size_t i = start; i < end; ++i) {
      (lines[i].*cell).front().spaces = static_cast<uint32_t>(widest - widths[i - start] + 1);
    }
    start = std::max(start, end);
  }
}

}  // namespace

std::string format_hcl(std::string_view text) {
  FormatTokens tokens = tokens_with_spaces(text);
  auto lines = into_lines(tokens);
  for (auto& line : lines) {
    space_out(line.lead);
    space_out(line.assign);
  }
  indent(lines);
  align(lines, &FormatLine::assign, [](auto& line) { return columns(line.lead); });
  align(lines, &FormatLine::comment, [](auto& line) { return columns(line.lead) + columns(line.assign); });
  std::string out;
  out.reserve(text.size() + text.size() / 16);
  for (const auto& token : tokens) {
    out.append(token.spaces, ' ');
    out += token.text;
  }
  return out;
}

}  // namespace kiln
