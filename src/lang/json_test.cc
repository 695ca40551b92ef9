#include <gmock/gmock.h>
#include <gtest/gtest.h>


#include "base/text.h"
#include "lang/packer_json.h"

namespace kiln {
namespace {

std::shared_ptr<const SourceFile> json_file(std::string text) {
  return std::make_shared<SourceFile>(SourceFile{"t.json", std::move(text)});
}

std::string first_error(const std::string& text) {
  Diagnostics diagnostics;
  parse_json(json_file(text), diagnostics);
  return diagnostics.empty() ? "" : diagnostics.items().front().summary;
}

TEST(Json, reads_every_kind_of_value) {
  Diagnostics diagnostics;
  Value value = parse_json(
      json_file(R"( {"a": [1, -2.5e3, true, false, null], "b": {"c": "x\n\u00e9\ud83d\ude00\/"}, "e": {}, "l": [ ]} )"),
      diagnostics);
  EXPECT_TRUE(diagnostics.empty()) << render_diagnostics(diagnostics);
  EXPECT_EQ(to_json(value), R"({"a":[1,-2.5e3,true,false,null],"b":{"c":"x\né😀/"},"e":{},"l":[]})");
}

TEST(Json, keeps_the_order_of_keys_and_the_places) {
  Diagnostics diagnostics;
  Value value = parse_json(json_file("{\n  \"z\": 1,\n  \"a\": [\"x\"]\n}"), diagnostics);
  ASSERT_EQ(value.as_object().size(), 2u);
  EXPECT_EQ(value.as_object()[0].key, "z");
  const Member& a = value.as_object()[1];
  EXPECT_EQ(line_column(a.key_range).line, 3u);
  EXPECT_EQ(line_column(a.key_range).column, 3u);
  EXPECT_EQ(line_column(a.value.as_list()[0].range).column, 9u);
  EXPECT_EQ(a.value.range.end - a.value.range.begin, 5u);
}

TEST(Json, replaces_what_is_no_utf8_as_go_does) {
  Diagnostics diagnostics;
  EXPECT_EQ(parse_json(json_file("\"a\xff\xc3(\""), diagnostics).as_string(), "a\xEF\xBF\xBD\xEF\xBF\xBD(");
  EXPECT_EQ(parse_json(json_file(R"("\ud800x")"), diagnostics).as_string(), "\xEF\xBF\xBDx");
  EXPECT_EQ(parse_json(json_file(R"("\ud800\ud800\udc00")"), diagnostics).as_string(), "\xEF\xBF\xBD\xF0\x90\x80\x80");
  EXPECT_TRUE(diagnostics.empty());
}

// Taken from the real Packer (1.6.6), which prints what Go's encoding/json says.
TEST(Json, tells_syntax_errors_as_packer_does) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"type": x})", "invalid character 'x' looking for beginning of value"},
      {R"({"a": "b",})", "invalid character '}' looking for beginning of object key string"},
      {"", "unexpected end of JSON input"},
      {"{", "unexpected end of JSON input"},
      {R"({"a)", "unexpected end of JSON input"},
      {R"({"a": 1} x)", "invalid character 'x' after top-level value"},
      {"nul", "invalid character ' ' in literal null (expecting 'l')"},
      {"-", "invalid character ' ' in numeric literal"},
      {R"({"a":"\x"})", "invalid character 'x' in string escape code"},
      {"{\"a\":\"b\tc\"}", "invalid character '\\t' in string literal"},
      {R"({"a":01})", "invalid character '1' after object key:value pair"},
      {R"({"a":1.})", "invalid character '}' after decimal point in numeric literal"},
      {R"({"a" 1})", "invalid character '1' after object key"},
      {R"({"a":1 "b"})", "invalid character '\"' after object key:value pair"},
      {"[1 2]", "invalid character '2' after array element"},
      {"{1:2}", "invalid character '1' looking for beginning of object key string"},
      {R"({"a":"\u12g4"})", "invalid character 'g' in \\u hexadecimal character escape"},
      {R"({"a":-})", "invalid character '}' in numeric literal"},
      {R"({"a":1e})", "invalid character '}' in exponent of numeric literal"},
      {R"({"a":tru})", "invalid character '}' in literal true (expecting 'e')"},
      {"é", "invalid character 'Ã' looking for beginning of value"},
      {"'a'", "invalid character '\\'' looking for beginning of value"},
      {"\x80", "invalid character '\\u0080' looking for beginning of value"},
  };
  for (auto [text, expected] : rows)
    EXPECT_EQ(first_error(text), std::string("Error parsing JSON: ") + expected) << text;
}

TEST(Json, shows_the_place_in_packers_layout_and_in_ours) {
  Diagnostics diagnostics;
  parse_json(json_file("{\n  \"variables\": {\"a\": \"b\",},\n  \"builders\": []\n}"), diagnostics);
  ASSERT_EQ(diagnostics.items().size(), 1u);
  const Diagnostic& item = diagnostics.items()[0];
  EXPECT_EQ(item.detail,
            "At line 2, column 27 (offset 28):\n"
            "    1: {\n"
            "    2:   \"variables\": {\"a\": \"b\",}\n"
            "                                ^\n");
  EXPECT_EQ(line_column(item.range).line, 2u);
  EXPECT_EQ(line_column(item.range).column, 26u);
  EXPECT_EQ(item.hint, "Remove the comma before it.");
}

TEST(Json, hints_at_what_people_do_wrong) {
  auto hint = [](const std::string& text) {
    Diagnostics diagnostics;
    parse_json(json_file(text), diagnostics);
    return diagnostics.items().at(0).hint;
  };
  EXPECT_THAT(hint("{// no\n}"), testing::HasSubstr("no comments"));
  EXPECT_THAT(hint("{'a': 1}"), testing::HasSubstr("double quotes"));
  EXPECT_THAT(hint("{\"a\": 1 \"b\": 2}"), testing::HasSubstr("comma missing"));
  EXPECT_THAT(hint("\xEF\xBB\xBF{}"), testing::HasSubstr("byte order mark"));
}

TEST(Json, refuses_duplicate_keys_at_any_depth_and_reads_on) {
  Diagnostics diagnostics;
  Value value = parse_json(json_file(R"({"a": 1, "b": [{"c": 1, "c": 2}], "a": 3})"), diagnostics);
  ASSERT_EQ(diagnostics.items().size(), 2u);
  EXPECT_EQ(diagnostics.items()[0].summary, "template has duplicate field: c");
  EXPECT_EQ(diagnostics.items()[1].summary, "template has duplicate field: a");
  EXPECT_EQ(diagnostics.items()[1].range.begin, 34u);
  EXPECT_THAT(diagnostics.items()[1].hint, testing::HasSubstr("line 1, column 2"));
  EXPECT_EQ(value.find("a")->as_number().text, "1");
}

TEST(Json, refuses_deep_nesting_within_a_bound) {
  std::string deep(400, '[');
  EXPECT_EQ(first_error(deep + std::string(400, ']')), "");
  EXPECT_EQ(first_error(std::string(1000000, '[')), "Error parsing JSON: exceeded max depth");
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_EQ(first_error(objects), "Error parsing JSON: exceeded max depth");
}

}  // namespace
}  // namespace kiln
