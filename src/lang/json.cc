// Strict JSON with places. The error texts are those of Go's encoding/json, laid out as Packer does.
#include <fmt/format.h>

#include <set>
#include <unordered_map>

#include "base/text.h"
#include "lang/packer_json.h"

namespace kiln {
namespace {

/// Deeper nesting is refused: no template needs it, and values are destroyed recursively on small stacks.
constexpr size_t max_json_depth = 500;

/// A byte as Go's scanner quotes it: bytes above 0x7f are taken for Latin-1.
std::string quote_byte(unsigned char c) {
  if (c == '\'') return R"('\'')";
  if (c == '"') return R"('"')";
  std::string text;
  if (c < 0x80) {
    text = static_cast<char>(c);
  } else if (c < 0xA0 || c == 0xAD) {
    return c < 0xA0 ? fmt::format("'\\u{:04x}'", c) : "'\\u00ad'";
  } else {
    text = {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
  }
  std::string quoted = go_quote(text);
  return "'" + quoted.substr(1, quoted.size() - 2) + "'";
}

void append_utf8(std::string& out, uint32_t rune) {
  if (rune < 0x80) {
    out += static_cast<char>(rune);
  } else if (rune < 0x800) {
    out += static_cast<char>(0xC0 | (rune >> 6));
    out += static_cast<char>(0x80 | (rune & 0x3F));
  } else if (rune < 0x10000) {
    out += static_cast<char>(0xE0 | (rune >> 12));
    out += static_cast<char>(0x80 | ((rune >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (rune & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (rune >> 18));
    out += static_cast<char>(0x80 | ((rune >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((rune >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (rune & 0x3F));
  }
}

/// The text with every ill-formed byte replaced by U+FFFD, as Go does when it decodes a string.
std::string repair_utf8(std::string text) {
  if (is_valid_utf8(text)) return text;
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t n = 1;
    while (n <= 4 && i + n <= text.size() && !is_valid_utf8(std::string_view(text).substr(i, n))) ++n;
    if (n <= 4 && i + n <= text.size()) {
      out.append(text, i, n);
      i += n;
    } else {
      append_utf8(out, 0xFFFD);
      ++i;
    }
  }
  return out;
}

/// Recursive descent over the text. The first syntax error ends it by an internal exception.
class JsonReader {
 public:
  /// `as_decoder`: only the first value is read, and the last one of equal keys is kept.
  JsonReader(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics, bool as_decoder)
      : file_(std::move(file)), text_(file_->text), diagnostics_(diagnostics), as_decoder_(as_decoder) {}

  Value read() {
    try {
      Value value = read_value(0);
      skip_space();
      if (at_ < text_.size() && !as_decoder_) fail("after top-level value");
      return value;
    } catch (const Failure& failure) {
      report(failure);
      return {};
    }
  }

 private:
  struct Failure {
    std::string message;
    size_t offset;  ///< bytes read, the offending one included, as Go counts
  };

  bool at_end() const { return at_ >= text_.size(); }
  SourceRange range_from(size_t begin) const { return {file_, begin, at_}; }

  void skip_space() {
    while (!at_end() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }

  /// The byte at the cursor is wrong here. At the end of the text Go feeds one blank: where a blank may stand,
  /// the input ended too early; elsewhere the blank itself is the wrong byte.
  [[noreturn]] void fail(const std::string& context, bool blank_allowed = true) {
    if (at_end()) {
      if (blank_allowed) throw Failure{"unexpected end of JSON input", text_.size()};
      throw Failure{"invalid character ' ' " + context, text_.size()};
    }
    throw Failure{fmt::format("invalid character {} {}", quote_byte(static_cast<unsigned char>(text_[at_])), context),
                  at_ + 1};
  }

  Value read_value(size_t depth) {
    skip_space();
    if (at_end()) fail("looking for beginning of value");
    if (depth >= max_json_depth) throw Failure{"exceeded max depth", at_ + 1};
    size_t begin = at_;
    Value value;
    switch (text_[at_]) {
      case '{': value = read_object(depth); break;
      case '[': value = read_list(depth); break;
      case '"': value = Value(read_string()); break;
      case 't': read_literal("true"); value = Value(true); break;
      case 'f': read_literal("false"); value = Value(false); break;
      case 'n': read_literal("null"); break;
      default:
        if (text_[at_] != '-' && (text_[at_] < '0' || text_[at_] > '9')) fail("looking for beginning of value");
        value = read_number();
    }
    value.range = range_from(begin);
    return value;
  }

  void read_literal(std::string_view word) {
    for (size_t i = 0; i < word.size(); ++i, ++at_) {
      if (at_end() || text_[at_] != word[i]) {
        fail(fmt::format("in literal {} (expecting {})", word, quote_byte(static_cast<unsigned char>(word[i]))), false);
      }
    }
  }

  bool at_digit() const { return !at_end() && text_[at_] >= '0' && text_[at_] <= '9'; }
  void skip_digits() {
    while (at_digit()) ++at_;
  }

  Value read_number() {
    size_t begin = at_;
    if (text_[at_] == '-') ++at_;
    if (!at_digit()) fail("in numeric literal", false);
    if (text_[at_] == '0') ++at_;
    else skip_digits();
    if (!at_end() && text_[at_] == '.') {
      ++at_;
      if (!at_digit()) fail("after decimal point in numeric literal", false);
      skip_digits();
    }
    if (!at_end() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (!at_end() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (!at_digit()) fail("in exponent of numeric literal", false);
      skip_digits();
    }
    return Value(Number{std::string(text_.substr(begin, at_ - begin))});
  }

  uint32_t read_hex4() {
    uint32_t rune = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      char c = at_end() ? '\0' : text_[at_];
      uint32_t digit = 0;
      if (c >= '0' && c <= '9') digit = static_cast<uint32_t>(c - '0');
      else if (c >= 'a' && c <= 'f') digit = static_cast<uint32_t>(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F') digit = static_cast<uint32_t>(c - 'A' + 10);
      else fail("in \\u hexadecimal character escape", false);
      rune = rune * 16 + digit;
    }
    return rune;
  }

  /// After "\u": one code unit, or a surrogate pair; a lone surrogate becomes U+FFFD.
  void read_unicode_escape(std::string& out) {
    uint32_t rune = read_hex4();
    if (rune >= 0xD800 && rune < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      size_t back = at_;
      at_ += 2;
      uint32_t low = read_hex4();
      if (low >= 0xDC00 && low < 0xE000) {
        append_utf8(out, 0x10000 + ((rune - 0xD800) << 10) + (low - 0xDC00));
        return;
      }
      at_ = back;
    }
    append_utf8(out, rune >= 0xD800 && rune < 0xE000 ? 0xFFFD : rune);
  }

  std::string read_string() {
    ++at_;
    std::string out;
    while (!at_end() && text_[at_] != '"') {
      char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20) fail("in string literal");
      ++at_;
      if (c != '\\') {
        out += c;
        continue;
      }
      static constexpr std::string_view escapes = "\"\\/bfnrt";
      static constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
      if (!at_end() && text_[at_] == 'u') {
        ++at_;
        read_unicode_escape(out);
        continue;
      }
      size_t which = at_end() ? std::string_view::npos : escapes.find(text_[at_]);
      if (which == std::string_view::npos) fail("in string escape code", false);
      out += meanings[which];
      ++at_;
    }
    if (at_end()) fail("in string literal");
    ++at_;
    return repair_utf8(std::move(out));
  }

  Value read_list(size_t depth) {
    ++at_;
    Value::List list;
    skip_space();
    if (!at_end() && text_[at_] == ']') {
      ++at_;
      return Value(std::move(list));
    }
    for (;;) {
      list.push_back(read_value(depth + 1));
      skip_space();
      if (!at_end() && text_[at_] == ',') {
        ++at_;
        continue;
      }
      if (at_end() || text_[at_] != ']') fail("after array element");
      ++at_;
      return Value(std::move(list));
    }
  }

  Value read_object(size_t depth) {
    ++at_;
    Value::Object object;
    std::unordered_map<std::string, SourceRange> seen;
    skip_space();
    if (!at_end() && text_[at_] == '}') {
      ++at_;
      return Value(std::move(object));
    }
    for (;;) {
      skip_space();
      if (at_end() || text_[at_] != '"') fail("looking for beginning of object key string");
      size_t begin = at_;
      std::string key = read_string();
      SourceRange key_range = range_from(begin);
      skip_space();
      if (at_end() || text_[at_] != ':') fail("after object key");
      ++at_;
      Value value = read_value(depth + 1);
      auto [first, is_new] = seen.emplace(key, key_range);
      if (is_new) object.push_back({std::move(key), std::move(value), std::move(key_range)});
      else if (as_decoder_) replace_member(object, key, std::move(value));
      else report_duplicate(key, key_range, first->second);
      skip_space();
      if (!at_end() && text_[at_] == ',') {
        ++at_;
        continue;
      }
      if (at_end() || text_[at_] != '}') fail("after object key:value pair");
      ++at_;
      return Value(std::move(object));
    }
  }

  static void replace_member(Value::Object& object, const std::string& key, Value value) {
    for (auto& member : object) {
      if (member.key != key) continue;
      member.value = std::move(value);
      return;  // keys are unique
    }
  }

  void report_duplicate(const std::string& key, const SourceRange& range, const SourceRange& first) {
    auto place = line_column(first);
    diagnostics_.error("template has duplicate field: " + key, "", range,
                       fmt::format("\"{}\" is given first at line {}, column {}; keep one of them.", key, place.line,
                                   place.column));
  }

  void report(const Failure& failure) {
    size_t begin = failure.offset > 0 ? failure.offset - 1 : 0;
    if (failure.message == "unexpected end of JSON input") begin = failure.offset;
    SourceRange range{file_, std::min(begin, text_.size()), std::min(failure.offset, text_.size())};
    diagnostics_.error("Error parsing JSON: " + failure.message, place_text(failure.offset), range, hint(failure));
  }

  /// "At line L, column C (offset O):" with the line before, the line up to the offset, and a caret. Packer counts
  /// the column from 0 on the first line and from 1 on the others; kept, since the text is compared.
  std::string place_text(size_t offset) const {
    std::string_view before = text_.substr(0, std::min(offset, text_.size()));
    std::vector<std::string> lines = split(before, '\n');
    size_t line = lines.size();
    size_t column = line == 1 ? offset : lines.back().size() + 1;
    std::string out = fmt::format("At line {}, column {} (offset {}):\n", line, column, offset);
    if (line > 1) out += fmt::format("{:5}: {}\n", line - 1, lines[line - 2]);
    out += fmt::format("{:5}: {}\n", line, lines.back());
    return out + std::string(5 + column, ' ') + "^\n";
  }

  std::string hint(const Failure& failure) const {
    size_t at = failure.offset > 0 ? failure.offset - 1 : 0;
    std::string_view rest = at < text_.size() ? text_.substr(at) : std::string_view();
    if (text_.starts_with("\xEF\xBB\xBF") && failure.offset == 1) {
      return "The file starts with a byte order mark: save it as UTF-8 without one.";
    }
    if (rest.starts_with('/') || rest.starts_with('#')) {
      return "JSON has no comments; at the root of a template a key starting with \"_\" may hold one.";
    }
    size_t back = at;
    while (back > 0 && std::string_view(" \t\r\n").find(text_[back - 1]) != std::string_view::npos) --back;
    bool after_comma = back > 0 && text_[back - 1] == ',';
    if (after_comma && (rest.starts_with('}') || rest.starts_with(']'))) return "Remove the comma before it.";
    if (rest.starts_with('\'')) return "JSON strings are written in double quotes.";
    if (rest.starts_with('"') && failure.message.find(" after ") != std::string::npos) {
      return "Is a comma missing before it?";
    }
    return {};
  }

  std::shared_ptr<const SourceFile> file_;
  std::string_view text_;
  size_t at_ = 0;
  Diagnostics& diagnostics_;
  bool as_decoder_;
};

}  // namespace

Value parse_json(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics) {
  return JsonReader(std::move(file), diagnostics, false).read();
}

Value parse_first_json(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics) {
  return JsonReader(std::move(file), diagnostics, true).read();
}

}  // namespace kiln
