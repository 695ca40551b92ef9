// jsonencode jsondecode. Source: go-cty's documentation of its JSON package; the words of Go's encoding/json.
#include <fmt/format.h>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_function_kit.h"

namespace kiln::hcl_fn {
namespace {

constexpr int max_json_depth = 400;

std::string quote_json_byte(char c) {
  if (c == '\'') return "'\\''";
  if (c == '"') return "'\"'";
  std::string text;
  append_rune(text, static_cast<unsigned char>(c));
  std::string quoted = go_quote(text);
  return "'" + quoted.substr(1, quoted.size() - 2) + "'";
}

/// Reads as Go's json.Decoder does token by token, which decides the words of its errors.
class JsonDecoder {
 public:
  explicit JsonDecoder(std::string_view text) : text_(text) {}

  HclValue run() {
    HclValue out = value(" looking for beginning of value", 0);
    skip_space();
    // What closes nothing is left unread by Go's decoder.
    if (at_ < text_.size() && text_[at_] != ']' && text_[at_] != '}')
      fail("extraneous data after JSON object");
    if (!repeat_problem_.empty()) fail(repeat_problem_);
    return out;
  }

 private:
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }
  /// The next character that is no white space; it is not taken.
  char next() {
    skip_space();
    if (at_ >= text_.size()) fail("EOF");
    return text_[at_];
  }
  [[noreturn]] void invalid(std::string_view context) {
    fail("invalid character " + quote_json_byte(text_[at_]) + std::string(context));
  }
  /// The next byte within a value.
  char inner() {
    if (at_ >= text_.size()) fail("unexpected EOF");
    return text_[at_];
  }

  HclValue value(std::string_view context, int depth) {
    if (depth > max_json_depth) fail("exceeded max depth");
    char c = next();
    switch (c) {
      case '{':
        ++at_;
        return object(depth);
      case '[':
        ++at_;
        return array(depth);
      case '"':
        return HclValue::string(string());
      case 't':
        literal("true");
        return HclValue::boolean(true);
      case 'f':
        literal("false");
        return HclValue::boolean(false);
      case 'n':
        literal("null");
        return HclValue::null(HclType::dynamic());
      default:
        break;
    }
    if (c == '-' || (c >= '0' && c <= '9')) return number();
    invalid(context);
  }

  HclValue object(int depth) {
    HclValue::Members members;
    bool first = true;
    while (true) {
      char c = next();
      if (c == '}' && first) break;
      if (c != '"') invalid(first ? "" : " looking for beginning of object key string");
      std::string key = string();
      if (next() != ':') invalid(" after object key");
      ++at_;
      HclValue member = value(" looking for beginning of value", depth + 1);
      auto [before, added] = members.try_emplace(std::move(key), member);
      if (!added) {
        check_repeated(before->second, member.type());
        before->second = std::move(member);
      }
      c = next();
      if (c == '}') break;
      if (c != ',') invalid(" after object key:value pair");
      ++at_;
      first = false;
    }
    ++at_;
    return HclValue::object(std::move(members));
  }

  /// Of a key that is there twice the last value counts, but cty reads all of them by the last one's type.
  void check_repeated(const HclValue& before, const HclType& to) {
    if (before.is_null() || !repeat_problem_.empty()) return;
    const HclType& from = before.type();
    if (to.is(HclType::Kind::tuple)) {
      check_repeated_tuple(before, to);
    } else if (to.is(HclType::Kind::object)) {
      check_repeated_object(before, to);
    } else if (to.is_dynamic()) {
      repeat_problem_ = "missing expected {";
    } else if (!from.is_primitive() ||
               (from != to && !from.is(HclType::Kind::string) && !to.is(HclType::Kind::string))) {
      repeat_problem_ =
          to.is(HclType::Kind::boolean) ? "bool is required" : to.friendly_name() + " is required";
    } else {
      hcl_convert(before, to, &repeat_problem_);
    }
  }
  void check_repeated_tuple(const HclValue& before, const HclType& to) {
    size_t wanted = to.elements().size();
    if (!before.type().is(HclType::Kind::tuple)) {
      repeat_problem_ = "missing expected [";
      return;
    }
    for (size_t i = 0; i < std::min(wanted, before.length()); ++i)
      check_repeated(before.items()[i], to.elements()[i]);
    if (!repeat_problem_.empty() || before.length() == wanted) return;
    const char* how = before.length() > wanted ? "too many" : "not enough";
    repeat_problem_ = fmt::format("{} tuple elements (need {})", how, wanted);
  }
  void check_repeated_object(const HclValue& before, const HclType& to) {
    if (!before.type().is(HclType::Kind::object)) {
      repeat_problem_ = "missing expected {";
      return;
    }
    for (const auto& [key, member] : before.members()) {
      auto wanted = to.attributes().find(key);
      if (!repeat_problem_.empty()) return;
      if (wanted != to.attributes().end())
        check_repeated(member, wanted->second);
      else
        repeat_problem_ = fmt::format("unsupported attribute {}", go_quote(key));
    }
  }

  HclValue array(int depth) {
    HclValue::Items items;
    if (next() == ']') {
      ++at_;
      return HclValue::tuple({});
    }
    while (true) {
      items.push_back(value(" looking for beginning of value", depth + 1));
      char c = next();
      if (c == ']') break;
      if (c != ',') invalid(" after array element");
      ++at_;
    }
    ++at_;
    return HclValue::tuple(std::move(items));
  }

  void literal(std::string_view word) {
    for (size_t i = 0; i < word.size(); ++i, ++at_) {
      if (inner() != word[i]) invalid(fmt::format(" in literal {} (expecting '{}')", word, word[i]));
    }
  }

  bool digit() const { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; }
  void digits(std::string_view context) {
    inner();
    if (!digit()) invalid(context);
    while (digit()) ++at_;
  }

  HclValue number() {
    size_t begin = at_;
    if (text_[at_] == '-') ++at_;
    inner();
    if (!digit()) invalid(" in numeric literal");
    if (text_[at_] == '0')
      ++at_;
    else
      digits(" in numeric literal");
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      digits(" after decimal point in numeric literal");
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (inner() == '+' || text_[at_] == '-') ++at_;
      digits(" in exponent of numeric literal");
    }
    auto number = HclNumber::parse(text_.substr(begin, at_ - begin));
    if (!number) fail("a number is required");
    return HclValue::number(*number);
  }

  uint32_t unicode_escape() {
    uint32_t rune = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      char c = inner();
      uint32_t digit = c >= '0' && c <= '9'   ? static_cast<uint32_t>(c - '0')
                       : c >= 'a' && c <= 'f' ? static_cast<uint32_t>(c - 'a' + 10)
                       : c >= 'A' && c <= 'F' ? static_cast<uint32_t>(c - 'A' + 10)
                                              : 16;
      if (digit == 16) invalid(" in \\u hexadecimal character escape");
      rune = rune << 4 | digit;
    }
    return rune;
  }

  void escape(std::string& out) {
    static constexpr std::string_view letters = "bfnrt\\/\"", meanings = "\b\f\n\r\t\\/\"";
    char c = inner();
    size_t letter = letters.find(c);
    if (letter != std::string_view::npos) {
      out += meanings[letter];
      ++at_;
      return;
    }
    if (c != 'u') invalid(" in string escape code");
    ++at_;
    uint32_t rune = unicode_escape();
    if (rune >= 0xD800 && rune < 0xDC00 && text_.substr(at_).starts_with("\\u")) {
      size_t before = at_;
      at_ += 2;
      uint32_t low = unicode_escape();
      if (low >= 0xDC00 && low < 0xE000)
        rune = 0x10000 + ((rune - 0xD800) << 10) + (low - 0xDC00);
      else
        at_ = before;
    }
    append_rune(out, rune);  // half a pair alone becomes U+FFFD
  }

  std::string string() {
    std::string out;
    ++at_;
    while (true) {
      char c = inner();
      auto byte = static_cast<unsigned char>(c);
      if (c == '"') break;
      if (byte < 0x20) invalid(" in string literal");
      if (c == '\\') {
        ++at_;
        escape(out);
      } else if (byte < 0x80) {
        out += c;
        ++at_;
      } else {
        std::string_view rest = text_.substr(at_);
        append_rune(out, take_rune(rest));
        at_ = text_.size() - rest.size();
      }
    }
    ++at_;
    return out;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string repeat_problem_;
};

void json_into(const HclValue& value, std::string& out) {
  check_text(out.size());
  if (value.is_null()) {
    out += "null";
  } else if (!value.is_known()) {
    fail("value is not known");
  } else if (value.type().is(HclType::Kind::boolean)) {
    out += value.as_boolean() ? "true" : "false";
  } else if (value.type().is(HclType::Kind::number)) {
    if (value.as_number().is_infinite()) fail("cannot serialize infinity as JSON");
    out += value.as_number().text();
  } else if (value.type().is(HclType::Kind::string)) {
    out += json_quote(value.as_string());
  } else if (value.type().is_sequence()) {
    out += '[';
    for (const auto& item : value.items()) {
      if (&item != &value.items().front()) out += ',';
      json_into(item, out);
    }
    out += ']';
  } else {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : value.members()) {
      if (!first) out += ',';
      first = false;
      out += json_quote(key) + ":";
      json_into(member, out);
    }
    out += '}';
  }
}

}  // namespace

std::string json_quote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    auto byte = static_cast<unsigned char>(text.front());
    if (byte < 0x80) {
      text.remove_prefix(1);
      switch (byte) {
        case '"':
          out += "\\\"";
          break;
        case '\\':
          out += "\\\\";
          break;
        case '\b':
          out += "\\b";
          break;
        case '\f':
          out += "\\f";
          break;
        case '\n':
          out += "\\n";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\t':
          out += "\\t";
          break;
        default:
          if (byte < 0x20 || byte == '<' || byte == '>' || byte == '&')
            out += fmt::format("\\u{:04x}", byte);
          else
            out += static_cast<char>(byte);
      }
      continue;
    }
    std::string_view before = text;
    uint32_t rune = take_rune(text);
    std::string_view bytes = before.substr(0, before.size() - text.size());
    if (rune == 0x2028 || rune == 0x2029)
      out += fmt::format("\\u{:04x}", rune);
    else if (rune == 0xFFFD && bytes.size() == 1)
      out += "\\ufffd";
    else
      out += bytes;
  }
  return out + '"';
}

std::string json_text(const HclValue& value) {
  std::string out;
  json_into(value, out);
  return out;
}

void add_json(HclFunctionTable& table) {
  table["jsonencode"] =
      function("Writes a value as JSON.", {any("val", takes_null | takes_unknown | takes_dynamic)},
               always(HclType::string()), [](const Arguments& a, const HclType& type, const HclHost&) {
                 if (!a[0].is_wholly_known()) return HclValue::unknown(type);
                 return HclValue::string(json_text(a[0]));
               });
  // Read once, in `call`: the type is that of the value.
  table["jsondecode"] = function(
      "Reads a JSON text.", {text("str")}, always(HclType::dynamic()),
      [](const Arguments& a, const HclType&, const HclHost&) { return JsonDecoder(a[0].as_string()).run(); });
}

}  // namespace kiln::hcl_fn
