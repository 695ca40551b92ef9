// Tokens of a Go text/template. Internal to lang.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace kiln::go_template {

enum class TokenKind {
  error, eof, text, left_delimiter, right_delimiter, space, pipe, left_paren, right_paren, assign, declare, character,
  boolean, char_constant, number, string, raw_string, identifier, variable, field,
  // Keywords; everything from here on is one.
  dot, nil, kw_block, kw_break, kw_continue, kw_define, kw_else, kw_end, kw_if, kw_range, kw_template, kw_with,
};

struct Token {
  TokenKind kind;
  size_t position;   ///< byte offset
  std::string text;  ///< as written; of an error: its message
  size_t line;       ///< from 1, where the token starts
  size_t end;        ///< byte offset behind it
};

/// All tokens up to eof or the first error, which is the last one.
std::vector<Token> tokenize(std::string_view source);

}  // namespace kiln::go_template
