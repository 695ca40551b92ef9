#include "lang/hcl_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "lang/go_literal.h"
#include "lang/hcl_lexer.h"

namespace kiln {
namespace {

struct CodePoints {
  uint32_t first;
  uint32_t last;
};

/// What Go does not call printable: controls, formats, separators but the blank, private use, surrogates.
constexpr CodePoints hidden[] = {
    {0x00, 0x1F},     {0x7F, 0xA0},     {0xAD, 0xAD},     {0x600, 0x605},   {0x61C, 0x61C},   {0x6DD, 0x6DD},
    {0x70F, 0x70F},   {0x1680, 0x1680}, {0x180E, 0x180E}, {0x2000, 0x200F}, {0x2028, 0x202F}, {0x205F, 0x2064},
    {0x2066, 0x206F}, {0x3000, 0x3000}, {0xD800, 0xF8FF}, {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0x10FFFF}};

bool is_hidden(uint32_t rune) {
  return std::any_of(std::begin(hidden), std::end(hidden),
                     [&](auto& range) { return rune >= range.first && rune <= range.last; });
}

std::string object_expression(const Value& object) {
  std::vector<const Member*> members;
  for (const auto& member : object.as_object()) members.push_back(&member);
  if (members.empty()) return "{}";
  std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key < b->key; });
  std::string out = "{\n";
  for (const Member* member : members) {
    std::string key = is_hcl_identifier(member->key) ? member->key : hcl_quoted(member->key);
    out += key + " = " + hcl_expression(member->value) + "\n";
  }
  return out + "}";
}

}  // namespace

std::string hcl_quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    std::string_view before = text;
    uint32_t rune = take_rune(text);
    std::string_view as_written = before.substr(0, before.size() - text.size());
    if (rune == '\n') out += "\\n";
    else if (rune == '\r') out += "\\r";
    else if (rune == '\t') out += "\\t";
    else if (rune == '"') out += "\\\"";
    else if (rune == '\\') out += "\\\\";
    else if ((rune == '$' || rune == '%') && text.starts_with('{')) out.append(2, static_cast<char>(rune));
    else if (is_hidden(rune)) out += rune < 0x10000 ? fmt::format("\\u{:04x}", rune) : fmt::format("\\U{:08x}", rune);
    else out += as_written;
  }
  return out + '"';
}

bool is_hcl_identifier(std::string_view word) {
  if (word.size() > max_hcl_text) return false;
  HclTokens tokens = lex_hcl(word, HclComments::keep);
  return tokens.size() == 2 && tokens.kind(0) == HclTokenKind::identifier && tokens[0].text.size() == word.size();
}

std::string hcl_expression(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::boolean: return value.as_bool() ? "true" : "false";
    case Value::Kind::number: return plain_decimal(std::strtod(value.as_number().text.c_str(), nullptr));
    case Value::Kind::string: return hcl_quoted(value.as_string());
    case Value::Kind::list: {
      std::string out;
      for (const auto& item : value.as_list()) out += (out.empty() ? "" : ", ") + hcl_expression(item);
      return "[" + out + "]";
    }
    case Value::Kind::object: return object_expression(value);
    default: return "null";
  }
}

std::string hcl_attribute(std::string_view key, const Value& value) {
  return std::string(key) + " = " + hcl_expression(value) + "\n";
}

}  // namespace kiln
