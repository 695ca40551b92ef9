// The tokens of HCL's native syntax. Source: the HCL native syntax specification.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace kiln {

enum class HclTokenKind : uint8_t {
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

/// The tokens of a text, which outlives them; kept small, for there are many.
class HclTokens {
 public:
  /// `expected`: how much of the text they will be of.
  HclTokens(std::string_view text, size_t expected);
  size_t size() const { return packed_.size(); }
  HclTokenKind kind(size_t i) const { return packed_[i].kind; }
  HclToken operator[](size_t i) const {
    const Packed& token = packed_[i];
    return {token.kind, {text_.data() + token.begin, token.length}, token.begin};
  }
  /// Whether a token is invalid or a newline breaks a quoted string.
  bool flawed() const { return flawed_; }
  void note_flaw() { flawed_ = true; }
  void add(HclTokenKind kind, size_t begin, size_t length) {
    packed_.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(length), kind});
  }

 private:
  struct Packed {
    uint32_t begin;
    uint32_t length;
    HclTokenKind kind;
  };
  std::string_view text_;
  std::vector<Packed> packed_;
  bool flawed_ = false;
};

/// Longer texts cannot be lexed.
constexpr size_t max_hcl_text = UINT32_MAX;

/// Whether comments are tokens; else those that end with a newline are one, the others nothing.
enum class HclComments { keep, drop };
/// All tokens of a file from `begin` on, which is no place within one; the last one is end_of_file. Never fails: what
/// is no token is `invalid`. Linear time; nesting is kept on a heap-allocated stack, so deep input cannot exhaust the
/// thread's.
HclTokens lex_hcl(std::string_view text, HclComments comments, size_t begin = 0);
/// The same of a text that is a template as a whole, without quotes around it: its literals are string_literal.
HclTokens lex_hcl_template(std::string_view text, HclComments comments);

}  // namespace kiln
