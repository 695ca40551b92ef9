#include "lang/hcl_format.h"

#include <gtest/gtest.h>

#include "lang/hcl_lexer.h"

namespace kiln {
namespace {

struct FormatRow {
  const char* name;
  const char* in;
  const char* out;
};

TEST(HclFormat, rows) {
  // Each expectation was checked against `packer fmt -`.
  const FormatRow rows[] = {
      {"indents by open brackets", "a {\nb = [\n1,\n]\n}\n", "a {\n  b = [\n    1,\n  ]\n}\n"},
      {"aligns consecutive attributes", "a=1\nlong =2\n\nb=3\n", "a    = 1\nlong = 2\n\nb = 3\n"},
      {"a value of several lines ends the column", "long = 1\na = {\nx=1\n}\n", "long = 1\na = {\n  x = 1\n}\n"},
      {"a heredoc does not", "a = <<E\n  kept \nE\nlong=1\n", "a    = <<E\n  kept \nE\nlong = 1\n"},
      {"aligns trailing comments", "a=1 # x\nlong=2 // y\n", "a    = 1 # x\nlong = 2 // y\n"},
      {"leaves comment lines their place", "a {\n# x\n}\n", "a {\n  # x\n}\n"},
      {"one-line blocks are no column", "c { x=1 }\ndd {xx=2}\n", "c { x = 1 }\ndd { xx = 2 }\n"},
      {"minus by what stands before", "n=-1+ - 2 - -x\n", "n = -1 + -2 - -x\n"},
      {"calls, indexes and splats are tight", "v = f ( a [0] . b . * , c... )\n", "v = f(a[0].b.*, c...)\n"},
      {"a tuple after in is no index", "v = [for x in [1] : x]\n", "v = [for x in [1] : x]\n"},
      {"empty braces", "a = { }\nb = [ ]\n", "a = {}\nb = []\n"},
      {"template text stays, expressions in it are spaced", "a = \"x  ${ f ( 1,2 ) }  %%{ y }\"\n",
       "a = \"x  ${f(1, 2)}  %%{ y }\"\n"},
      {"block headers", "b \"x\"   \"y\"{\n}\n", "b \"x\" \"y\" {\n}\n"},
      {"no newline is added at the end", "a=1", "a = 1"},
      {"nothing stays nothing", "", ""},
      {"Windows line ends stay", "a=1\r\nlong=2\r\n", "a    = 1\r\nlong = 2\r\n"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(format_hcl(row.in), row.out) << row.name;
    EXPECT_EQ(format_hcl(row.out), row.out) << row.name << ": formatting again changes nothing";
  }
}

std::vector<HclTokenKind> kinds(std::string_view text) {
  std::vector<HclTokenKind> out;
  HclTokens tokens = lex_hcl(text, HclComments::keep);
  for (size_t i = 0; i < tokens.size(); ++i) out.push_back(tokens.kind(i));
  return out;
}

TEST(HclFormat, interpolations_side_by_side_stay_so) {
  EXPECT_EQ(format_hcl("a = \"${b}${c}%{if d}x%{endif}${e}\"\n"), "a = \"${b}${c}%{if d}x%{endif}${e}\"\n");
}

TEST(HclLexer, quotes_nest_in_interpolations) {
  using K = HclTokenKind;
  EXPECT_EQ(kinds(R"("a${"b"}c")"),
            (std::vector<K>{K::open_quote, K::quoted_literal, K::template_interpolation, K::open_quote,
                            K::quoted_literal, K::close_quote, K::template_end, K::quoted_literal, K::close_quote,
                            K::end_of_file}));
}

TEST(HclLexer, braces_inside_an_interpolation_do_not_end_it) {
  using K = HclTokenKind;
  EXPECT_EQ(kinds(R"("${{}}")"),
            (std::vector<K>{K::open_quote, K::template_interpolation, K::open_brace, K::close_brace, K::template_end,
                            K::close_quote, K::end_of_file}));
}

TEST(HclLexer, escapes_do_not_begin_interpolations) {
  using K = HclTokenKind;
  EXPECT_EQ(kinds(R"("$${x} %%{y} \"z")"),
            (std::vector<K>{K::open_quote, K::quoted_literal, K::close_quote, K::end_of_file}));
}

TEST(HclLexer, comments_are_left_out_but_for_their_newline) {
  std::string text = "a # b\n/* c */ d // e\r\n/* f\n*/ g # h";
  HclTokens tokens = lex_hcl(text, HclComments::drop);
  std::string found;
  for (size_t i = 0; i < tokens.size(); ++i) {
    EXPECT_EQ(tokens[i].text, text.substr(tokens[i].begin, tokens[i].text.size()));
    found += tokens.kind(i) == HclTokenKind::newline ? "|" : std::string(tokens[i].text);
  }
  EXPECT_EQ(found, "a|d|g");
}

TEST(HclLexer, every_byte_is_in_a_token_or_is_space) {
  for (std::string_view text :
       {"a = <<E\nx\n", "\"abc", "${", "a \x01 b", "<<", "/* x", "~}", "\xff\xfe", "1e+", "1..2"}) {
    size_t end = 0;
    HclTokens tokens = lex_hcl(text, HclComments::keep);
    for (size_t at = 0; at < tokens.size(); ++at) {
      HclToken token = tokens[at];
      EXPECT_GE(token.begin, end) << text;
      for (size_t i = end; i < token.begin; ++i) EXPECT_TRUE(text[i] == ' ' || text[i] == '\t') << text;
      end = token.end();
    }
    EXPECT_EQ(end, text.size()) << text;
  }
}

}  // namespace
}  // namespace kiln
