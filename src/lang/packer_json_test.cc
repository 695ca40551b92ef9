#include "lang/packer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"

namespace kiln {
namespace {

using testing::ElementsAre;

struct Parsed {
  Template result;
  Diagnostics diagnostics;
  std::vector<std::string> errors() const {
    std::vector<std::string> out;
    for (const auto& item : diagnostics.items()) out.push_back(item.summary);
    return out;
  }
  /// The text of the place of one diagnostic.
  std::string place(size_t i) const {
    const SourceRange& range = diagnostics.items().at(i).range;
    return range.known() ? range.file->text.substr(range.begin, range.end - range.begin) : "";
  }
};

Parsed parse(const std::string& text) {
  Parsed out;
  out.result = parse_packer_json(std::make_shared<SourceFile>(SourceFile{"t.json", text}), out.diagnostics);
  return out;
}

Value body(const ConfigBody& body) {
  Diagnostics diagnostics;
  return body({}, diagnostics);
}

TEST(PackerJson, reads_a_whole_template) {
  Parsed parsed = parse(R"({
    "_comment": "anything",
    "min_packer_version": "1.6.0",
    "description": "A test",
    "variables": {"region": "eu", "token": null},
    "sensitive-variables": ["token"],
    "builders": [
      {"type": "qemu", "memory": 512, "name": "{{user `region`}}"},
      {"type": "null", "communicator": "none"}
    ],
    "provisioners": [
      {"type": "shell", "inline": ["a"], "only": ["null"], "pause_before": "10s", "timeout": 5000000000,
       "max_retries": "{{user `n`}}", "override": {"null": {"inline": ["b"]}}},
      {"type": "file", "source": "a", "except": ["null"]}
    ],
    "error-cleanup-provisioner": {"type": "shell-local", "command": "true"},
    "post-processors": [
      "manifest",
      {"type": "checksum", "name": "sums", "keep_input_artifact": false, "only": ["null"]},
      ["compress", {"type": "shell-local", "inline": ["x"], "keep_input_artifact": true}]
    ]
  })");
  ASSERT_TRUE(parsed.diagnostics.empty()) << render_diagnostics(parsed.diagnostics);
  const Template& t = parsed.result;
  EXPECT_EQ(t.path, "t.json");
  EXPECT_EQ(t.description, "A test");
  EXPECT_EQ(t.min_packer_version, "1.6.0");
  ASSERT_EQ(t.variables.size(), 2u);
  EXPECT_EQ(t.variables[0].default_value->as_string(), "eu");
  EXPECT_FALSE(t.variables[1].default_value.has_value());
  EXPECT_TRUE(t.variables[1].sensitive);
  ASSERT_EQ(t.build().sources.size(), 2u);
  EXPECT_EQ(t.build().sources[0].name, "{{user `region`}}");
  EXPECT_EQ(to_json(body(t.build().sources[0].body)), R"({"memory":512})");
  EXPECT_EQ(t.build().sources[1].name, "null");
  ASSERT_EQ(t.build().provisioners.size(), 2u);
  EXPECT_THAT(t.build().provisioners[0].filter.only, ElementsAre("null"));
  EXPECT_EQ(t.build().provisioners[0].pause_before, std::chrono::seconds(10));
  EXPECT_EQ(t.build().provisioners[0].timeout, std::chrono::seconds(5));
  EXPECT_EQ(t.build().provisioners[0].max_retries.as_string(), "{{user `n`}}");
  EXPECT_EQ(to_json(t.build().provisioners[0].overrides.at("null")), R"({"inline":["b"]})");
  EXPECT_EQ(to_json(body(t.build().provisioners[0].body)), R"({"inline":["a"]})");
  EXPECT_THAT(t.build().provisioners[1].filter.except, ElementsAre("null"));
  ASSERT_TRUE(t.build().error_cleanup_provisioner.has_value());
  EXPECT_EQ(t.build().error_cleanup_provisioner->type, "shell-local");
  ASSERT_EQ(t.build().post_processors.size(), 3u);
  EXPECT_EQ(t.build().post_processors[0][0].name, "manifest");
  EXPECT_EQ(t.build().post_processors[1][0].name, "sums");
  EXPECT_EQ(t.build().post_processors[1][0].keep_input_artifact, false);
  ASSERT_EQ(t.build().post_processors[2].size(), 2u);
  EXPECT_FALSE(t.build().post_processors[2][0].keep_input_artifact.has_value());
  EXPECT_EQ(to_json(body(t.build().post_processors[2][1].body)), R"({"inline":["x"]})");
}

TEST(PackerJson, takes_root_keys_in_any_case) {
  Parsed parsed = parse(R"({"Builders": [{"type": "null"}], "VARIABLES": {"a": "b"}, "push": {}, "comments": []})");
  EXPECT_TRUE(parsed.diagnostics.empty()) << render_diagnostics(parsed.diagnostics);
  EXPECT_EQ(parsed.result.build().sources.size(), 1u);
  EXPECT_EQ(parsed.result.variables.size(), 1u);
}

TEST(PackerJson, keeps_a_type_key_in_another_case_in_the_body) {
  Parsed parsed = parse(R"({"builders": [{"Type": "null", "communicator": "none"}]})");
  ASSERT_EQ(parsed.result.build().sources.size(), 1u);
  EXPECT_EQ(parsed.result.build().sources[0].type, "null");
  EXPECT_EQ(to_json(body(parsed.result.build().sources[0].body)), R"({"Type":"null","communicator":"none"})");
}

TEST(PackerJson, reports_unknown_root_keys_with_the_nearest_name) {
  Parsed parsed = parse(R"({"zork": 1, "buildres": [], "_ok": "text", "builders": [], "builderS": []})");
  EXPECT_THAT(parsed.errors(), ElementsAre("Unknown root level key in template: 'builderS'",
                                           "Unknown root level key in template: 'buildres'",
                                           "Unknown root level key in template: 'zork'"));
  EXPECT_EQ(parsed.diagnostics.items()[1].hint, "Did you mean \"builders\"?");
  EXPECT_EQ(parsed.place(1), "\"buildres\"");
}

struct ErrorRow {
  const char* text;
  std::vector<std::string> errors;
  const char* place;  ///< of the first
};

// The texts are those of the real Packer (1.6.6).
TEST(PackerJson, tells_mistakes_as_packer_does) {
  const ErrorRow rows[] = {
      {"[]", {"'' expected a map, got 'slice'"}, "[]"},
      {"\"x\"", {"'' expected a map, got 'string'"}, "\"x\""},
      {R"({"_c": 1})", {"Failed to cast root level comment value in comment \"_c\" to string."}, "1"},
      {R"({"description": 3})",
       {"'Description' expected type 'string', got unconvertible type 'float64', value: '3'"},
       "3"},
      {R"({"builders": {"type": "null"}})",
       {"'builders': source data must be an array or slice, got map"},
       R"({"type": "null"})"},
      {R"({"provisioners": "x"})", {"'Provisioners': source data must be an array or slice, got string"}, "\"x\""},
      {R"({"post-processors": "x"})",
       {"'post-processors': source data must be an array or slice, got string"},
       "\"x\""},
      {R"({"push": 3})", {"'Push' expected a map, got 'float64'"}, "3"},
      {R"({"comments": 3})", {"'Comments': source data must be an array or slice, got float64"}, "3"},
      {R"({"variables": [1]})", {"'Variables' expected a map, got 'slice'"}, "[1]"},
      {R"({"sensitive-variables": [1]})",
       {"'sensitive-variables[0]' expected type 'string', got unconvertible type 'float64', value: '1'"},
       "1"},
      {R"({"variables": {"a": 1}})",
       {"variable a: '' expected type 'string', got unconvertible type 'float64', value: '1'"},
       "1"},
      {R"({"variables": {"c": ["x"]}})",
       {"variable c: '' expected type 'string', got unconvertible type '[]interface {}', value: '[x]'"},
       "[\"x\"]"},
      {R"({"builders": [{}]})", {"builder 1: missing 'type'"}, "{}"},
      {R"({"builders": ["x"]})", {"builder 1: '' expected a map, got 'string'"}, "\"x\""},
      {R"({"builders": [null]})", {"builder 1: missing 'type'"}, "null"},
      {R"({"builders": [{"type": "null"}, {"type": "null"}]})",
       {"builder 2: builder with name 'null' already exists"},
       R"({"type": "null"})"},
      {R"({"provisioners": [{}]})", {"provisioner 1: Provisioner missing 'type'"}, "{}"},
      {R"({"provisioners": ["a"]})",
       {"provisioner 1: Error decoding provisioner: '' expected a map, got 'string'"},
       "\"a\""},
      {R"({"provisioners": [{"type": "shell", "pause_before": "x"}]})",
       {"provisioner 1: Error decoding provisioner: 1 error(s) decoding:\n\n* error decoding 'pause_before': time: "
        "invalid duration \"x\""},
       "\"x\""},
      {R"({"provisioners": [{"type": "shell", "timeout": "1x"}]})",
       {"provisioner 1: Error decoding provisioner: 1 error(s) decoding:\n\n* error decoding 'timeout': time: unknown "
        "unit \"x\" in duration \"1x\""},
       "\"1x\""},
      {R"({"provisioners": [{"type": "shell", "timeout": "10"}]})",
       {"provisioner 1: Error decoding provisioner: 1 error(s) decoding:\n\n* error decoding 'timeout': time: missing "
        "unit in duration \"10\""},
       "\"10\""},
      {R"({"provisioners": [{"type": "shell", "override": 3}]})",
       {"provisioner 1: Error decoding provisioner: 1 error(s) decoding:\n\n* 'Override' expected a map, got "
        "'float64'"},
       "3"},
      {R"({"error-cleanup-provisioner": {"inline": "x"}})",
       {"On Error Cleanup Provisioner error: Provisioner missing 'type'"},
       R"({"inline": "x"})"},
      {R"({"post-processors": [1]})", {"post-processor 1: bad format"}, "1"},
      {R"({"post-processors": [[1]]})", {"post-processor 1.1: unknown format"}, "1"},
      {R"({"post-processors": ["a", [[{}]]]})",
       {"post-processor 2.1: sequence not allowed to be nested in a sequence"},
       "[{}]"},
      {R"({"post-processors": [{}]})", {"post-processor 1.1: type is required"}, "{}"},
      {R"({"post-processors": [""]})", {"post-processor 1.1: type is required"}, "\"\""},
      {R"({"post-processors": [{"type": 3, "only": "x", "keep_input_artifact": "zz"}]})",
       {"post-processor 1.1: 3 error(s) decoding:\n\n* 'Only': source data must be an array or slice, got string\n* "
        "'Type' expected type 'string', got unconvertible type 'float64', value: '3'\n* 'keep_input_artifact' expected "
        "type 'bool', got unconvertible type 'string', value: 'zz'"},
       "\"x\""},
  };
  for (const auto& row : rows) {
    Parsed parsed = parse(row.text);
    EXPECT_EQ(parsed.errors(), row.errors) << row.text;
    if (parsed.diagnostics.empty()) continue;
    EXPECT_EQ(parsed.place(0), row.place) << row.text;
  }
}

TEST(PackerJson, reports_everything_at_once) {
  Parsed parsed = parse(R"({"builders": [{}, {"type": "null"}], "zork": 1, "provisioners": [{}],
                            "variables": {"a": 1}})");
  EXPECT_EQ(parsed.errors().size(), 4u);
  EXPECT_EQ(parsed.result.build().sources.size(), 1u);
}

TEST(PackerJson, a_wrong_block_does_not_hide_the_next) {
  Parsed parsed = parse(R"({"provisioners": [{"type": "shell", "timeout": "x"}, {"type": "file"}]})");
  EXPECT_EQ(parsed.errors().size(), 1u);
  ASSERT_EQ(parsed.result.build().provisioners.size(), 1u);
  EXPECT_EQ(parsed.result.build().provisioners[0].type, "file");
}

TEST(PackerJson, lays_errors_out_as_packer_does) {
  EXPECT_EQ(packer_parse_error_text(parse(R"({"builders": [{}], "provisioners": [{}]})").diagnostics),
            "2 errors occurred:\n\t* builder 1: missing 'type'\n\t* provisioner 1: Provisioner missing 'type'\n\n");
  EXPECT_EQ(packer_parse_error_text(parse(R"({"builders": [{}]})").diagnostics),
            "1 error occurred:\n\t* builder 1: missing 'type'\n\n");
  EXPECT_EQ(packer_parse_error_text(parse(R"({"builders": {}, "description": 3})").diagnostics),
            "2 error(s) decoding:\n\n"
            "* 'Description' expected type 'string', got unconvertible type 'float64', value: '3'\n"
            "* 'builders': source data must be an array or slice, got map");
  EXPECT_EQ(packer_parse_error_text(parse("[]").diagnostics), "'' expected a map, got 'slice'");
  EXPECT_EQ(packer_parse_error_text(parse("{").diagnostics),
            "Error parsing JSON: unexpected end of JSON input\nAt line 1, column 1 (offset 1):\n    1: {\n      ^\n");
}

}  // namespace
}  // namespace kiln
