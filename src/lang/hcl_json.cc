// The text of HCL's JSON syntax. Source: RFC 8259 and HCL's JSON syntax specification; the words of
// diagnostics, and how far reading goes on after a mistake, as HCL's.
#include "lang/hcl_json.h"

#include <fmt/format.h>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/hcl_number.h"

namespace kiln {
namespace {

constexpr int max_hcl_json_nesting = 150;
constexpr std::string_view value_starts =
    "A JSON value must start with a brace, a bracket, a number, a string, or a keyword.";

bool is_hcl_json_number(std::string_view text) {
  size_t at = 0;
  auto digits = [&] {
    size_t first = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - first;
  };
  if (at < text.size() && text[at] == '-') ++at;
  if (at < text.size() && text[at] == '0')
    ++at;
  else if (digits() == 0)
    return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (digits() == 0) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

/// Tokens are marked off generously (any word, any run of digits and signs) and judged when they are read.
class HclJsonReader {
 public:
  HclJsonReader(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics)
      : file_(std::move(file)), text_(file_->text), diagnostics_(diagnostics) {
    scan();
  }

  Value read() {
    try {
      Value root = value();
      if (errors_ == 0 && token_.type != end_of_text) {
        error("Extraneous data after value", "Extra characters appear after the JSON value.", token_);
      }
      return root;
    } catch (const TooDeep&) {
      return Value::unknown();
    }
  }

 private:
  struct TooDeep {};
  static constexpr char end_of_text = 0;
  static constexpr char invalid = '?';
  static constexpr char number = '0';
  static constexpr char keyword = 'a';
  struct Token {
    char type = end_of_text;  ///< one of those above, '"', or the character itself
    size_t begin = 0;
    size_t end = 0;
  };
  struct Depth {
    explicit Depth(HclJsonReader& reader) : reader_(reader) {
      if (++reader_.depth_ <= max_hcl_json_nesting) return;
      reader_.error("Nested too deeply",
                    fmt::format("Nothing may be nested more than {} levels.", max_hcl_json_nesting),
                    reader_.token_);
      throw TooDeep{};
    }
    ~Depth() { --reader_.depth_; }
    Depth(const Depth&) = delete;
    HclJsonReader& reader_;
  };

  SourceRange range_of(const Token& token) const { return {file_, token.begin, token.end}; }
  std::string_view text_of(const Token& token) const {
    return text_.substr(token.begin, token.end - token.begin);
  }

  void error(std::string summary, std::string detail, const Token& token, std::string hint = {}) {
    ++errors_;
    diagnostics_.error(std::move(summary), std::move(detail), range_of(token), std::move(hint));
  }

  template <class Belongs>
  size_t skip_while(size_t at, Belongs belongs) const {
    while (at < text_.size() && belongs(text_[at])) ++at;
    return at;
  }

  /// Up to and with the closing quote; a control character or the end of the text ends it too.
  size_t string_end(size_t at) const {
    bool escaped = false;
    for (++at; at < text_.size(); ++at) {
      char c = text_[at];
      if (static_cast<unsigned char>(c) < 0x20) return at;
      if (c == '"' && !escaped) return at + 1;
      escaped = c == '\\' && !escaped;
    }
    return at;
  }

  void scan() {
    auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    auto is_digitlike = [](char c) {
      return std::string_view("-+.0123456789").find(c) != std::string_view::npos;
    };
    size_t at =
        skip_while(token_.end, [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; });
    if (at >= text_.size()) {
      token_ = {end_of_text, text_.size(), text_.size()};
      return;
    }
    char c = text_[at];
    if (std::string_view("{}[],:=").find(c) != std::string_view::npos) {
      token_ = {c, at, at + 1};
    } else if (c == '"') {
      token_ = {c, at, string_end(at)};
    } else if (is_digitlike(c)) {
      token_ = {number, at, skip_while(at, [&](char d) { return is_digitlike(d) || d == 'e' || d == 'E'; })};
    } else if (is_letter(c)) {
      token_ = {keyword, at, skip_while(at, [&](char d) { return is_letter(d) || d == '_'; })};
    } else {
      std::string_view rest = text_.substr(at);
      take_rune(rest);
      token_ = {invalid, at, text_.size() - rest.size()};
      text_ = text_.substr(0, token_.end);  // nothing good follows
    }
  }

  Token next() {
    Token token = token_;
    if (token.type != end_of_text) scan();
    return token;
  }

  /// What stands for a value that could not be read.
  Value wrong(const Token& first) const {
    Value out = Value::unknown();
    out.range = range_of(first);
    return out;
  }

  Value value() {
    const Token first = token_;
    std::optional<Value> out;
    switch (first.type) {
      case '{':
        out = object();
        break;
      case '[':
        out = array();
        break;
      case number:
        out = read_number();
        break;
      case '"':
        out = string();
        break;
      case keyword:
        out = word();
        break;
      case '}':
        error("Missing JSON value", std::string(value_starts), first);
        break;
      case ']':
        error("Missing array element value", std::string(value_starts), first);
        break;
      case end_of_text:
        error("Missing value", "The JSON data ends prematurely.", first);
        break;
      default:
        error("Invalid start of value", std::string(value_starts), first, invalid_hint(first));
        break;
    }
    if (!out) return wrong(first);
    return std::move(*out);
  }

  std::string invalid_hint(const Token& token) const {
    std::string_view text = text_of(token);
    if (text == "\xEF\xBB\xBF")
      return "The file starts with a byte order mark: save it as UTF-8 without one.";
    if (text == "'") return "JSON strings are written in double quotes.";
    if (text == "/" || text == "#") return "JSON has no comments; a property named \"//\" may hold one.";
    return {};
  }

  /// Goes on behind what seems to be the end of an object or array.
  void recover(Token token, char opens, char closes) {
    int open = 1;
    for (;;) {
      if (token.type == end_of_text) return;
      if (token.type == opens) ++open;
      if (token.type == closes && --open <= 1) return;
      token = next();
    }
  }

  std::optional<Value> object() {
    Depth deeper(*this);
    const Token open = next();
    Value::Object members;
    while (token_.type != '}') {
      Value key = value();
      if (!key.is_string()) {
        ++errors_;
        SourceRange place = key.range;
        if (key.is_object() || key.is_list()) place.end = place.begin + 1;
        diagnostics_.error("Invalid object property name", "A JSON object property name must be a string",
                           place);
        return std::nullopt;
      }
      const Token colon = next();
      if (colon.type != ':') return missing_colon(colon);
      Value member = value();
      members.push_back({key.as_string(), std::move(member), key.range});
      if (!after_member(open)) return std::nullopt;
    }
    const Token close = next();
    Value out(std::move(members));
    out.range = {file_, open.begin, close.end};
    return out;
  }

  std::nullopt_t missing_colon(const Token& found) {
    recover(found, '{', '}');
    if (found.type == '}' || found.type == ',') {
      error("Missing object value", "A JSON object attribute must have a value, introduced by a colon.",
            found);
    } else if (found.type == '=') {
      error("Missing property value colon",
            "JSON uses a colon as its name/value delimiter, not an equals sign.", found);
    } else {
      error("Missing property value colon",
            "A colon must appear between an object property's name and its value.", found);
    }
    return std::nullopt;
  }

  bool after_member(const Token& open) {
    const Token found = token_;
    switch (found.type) {
      case '}':
        return true;
      case ',':
        next();
        if (token_.type != '}') return true;
        error("Trailing comma in object",
              "JSON does not permit a trailing comma after the final property in an object.", found);
        return false;
      case end_of_text:
        error("Unclosed object", "No closing brace was found for this JSON object.", open);
        return false;
      case ']':
        next();
        error("Mismatched braces", "A JSON object must be closed with a brace, not a bracket.", found);
        return false;
      default:
        recover(next(), '{', '}');
        error("Missing attribute seperator comma",
              "A comma must appear between each property definition in an object.", found);
        return false;
    }
  }

  std::optional<Value> array() {
    Depth deeper(*this);
    const Token open = next();
    Value::List items;
    while (token_.type != ']') {
      items.push_back(value());
      if (!after_item(open)) return std::nullopt;
    }
    const Token close = next();
    Value out(std::move(items));
    out.range = {file_, open.begin, close.end};
    return out;
  }

  bool after_item(const Token& open) {
    const Token found = token_;
    if (found.type == ']') return true;
    if (found.type == ',') {
      next();
      if (token_.type != ']') return true;
      error("Trailing comma in array",
            "JSON does not permit a trailing comma after the final value in an array.", found);
      return false;
    }
    recover(next(), '[', ']');
    if (found.type == end_of_text) {
      error("Unclosed object", "No closing bracket was found for this JSON array.", open);
    } else if (found.type == ':') {
      error("Invalid array value", "A colon is not used to introduce values in a JSON array.", found);
    } else if (found.type == '}') {
      error("Mismatched brackets", "A JSON array must be closed with a bracket, not a brace.", found);
    } else {
      error("Missing attribute seperator comma", "A comma must appear between each value in an array.",
            found);
    }
    return false;
  }

  std::optional<Value> read_number() {
    const Token token = next();
    std::string text(text_of(token));
    if (!is_hcl_json_number(text) || !HclNumber::parse(text)) {
      error("Invalid JSON number", "There is a syntax error in the given JSON number.", token);
      return std::nullopt;
    }
    Value out(Number{std::move(text)});
    out.range = range_of(token);
    return out;
  }

  std::optional<Value> string() {
    const Token token = next();
    size_t at = 0;
    auto text = unquote_hcl_json(text_of(token), at);
    if (!text) {
      Token place = token;
      bool ends = token.begin + at >= token.end;
      if (!ends) place = {'"', token.begin + at, token.begin + at + 1};
      error("Invalid JSON string", "There is a syntax error in the given JSON string.", place,
            ends ? "The string is not closed on its line." : "This is no escape sequence of JSON.");
      return std::nullopt;
    }
    Value out(std::move(*text));
    out.range = range_of(token);
    return out;
  }

  std::optional<Value> word() {
    const Token token = next();
    std::string_view text = text_of(token);
    if (text == "undefined" || text == "NaN" || text == "Infinity") {
      error("Invalid JSON keyword",
            fmt::format("The JavaScript identifier {} cannot be used in JSON.", go_quote(text)), token);
      return std::nullopt;
    }
    Value out;
    if (text == "true" || text == "false") {
      out = Value(text == "true");
    } else if (text != "null") {
      error("Invalid JSON keyword",
            fmt::format("{} is not a valid JSON keyword.{}", go_quote(text),
                        hcl_name_suggestion(text, {"false", "true", "null"})),
            token);
      return std::nullopt;
    }
    out.range = range_of(token);
    return out;
  }

  std::shared_ptr<const SourceFile> file_;
  std::string_view text_;
  Diagnostics& diagnostics_;
  Token token_;  ///< the next one
  int errors_ = 0;
  int depth_ = 0;
};

/// Four hexadecimal digits at `at`; nullopt when they are none, `at` is then at the first that is wrong.
std::optional<uint32_t> hcl_json_unit(std::string_view text, size_t& at) {
  uint32_t unit = 0;
  for (int i = 0; i < 4; ++i, ++at) {
    char c = at < text.size() ? text[at] : ' ';
    size_t digit = std::string_view("0123456789abcdefABCDEF").find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    unit = unit * 16 + static_cast<uint32_t>(digit < 16 ? digit : digit - 6);
  }
  return unit;
}

}  // namespace

std::optional<std::string> unquote_hcl_json(std::string_view quoted, size_t& wrong,
                                            std::vector<size_t>* places) {
  std::string out;
  auto place = [&](size_t at) {
    if (places) places->resize(out.size(), at);
  };
  wrong = quoted.size();
  size_t at = 1;
  while (at < quoted.size() && quoted[at] != '"') {
    size_t begin = at;
    if (quoted[at] != '\\') {
      std::string_view rest = quoted.substr(at);
      append_rune(out, take_rune(rest));
      at = quoted.size() - rest.size();
      place(begin);
      continue;
    }
    ++at;
    static constexpr std::string_view names = "\"\\/bfnrt";
    static constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    size_t which = at < quoted.size() ? names.find(quoted[at]) : std::string_view::npos;
    if (which != std::string_view::npos) {
      out += meanings[which];
      ++at;
    } else {
      wrong = at;
      if (at >= quoted.size() || quoted[at] != 'u') return std::nullopt;
      auto unit = hcl_json_unit(quoted, wrong = ++at);
      if (!unit) return std::nullopt;
      at += 4;
      if (*unit >= 0xD800 && *unit < 0xE000) {  // a pair of surrogates; one alone is no character
        size_t low_at = at + 2;
        auto low = quoted.substr(at, 2) == "\\u" ? hcl_json_unit(quoted, low_at) : std::nullopt;
        bool pair = *unit < 0xDC00 && low && *low >= 0xDC00 && *low < 0xE000;
        unit = pair ? 0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00) : 0xFFFD;
        if (pair) at += 6;
      }
      append_rune(out, *unit);
    }
    place(begin);
  }
  wrong = at;
  if (at + 1 != quoted.size()) return std::nullopt;
  if (places) places->push_back(at);
  return out;
}

Value parse_hcl_json_value(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics) {
  return HclJsonReader(std::move(file), diagnostics).read();
}

}  // namespace kiln
