#include "lang/hcl_lexer.h"

#include <utf8proc.h>

#include <algorithm>
#include <string>

#include "base/error.h"
#include "lang/go_literal.h"

namespace kiln {

namespace {

using Kind = HclTokenKind;

constexpr bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
constexpr bool is_identifier_start(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
constexpr bool is_identifier_part(unsigned char c) { return is_identifier_start(c) || is_digit(c) || c == '-'; }

/// A row a byte: most of a template is names and literals, and of these every byte is looked at.
struct ByteTable {
  bool identifier_part[256] = {};
  bool ends_plain_text[256] = {};  ///< what the literal part of a template may end or have a meaning at
};
constexpr ByteTable byte_table = [] {
  ByteTable out;
  for (int c = 0; c < 256; ++c) out.identifier_part[c] = is_identifier_part(static_cast<unsigned char>(c));
  for (char c : {'"', '\n', '\\', '$', '%'}) out.ends_plain_text[static_cast<unsigned char>(c)] = true;
  return out;
}();

/// Length of the character beyond ASCII at the front when a name may begin (or go on) with it, else 0.
size_t wide_identifier_part(std::string_view text, bool starts) {
  if (text.empty() || static_cast<unsigned char>(text[0]) < 0x80) return 0;
  std::string_view rest = text;
  auto rune = static_cast<utf8proc_int32_t>(take_rune(rest));
  switch (utf8proc_category(rune)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_NL: return text.size() - rest.size();
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_PC: return starts ? 0 : text.size() - rest.size();
    default: return 0;
  }
}

/// What the lexer is inside of. A quoted template or heredoc holds literals; an interpolation holds expressions.
struct Mode {
  enum class Kind { normal, quoted, heredoc } kind = Kind::normal;
  size_t braces = 0;            ///< normal: open "{" since it began; at 0 a "}" ends the interpolation
  bool interpolation = false;   ///< normal: it is one ("${" or "%{")
  std::string_view marker = {};  ///< heredoc: its word
};

class Lexer {
 public:
  Lexer(std::string_view text, HclComments comments, bool is_template, size_t begin = 0)
      : text_(text), keeps_comments_(comments == HclComments::keep), at_(begin), tokens_(text, text.size() - begin) {
    modes_.emplace_back();
    // Like a heredoc that nothing ends.
    if (is_template) modes_.back().kind = Mode::Kind::heredoc;
  }

  HclTokens run() {
    if (at_ == 0 && text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    while (at_ < text_.size()) {
      switch (modes_.back().kind) {
        case Mode::Kind::normal: normal(); break;
        case Mode::Kind::quoted: quoted(); break;
        case Mode::Kind::heredoc: heredoc_line(); break;
      }
    }
    tokens_.add(Kind::end_of_file, text_.size(), 0);
    return std::move(tokens_);
  }

 private:
  bool looking_at(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void emit(Kind kind, size_t length) {
    if (kind == Kind::invalid) tokens_.note_flaw();
    tokens_.add(kind, at_, length);
    at_ += length;
  }
  /// The longer of two when `next` follows.
  void emit_either(char next, Kind both, Kind one) { peek(1) == next ? emit(both, 2) : emit(one, 1); }

  size_t line_end(size_t from) const {
    size_t end = text_.find('\n', from);
    return end == std::string_view::npos ? text_.size() : end + 1;
  }

  /// How long the name is that stands so many bytes ahead; 0: none does.
  size_t identifier_length(size_t ahead) const {
    if (!is_identifier_start(static_cast<unsigned char>(peek(ahead)))) {
      size_t wide = wide_identifier_part(text_.substr(std::min(at_ + ahead, text_.size())), true);
      if (wide == 0) return 0;
    }
    size_t at = at_ + ahead;
    for (size_t wide = 1; wide > 0; at += wide) {
      while (at < text_.size() && byte_table.identifier_part[static_cast<unsigned char>(text_[at])]) ++at;
      wide = wide_identifier_part(text_.substr(at), false);
    }
    return at - at_ - ahead;
  }

  void comment(size_t length) {
    if (keeps_comments_) return emit(Kind::comment, length);
    at_ += length;
    if (text_[at_ - 1] == '\n') tokens_.add(Kind::newline, at_ - 1, 1);
  }

  void block_comment() {
    size_t end = text_.find("*/", at_ + 2);
    end == std::string_view::npos ? emit(Kind::invalid, text_.size() - at_) : comment(end + 2 - at_);
  }

  void normal() {
    char c = text_[at_];
    switch (c) {
      case ' ':
      case '\t': ++at_; return;
      case '\n': return emit(Kind::newline, 1);
      case '\r': return peek(1) == '\n' ? emit(Kind::newline, 2) : invalid();
      case '#': return comment(line_end(at_) - at_);
      case '/':
        if (peek(1) == '/') return comment(line_end(at_) - at_);
        return peek(1) == '*' ? block_comment() : emit(Kind::slash, 1);
      case '"':
        emit(Kind::open_quote, 1);
        modes_.push_back({Mode::Kind::quoted});
        return;
      case '<':
        if (peek(1) == '<' && heredoc_start()) return;
        return emit_either('=', Kind::less_or_equal, Kind::less);
      default:
        if (size_t name = identifier_length(0)) return emit(Kind::identifier, name);
        return is_digit(static_cast<unsigned char>(c)) ? number() : punctuation();
    }
  }

  /// Digits, dots and exponents in any order, the last no dot: "1.2.3" is one token, which the parser refuses.
  void number() {
    size_t length = 1;
    for (;;) {
      size_t more = length;
      while (peek(more) == '.') ++more;
      if ((peek(more) | 32) == 'e') ++more, more += peek(more) == '+' || peek(more) == '-';
      if (!is_digit(static_cast<unsigned char>(peek(more)))) break;
      length = more + 1;
    }
    emit(Kind::number, length);
  }

  bool heredoc_start() {
    size_t length = peek(2) == '-' ? 3 : 2;
    size_t word = length;
    length += identifier_length(word);
    if (length == word) return false;
    std::string_view marker = text_.substr(at_ + word, length - word);
    if (peek(length) == '\r') ++length;
    if (peek(length) != '\n') return false;
    emit(Kind::open_heredoc, length + 1);
    Mode mode{Mode::Kind::heredoc};
    mode.marker = marker;
    modes_.push_back(mode);
    return true;
  }

  void punctuation() {
    Mode& mode = modes_.back();
    bool closes = mode.interpolation && mode.braces == 0;
    switch (peek()) {
      case '{': ++mode.braces; return emit(Kind::open_brace, 1);
      case '}':
        if (closes) return template_end(1);
        if (mode.braces > 0) --mode.braces;
        return emit(Kind::close_brace, 1);
      case '~': return closes && peek(1) == '}' ? template_end(2) : invalid();
      case '[': return emit(Kind::open_bracket, 1);
      case ']': return emit(Kind::close_bracket, 1);
      case '(': return emit(Kind::open_paren, 1);
      case ')': return emit(Kind::close_paren, 1);
      case ',': return emit(Kind::comma, 1);
      case '.': return looking_at("...") ? emit(Kind::ellipsis, 3) : emit(Kind::dot, 1);
      case '=':
        return peek(1) == '>' ? emit(Kind::fat_arrow, 2) : emit_either('=', Kind::equal, Kind::assign);
      case '!': return emit_either('=', Kind::not_equal, Kind::bang);
      case '>': return emit_either('=', Kind::greater_or_equal, Kind::greater);
      case ':': return emit_either(':', Kind::double_colon, Kind::colon);
      case '&': return peek(1) == '&' ? emit(Kind::logical_and, 2) : invalid();
      case '|': return peek(1) == '|' ? emit(Kind::logical_or, 2) : invalid();
      case '*': return emit(Kind::star, 1);
      case '+': return emit(Kind::plus, 1);
      case '-': return emit(Kind::minus, 1);
      case '%': return emit(Kind::percent, 1);
      case '?': return emit(Kind::question, 1);
      default: return invalid();
    }
  }

  void template_end(size_t length) {
    emit(Kind::template_end, length);
    modes_.pop_back();
  }

  void invalid() {
    std::string_view rest = text_.substr(at_);
    take_rune(rest);
    emit(Kind::invalid, text_.size() - at_ - rest.size());
  }

  /// "${" or "%{" (not doubled): begins an interpolation and says so.
  bool template_start() {
    char c = peek();
    if ((c != '$' && c != '%') || peek(1) != '{') return false;
    emit(c == '$' ? Kind::template_interpolation : Kind::template_control, peek(2) == '~' ? 3 : 2);
    Mode mode;
    mode.interpolation = true;
    modes_.push_back(mode);
    return true;
  }

  /// Length of literal text from here up to `stop` (absolute), an interpolation, or (quoted) the closing quote.
  size_t literal_length(size_t stop, bool in_quotes) const {
    size_t at = at_;
    while (at < stop) {
      char c = text_[at];
      if (in_quotes && (c == '"' || c == '\n')) break;
      if (in_quotes && c == '\\' && at + 1 < stop && text_[at + 1] != '\n') {
        at += 2;
      } else if ((c == '$' || c == '%') && at + 1 < text_.size() && text_[at + 1] == c) {
        at += at + 2 < text_.size() && text_[at + 2] == '{' ? 3 : 1;
      } else if ((c == '$' || c == '%') && at + 1 < text_.size() && text_[at + 1] == '{') {
        break;
      } else {
        do ++at;
        while (at < stop && !byte_table.ends_plain_text[static_cast<unsigned char>(text_[at])]);
      }
    }
    return std::min(at, stop) - at_;
  }

  void quoted() {
    if (peek() == '"') {
      emit(Kind::close_quote, 1);
      modes_.pop_back();
      return;
    }
    if (peek() == '\n' || looking_at("\r\n")) {  // an unfinished quote ends with its line: the parser says so
      tokens_.note_flaw();
      modes_.pop_back();
      return;
    }
    if (template_start()) return;
    size_t length = literal_length(text_.size(), true);
    emit(length ? Kind::quoted_literal : Kind::invalid, std::max<size_t>(length, 1));
  }

  bool at_line_start() const { return at_ == 0 || text_[at_ - 1] == '\n'; }

  void heredoc_line() {
    if (at_line_start() && heredoc_end()) return;
    if (template_start()) return;
    size_t length = literal_length(line_end(at_), false);
    emit(length ? Kind::string_literal : Kind::invalid, std::max<size_t>(length, 1));
  }

  bool heredoc_end() {
    std::string_view marker = modes_.back().marker;
    if (marker.empty()) return false;
    size_t spaces = 0;
    while (peek(spaces) == ' ' || peek(spaces) == '\t') ++spaces;
    if (!text_.substr(at_ + spaces).starts_with(marker)) return false;
    size_t after = spaces + marker.size();
    if (at_ + after < text_.size() && peek(after) != '\n' && text_.substr(at_ + after, 2) != "\r\n") return false;
    emit(Kind::close_heredoc, after);
    modes_.pop_back();
    return true;
  }

  std::string_view text_;
  bool keeps_comments_;
  size_t at_;
  std::vector<Mode> modes_;
  HclTokens tokens_;
};

}  // namespace

HclTokens::HclTokens(std::string_view text, size_t expected) : text_(text) {
  KILN_CHECK(text.size() <= max_hcl_text);
  packed_.reserve(expected / 3 + 16);  // most templates have fewer; what is not used costs nothing
}

HclTokens lex_hcl(std::string_view text, HclComments comments, size_t begin) {
  return Lexer(text, comments, false, begin).run();
}
HclTokens lex_hcl_template(std::string_view text, HclComments comments) { return Lexer(text, comments, true).run(); }

}  // namespace kiln
