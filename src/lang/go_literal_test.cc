#include "lang/go_literal.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(GoLiteral, unquotes_strings) {
  EXPECT_EQ(go_unquote(R"("a\tb\n\"\\")"), "a\tb\n\"\\");
  EXPECT_EQ(go_unquote(R"("\x41\u00e9\U0001F600\101\a\b\f\r\v")"), "Aé😀A\a\b\f\r\v");
  EXPECT_EQ(go_unquote("`raw\\n\r`"), "raw\\n");
  EXPECT_EQ(go_unquote("'é'"), "é");
  EXPECT_EQ(go_unquote(R"('\'')"), "'");
  EXPECT_EQ(go_unquote(R"("\377")"), "\xff");
}

TEST(GoLiteral, refuses_what_is_no_string) {
  for (const char* bad : {"", "\"", "a", "\"a", "\"a'", "\"\\\"", "\"\\q\"", "\"\\'\"", "\"\\x4\"", "\"\\400\"",
                          "\"\\ud800\"", "\"\\U00110000\"", "''", "'ab'", "`a`b`", "\"a\nb\""}) {
    EXPECT_EQ(go_unquote(bad), std::nullopt) << bad;
  }
}

TEST(GoLiteral, reads_numbers) {
  auto text = [](const char* literal) {
    auto value = parse_go_number(literal);
    return value ? value->as_number().text : "none";
  };
  EXPECT_EQ(text("15"), "15");
  EXPECT_EQ(text("-0"), "0");
  EXPECT_EQ(text("+7"), "7");
  EXPECT_EQ(text("0x1F"), "31");
  EXPECT_EQ(text("0b101"), "5");
  EXPECT_EQ(text("0o17"), "15");
  EXPECT_EQ(text("017"), "15");
  EXPECT_EQ(text("1_000"), "1000");
  EXPECT_EQ(text("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(text("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(text("1.5"), "1.5");
  EXPECT_EQ(text("1.0"), "1.0");
  EXPECT_EQ(text("'a'"), "97");
  EXPECT_EQ(text("'€'"), "8364");
  for (const char* bad : {"", "0x", "089", "9223372036854775808", "2i", "1__0", "1_", "1e999", "''", "abc", "."}) {
    EXPECT_EQ(text(bad), "none") << bad;
  }
}

TEST(GoLiteral, floats_say_so) {
  EXPECT_TRUE(is_float(float_value(2).as_number()));
  EXPECT_TRUE(is_float(parse_go_number("1e3")->as_number()));
  EXPECT_FALSE(is_float(parse_go_number("0x1E")->as_number()));
}

TEST(GoLiteral, runes_go_both_ways) {
  for (uint32_t rune : {0x41u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    std::string text;
    append_rune(text, rune);
    std::string_view rest = text;
    EXPECT_EQ(take_rune(rest), rune);
    EXPECT_TRUE(rest.empty());
  }
  std::string text;
  append_rune(text, 0xD800);
  EXPECT_EQ(text, "\xEF\xBF\xBD");
  std::string_view bad = "\xff\x80z";
  EXPECT_EQ(take_rune(bad), 0xFFFDu);
  EXPECT_EQ(take_rune(bad), 0xFFFDu);
  EXPECT_EQ(take_rune(bad), 'z');
}

}  // namespace
}  // namespace kiln
