#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lang/packer_json.h"

namespace kiln {
namespace {

struct Resolved {
  std::map<std::string, std::string> values;
  Diagnostics diagnostics;
  std::vector<std::string> errors() const {
    std::vector<std::string> out;
    for (const auto& item : diagnostics.items()) out.push_back(item.summary);
    return out;
  }
};

Resolved resolve(const std::string& variables, const std::map<std::string, std::string>& given = {}) {
  Resolved out;
  auto file = std::make_shared<SourceFile>(SourceFile{"t.json", "{\"variables\": {" + variables + "}}"});
  Template parsed = parse_packer_json(file, out.diagnostics);
  TemplateScope scope;
  scope.template_dir = "/templates";
  scope.started = std::chrono::system_clock::time_point(std::chrono::seconds(1600000000));
  scope.env = [](const std::string& name) -> std::optional<std::string> {
    if (name == "HOME") return "/root";
    return std::nullopt;
  };
  scope.user_variables = {{"stale", "not to be seen"}};
  out.values = resolve_variables(parsed, given, scope, out.diagnostics);
  return out;
}

using Values = std::map<std::string, std::string>;

TEST(PackerVariables, renders_defaults_and_given_values) {
  Resolved r = resolve(R"("a": "x", "b": "{{env `HOME`}}|{{env `NOPE`}}", "c": "{{timestamp}}")",
                       {{"a", "{{upper `given`}}"}, {"extra", "e"}});
  EXPECT_TRUE(r.diagnostics.empty()) << render_diagnostics(r.diagnostics);
  EXPECT_EQ(r.values, (Values{{"a", "GIVEN"}, {"b", "/root|"}, {"c", "1600000000"}, {"extra", "e"}}));
}

TEST(PackerVariables, references_may_stand_in_any_order) {
  Resolved r = resolve(R"("a": "{{user `b`}}!", "b": "{{user `c`}}{{user `d`}}", "c": "1", "d": "{{user `c`}}2")");
  EXPECT_TRUE(r.diagnostics.empty()) << render_diagnostics(r.diagnostics);
  EXPECT_EQ(r.values.at("a"), "112!");
}

TEST(PackerVariables, a_long_chain_is_resolved) {
  std::string variables = R"("v0": "end")";
  for (int i = 1; i < 80; ++i) {
    // Sorted names run against the direction of the references, so each pass settles few of them.
    variables += ", \"v" + std::to_string(i) + "\": \"{{user `v" + std::to_string(i - 1) + "`}}\"";
  }
  Resolved r = resolve(variables);
  EXPECT_TRUE(r.diagnostics.empty()) << render_diagnostics(r.diagnostics);
  EXPECT_EQ(r.values.at("v79"), "end");
}

TEST(PackerVariables, keeps_fields_for_later) {
  Resolved r = resolve(R"("cmd": "sh {{ .Path }} {{.Vars}} {{ timestamp }}")");
  EXPECT_EQ(r.values.at("cmd"), "sh {{ .Path }} {{.Vars}} 1600000000");
}

TEST(PackerVariables, required_ones_must_be_given) {
  Resolved r = resolve(R"("a": null, "b": null, "c": "{{user `a`}}", "d": "{{user `c`}}")", {{"b", ""}});
  EXPECT_THAT(r.errors(), testing::ElementsAre("required variable not set: a"));
  EXPECT_EQ(line_column(r.diagnostics.items()[0].range).column, 16u);
  EXPECT_EQ(r.values, (Values{{"b", ""}}));
}

TEST(PackerVariables, tells_unknown_and_circular_references_as_packer_does) {
  Resolved r = resolve(R"("region": "eu", "x": "{{user `regon`}}")");
  ASSERT_EQ(r.errors().size(), 1u);
  EXPECT_EQ(r.errors()[0],
            "Failed to interpolate \"x\": \"{{user `regon`}}\"; error: template: root:1:2: executing \"root\" at <user "
            "`regon`>: error calling user: Error: variable not set: regon: Please make sure that the variable you're "
            "referencing has been defined; Packer treats all variables used to interpolate other user variables as "
            "required.");
  EXPECT_EQ(r.diagnostics.items()[0].hint, "Did you mean \"region\"?");

  Resolved self = resolve(R"("x": "{{user `x`}}")");
  ASSERT_EQ(self.errors().size(), 1u);
  EXPECT_EQ(self.diagnostics.items()[0].hint, "The variable refers to itself.");

  Resolved circle = resolve(R"("x": "{{user `y`}}", "y": "{{user `x`}}")");
  EXPECT_EQ(circle.errors().size(), 2u);
  EXPECT_THAT(circle.diagnostics.items()[0].hint, testing::HasSubstr("circle"));
}

TEST(PackerVariables, tells_template_errors_as_packer_does) {
  EXPECT_THAT(resolve(R"("x": "{{nofunc}}")").errors(),
              testing::ElementsAre(
                  "error interpolating default value for 'x': template: root:1: function \"nofunc\" not defined"));
  EXPECT_THAT(resolve(R"("x": "{{split `a` `b` 3}}")").errors(),
              testing::ElementsAre("template: root:1:2: executing \"root\" at <split `a` `b` 3>: error calling split: "
                                   "the substring 3 was unavailable using the separator value, b, only 1 values were "
                                   "found"));
  EXPECT_THAT(resolve(R"("x": "{{build_name}}")").errors(),
              testing::ElementsAre("template: root:1:2: executing \"root\" at <build_name>: error calling build_name: "
                                   "build_name not available"));
}

TEST(PackerVariables, says_which_secret_stores_are_not_there) {
  for (const char* call : {"consul_key `a`", "vault `a` `b`", "aws_secretsmanager `a`", "aws_secretsmanager_raw `a`"}) {
    Resolved r = resolve("\"x\": \"{{" + std::string(call) + "}}\"");
    ASSERT_EQ(r.errors().size(), 1u) << call;
    EXPECT_THAT(r.errors()[0], testing::HasSubstr("is not to be had here")) << call;
  }
}

TEST(PackerVariables, a_value_made_of_calls_is_rendered_again) {
  Resolved r = resolve(R"("a": "1", "b": "{{ `{{` }}user `a`}}")");
  EXPECT_TRUE(r.diagnostics.empty()) << render_diagnostics(r.diagnostics);
  EXPECT_EQ(r.values.at("b"), "1");
}

TEST(PackerVariables, growth_is_bounded) {
  // Each variable is the one before, twice: 2^60 characters if nothing stopped it.
  std::string variables = R"("v00": "aaaaaaaaaaaaaaaa")";
  auto name = [](int i) { return std::string(i < 10 ? "v0" : "v") + std::to_string(i); };
  for (int i = 1; i < 60; ++i) {
    std::string call = "{{user `" + name(i - 1) + "`}}";
    variables += fmt::format(", \"{}\": \"{}{}\"", name(i), call, call);
  }
  Resolved r = resolve(variables);
  ASSERT_TRUE(r.diagnostics.has_errors());
  EXPECT_THAT(r.errors()[0], testing::HasSubstr("longer than 8 MiB"));
}

}  // namespace
}  // namespace kiln
