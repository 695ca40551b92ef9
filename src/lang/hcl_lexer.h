// The tokens of HCL's native syntax. Source: the HCL native syntax specification.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "lang/diagnostic.h"

namespace kiln {

enum class HclTokenKind {
  open_brace, close_brace, open_bracket, close_bracket, open_paren, close_paren,
  open_quote, close_quote,      ///< the " of a quoted template
  open_heredoc, close_heredoc,  ///< "<<-EOT\n" and the line that holds only "EOT" (without its newline)
  star, slash, plus, minus, percent,
  assign, equal, not_equal, less, less_or_equal, greater, greater_or_equal,
  logical_and, logical_or, bang,
  dot, comma, ellipsis, fat_arrow, question, colon, double_colon,
  template_interpolation,  ///< "${" or "${~"
  template_control,        ///< "%{" or "%{~"
  template_end,            ///< the "}" or "~}" that closes one of them
  quoted_literal,          ///< literal part of a quoted template, escapes as written
  string_literal,          ///< literal part of a heredoc: at most one line, newline included
  number, identifier,
  comment,  ///< "#..." and "//..." with their newline, "/*...*/" without
  newline, end_of_file,
  invalid,  ///< anything else: the parser reports it
};

/// One token: its text lies in the source file; spaces between tokens are not kept.
struct HclToken {
  HclTokenKind kind = HclTokenKind::invalid;
  std::string_view text;  ///< into the SourceFile's text
  size_t begin = 0;       ///< byte offset
  size_t end() const { return begin + text.size(); }
};

/// All tokens of a file, the last one end_of_file. Never fails: what is no token is `invalid`. Linear time; nesting
/// is kept on a heap-allocated stack, so deep input cannot exhaust the thread's.
std::vector<HclToken> lex_hcl(std::string_view text);
/// The same of a text that is a template as a whole, without quotes around it: its literals are string_literal.
std::vector<HclToken> lex_hcl_template(std::string_view text);

}  // namespace kiln
