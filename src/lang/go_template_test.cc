#include "lang/go_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/text.h"
#include "lang/packer_json.h"

namespace kiln {
namespace {

struct Row {
  const char* text;
  const char* expected;  ///< the text, or the error when it starts with "template:"
};

TemplateScope test_scope() {
  TemplateScope scope;
  scope.build_name = "web";
  scope.build_type = "qemu";
  scope.template_dir = "/templates";
  scope.working_directory = "/work";
  scope.packer_version = "1.16.0";
  scope.started = std::chrono::system_clock::time_point(std::chrono::seconds(1600000000));  // 2020-09-13 12:26:40
  scope.user_variables = {{"a", "value"}, {"nested", "{{user `a`}}"}, {"empty", ""}};
  scope.build_data = Value(std::map<std::string, std::string>{{"ID", "i-1"}, {"Host", "10.0.0.1"}});
  return scope;
}

Value test_dot() {
  Value dot = Value::empty_object();
  dot.set("L", Value(Value::List{Value(1), Value("a")}));
  dot.set("S", Value("str"));
  dot.set("N", Value(7));
  dot.set("M", Value(std::map<std::string, std::string>{{"k", "v"}, {"b", "c"}}));
  dot.set("Null", Value());
  dot.set("T", Value(true));
  return dot;
}

std::string outcome(const Rendered& rendered) { return rendered.ok() ? rendered.text : *rendered.error; }

void expect_rows(const std::vector<Row>& rows) {
  TemplateScope scope = test_scope();
  Value dot = test_dot();
  for (const auto& row : rows) EXPECT_EQ(outcome(render_template_once(row.text, scope, dot)), row.expected) << row.text;
}

// The expected texts of the language rows are what Go 1.26's text/template gave for the same input.
TEST(GoTemplate, runs_the_language) {
  expect_rows({
      {"plain", "plain"},
      {"a{{- 3 -}}  b", "a3b"},
      {"x {{/* a comment */}} y", "x  y"},
      {"x {{- /* a comment */ -}} y", "xy"},
      {"{{\"a\\tb\"}}{{`raw\\t`}}{{'a'}}", "a\tbraw\\t97"},
      {"{{1e3}} {{0x10}} {{1_000}} {{-7}} {{1.5}} {{1.0}}", "1000 16 1000 -7 1.5 1"},
      {"{{.S}}{{.Nope}}{{.Nope.X}}", "str<no value><no value>"},
      {"{{if .T}}yes{{else}}no{{end}}", "yes"},
      {"{{if .Nope}}1{{else if .S}}2{{else}}3{{end}}", "2"},
      {"{{range .L}}[{{.}}]{{end}}", "[1][a]"},
      {"{{range $i, $e := .L}}{{$i}}={{$e}},{{end}}", "0=1,1=a,"},
      {"{{range $i, $e := .M}}{{$i}}={{$e}},{{end}}", "b=c,k=v,"},
      {"{{range .Nope}}x{{else}}none{{end}}", "none"},
      {"{{range 3}}{{.}}{{end}}", "012"},
      {"{{range .L}}{{if eq (print .) \"a\"}}{{break}}{{end}}{{.}}{{end}}", "1"},
      {"{{with .S}}<{{.}}>{{end}}{{with .Nope}}x{{else}}y{{end}}", "<str>y"},
      {"{{with $x := 3}}{{$x}}{{else with 4}}{{end}}", "3"},
      {"{{$x := 1}}{{range .L}}{{$x = .}}{{end}}{{$x}}", "a"},
      {"{{define \"t\"}}({{.}}){{end}}{{template \"t\" .S}}", "(str)"},
      {"{{block \"b\" .N}}{{.}}!{{end}}", "7!"},
      {"{{$.S}} {{$.M.k}} {{(index .L 1)}}", "str v a"},
      {"{{or 0 \"\" .L}} {{and 1 .S}} {{not 0}}", "[1 a] str true"},
      {"{{nil | print}}", "template: root:1:2: executing \"root\" at <nil>: nil is not a command"},
  });
}

TEST(GoTemplate, runs_go_functions) {
  expect_rows({
      {"{{print 1 2 \"a\" \"b\" 3 .L}}", "1 2ab3 [1 a]"},
      {"{{println 1 \"a\" 2 3}}", "1 a 2 3\n"},
      {"{{html \"<a>&\\\"'\" nil}}", "&lt;a&gt;&amp;&#34;&#39;&lt;no value&gt;"},
      {"{{js \"<a>\\n\\u2028é\\\"='\\\\&\"}}", "\\u003Ca\\u003E\\u000A\\u2028é\\\"\\u003D\\'\\\\\\u0026"},
      {"{{urlquery \"a b/é&\"}}", "a+b%2F%C3%A9%26"},
      {"{{.L | printf \"%v-%v\" 1}}", "1-[1 a]"},
      {"{{len .S}} {{len .L}} {{index .M \"k\"}} {{slice .S 1 2}} {{slice .L 1}}", "3 2 v t [a]"},
      {"{{eq 1 2 1}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt \"b\" \"a\"}} {{ge 1 2}}", "true true true true true false"},
      {"{{eq nil nil}} {{eq .Nope \"a\"}}", "true false"},
      {"{{eq \"a\" 1}}",
       "template: root:1:2: executing \"root\" at <eq \"a\" 1>: error calling eq: incompatible types for comparison: "
       "string and int"},
      {"{{lt 1 \"a\"}}",
       "template: root:1:2: executing \"root\" at <lt 1 \"a\">: error calling lt: incompatible types for comparison: "
       "int and string"},
      {"{{lt nil 1}}",
       "template: root:1:2: executing \"root\" at <lt nil 1>: error calling lt: invalid type for comparison"},
  });
}

TEST(GoTemplate, runs_packer_functions) {
  expect_rows({
      {"{{user `a`}}|{{user `zz`}}|{{user `nested`}}", "value||{{user `a`}}"},
      {"{{build_name}} {{build_type}} {{template_dir}} {{pwd}} {{packer_version}}", "web qemu /templates /work 1.16.0"},
      {"{{timestamp}} {{isotime}} {{isotime `2006-01-02 Jan _2 3:04PM Mon Z07:00 .000`}}",
       "1600000000 2020-09-13T12:26:40Z 2020-09-13 Sep 13 12:26PM Sun Z .000"},
      {"{{strftime `%Y-%m-%d %H:%M:%S %p%L %Q %%`}}", "2020-09-13 12:26:40 PM.000 %Q %"},
      {"{{`a b` | replace_all ` ` `-` | upper}} {{lower `ÀB`}}", "A-B àb"},
      {"{{replace `a` `b` 1 `aaa`}} {{replace `` `-` -1 `ab`}}", "baa -a-b-"},
      {"{{split `a_b_c` `_` 1}}", "b"},
      {"{{build `ID`}}", "{{.ID}}"},
      {"{{split `a` `b` 3}}",
       "template: root:1:2: executing \"root\" at <split `a` `b` 3>: error calling split: the substring 3 was "
       "unavailable using the separator value, b, only 1 values were found"},
      {"{{env `HOME`}}",
       "template: root:1:2: executing \"root\" at <env `HOME`>: error calling env: env vars are not allowed here"},
      {"{{build `Zork`}}",
       "template: root:1:2: executing \"root\" at <build `Zork`>: error calling build: loaded data, but couldnt find "
       "Zork in it."},
  });
}

TEST(GoTemplate, tells_errors_as_go_does) {
  expect_rows({
      {"{{nofunc}}", "template: root:1: function \"nofunc\" not defined"},
      {"{{", "template: root:1: unclosed action"},
      {"a\n{{if}}", "template: root:2: missing value for if"},
      {"{{end}}", "template: root:1: unexpected {{end}}"},
      {"{{upper}}", "template: root:1:2: executing \"root\" at <upper>: wrong number of args for upper: want 1 got 0"},
      {"{{upper 3}}", "template: root:1:8: executing \"root\" at <3>: expected string; found 3"},
      {"{{upper nil}}", "template: root:1:8: executing \"root\" at <nil>: cannot assign nil to string"},
      {"{{template_dir | upper | lower `x`}}",
       "template: root:1:25: executing \"root\" at <lower>: wrong number of args for lower: want 1 got 2"},
  });
}

TEST(GoTemplate, renders_until_the_text_is_stable) {
  TemplateScope scope = test_scope();
  EXPECT_EQ(render_template("{{user `nested`}}", scope).text, "value");
  EXPECT_EQ(render_template_once("{{user `nested`}}", scope).text, "{{user `a`}}");
}

/// Pairs of a template and what Go 1.26's text/template made of it (the text or the error), over the data below.
TEST(GoTemplate, does_what_go_does_on_recorded_rows) {
  auto read = [](const std::string& text) {
    Diagnostics diagnostics;
    return parse_json(std::make_shared<SourceFile>(SourceFile{"rows", text}), diagnostics);
  };
  std::ifstream in(KILN_SOURCE_DIR "/src/lang/testdata/go_template_rows.json");
  std::stringstream text;
  text << in.rdbuf();
  Value rows = read(text.str());
  ASSERT_TRUE(rows.is_list());
  ASSERT_GT(rows.as_list().size(), 400u);
  TemplateScope scope;
  scope.build_name = "web";
  scope.user_variables = {{"a", "value"}};
  Value dot = read(R"({"L":[1,"a"],"S":"str","N":7,"M":{"k":"v","b":"c"},"Null":null,"T":true,"F":2.5,"E":[]})");
  for (const auto& row : rows.as_list()) {
    const std::string& source = row.as_list()[0].as_string();
    EXPECT_EQ(outcome(render_template_once(source, scope, dot)), row.as_list()[1].as_string()) << source;
  }
}

TEST(GoTemplate, validates_without_running) {
  TemplateScope scope;
  EXPECT_EQ(validate_template("plain {{user `a`}}", scope), std::nullopt);
  EXPECT_EQ(validate_template("{{env `never called`}}", scope), std::nullopt);
  EXPECT_EQ(validate_template("{{if false}}{{nosuch}}{{end}}", scope),
            "template: root:1: function \"nosuch\" not defined");
}

TEST(GoTemplate, components_add_functions) {
  TemplateScope scope;
  EXPECT_EQ(outcome(render_template("{{clean_resource_name `a`}}", scope)),
            "template: root:1: function \"clean_resource_name\" not defined");
  scope.functions["clean_resource_name"] = [](const std::vector<std::string>& words) {
    if (words.empty()) throw Error(ErrorKind::user, "a name is needed");
    return "<" + join(words, "+") + ">";
  };
  EXPECT_EQ(outcome(render_template("{{`b` | clean_resource_name `a`}}", scope)), "<a+b>");
  EXPECT_EQ(
      outcome(render_template("{{clean_resource_name}}", scope)),
      "template: root:1:2: executing \"root\" at <clean_resource_name>: error calling clean_resource_name: a name "
      "is needed");
  EXPECT_EQ(outcome(render_template("{{clean_resource_name 3}}", scope)),
            "template: root:1:22: executing \"root\" at <3>: expected string; found 3");
}

TEST(GoTemplate, build_gives_placeholders_first_and_values_later) {
  TemplateScope scope = test_scope();
  EXPECT_EQ(outcome(render_template_once("{{build `ID`}}", scope)), "{{.ID}}");
  scope.build_data_known = true;
  EXPECT_EQ(outcome(render_template("{{build `ID`}} {{ build `Nope` }}", scope, scope.build_data)), "i-1 <no value>");
  EXPECT_EQ(outcome(render_template("{{.ID}}", scope, scope.build_data)), "i-1");
  scope.build_data = Value();
  scope.build_data_known = false;
  EXPECT_THAT(outcome(render_template("{{build `ID`}}", scope)),
              testing::HasSubstr("the given variable ID will not be passed into your plugin."));
}

TEST(GoTemplate, what_is_missing_in_the_scope_is_an_error) {
  TemplateScope scope;
  for (const char* name : {"build_name", "build_type", "packer_version"}) {
    EXPECT_THAT(outcome(render_template("{{" + std::string(name) + "}}", scope)),
                testing::HasSubstr(std::string("error calling ") + name + ": " + name + " not available"));
  }
  EXPECT_THAT(outcome(render_template("{{template_dir}}", scope)), testing::HasSubstr("not available"));
  EXPECT_THAT(outcome(render_template("{{vault `a` `b`}}", scope)),
              testing::HasSubstr("Vault vars are only allowed in the variables section"));
  EXPECT_THAT(outcome(render_template("{{consul_key `a`}}", scope)),
              testing::HasSubstr("consul_key is not allowed here"));
  EXPECT_THAT(outcome(render_template("{{sed `a` `b`}}", scope)), testing::HasSubstr("deprecated"));
}

TEST(GoTemplate, uuids_start_with_the_time_and_differ) {
  std::string both = render_template("{{uuid}} {{uuid}}", TemplateScope{}).text;
  ASSERT_EQ(both.size(), 73u);
  EXPECT_NE(both.substr(0, 36), both.substr(37));
  EXPECT_EQ(both.substr(0, 7), both.substr(37, 7));
}

// Refused with an error, in a short time and with little memory; the machine is never taken down.
TEST(GoTemplate, is_bounded) {
  TemplateScope scope;
  auto error = [&](const std::string& text) { return render_template(text, scope).error.value_or("no error"); };
  EXPECT_THAT(error("{{range 1000000000}}{{end}}"), testing::HasSubstr("too many steps"));
  EXPECT_THAT(error("{{range 1000}}{{range 1000}}{{range 1000}}{{end}}{{end}}{{end}}"),
              testing::HasSubstr("too many steps"));
  EXPECT_THAT(error("{{define `a`}}{{template `a`}}{{end}}{{template `a`}}"),
              testing::HasSubstr("exceeded maximum template depth"));
  EXPECT_THAT(error("{{$x := `aaaaaaaaaaaaaaaa`}}{{range 60}}{{$x = print $x $x}}{{end}}"),
              testing::AnyOf(testing::HasSubstr("8 MiB"), testing::HasSubstr("too much text")));
  EXPECT_THAT(error("{{range 1000}}{{printf `%100000d` 1}}{{end}}"),
              testing::AnyOf(testing::HasSubstr("8 MiB"), testing::HasSubstr("too much text")));
  EXPECT_THAT(error("{{$x := printf `%1000000d` 1}}{{range 100000}}{{$y := upper $x}}{{end}}"),
              testing::HasSubstr("too much text"));
  EXPECT_THAT(error("{{" + std::string(100000, '(')), testing::HasSubstr("depth"));
  EXPECT_THAT(error("{{" + std::string(100000, '(') + "1}}"), testing::HasSubstr("depth"));
  std::string nested;
  for (int i = 0; i < 100000; ++i) nested += "{{if 1}}";
  EXPECT_THAT(error(nested), testing::HasSubstr("depth"));
  std::string many;
  for (int i = 0; i < 200000; ++i) many += "{{1}}";
  EXPECT_THAT(error(many), testing::HasSubstr("too many actions"));
  // A text that grows with every rendering.
  scope.user_variables["x"] = "a{{user `x`}}{{user `x`}}";
  EXPECT_THAT(error("{{user `x`}}"), testing::HasSubstr("template: root"));
}

}  // namespace
}  // namespace kiln
