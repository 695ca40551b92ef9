#include "lang/hcl_eval.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <sstream>

#include "lang/hcl_eval_rows.h"
#include "lang/packer_json.h"

namespace kiln {
namespace {

HclExpressionPtr hcl_expression(const std::string& text) {
  Diagnostics diagnostics;
  auto out = parse_hcl_expression(hcl_rows::file(text), diagnostics);
  EXPECT_FALSE(diagnostics.has_errors()) << text << render_diagnostics(diagnostics);
  return out;
}

/// Every diagnostic as "SUMMARY: DETAIL @the text it is about (hint)".
std::vector<std::string> mistakes(const std::string& text, const HclScope& scope) {
  Diagnostics diagnostics;
  evaluate_hcl(*hcl_expression(text), scope, diagnostics);
  std::vector<std::string> out;
  for (const auto& item : diagnostics.items()) {
    out.push_back(fmt::format("{}: {} @{}", item.summary, item.detail,
                              text.substr(item.range.begin, item.range.end - item.range.begin)));
    if (!item.hint.empty()) out.back() += " (" + item.hint + ")";
  }
  return out;
}

/// Expressions with the value (and its type), or the summaries and details, that HCL 2.24 gave for them.
TEST(HclEval, gives_what_hcl_gives_on_recorded_rows) {
  std::ifstream in(KILN_SOURCE_DIR "/src/lang/testdata/hcl_eval_rows.json");
  std::stringstream text;
  text << in.rdbuf();
  Diagnostics diagnostics;
  Value recorded = parse_json(hcl_rows::file(text.str()), diagnostics);
  ASSERT_TRUE(recorded.is_object()) << render_diagnostics(diagnostics);
  HclScope scope = hcl_rows::scope(*recorded.find("variables"));
  const auto& rows = recorded.find("rows")->as_list();
  ASSERT_GT(rows.size(), 400u);
  for (const auto& row : rows) {
    const std::string& source = row.as_list()[0].as_string();
    const Value& expected = row.as_list()[1];
    EXPECT_EQ(hcl_rows::outcome(source, scope), expected.is_string() ? expected.as_string() : to_json(expected))
        << source;
  }
}

TEST(HclEval, division_by_zero_is_infinite) {
  HclScope scope;
  EXPECT_EQ(hcl_rows::outcome("1 + 1 / 0", scope), "+Inf");
  EXPECT_EQ(hcl_rows::outcome("1 / -0", scope), "-Inf");
  EXPECT_THAT(mistakes("1 / 0 - 1 / 0", scope),
              testing::ElementsAre(
                  "Operation failed: Error during operation: can't subtract infinity from itself. @1 / 0 - 1 / 0"));
}

/// The lines about values of the only diagnostic.
std::vector<std::string> values_shown(const std::string& text, const HclScope& scope) {
  Diagnostics diagnostics;
  evaluate_hcl(*hcl_expression(text), scope, diagnostics);
  EXPECT_EQ(diagnostics.items().size(), 1u) << text;
  return diagnostics.empty() ? std::vector<std::string>{} : diagnostics.items()[0].values;
}

TEST(HclEval, a_mistake_shows_the_values_behind_it) {
  HclScope scope;
  HclType strings = HclType::list(HclType::string());
  std::map<std::string, HclValue> variables{
      {"text", HclValue::string("a\"b")},
      {"gone", HclValue::null(HclType::string())},
      {"later", HclValue::unknown(HclType::dynamic())},
      {"none", HclValue::list(HclType::string(), {})},
      {"object", HclValue::object({{"k", HclValue::number(1)}})},
      {"secret", HclValue::string("hidden").with_sensitive()}};
  scope.namespaces["var"] = &variables;
  scope.functions = hcl_rows::functions;
  using testing::ElementsAre;
  EXPECT_THAT(values_shown("var.text + 1", scope), ElementsAre("var.text as \"a\\\"b\""));
  EXPECT_THAT(values_shown("-var.gone", scope), ElementsAre("var.gone set to null"));
  EXPECT_THAT(values_shown("-[var.none, var.object, var.later, var.object.k]", scope),
              ElementsAre("var.none as empty list of string", "var.object as object with 1 attribute \"k\"",
                          "var.object.k as 1"));
  EXPECT_THAT(values_shown("[for x in [1] : x][var.text]", scope), ElementsAre("var.text as \"a\\\"b\""));
  EXPECT_THAT(values_shown("[for x in [true] : -x]", scope), ElementsAre("x as true"));
  EXPECT_THAT(values_shown("-var.secret", scope), ElementsAre("var.secret as \"<sensitive>\""));
  EXPECT_THAT(values_shown("var.object.nowhere", scope), testing::IsEmpty());
}

TEST(HclEval, a_result_chosen_by_a_sensitive_key_is_sensitive) {
  HclScope scope;
  scope.variables["key"] = HclValue::string("a").with_sensitive();
  EXPECT_EQ(hcl_rows::outcome("{a = 1}[key]", scope), "sensitive(1)");
  EXPECT_EQ(hcl_rows::outcome("[1][key == \"a\" ? 0 : 1]", scope), "sensitive(1)");
  EXPECT_EQ(hcl_rows::outcome("[for i in [1, 2] : i if key == \"a\"]", scope), "sensitive([1, 2])");
}

TEST(HclEval, diagnostics_are_placed_at_what_is_wrong) {
  HclScope scope;
  scope.functions = hcl_rows::functions;
  scope.variables["list"] = HclValue::tuple({HclValue::number(1)});
  scope.variables["object"] = HclValue::object({{"name", HclValue::string("x")}});
  using testing::ElementsAre;
  EXPECT_THAT(
      mistakes("[list[ 3 - 1 ], 1]", scope),
      ElementsAre("Invalid index: The given key does not identify an element in this collection value. @[ 3 - 1 ] "
                  "(The only index is 0.)"));
  EXPECT_THAT(mistakes("1 + object.nane", scope),
              ElementsAre("Unsupported attribute: This object does not have an attribute named \"nane\". @.nane "
                          "(Did you mean \"name\"?)"));
  EXPECT_THAT(mistakes("objetc.name", scope),
              ElementsAre("Unknown variable: There is no variable named \"objetc\". Did you mean \"object\"? @objetc"));
  EXPECT_THAT(mistakes("[half( 1, 2 )]", scope),
              ElementsAre("Too many function arguments: Function \"half\" expects only 1 argument(s). @2"));
  EXPECT_THAT(mistakes("half(half(3))", scope),
              ElementsAre("Invalid function argument: Invalid value for \"num\" parameter: must be even. @3"));
  EXPECT_THAT(mistakes("[boom()]", scope),
              ElementsAre("Error in function call: Call to function \"boom\" failed: no powder. @boom()"));
}

TEST(HclEval, where_there_are_no_names_none_may_be_used) {
  HclScope scope;
  EXPECT_THAT(mistakes("x", scope), testing::ElementsAre("Variables not allowed: Variables may not be used here. @x"));
  EXPECT_THAT(mistakes("f(1)", scope),
              testing::ElementsAre("Function calls not allowed: Functions may not be called here. @f(1)"));
  EXPECT_EQ(hcl_rows::outcome("[for x in [1] : x]", scope), "[1]");
}

TEST(HclEval, namespaces_are_looked_up_member_by_member) {
  std::map<std::string, HclValue> members = {{"a", HclValue::tuple({HclValue::number(7)})}};
  HclScope outer;
  outer.namespaces["local"] = &members;
  HclScope scope;
  scope.parent = &outer;
  EXPECT_EQ(hcl_rows::outcome("local.a[0]", scope), "7");
  EXPECT_EQ(hcl_rows::outcome("local[\"a\"]", scope), "[7]");
  members["b"] = HclValue::string("new");
  EXPECT_EQ(hcl_rows::outcome("local.b", scope), "\"new\"");
  EXPECT_EQ(hcl_rows::outcome("local", scope), "{\"a\"=[7], \"b\"=\"new\"}");
  EXPECT_EQ(hcl_rows::outcome("[for k, v in local : k]", scope), "[\"a\", \"b\"]");
  EXPECT_THAT(mistakes("local.bb", scope),
              testing::ElementsAre("Unsupported attribute: This object does not have an attribute named \"bb\". @.bb "
                                   "(Did you mean \"b\"?)"));
  scope.variables["local"] = HclValue::number(1);
  EXPECT_EQ(hcl_rows::outcome("local", scope), "1") << "an inner name hides an outer one";
}

TEST(HclEval, bound_expressions_bring_their_variables) {
  auto bindings = std::make_shared<HclBindings>();
  bindings->variables["each"] = HclValue::string("mine");
  auto node = std::make_shared<HclExpression>();
  node->kind = HclExpressionKind::bound;
  node->items = {hcl_expression("\"${each}-${other}\"")};
  node->set_bindings(bindings);
  HclScope scope;
  scope.variables["each"] = HclValue::string("theirs");
  scope.variables["other"] = HclValue::string("x");
  Diagnostics diagnostics;
  EXPECT_EQ(hcl_rows::text(evaluate_hcl(*node, scope, diagnostics)), "\"mine-x\"");
  ASSERT_EQ(hcl_references(*node).size(), 1u);
  EXPECT_EQ(hcl_references(*node)[0].root, "other");
}

TEST(HclEval, converts_to_the_type_that_is_asked_for) {
  HclScope scope;
  Diagnostics diagnostics;
  EXPECT_EQ(hcl_rows::text(evaluate_hcl_as(*hcl_expression("[1, true]"), hcl_rows::type("list(string)"), scope, "a",
                                           diagnostics)),
            "list(string)[\"1\", \"true\"]");
  EXPECT_TRUE(diagnostics.empty());
  HclValue wrong = evaluate_hcl_as(*hcl_expression("[]"), HclType::string(), scope, "name", diagnostics);
  EXPECT_EQ(hcl_rows::text(wrong), "unknown(string)");
  evaluate_hcl_as(*hcl_expression("{}"), HclType::number(), scope, "", diagnostics);
  evaluate_hcl_as(*hcl_expression("-{}"), HclType::number(), scope, "", diagnostics);
  ASSERT_EQ(diagnostics.items().size(), 3u);
  EXPECT_EQ(diagnostics.items()[0].summary, "Incorrect attribute value type");
  EXPECT_EQ(diagnostics.items()[0].detail, "Inappropriate value for attribute \"name\": string required.");
  EXPECT_EQ(diagnostics.items()[1].summary, "Unsuitable value type");
  EXPECT_EQ(diagnostics.items()[1].detail, "Unsuitable value: number required.");
  EXPECT_EQ(diagnostics.items()[2].summary, "Invalid operand");
}

// Expressions that would never end, or fill the memory, are refused soon.

/// With few steps, for this may be a slow build.
void expect_refused(const std::string& text, HclScope scope) {
  HclBudget budget;
  budget.steps /= 50;
  HclHost host;
  host.budget = &budget;
  scope.host = &host;
  auto begin = std::chrono::steady_clock::now();
  Diagnostics diagnostics;
  evaluate_hcl(*hcl_expression(text), scope, diagnostics);
  ASSERT_FALSE(diagnostics.empty()) << text;
  EXPECT_EQ(diagnostics.items().back().summary, "Expression too large") << text;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60)) << text;
}

TEST(HclEval, loops_within_loops_are_bounded) {
  HclScope scope;
  scope.functions = hcl_rows::functions;
  scope.variables["ten"] = HclValue::tuple(HclValue::Items(10, HclValue::string("0123456789")));
  std::string list = "ten";
  std::string text = "${v}";
  std::string skipped = "0";
  for (int i = 0; i < 30; ++i) {
    list = fmt::format("[for v in ten : {}]", list);
    text = fmt::format("%{{ for v in ten }}{}%{{ endfor }}", text);
    skipped = fmt::format("[for v in ten : v if [{}] == 1]", skipped);
  }
  expect_refused(list, scope);
  expect_refused("\"" + text + "\"", scope);
  expect_refused(skipped, scope);
  expect_refused("try(" + list + ", 1)", scope);
  expect_refused("true || " + list + " == 1", scope);
  expect_refused("true ? 1 : can(" + list + ")", scope);
}

TEST(HclEval, values_that_hold_each_other_many_times_are_bounded) {
  HclScope scope;
  for (const char* start : {"\"0123456789\"", "1", "null", "[]"}) {
    scope.variables["x"] = HclValue::string("");
    scope.variables["y"] = HclValue::string("");
    Diagnostics diagnostics;
    scope.variables["x"] = evaluate_hcl(*hcl_expression(start), scope, diagnostics);
    scope.variables["y"] = scope.variables["x"];
    auto grown = hcl_expression("[x, x, x, x, x, x, x, x, x, x]");
    auto other = hcl_expression("[y, y, y, y, y, y, y, y, y, y]");
    auto use = hcl_expression("true ? (x == y ? x : y) : [x, y]");
    for (int i = 0; i < 30 && diagnostics.empty(); ++i) {
      HclValue next = evaluate_hcl(*grown, scope, diagnostics);
      scope.variables["y"] = evaluate_hcl(*other, scope, diagnostics);
      scope.variables["x"] = next;
      Diagnostics ignored;
      evaluate_hcl(*use, scope, ignored);
    }
    ASSERT_TRUE(diagnostics.has_errors()) << start;
    EXPECT_EQ(diagnostics.items()[0].summary, "Expression too large");
  }
}

TEST(HclEval, text_that_doubles_is_bounded) {
  HclScope scope;
  scope.variables["x"] = HclValue::string("0123456789");
  auto doubled = hcl_expression("\"${x}${x}${x}${x}${x}${x}${x}${x}${x}${x}\"");
  Diagnostics diagnostics;
  for (int i = 0; i < 10 && diagnostics.empty(); ++i) scope.variables["x"] = evaluate_hcl(*doubled, scope, diagnostics);
  EXPECT_TRUE(diagnostics.has_errors());
}

TEST(HclEval, a_budget_can_be_shared) {
  HclBudget budget;
  budget.steps = 10;
  HclHost host;
  host.budget = &budget;
  HclScope scope;
  scope.host = &host;
  Diagnostics diagnostics;
  auto sum = hcl_expression("1 + 2");
  for (int i = 0; i < 3; ++i) evaluate_hcl(*sum, scope, diagnostics);
  EXPECT_TRUE(diagnostics.empty());
  evaluate_hcl(*sum, scope, diagnostics);
  EXPECT_TRUE(diagnostics.has_errors());
}

// What an expression refers to.

std::string references_text(const std::string& source) {
  std::string out;
  for (const auto& reference : hcl_references(*hcl_expression(source))) {
    out += (out.empty() ? "" : " ") + reference.root;
    for (const auto& step : reference.steps) {
      if (step.kind == HclStep::Kind::attribute) out += "." + step.name;
      else out += "[" + to_json(step.key()) + "]";
    }
  }
  return out;
}

TEST(HclReferences, are_all_free_variables_in_written_order) {
  EXPECT_EQ(references_text("local.a[0].b + f(var.x, \"${y[\"k\"]}\")"), "local.a[0].b var.x y[\"k\"]");
  EXPECT_EQ(references_text("[for k, v in src : [k, v, w, v.z] if v == c]"), "src w c");
  EXPECT_EQ(references_text("{for k, v in k : v => k...}"), "k");
  EXPECT_EQ(references_text("\"%{ for x in xs }${x}${y}%{ endfor }${x}\""), "xs y x");
  EXPECT_EQ(references_text("{a = b, (c) = d, e.f = g}"), "b c d e.f g");
  EXPECT_EQ(references_text("a[b][*].c[d]"), "a b d");
  EXPECT_EQ(references_text("a ? b : !c"), "a b c");
}

TEST(HclReferences, name_called_functions) {
  EXPECT_THAT(hcl_called_functions(*hcl_expression("[f(1), {a = g(h()...)}, \"${i(2)}\"]")),
              testing::ElementsAre("f", "g", "h", "i"));
}

TEST(HclReferences, an_expression_may_be_one_itself) {
  auto reference = hcl_as_reference(*hcl_expression("source.null.x"));
  ASSERT_TRUE(reference);
  EXPECT_EQ(reference->root, "source");
  ASSERT_EQ(reference->steps.size(), 2u);
  EXPECT_EQ(reference->steps[1].name, "x");
  EXPECT_EQ(hcl_as_reference(*hcl_expression("true"))->root, "true");
  for (const char* other : {"1", "\"x\"", "a + b", "f()", "a[b]", "a[*]", "(a)", "\"${a}\"", "f().x"}) {
    EXPECT_FALSE(hcl_as_reference(*hcl_expression(other))) << other;
  }
}

// The console. The expected texts are what Packer 1.16 printed.

TEST(HclConsole, prints_values) {
  struct {
    const char* expression;
    const char* expected;
  } rows[] = {
      {"\"a\\n\\\"b\\\"\"", "a\n\"b\""},
      {"[\"a\\n\\\"b\\\"\", 1, true, null]", "[\n  \"a\\n\\\"b\\\"\",\n  1,\n  true,\n  null,\n]"},
      {"{a = null, b = \"x y\", \"c d\" = [1, {z = \"q\"}]}",
       "{\n  \"b\" = \"x y\"\n  \"c d\" = [\n    1,\n    {\n      \"z\" = \"q\"\n    },\n  ]\n}"},
      {"[]", "[]"},
      {"{}", "{}"},
      {"{a = null}", "{}"},
      {"[[], {}]", "[\n  [],\n  {},\n]"},
      {"null", "null"},
      {"true", "true"},
      {"1.5", "1.5"},
      {"1 / 3", "0.3333333333333333"},
      {"1234567.5", "1.2345675e+06"},
      {"123456789012345678", "123456789012345678"},
      {"9223372036854775808", "9.223372036854776e+18"},
      {"0.00001", "1e-05"},
      {"[\"é\\u0001\\t\"]", "[\n  \"é\\x01\\t\",\n]"},
  };
  for (const auto& row : rows) {
    Diagnostics diagnostics;
    EXPECT_EQ(hcl_console_text(evaluate_hcl(*hcl_expression(row.expression), HclScope(), diagnostics)), row.expected)
        << row.expression;
  }
  EXPECT_EQ(hcl_console_text(HclValue::unknown(HclType::string())), "<unknown>");
}

}  // namespace
}  // namespace kiln
