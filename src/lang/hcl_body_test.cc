#include "lang/hcl_body.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/hcl_convert.h"
#include "lang/packer_json.h"

namespace kiln {
namespace {

using testing::HasSubstr;

std::shared_ptr<const SourceFile> text_file(std::string name, std::string text) {
  return std::make_shared<SourceFile>(SourceFile{std::move(name), std::move(text)});
}

std::string quoted_ascii(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    std::string_view before = text;
    uint32_t rune = take_rune(text);
    if (rune >= 0x10000)
      out += fmt::format("\\U{:08x}", rune);
    else if (rune >= 0x80)
      out += fmt::format("\\u{:04x}", rune);
    else
      out += go_quote(before.substr(0, 1)).substr(1), out.pop_back();
  }
  return out + '"';
}

std::string shown(const HclValue& value) {
  std::string mark = value.sensitive() ? "!" : "";
  if (!value.is_known()) return mark + "unknown";
  if (value.is_null()) return mark + "null";
  switch (value.type().kind()) {
    case HclType::Kind::string:
      return mark + quoted_ascii(value.as_string());
    case HclType::Kind::number:
      return mark + value.as_number().text();
    case HclType::Kind::boolean:
      return mark + (value.as_boolean() ? "true" : "false");
    default:
      break;
  }
  std::vector<std::string> parts;
  if (value.type().is_keyed()) {
    for (const auto& [key, member] : value.members())
      parts.push_back(quoted_ascii(key) + ":" + shown(member));
    return mark + "{" + join(parts, ",") + "}";
  }
  for (const auto& item : value.items()) parts.push_back(shown(item));
  return mark + "[" + join(parts, ",") + "]";
}

/// The variables that all rows may use.
HclScope row_scope() {
  auto text = [](const char* s) { return HclValue::string(s); };
  HclType string = HclType::string();
  HclScope scope;
  scope.variables = {
      {"l", HclValue::list(string, {text("x"), text("y")})},
      {"t", HclValue::tuple({text("x"), HclValue::number(2)})},
      {"m", HclValue::map(string, {{"k1", text("v1")}, {"k2", text("v2")}})},
      {"s", HclValue::set(string, {text("q"), text("p")})},
      {"o", HclValue::object({{"a", HclValue::number(1)}, {"b", text("z")}})},
      {"e", HclValue::list(string, {})},
      {"n", HclValue::null(HclType::dynamic())},
      {"nl", HclValue::null(HclType::list(string))},
      {"u", HclValue::unknown(HclType::list(string))},
      {"ud", HclValue::unknown(HclType::dynamic())},
      {"us", HclValue::unknown(string)},
      {"num", HclValue::number(5)},
      {"str", text("text")},
      {"sec", HclValue::list(string, {text("hidden")}).with_sensitive()},
  };
  return scope;
}

/// A schema with those of the blocks in it.
struct RowSchema {
  HclSchema schema;
  std::vector<RowSchema> blocks;
  bool just_attributes = false;
};

RowSchema row_schema(const Value* value) {
  RowSchema out;
  if (!value || !value->is_object()) return out;
  if (const Value* just = value->find("just")) out.just_attributes = just->as_bool();
  if (const Value* list = value->find("attributes"); list && list->is_list()) {
    for (const Value& item : list->as_list()) {
      out.schema.attributes.push_back({item.find("name")->as_string(), item.find("required")->as_bool()});
    }
  }
  if (const Value* list = value->find("blocks"); list && list->is_list()) {
    for (const Value& item : list->as_list()) {
      HclBlockSchema block{item.find("type")->as_string(), {}};
      if (const Value* labels = item.find("labels"); labels && labels->is_list()) {
        for (const Value& label : labels->as_list()) block.labels.push_back(label.as_string());
      }
      out.schema.blocks.push_back(std::move(block));
      out.blocks.push_back(row_schema(item.find("body")));
    }
  }
  return out;
}

/// Every second item of a schema, for reading a body in two goes.
RowSchema half_of(const RowSchema& whole, bool second) {
  RowSchema out;
  for (size_t i = second ? 1 : 0; i < whole.schema.attributes.size(); i += 2) {
    out.schema.attributes.push_back(whole.schema.attributes[i]);
  }
  for (size_t i = second ? 1 : 0; i < whole.schema.blocks.size(); i += 2) {
    out.schema.blocks.push_back(whole.schema.blocks[i]);
    out.blocks.push_back(whole.blocks[i]);
  }
  return out;
}

/// Everything in a body by its schema, as text: in the shape of the recorded rows.
class RowReader {
 public:
  explicit RowReader(std::string mode) : mode_(std::move(mode)), scope_(row_scope()) {}

  std::string body(const HclBody& body, const RowSchema& schema) {
    if (schema.just_attributes) return "(just" + attributes(hcl_just_attributes(body, found)) + ")";
    const HclScope* dynamic = mode_ == "dynamic" ? &scope_ : nullptr;
    if (mode_ != "partial")
      return "(body" + content(hcl_content(body, schema.schema, found, dynamic), schema) + ")";
    RowSchema first = half_of(schema, false);
    RowSchema second = half_of(schema, true);
    HclBody rest;
    std::string out = "(body" + content(hcl_partial_content(body, first.schema, rest, found), first);
    return out + " |" + content(hcl_content(rest, second.schema, found), second) + ")";
  }

  Diagnostics found;

 private:
  std::string attributes(std::vector<HclAttribute> list) {
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    std::string out;
    for (const auto& attribute : list) {
      Diagnostics own;
      std::string value = shown(evaluate_hcl(*attribute.expression.tree(), scope_, own));
      if (own.has_errors()) value = "wrong";
      found.append(own);
      out += fmt::format(" ({}@{}-{} {})", attribute.name, attribute.range.begin, attribute.range.end, value);
    }
    return out;
  }

  std::string content(const HclContent& content, const RowSchema& schema) {
    std::string out = attributes(content.attributes);
    for (const auto& block : content.blocks) {
      out += fmt::format(" ({}@{}", block.type, block.type_range.begin);
      for (const auto& label : block.labels) out += " " + quoted_ascii(label.text);
      for (size_t i = 0; i < schema.schema.blocks.size(); ++i) {
        if (schema.schema.blocks[i].type == block.type) out += " " + body(block.body, schema.blocks[i]);
      }
      out += ")";
    }
    return out;
  }

  std::string mode_;
  HclScope scope_;
};

struct Outcome {
  std::string content;
  std::set<std::string> errors;
};

Outcome outcome(const std::string& name, const std::string& source, const std::string& mode,
                const RowSchema& schema) {
  RowReader reader(mode);
  auto file = text_file(name, source);
  HclBody body = name.ends_with(".json") ? parse_hcl_json(file, reader.found) : parse_hcl(file, reader.found);
  Outcome out;
  if (!reader.found.has_errors()) out.content = reader.body(body, schema);
  for (const auto& item : reader.found.items()) {
    EXPECT_TRUE(item.range.known());
    EXPECT_LE(item.range.begin, item.range.end);
    EXPECT_LE(item.range.end, source.size());
    out.errors.insert(fmt::format("{}: {} @{}", item.summary, item.detail, item.range.begin));
  }
  return out;
}

std::set<std::string> without_places(const std::set<std::string>& errors) {
  std::set<std::string> out;
  for (const auto& error : errors) out.insert(error.substr(0, error.rfind(" @")));
  return out;
}

void check_rows(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  Diagnostics diagnostics;
  Value rows = parse_json(text_file(path, text.str()), diagnostics);
  ASSERT_TRUE(rows.is_list()) << render_diagnostics(diagnostics);
  ASSERT_GT(rows.as_list().size(), 50u);
  for (const Value& row : rows.as_list()) {
    const std::string& source = row.find("source")->as_string();
    std::string mode = row.find("mode")->as_string();
    Outcome got = outcome(row.find("file")->as_string(), source, mode, row_schema(row.find("schema")));
    std::set<std::string> errors;
    for (const Value& error : row.find("errors")->as_list()) errors.insert(error.as_string());
    // Where our place is nearer to the mistake than HCL's, the row has none.
    if (!errors.empty() && errors.begin()->find(" @") == std::string::npos)
      got.errors = without_places(got.errors);
    EXPECT_EQ(got.content, row.find("content")->as_string()) << mode << "\n"
                                                             << source << to_json(*row.find("schema"));
    EXPECT_EQ(got.errors, errors) << mode << "\n" << source << to_json(*row.find("schema"));
  }
}

/// Bodies, schemas, and what HCL's own packages (2.24) made of them.
TEST(HclBody, reads_what_hcl_reads_on_recorded_rows) {
  check_rows(KILN_SOURCE_DIR "/src/lang/testdata/hcl_body_rows.json");
}

Diagnostics json_errors(const std::string& text) {
  Diagnostics out;
  parse_hcl_json(text_file("t.json", text), out);
  return out;
}

HclExpressionPtr json_attribute(const std::string& text) {
  Diagnostics found;
  auto attributes = hcl_just_attributes(parse_hcl_json(text_file("t.json", text), found), found);
  EXPECT_FALSE(found.has_errors()) << render_diagnostics(found);
  return attributes.at(0).expression.tree();
}

std::string part_of(const SourceRange& range) {
  return range.file->text.substr(range.begin, range.end - range.begin);
}

TEST(HclJson, places_within_strings_are_those_of_the_file) {
  auto expression = json_attribute(R"({"a": "\t\u0041é${ str }-${no\u0070e.x}"})");
  EXPECT_EQ(part_of(expression->range).substr(0, 3), "\"\\t");
  auto references = hcl_references(*expression);
  ASSERT_EQ(references.size(), 2u);
  EXPECT_EQ(part_of(references[0].range), "str");
  EXPECT_EQ(references[1].root, "nope");
  EXPECT_EQ(part_of(references[1].range), R"(no\u0070e.x)");
  EXPECT_EQ(part_of(references[1].steps[0].range), ".x");
}

TEST(HclJson, a_wrong_template_is_told_when_it_is_evaluated) {
  auto expression = json_attribute(R"({"a": "x\n${ 1 + }"})");
  EXPECT_EQ(expression->kind, HclExpressionKind::wrong_string);
  EXPECT_EQ(expression->value.as_string(), "x\n${ 1 + }");
  EXPECT_TRUE(hcl_references(*expression).empty());
  Diagnostics found;
  HclScope scope;
  EXPECT_FALSE(evaluate_hcl(*expression, scope, found).is_known());
  ASSERT_EQ(found.items().size(), 1u);
  EXPECT_EQ(part_of(found.items()[0].range), "}");
}

TEST(HclJson, strings_are_names_and_types_where_no_value_is_wanted) {
  auto reference = hcl_as_reference(*json_attribute(R"({"a": "source.null.x[0]"})"));
  ASSERT_TRUE(reference.has_value());
  EXPECT_EQ(reference->root, "source");
  EXPECT_EQ(reference->steps.size(), 3u);
  EXPECT_EQ(part_of(reference->steps[0].range), ".null");
  EXPECT_FALSE(hcl_as_reference(*json_attribute(R"({"a": "${x}"})")).has_value());
  EXPECT_FALSE(hcl_as_reference(*json_attribute(R"({"a": ["x"]})")).has_value());
  Diagnostics found;
  auto type = hcl_type_constraint(*json_attribute(R"JSON({"a": "list(string)"})JSON"), found);
  ASSERT_TRUE(type.has_value());
  EXPECT_EQ(type->type.text(), "list(string)");
}

TEST(HclJson, hints_name_what_is_meant) {
  EXPECT_THAT(json_errors("{'a': 1}").items().at(0).hint, HasSubstr("double quotes"));
  EXPECT_THAT(json_errors("// x\n{}").items().at(0).hint, HasSubstr("\"//\""));
  EXPECT_THAT(json_errors("\xEF\xBB\xBF{}").items().at(0).hint, HasSubstr("byte order mark"));
  EXPECT_THAT(json_errors("{\"a\": \"x").items().at(0).hint, HasSubstr("not closed"));
}

TEST(HclBody, the_nearest_name_is_a_hint_where_hcl_has_none) {
  Diagnostics found;
  HclSchema schema{{{"communicator", false}}, {{"provisioner", {}}}};
  hcl_content(parse_hcl(text_file("t.hcl", "comunictr = 1\nprovisionieer_ {\n}\n"), found), schema, found);
  ASSERT_EQ(found.items().size(), 2u);
  EXPECT_EQ(found.items()[0].hint, "Did you mean \"communicator\"?");
  EXPECT_EQ(found.items()[1].hint, "Did you mean \"provisioner\"?");
}

TEST(HclBody, what_depends_on_a_sensitive_for_each_is_sensitive_all_the_way_down) {
  Diagnostics found;
  HclBody body = parse_hcl(
      text_file(
          "t.hcl",
          "dynamic \"b\" {\n  for_each = sec\n  content {\n    c {\n      x = b.value\n    }\n  }\n}\n"),
      found);
  HclScope scope = row_scope();
  HclContent outer = hcl_content(body, {{}, {{"b", {}}}}, found, &scope);
  ASSERT_EQ(outer.blocks.size(), 1u);
  HclContent inner = hcl_content(outer.blocks[0].body, {{}, {{"c", {}}}}, found, &scope);
  ASSERT_EQ(inner.blocks.size(), 1u);
  auto attributes = hcl_just_attributes(inner.blocks[0].body, found);
  ASSERT_EQ(attributes.size(), 1u);
  HclScope empty;
  HclValue value = evaluate_hcl(*attributes[0].expression.tree(), empty, found);
  EXPECT_TRUE(value.sensitive());
  EXPECT_EQ(value.as_string(), "hidden");
  EXPECT_FALSE(found.has_errors()) << render_diagnostics(found);
}

TEST(HclBody, a_rest_may_be_read_in_place_and_keeps_dynamic_blocks_of_other_types) {
  for (bool json : {false, true}) {
    std::string text =
        json
            ? R"({"a": 1, "dynamic": {"b": {"for_each": ["x"], "content": {}}, "c": {"for_each": ["y", "z"], "content": {}}}})"
            : "a = 1\ndynamic \"b\" {\n for_each = [\"x\"]\n content {\n }\n}\ndynamic \"c\" {\n for_each = "
              "[\"y\", \"z\"]\n content {\n }\n}\n";
    Diagnostics found;
    HclScope scope;
    HclBody body =
        json ? parse_hcl_json(text_file("t.json", text), found) : parse_hcl(text_file("t.hcl", text), found);
    HclContent first = hcl_partial_content(body, {{{"a", true}}, {{"b", {}}}}, body, found, &scope);
    EXPECT_EQ(first.attributes.size(), 1u);
    EXPECT_EQ(first.blocks.size(), 1u);
    HclContent second = hcl_content(body, {{}, {{"c", {}}}}, found, &scope);
    EXPECT_EQ(second.attributes.size(), 0u);
    EXPECT_EQ(second.blocks.size(), 2u);
    EXPECT_FALSE(found.has_errors()) << render_diagnostics(found);
  }
}

// Refused within bounds, never a crash.
TEST(HclBody, nesting_and_sizes_are_bounded) {
  auto repeat = [](std::string_view text, size_t count) {
    std::string out;
    for (size_t i = 0; i < count; ++i) out += text;
    return out;
  };
  EXPECT_EQ(json_errors(repeat("[", 100000)).items().at(0).summary, "Nested too deeply");
  EXPECT_EQ(json_errors(repeat("{\"a\":", 100000)).items().at(0).summary, "Nested too deeply");
  EXPECT_LT(json_errors("[" + repeat("{\"a\" 1 ", 100) + repeat("[}", 5000)).items().size(), 10000u);
  // Five levels of a hundred elements each would be 10^10 blocks.
  std::string list = "[" + repeat("1, ", 100) + "]";
  std::string text;
  for (int i = 0; i < 5; ++i)
    text += fmt::format("dynamic \"b\" {{\nfor_each = {}\niterator = i{}\ncontent {{\n", list, i);
  text += repeat("}\n}\n", 5);
  Diagnostics found;
  HclScope scope;
  HclBody body = parse_hcl(text_file("t.hcl", text), found);
  HclSchema schema{{}, {{"b", {}}}};
  for (int i = 0; i < 5 && !found.has_errors(); ++i) {
    HclContent content = hcl_content(body, schema, found, &scope);
    if (content.blocks.empty()) break;
    body = content.blocks[0].body;
  }
  ASSERT_TRUE(found.has_errors());
  EXPECT_EQ(found.items()[0].summary, "Too many dynamic blocks");
}

}  // namespace
}  // namespace kiln
