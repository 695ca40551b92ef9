#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/hcl_ast.h"
#include "lang/packer_json.h"

namespace kiln {
namespace {

std::shared_ptr<const SourceFile> hcl_file(std::string text) {
  return std::make_shared<SourceFile>(SourceFile{"t.pkr.hcl", std::move(text)});
}

/// Go's QuoteToASCII, as the recorded rows have it.
std::string ascii_quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    std::string_view before = text;
    uint32_t rune = take_rune(text);
    if (rune >= 0x10000) out += fmt::format("\\U{:08x}", rune);
    else if (rune >= 0x80) out += fmt::format("\\u{:04x}", rune);
    else out += go_quote(before.substr(0, 1)).substr(1), out.pop_back();
  }
  return out + '"';
}

std::string dump_value(const Value& value) {
  if (value.is_null()) return "null";
  if (value.is_string()) return ascii_quoted(value.as_string());
  if (value.kind() == Value::Kind::boolean) return value.as_bool() ? "true" : "false";
  return fmt::format("{:.17g}", std::strtod(value.as_number().text.c_str(), nullptr));
}

std::string dump(const HclExpressionPtr& expression);

std::string dump_all(const std::vector<HclExpressionPtr>& items) {
  std::string out;
  for (const auto& item : items) out += " " + dump(item);
  return out;
}

std::string dump_steps(const std::vector<HclStep>& steps) {
  std::string out;
  for (const auto& step : steps) {
    out += step.kind == HclStep::Kind::attribute ? " ." + step.name : " [" + dump_value(step.key()) + "]";
  }
  return out;
}

std::string dump(const HclExpressionPtr& expression) {
  if (!expression) return "_";
  const HclExpression& e = *expression;
  auto all = dump_all(e.items);
  auto names = ascii_quoted(e.name) + " " + ascii_quoted(e.value_name());
  auto item = [&](size_t i) { return dump(e.items[i]); };
  switch (e.kind) {
    case HclExpressionKind::literal: return dump_value(e.value);
    case HclExpressionKind::tmpl: return "(tmpl" + all + ")";
    case HclExpressionKind::template_wrap: return "(wrap" + all + ")";
    case HclExpressionKind::scope: return "(var " + e.name + dump_steps(e.steps) + ")";
    case HclExpressionKind::traversal: return "(get " + item(0) + dump_steps(e.steps) + ")";
    case HclExpressionKind::index: return "(index" + all + ")";
    case HclExpressionKind::splat: return "(splat " + item(0) + " " + (e.items[1] ? item(1) : "@") + ")";
    case HclExpressionKind::splat_item: return "@";
    case HclExpressionKind::call: return "(call " + e.name + all + (e.expands ? " ..." : "") + ")";
    case HclExpressionKind::conditional: return "(cond" + all + ")";
    case HclExpressionKind::binary:
    case HclExpressionKind::unary: return "(" + e.name + all + ")";
    case HclExpressionKind::parentheses: return "(paren" + all + ")";
    case HclExpressionKind::tuple: return "(list" + all + ")";
    case HclExpressionKind::object: return "(obj" + all + ")";
    case HclExpressionKind::for_tuple: return "(for " + names + " " + item(0) + " _ " + item(1) + " " + item(2) + ")";
    case HclExpressionKind::for_object: return "(for " + names + all + (e.expands ? " ..." : "") + ")";
    case HclExpressionKind::template_for: return "(join (for " + names + " " + item(0) + " _ " + item(1) + " _))";
    case HclExpressionKind::bound: return "(bound" + all + ")";
    case HclExpressionKind::wrong_string: return "(wrong)";
    case HclExpressionKind::template_if:
      return "(cond " + item(0) + " " + item(1) + " " + (e.items[2] ? item(2) : "\"\"") + ")";
  }
  return "?";
}

std::string dump(const HclBody& body) {
  auto place = [](const SourceRange& range) { return fmt::format("{}-{}", range.begin, range.end); };
  std::string out = "(body";
  for (const auto& a : body.attributes()) {
    out += fmt::format(" ({}@{} {} {})", a.name, place(a.name_range), place(a.expression.range()),
                       dump(a.expression.tree()));
  }
  for (const auto& b : body.blocks()) {
    out += fmt::format(" (block {}@{}", b.type, place(b.type_range));
    for (const auto& label : b.labels) out += " " + ascii_quoted(label.text);
    out += " " + dump(b.body) + ")";
  }
  return out + ")";
}

/// The tree, or the first mistake with its place.
std::string outcome(const std::string& text) {
  Diagnostics diagnostics;
  HclBody body = parse_hcl(hcl_file(text), diagnostics);
  if (diagnostics.empty()) return dump(body);
  return fmt::format("ERR {}@{}", diagnostics.items()[0].summary, diagnostics.items()[0].range.begin);
}

std::vector<std::string> summaries(const std::string& text) {
  Diagnostics diagnostics;
  parse_hcl(hcl_file(text), diagnostics);
  std::vector<std::string> out;
  for (const auto& item : diagnostics.items()) {
    out.push_back(fmt::format("{}:{}", line_column(item.range).line, item.summary));
  }
  return out;
}

/// Pairs of a source and the tree (with byte ranges) or first error that HCL's own parser (2.24) gave.
TEST(HclParser, reads_what_hcl_reads_on_recorded_rows) {
  std::ifstream in(KILN_SOURCE_DIR "/src/lang/testdata/hcl_rows.json");
  std::stringstream text;
  text << in.rdbuf();
  Diagnostics diagnostics;
  Value rows = parse_json(hcl_file(text.str()), diagnostics);
  ASSERT_TRUE(rows.is_list());
  ASSERT_GT(rows.as_list().size(), 100u);
  for (const auto& row : rows.as_list()) {
    const std::string& source = row.as_list()[0].as_string();
    EXPECT_EQ(outcome(source), row.as_list()[1].as_string()) << source;
  }
}

TEST(HclParser, several_mistakes_in_one_file_are_all_told) {
  EXPECT_THAT(summaries("a = \nb = [1 2]\nc {\n  d = )\n  e = 1\n  e = 2\n}\nf {\n  g h\n}\ni = 1\n"),
              testing::ElementsAre("1:Invalid expression", "2:Missing item separator", "4:Invalid expression",
                                   "6:Attribute redefined", "9:Invalid block definition"));
}

TEST(HclParser, what_is_right_is_kept_beside_what_is_wrong) {
  Diagnostics diagnostics;
  HclBody body =
      parse_hcl(hcl_file("a = [1,\n  2 3\n]\nb = 2\nc {\n  x = (\n    1 2)\n  d = 4\n}\n"), diagnostics);
  EXPECT_EQ(diagnostics.items().size(), 2u);
  ASSERT_NE(body.find("b"), nullptr);
  EXPECT_EQ(dump(body.find("b")->expression.tree()), "2");
  ASSERT_EQ(body.blocks().size(), 1u);
  ASSERT_NE(body.blocks()[0].body.find("d"), nullptr);
  EXPECT_EQ(body.find("a"), nullptr);
}

TEST(HclParser, places_have_lines_and_the_nearest_directive_is_named) {
  Diagnostics diagnostics;
  parse_hcl(hcl_file("x = 1\ny = \"%{ iff a }\"\n"), diagnostics);
  ASSERT_EQ(diagnostics.items().size(), 1u);
  EXPECT_EQ(diagnostics.items()[0].summary, "Invalid template control keyword");
  EXPECT_THAT(diagnostics.items()[0].detail, testing::HasSubstr("Did you mean \"if\"?"));
  EXPECT_EQ(line_column(diagnostics.items()[0].range).line, 2u);
  EXPECT_EQ(line_column(diagnostics.items()[0].range).column, 9u);
}

TEST(HclParser, a_redefined_argument_names_the_first_place) {
  Diagnostics diagnostics;
  HclBody body = parse_hcl(hcl_file("a = 1\na = 2\n"), diagnostics);
  ASSERT_EQ(diagnostics.items().size(), 1u);
  EXPECT_THAT(diagnostics.items()[0].detail, testing::HasSubstr("t.pkr.hcl:1,1"));
  EXPECT_EQ(dump(body.find("a")->expression.tree()), "1");
}

TEST(HclParser, blocks_know_their_places) {
  Diagnostics diagnostics;
  std::string text = "source \"null\" \"x\" {\n  a = 1\n}\n";
  HclBody body = parse_hcl(hcl_file(text), diagnostics);
  ASSERT_EQ(body.blocks().size(), 1u);
  const HclBlock& block = body.blocks()[0];
  auto part = [&](const SourceRange& range) { return text.substr(range.begin, range.end - range.begin); };
  EXPECT_EQ(part(block.header), "source \"null\" \"x\"");
  EXPECT_EQ(part(block.labels[1].range), "\"x\"");
  EXPECT_EQ(part(block.body.range), "{\n  a = 1\n}");
  EXPECT_EQ(part(block.body.end), "}");
  EXPECT_EQ(part(block.body.attributes()[0].range), "a = 1");
}

TEST(HclParser, expressions_and_templates_stand_alone) {
  Diagnostics diagnostics;
  EXPECT_EQ(dump(parse_hcl_expression(hcl_file("var.x +\n 1"), diagnostics)), "(+ (var var .x) 1)");
  EXPECT_EQ(dump(parse_hcl_template(hcl_file("a ${b}\n\"c\" %{ if d }e%{ endif }\n"), diagnostics)),
            R"((tmpl "a " (var b) "\n\"c\" " (cond (var d) "e" "") "\n"))");
  EXPECT_EQ(dump(parse_hcl_template(hcl_file("${b}"), diagnostics)), "(wrap (var b))");
  EXPECT_EQ(dump(parse_hcl_template(hcl_file(""), diagnostics)), "\"\"");
  EXPECT_TRUE(diagnostics.empty()) << render_diagnostics(diagnostics);
  EXPECT_EQ(parse_hcl_expression(hcl_file("1 2"), diagnostics), nullptr);
  EXPECT_EQ(parse_hcl_template(hcl_file("%{ endif }"), diagnostics), nullptr);
  EXPECT_EQ(diagnostics.items().size(), 2u);
}

// First what is no token, then what the grammar misses there: as HCL does.
TEST(HclParser, what_is_no_token_is_told_and_what_follows_from_it) {
  EXPECT_THAT(summaries("a = 'x'\n"),
              testing::ElementsAre("1:Invalid character", "1:Invalid character", "1:Invalid expression"));
  EXPECT_THAT(summaries("a = 1;\nb = 2\n"),
              testing::ElementsAre("1:Invalid character", "1:Missing newline after argument"));
  EXPECT_THAT(summaries("a = \u201Cx\u201D\n"),
              testing::ElementsAre("1:Invalid character", "1:Invalid character", "1:Invalid expression"));
  EXPECT_THAT(summaries("a = \"\xff\"\n"), testing::ElementsAre("1:Invalid character encoding"));
  EXPECT_THAT(summaries("/* x"),
              testing::ElementsAre("1:Unterminated comment", "1:Argument or block definition required"));
  EXPECT_LE(summaries(std::string(10000, ';')).size(), 30u);
}

// Plain expressions are passed without a tree, those in parentheses never: both must be found right, or wrong.
TEST(HclParser, plain_expressions_are_right_without_a_tree) {
  std::string lists = "1", calls = "x", texts = "x";
  std::vector<std::string> rows{
      "1", "1.5", "1e", "1.2.3", "x", "x.y.z", "x.0", "x.1.2", "x.", "x.*", "x[0]", "x::y", "x y", "true",
      "null.a", "for", "-1", "f()", "f(1, 2)", "f(1, 2,)", "f(,)", "f(1,,2)", "f(1 2)", "f(1...)", "f(",
      "f(1", "f(\n1,\n2\n)", "f(x\n.y)", "f(x)(y)", "f(1).y", "a::f(1)", "[]", "[1, \"a\", x.y]", "[1,]",
      "[,]", "[1,,2]", "[1 2]", "[\n1,\n\n2,\n]", "[for]", "[for, x]", "[for x in y : x]", "[x for]", "[1",
      "[[1, [2]], f([3])]", "[1][0]", "{}", "[{a = 1}]", "\"\"", "\"a\"", "\"a$b%c\"", "\"$${a}\"",
      "\"a\\n\"", "\"a\\q\"", "\"\\\"", "\"${x}\"", "\"a ${x.y} b ${f(\"c\")}${1}\"", "\"${}\"", "\"${x\"",
      "\"${x y}\"", "\"${~x~}\"", "\"${\nx\n}\"", "\"${x + 1}\"", "\"%{if x}a%{endif}\"", "\"%{if x}a\"",
      "\"a", "\"a\" b", "\"a\".b", "\"${\"${x}\"}\"", "\"${\"a}\"", ",", ")", "'a'", "\"\xff\"", "x /* c */",
      "x /* c", "[1, # c\n 2]"};
  for (int depth = 1; depth < 200; ++depth) {
    lists = "[" + lists + "]", calls = "f(" + calls + ")", texts = "\"${" + texts + "}\"";
    if (depth < 30 || depth > 150) rows.insert(rows.end(), {lists, calls, texts});  // the parentheses are a level, too
  }
  for (const auto& row : rows) {
    std::string plain = outcome("a = " + row + "\n"), proper = outcome("a = (" + row + "\n)\n");
    EXPECT_EQ(plain.starts_with("ERR"), proper.starts_with("ERR")) << row << "\n" << plain << "\n" << proper;
  }
}

TEST(HclParser, a_number_token_need_not_be_a_number) {
  EXPECT_THAT(summaries("a = 1.2.3\nb = 1\n"), testing::ElementsAre("1:Invalid number literal"));
  EXPECT_THAT(summaries("a = 1..2\n"), testing::ElementsAre("1:Invalid number literal"));
  EXPECT_THAT(summaries("a = f(1...)\nb = 1.5e-3\n"), testing::IsEmpty());
}

TEST(HclParser, a_string_that_its_line_ends_breaks_off_there) {
  EXPECT_THAT(summaries("a = \"abc\nb = 1\n"),
              testing::ElementsAre("1:Invalid multi-line string", "1:Unterminated template string"));
}

// Refused within bounds of time and stack, never a crash.
TEST(HclParser, nesting_and_size_are_bounded) {
  auto first = [](const std::string& text) {
    auto all = summaries(text);
    return all.empty() ? "" : all[0];
  };
  auto repeat = [](const std::string& text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  for (const char* open : {"(", "[", "{a=", "f(", "!", "-", "\"${", "x[", "a?b:", "[for x in ", "x.*."}) {
    EXPECT_NE(first("a = " + repeat(open, 20000)), "") << open;
  }
  EXPECT_EQ(first(repeat("b {\n", 20000)), "151:Nested too deeply");
  EXPECT_EQ(first("a = \"" + repeat("%{ if x }", 20000) + "\""), "1:Nested too deeply");
  EXPECT_EQ(first("a = 1" + repeat(" + 1", 20000)), "1:Expression too large");
  EXPECT_EQ(first("a = x" + repeat("[i]", 20000)), "1:Expression too large");
  EXPECT_EQ(first("a = 1" + repeat(" + 1", 500)), "");
  EXPECT_EQ(first("a = x" + repeat(".y", 20000)), "");
  EXPECT_EQ(first("a = [" + repeat("1, ", 50000) + "]"), "");
}

}  // namespace
}  // namespace kiln
