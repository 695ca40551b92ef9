#include "lang/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lang/goss_template.h"

namespace kiln {
namespace {

using ::testing::HasSubstr;

Value read(const std::string& text, Diagnostics& diagnostics) {
  return parse_yaml(std::make_shared<SourceFile>(SourceFile{"f.yaml", text}), diagnostics);
}
std::string json(const std::string& text) {
  Diagnostics diagnostics;
  Value value = read(text, diagnostics);
  return diagnostics.has_errors() ? diagnostics.items()[0].summary : to_json(value);
}

TEST(Yaml, Scalars) {
  EXPECT_EQ(json("[1, -2, 0x1F, 0644, 0o17, 0b101, 1_000, 1.5, .5, +7, 1e3]"),
            "[1,-2,31,420,15,5,1000,1.5,0.5,7,1e3]");
  EXPECT_EQ(json("[true, False, yes, on, null, ~, '1', \"true\", a b, 1.2.3, 08x]"),
            R"([true,false,"yes","on",null,null,"1","true","a b","1.2.3","08x"])");
  EXPECT_EQ(json(""), "null");
  EXPECT_EQ(json("a: |\n  x\n  y\nb: !!str 12\n"), R"({"a":"x\ny\n","b":"12"})");
}

TEST(Yaml, AnchorsAndMerges) {
  EXPECT_EQ(json("x: &a {p: 1, q: 2}\ny: {<<: *a, q: 3}\nz: *a\n"),
            R"({"x":{"p":1,"q":2},"y":{"q":3,"p":1},"z":{"p":1,"q":2}})");
  EXPECT_THAT(json("a: *b"), HasSubstr("there is no anchor \"b\""));
}

TEST(Yaml, PlacesAreBytes) {
  Diagnostics diagnostics;
  Value value = read("ä: ö\nkey: [1, zwei]\n", diagnostics);
  const auto& member = value.as_object()[1];
  EXPECT_EQ(line_column(member.key_range).line, 2u);
  EXPECT_EQ(line_column(member.value.as_list()[1].range).column, 10u);
  EXPECT_EQ(member.key_range.begin, 7u);
}

TEST(Yaml, Mistakes) {
  EXPECT_EQ(json("a: 1\na: 2\n"), "Invalid YAML: \"a\" is there already, in line 1");
  EXPECT_THAT(json("a: [1, 2"), HasSubstr("Invalid YAML: "));
  EXPECT_THAT(json("{[a]: b}"), HasSubstr("a key is a plain name"));
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j ? ", *a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_THAT(json(bomb), HasSubstr("too many values"));
}

std::string rendered(const std::string& text) {
  GossTemplateScope scope;
  scope.vars = Value(Value::Object{{"list", Value(Value::List{"a", "b"})}, {"n", 3}, {"none", ""}});
  scope.env = {{"OS", "centos"}};
  scope.read_file = [](const std::string& path) { return "content of " + path + "\n"; };
  Rendered out = render_goss_template(text, scope);
  return out.ok() ? out.text : *out.error;
}

TEST(GossTemplate, Functions) {
  EXPECT_EQ(rendered("{{range mkSlice \"x\" \"y\"}}{{.}},{{end}}"), "x,y,");
  EXPECT_EQ(rendered("{{range $i, $v := .Vars.list}}{{$i}}{{$v}}{{end}} {{.Vars.n}}"), "0a1b 3");
  EXPECT_EQ(rendered("{{if .Env.OS | regexMatch \"[Cc]ent(OS|os)\"}}yes{{end}}"), "yes");
  EXPECT_EQ(rendered("{{if .Env.OS | regexMatch \"^x\"}}yes{{else}}no{{end}}"), "no");
  EXPECT_EQ(rendered("{{getEnv \"OS\"}} {{getEnv \"NO\" \"else\"}} {{readFile \"f\"}}"), "centos else content of f");
  EXPECT_EQ(rendered("{{ \"hello!\" | upper | repeat 2 }} {{toLower \"A\"}}"), "HELLO!HELLO! a");
  EXPECT_EQ(rendered("{{.Vars.none | default \"d\"}} {{join \"-\" .Vars.list}} {{add 1 2}} {{quote 7}}"), "d a-b 3 \"7\"");
  EXPECT_EQ(rendered("{{$m := findStringSubmatch \"(?P<k>[a-z]+)=(?P<v>.*)\" \"a=b\"}}{{get $m \"k\"}}{{get $m \"v\"}}"), "ab");
  EXPECT_EQ(rendered("{{get (findStringSubmatch \"(.)=(.)\" \"a=b\") \"2\"}}"), "b");
  EXPECT_THAT(rendered("{{.Vars.zork}}"), HasSubstr("map has no entry for key \"zork\""));
  EXPECT_THAT(rendered("{{user `x`}}"), HasSubstr("function \"user\" not defined"));
  EXPECT_THAT(rendered("{{regexMatch \"(\" \"x\"}}"), HasSubstr("error calling regexMatch: error parsing regexp"));
}

}  // namespace
}  // namespace kiln
