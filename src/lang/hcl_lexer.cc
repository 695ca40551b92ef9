#include "lang/hcl_lexer.h"

#include <utf8proc.h>

#include <algorithm>
#include <string>

#include "lang/go_literal.h"

namespace kiln {

namespace {

using Kind = HclTokenKind;

bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
bool is_identifier_start(unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_identifier_part(unsigned char c) { return is_identifier_start(c) || is_digit(c) || c == '-'; }

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
  explicit Lexer(std::string_view text, bool is_template = false) : text_(text) {
    modes_.emplace_back();
    // Like a heredoc that nothing ends.
    if (is_template) modes_.back().kind = Mode::Kind::heredoc;
  }

  std::vector<HclToken> run() {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    while (at_ < text_.size()) {
      switch (modes_.back().kind) {
        case Mode::Kind::normal: normal(); break;
        case Mode::Kind::quoted: quoted(); break;
        case Mode::Kind::heredoc: heredoc_line(); break;
      }
    }
    tokens_.push_back({Kind::end_of_file, text_.substr(text_.size()), text_.size()});
    return std::move(tokens_);
  }

 private:
  bool looking_at(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void emit(Kind kind, size_t length) {
    tokens_.push_back({kind, text_.substr(at_, length), at_});
    at_ += length;
  }

  size_t line_end(size_t from) const {
    size_t end = text_.find('\n', from);
    return end == std::string_view::npos ? text_.size() : end + 1;
  }

  /// How long the name is that stands so many bytes ahead; 0: none does.
  size_t identifier_length(size_t ahead) const {
    size_t length = 0;
    for (size_t step = 1; step > 0; length += step) {
      auto c = static_cast<unsigned char>(peek(ahead + length));
      bool starts = length == 0;
      step = c >= 0x80 ? wide_identifier_part(text_.substr(at_ + ahead + length), starts)
             : starts  ? is_identifier_start(c)
                       : is_identifier_part(c);
    }
    return length;
  }

  void normal() {
    unsigned char c = static_cast<unsigned char>(peek());
    if (c == ' ' || c == '\t') {
      ++at_;
    } else if (c == '\n') {
      emit(Kind::newline, 1);
    } else if (looking_at("\r\n")) {
      emit(Kind::newline, 2);
    } else if (c == '#' || looking_at("//")) {
      emit(Kind::comment, line_end(at_) - at_);
    } else if (looking_at("/*")) {
      size_t end = text_.find("*/", at_ + 2);
      end == std::string_view::npos ? emit(Kind::invalid, text_.size() - at_) : emit(Kind::comment, end + 2 - at_);
    } else if (size_t name = identifier_length(0)) {
      emit(Kind::identifier, name);
    } else if (is_digit(c)) {
      number();
    } else if (c == '"') {
      emit(Kind::open_quote, 1);
      modes_.push_back({Mode::Kind::quoted});
    } else if (looking_at("<<") && heredoc_start()) {
      return;
    } else {
      punctuation();
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
    struct Row {
      std::string_view text;
      Kind kind;
    };
    static constexpr Row rows[] = {  // the longest first
        {"...", Kind::ellipsis},    {"==", Kind::equal},         {"!=", Kind::not_equal},
        {"<=", Kind::less_or_equal}, {">=", Kind::greater_or_equal}, {"&&", Kind::logical_and},
        {"||", Kind::logical_or},   {"=>", Kind::fat_arrow},     {"::", Kind::double_colon},
        {"{", Kind::open_brace},    {"}", Kind::close_brace},    {"[", Kind::open_bracket},
        {"]", Kind::close_bracket}, {"(", Kind::open_paren},     {")", Kind::close_paren},
        {"*", Kind::star},          {"/", Kind::slash},          {"+", Kind::plus},
        {"-", Kind::minus},         {"%", Kind::percent},        {"=", Kind::assign},
        {"<", Kind::less},          {">", Kind::greater},        {"!", Kind::bang},
        {".", Kind::dot},           {",", Kind::comma},          {"?", Kind::question},
        {":", Kind::colon}};
    Mode& mode = modes_.back();
    if (mode.interpolation && mode.braces == 0 && (looking_at("~}") || peek() == '}')) {
      emit(Kind::template_end, peek() == '}' ? 1 : 2);
      modes_.pop_back();
      return;
    }
    for (const Row& row : rows) {
      if (!looking_at(row.text)) continue;
      if (row.kind == Kind::open_brace) ++mode.braces;
      if (row.kind == Kind::close_brace && mode.braces > 0) --mode.braces;
      emit(row.kind, row.text.size());
      return;
    }
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
        ++at;
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
  size_t at_ = 0;
  std::vector<Mode> modes_;
  std::vector<HclToken> tokens_;
};

}  // namespace

std::vector<HclToken> lex_hcl(std::string_view text) { return Lexer(text).run(); }
std::vector<HclToken> lex_hcl_template(std::string_view text) { return Lexer(text, true).run(); }

}  // namespace kiln
