#include "lang/go_template_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"

namespace kiln::go_template {
namespace {

const std::map<std::string_view, TokenKind> keywords = {
    {".", TokenKind::dot},          {"block", TokenKind::kw_block}, {"break", TokenKind::kw_break},
    {"continue", TokenKind::kw_continue}, {"define", TokenKind::kw_define}, {"else", TokenKind::kw_else},
    {"end", TokenKind::kw_end},     {"if", TokenKind::kw_if},       {"range", TokenKind::kw_range},
    {"nil", TokenKind::nil},        {"template", TokenKind::kw_template}, {"with", TokenKind::kw_with}};

/// More are refused: the tree takes some hundred bytes a token.
constexpr size_t max_tokens = 200'000;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
/// Letters, digits, "_"; every byte of a multi-byte character counts as a letter.
bool is_word(char c) {
  return c == '_' || is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (!done_) {
      if (tokens_.size() >= max_tokens) fail("the template has too many actions");
      else if (in_action_) lex_action();
      else lex_text();
    }
    return std::move(tokens_);
  }

 private:
  bool at_end() const { return at_ >= source_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  bool starts(std::string_view text) const { return source_.substr(std::min(at_, source_.size())).starts_with(text); }
  /// " -" in front of a right delimiter that is followed by trimming.
  bool at_trimmed_right() const {
    return is_blank(peek()) && peek(1) == '-' && source_.substr(at_ + 2).starts_with("}}");
  }
  bool at_right() const { return at_trimmed_right() || starts("}}"); }

  void emit(TokenKind kind) {
    tokens_.push_back({kind, start_, std::string(source_.substr(start_, at_ - start_)), line_, at_});
    skip();
  }
  /// Forgets what was read since the last token, counting its lines.
  void skip() {
    line_ += static_cast<size_t>(
        std::count(source_.begin() + static_cast<long>(start_), source_.begin() + static_cast<long>(at_), '\n'));
    start_ = at_;
  }
  void fail(std::string message) {
    tokens_.push_back({TokenKind::error, start_, std::move(message), line_, at_});
    done_ = true;
  }
  void skip_blanks() {
    while (!at_end() && is_blank(peek())) ++at_;
    skip();
  }
  /// The character at the cursor as Go's %#U shows it: U+0040 '@'.
  std::string describe_character() const {
    auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(peek(i))); };
    if (at_end()) return "U+FFFFFFFFFFFFFFFF";
    uint32_t c = byte(0);
    for (size_t n = 1; n <= 4 && at_ + n <= source_.size(); ++n) {
      std::string_view bytes = source_.substr(at_, n);
      if (!is_valid_utf8(bytes)) continue;
      uint32_t rune = n == 1 ? c : c & (0xFFu >> (n + 1));
      for (size_t i = 1; i < n; ++i) rune = (rune << 6) | (byte(i) & 0x3F);
      if (rune < 0x20 || rune == 0x7F) return fmt::format("U+{:04X}", rune);
      return fmt::format("U+{:04X} '{}'", rune, bytes);
    }
    return "U+FFFD '\xEF\xBF\xBD'";
  }

  void lex_text() {
    size_t delimiter = source_.find("{{", at_);
    if (delimiter == std::string_view::npos) {
      at_ = source_.size();
      if (at_ > start_) emit(TokenKind::text);
      emit(TokenKind::eof);
      done_ = true;
      return;
    }
    bool trims = source_.substr(delimiter + 2).starts_with('-') && delimiter + 3 < source_.size() &&
                 is_blank(source_[delimiter + 3]);
    at_ = delimiter;
    if (trims) {
      while (at_ > start_ && is_blank(source_[at_ - 1])) --at_;
    }
    if (at_ > start_) emit(TokenKind::text);
    at_ = delimiter;
    skip();
    size_t marker = trims ? 2 : 0;
    if (source_.substr(delimiter + 2 + marker).starts_with("/*")) {
      at_ = delimiter + 2 + marker;
      skip();
      lex_comment();
      return;
    }
    at_ = delimiter + 2;
    emit(TokenKind::left_delimiter);
    at_ += marker;
    skip();
    in_action_ = true;
    parens_ = 0;
  }

  void lex_comment() {
    size_t close = source_.find("*/", at_ + 2);
    if (close == std::string_view::npos) return fail("unclosed comment");
    at_ = close + 2;
    if (!at_right()) return fail("comment ends before closing delimiter");
    bool trims = at_trimmed_right();
    at_ += trims ? 4 : 2;
    skip();
    if (trims) skip_blanks();
  }

  void lex_right_delimiter() {
    bool trims = at_trimmed_right();
    if (trims) {
      at_ += 2;
      skip();
    }
    at_ += 2;
    emit(TokenKind::right_delimiter);
    if (trims) skip_blanks();
    in_action_ = false;
  }

  void lex_action() {
    if (at_right()) {
      if (parens_ == 0) return lex_right_delimiter();
      return fail("unclosed left paren");
    }
    if (at_end()) return fail("unclosed action");
    char c = peek();
    if (is_blank(c)) return lex_space();
    switch (c) {
      case '=': ++at_; return emit(TokenKind::assign);
      case ':':
        ++at_;
        if (peek() != '=') return fail("expected :=");
        ++at_;
        return emit(TokenKind::declare);
      case '|': ++at_; return emit(TokenKind::pipe);
      case '"': return lex_quoted('"', TokenKind::string, "unterminated quoted string");
      case '\'': return lex_quoted('\'', TokenKind::char_constant, "unterminated character constant");
      case '`': return lex_raw_string();
      case '$': return lex_field_or_variable(TokenKind::variable);
      case '.':
        if (!is_digit(peek(1)) && at_ + 1 < source_.size()) return lex_field_or_variable(TokenKind::field);
        return lex_number();
      case '+':
      case '-': return lex_number();
      case '(': ++at_; ++parens_; return emit(TokenKind::left_paren);
      case ')':
        ++at_;
        if (--parens_ < 0) return fail("unexpected right paren");
        return emit(TokenKind::right_paren);
      default: break;
    }
    if (is_digit(c)) return lex_number();
    if (is_word(c)) return lex_identifier();
    if (c > ' ' && c < 0x7F) {
      ++at_;
      return emit(TokenKind::character);
    }
    fail("unrecognized character in action: " + describe_character());
  }

  void lex_space() {
    while (is_blank(peek()) && !at_end() && !at_trimmed_right()) ++at_;
    if (at_ > start_) emit(TokenKind::space);
  }

  void lex_quoted(char quote, TokenKind kind, const char* unterminated) {
    ++at_;
    for (;;) {
      if (!at_end() && peek() == '\\' && at_ + 1 < source_.size() && peek(1) != '\n') {
        at_ += 2;
        continue;
      }
      if (at_end() || peek() == '\n' || peek() == '\\') return fail(unterminated);
      if (source_[at_++] == quote) return emit(kind);
    }
  }

  void lex_raw_string() {
    size_t close = source_.find('`', at_ + 1);
    if (close == std::string_view::npos) return fail("unterminated raw quoted string");
    at_ = close + 1;
    emit(TokenKind::raw_string);
  }

  bool at_terminator() const {
    return at_end() || is_blank(peek()) || std::string_view(".,|:)(").find(peek()) != std::string_view::npos ||
           starts("}}");
  }

  void lex_field_or_variable(TokenKind kind) {
    ++at_;
    if (at_terminator()) return emit(kind == TokenKind::field ? TokenKind::dot : kind);
    while (!at_end() && is_word(peek())) ++at_;
    if (!at_terminator()) return fail("bad character " + describe_character());
    emit(kind);
  }

  void lex_identifier() {
    while (!at_end() && is_word(peek())) ++at_;
    if (!at_terminator()) return fail("bad character " + describe_character());
    std::string_view word = source_.substr(start_, at_ - start_);
    auto keyword = keywords.find(word);
    if (keyword != keywords.end()) return emit(keyword->second);
    emit(word == "true" || word == "false" ? TokenKind::boolean : TokenKind::identifier);
  }

  void accept_run(std::string_view characters) {
    while (!at_end() && characters.find(peek()) != std::string_view::npos) ++at_;
  }
  bool accept(std::string_view characters) {
    if (at_end() || characters.find(peek()) == std::string_view::npos) return false;
    ++at_;
    return true;
  }

  void lex_number() {
    accept("+-");
    std::string_view digits = "0123456789_";
    bool decimal = true;
    if (accept("0")) {
      if (accept("xX")) digits = "0123456789abcdefABCDEF_", decimal = false;
      else if (accept("oO")) digits = "01234567_", decimal = false;
      else if (accept("bB")) digits = "01_", decimal = false;
    }
    bool hexadecimal = digits.size() > 20;
    accept_run(digits);
    if (accept(".")) accept_run(digits);
    if ((decimal && accept("eE")) || (hexadecimal && accept("pP"))) {
      accept("+-");
      accept_run("0123456789_");
    }
    accept("i");
    if (!at_end() && (is_word(peek()) || peek() == '+' || peek() == '-')) {
      bool complex = !is_word(source_[at_++]);
      if (complex) accept_run("0123456789_.i");
      return fail("bad number syntax: " + go_quote(source_.substr(start_, at_ - start_)));
    }
    emit(TokenKind::number);
  }

  std::string_view source_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  size_t start_ = 0;
  size_t line_ = 1;
  int parens_ = 0;
  bool in_action_ = false;
  bool done_ = false;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace kiln::go_template
