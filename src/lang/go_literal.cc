#include "lang/go_literal.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/text.h"

namespace kiln {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

/// Reads `count` digits of `base` off the front; nullopt if there are not as many.
std::optional<uint32_t> take_digits(std::string_view& text, size_t count, uint32_t base) {
  if (text.size() < count) return std::nullopt;
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    int digit = hex_digit(text[i]);
    if (digit >= static_cast<int>(base)) return std::nullopt;
    value = value * base + static_cast<uint64_t>(digit);
  }
  text.remove_prefix(count);
  return static_cast<uint32_t>(value);
}

/// One escape after its backslash.
bool take_escape(std::string_view& text, char quote, std::string& out) {
  if (text.empty()) return false;
  char c = text.front();
  static constexpr std::string_view names = "abfnrtv\\";
  static constexpr std::string_view meanings = "\a\b\f\n\r\t\v\\";
  size_t which = names.find(c);
  if (which != std::string_view::npos || c == quote) {
    out += c == quote ? c : meanings[which];
    text.remove_prefix(1);
    return true;
  }
  if (c >= '0' && c <= '7') {
    auto value = take_digits(text, 3, 8);
    if (!value || *value > 255) return false;
    out += static_cast<char>(*value);
    return true;
  }
  if (c != 'x' && c != 'u' && c != 'U') return false;
  text.remove_prefix(1);
  auto value = take_digits(text, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16);
  if (!value) return false;
  if (c == 'x') {
    out += static_cast<char>(*value);
    return true;
  }
  if (*value > 0x10FFFF || (*value >= 0xD800 && *value < 0xE000)) return false;
  append_rune(out, *value);
  return true;
}

std::optional<uint64_t> parse_magnitude(std::string_view text, int base) {
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') digits += text[i];
    else if (i + 1 == text.size() || text[i + 1] == '_') return std::nullopt;
  }
  uint64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::optional<Value> parse_integer_literal(std::string_view text) {
  bool negative = text.starts_with('-');
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  std::string prefix = lower(text.substr(0, 2));
  if (prefix == "0x") base = 16;
  else if (prefix == "0o") base = 8;
  else if (prefix == "0b") base = 2;
  if (base != 10) text.remove_prefix(2);
  else if (text.size() > 1 && text[0] == '0') base = 8;
  auto magnitude = parse_magnitude(text, base);
  if (!magnitude || *magnitude > static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0)) return std::nullopt;
  return Value(Number{(negative && *magnitude ? "-" : "") + std::to_string(*magnitude)});
}

}  // namespace

void append_rune(std::string& out, uint32_t rune) {
  if (rune > 0x10FFFF || (rune >= 0xD800 && rune < 0xE000)) rune = 0xFFFD;
  if (rune < 0x80) {
    out += static_cast<char>(rune);
    return;
  }
  int extra = rune < 0x800 ? 1 : rune < 0x10000 ? 2 : 3;
  static constexpr uint32_t lead[] = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(lead[extra] | (rune >> (6 * extra)));
  while (extra-- > 0) out += static_cast<char>(0x80 | ((rune >> (6 * extra)) & 0x3F));
}

uint32_t take_rune(std::string_view& text) {
  auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[i])); };
  uint32_t lead = byte(0);
  if (lead < 0x80) {
    text.remove_prefix(1);
    return lead;
  }
  size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 0;
  if (length == 0 || length > text.size() || !is_valid_utf8(text.substr(0, length))) {
    text.remove_prefix(1);
    return 0xFFFD;
  }
  uint32_t rune = lead & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) rune = (rune << 6) | (byte(i) & 0x3F);
  text.remove_prefix(length);
  return rune;
}

std::optional<std::string> go_unquote(std::string_view literal) {
  if (literal.size() < 2 || literal.front() != literal.back()) return std::nullopt;
  char quote = literal.front();
  std::string_view text = literal.substr(1, literal.size() - 2);
  std::string out;
  if (quote == '`') {
    for (char c : text) {
      if (c == '`') return std::nullopt;
      if (c != '\r') out += c;
    }
    return out;
  }
  if (quote != '"' && quote != '\'') return std::nullopt;
  size_t characters = 0;
  while (!text.empty()) {
    ++characters;
    char c = text.front();
    if (c == quote || c == '\n') return std::nullopt;
    if (c == '\\') {
      text.remove_prefix(1);
      if (!take_escape(text, quote, out)) return std::nullopt;
    } else {
      std::string_view before = text;
      take_rune(text);
      out += before.substr(0, before.size() - text.size());
    }
  }
  if (quote == '\'' && characters != 1) return std::nullopt;
  return out;
}

Value float_value(double number) {
  if (std::isnan(number)) return Value(Number{"NaN"});
  if (std::isinf(number)) return Value(Number{number < 0 ? "-Inf" : "+Inf"});
  std::string text = fmt::format("{}", number);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return Value(Number{text});
}

std::string plain_decimal(double number) {
  char buffer[64];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific).ptr;
  std::string text(buffer, end);
  std::string sign = text.starts_with('-') ? "-" : "";
  size_t e = text.find('e');
  if (e == std::string::npos) return text;
  int exponent = std::atoi(text.c_str() + e + 1);
  std::string digits;
  for (char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  auto length = static_cast<int>(digits.size());
  if (exponent < 0) return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (int zeros = exponent - length + 1; zeros >= 0)
    return sign + digits + std::string(static_cast<size_t>(zeros), '0');
  return sign + digits.insert(static_cast<size_t>(exponent + 1), ".");
}

bool is_float(const Number& number) { return number.text.find_first_of(".eENI") != std::string::npos; }

std::optional<Value> parse_go_number(std::string_view literal) {
  if (literal.starts_with('\'')) {
    auto text = go_unquote(literal);
    if (!text) return std::nullopt;
    std::string_view rest = *text;
    if (text->size() == 1) return Value(static_cast<int64_t>(static_cast<unsigned char>(rest[0])));
    return Value(static_cast<int64_t>(take_rune(rest)));
  }
  if (literal.empty() || literal.ends_with('i')) return std::nullopt;
  if (auto integer = parse_integer_literal(literal)) return integer;
  bool floating =
      literal.find_first_of(".pP") != std::string_view::npos ||
      (lower(literal).find("0x") == std::string::npos && literal.find_first_of("eE") != std::string_view::npos);
  if (!floating) return std::nullopt;
  std::string text;
  for (char c : literal) {
    if (c != '_') text += c;
  }
  char* end = nullptr;
  double number = std::strtod(text.c_str(), &end);
  if (end != text.c_str() + text.size() || !std::isfinite(number)) return std::nullopt;
  return float_value(number);
}

}  // namespace kiln
