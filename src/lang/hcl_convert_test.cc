#include "lang/hcl_convert.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/text.h"
#include "lang/hcl_eval.h"
#include "lang/packer_json.h"

namespace kiln {
namespace {

std::shared_ptr<const SourceFile> row_file(std::string text) {
  return std::make_shared<SourceFile>(SourceFile{"x", std::move(text)});
}

std::string dump_typed(const HclValue& value) {
  if (value.is_null()) return "null:" + value.type().text();
  if (!value.is_known()) return "unknown:" + value.type().text();
  switch (value.type().kind()) {
    case HclType::Kind::string: return to_json(Value(value.as_string()));
    case HclType::Kind::number: return value.as_number().text();
    case HclType::Kind::boolean: return value.as_boolean() ? "true" : "false";
    default: break;
  }
  std::string out = value.type().text() + "[";
  if (value.type().is_keyed()) {
    for (const auto& [name, member] : value.members()) out += to_json(Value(name)) + "=" + dump_typed(member) + ",";
  } else {
    for (const auto& item : value.items()) out += dump_typed(item) + ",";
  }
  return out + "]";
}

HclExpressionPtr expression_of(const std::string& text) {
  Diagnostics diagnostics;
  auto out = parse_hcl_expression(row_file(text), diagnostics);
  EXPECT_FALSE(diagnostics.has_errors()) << text;
  return out;
}

HclValue value_of(const std::string& text) {
  Diagnostics diagnostics;
  HclValue out = evaluate_hcl(*expression_of(text), HclScope(), diagnostics);
  EXPECT_FALSE(diagnostics.has_errors()) << text << render_diagnostics(diagnostics);
  return out;
}

/// "VALUE => TYPE => TYPE": with defaults put in, converted to one after the other; the value or the first mistake.
std::string converted(const std::string& row) {
  auto parts = split(row, " => ");
  HclValue value = value_of(parts[0]);
  for (size_t i = 1; i < parts.size(); ++i) {
    Diagnostics diagnostics;
    auto constraint = hcl_type_constraint(*expression_of(parts[i]), diagnostics);
    EXPECT_EQ(constraint.has_value(), !diagnostics.has_errors());
    std::vector<std::string> mistakes;
    for (const auto& d : diagnostics.items()) {
      mistakes.push_back(fmt::format("{}@{}-{}: {}", d.summary, d.range.begin, d.range.end, d.detail));
    }
    if (!constraint) return join(mistakes, "; ");
    std::string error;
    auto next = hcl_convert(hcl_apply_defaults(value, *constraint), constraint->type, &error);
    if (!next) return "error: " + error;
    value = *next;
  }
  return dump_typed(value);
}

/// "TYPE, TYPE": what they have in common by safe conversions, and by unsafe ones.
std::string unified(const std::string& row) {
  std::vector<HclType> types;
  auto list = expression_of("[" + row + "]");
  for (const auto& item : list->items) {
    Diagnostics diagnostics;
    types.push_back(hcl_type_constraint(*item, diagnostics).value().type);
  }
  auto name = [](const std::optional<HclType>& type) { return type ? type->text() : "none"; };
  return name(hcl_unify(types)) + " / " + name(hcl_unify(types, true));
}

/// Rows that HCL's and cty's own conversion (2.24, 1.13) confirmed.
TEST(HclConvert, converts_as_cty_does_on_recorded_rows) {
  std::ifstream in(KILN_SOURCE_DIR "/src/lang/testdata/hcl_convert_rows.json");
  std::stringstream text;
  text << in.rdbuf();
  Diagnostics diagnostics;
  Value rows = parse_json(row_file(text.str()), diagnostics);
  ASSERT_TRUE(rows.is_list());
  ASSERT_GT(rows.as_list().size(), 150u);
  for (const auto& row : rows.as_list()) {
    const std::string& source = row.as_list()[0].as_string();
    bool unify = source.starts_with("unify ");
    EXPECT_EQ(unify ? unified(source.substr(6)) : converted(source), row.as_list()[1].as_string()) << source;
  }
}

TEST(HclConvert, marks_stay_where_they_were_and_move_up_to_sets) {
  HclValue secret = HclValue::number(1).with_sensitive();
  HclValue tuple = HclValue::tuple({secret, HclValue::number(2)});
  auto list = hcl_convert(tuple, HclType::list(HclType::string()));
  ASSERT_TRUE(list);
  EXPECT_FALSE(list->sensitive());
  EXPECT_TRUE(list->items()[0].sensitive());
  EXPECT_EQ(list->items()[0].as_string(), "1");
  auto set = hcl_convert(tuple, HclType::set(HclType::string()));
  ASSERT_TRUE(set);
  EXPECT_TRUE(set->sensitive());
  EXPECT_FALSE(set->items()[0].sensitive());
}

TEST(HclConvert, unknown_values_get_the_type_that_they_will_have) {
  auto tuple = HclValue::unknown(HclType::tuple({HclType::number(), HclType::string()}));
  EXPECT_EQ(hcl_convert(tuple, HclType::list(HclType::dynamic()))->type().text(), "list(string)");
  auto unknown = HclValue::unknown(HclType::dynamic());
  EXPECT_EQ(hcl_convert(unknown, HclType::list(HclType::dynamic()))->type().text(), "list(any)");
}

TEST(HclConvert, types_nested_on_purpose_do_not_take_exponential_time) {
  HclType type = HclType::string();
  HclType other = HclType::number();
  for (int i = 0; i < 60; ++i) {
    type = HclType::tuple({type, HclType::list(type)});
    other = HclType::tuple({other, HclType::list(other), other});
  }
  EXPECT_GT(type.weight(), 1'000'000u);
  hcl_unify({type, HclType::list(HclType::string())}, true);
}

}  // namespace
}  // namespace kiln
