// Rows of calls with what they give; confirmed by go-cty, go-cty-funcs and go-cty-yaml, or by `packer
// console`.
#include "lang/hcl_function.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "lang/hcl_eval.h"
#include "lang/hcl_fileset.h"
#include "lang/hcl_function_kit.h"
#include "lang/packer_json.h"

namespace kiln {
namespace {

/// Files that exist nowhere else.
const std::map<std::string, std::string> test_files = {
    {"dir/plain.txt", "hello\n"},
    {"dir/hello.tpl", "hello ${name}"},
    {"dir/bad", "a\xff"},
    {"dir/sub/a.txt", "x"},
    {"dir/sub/b.sh", "y"},
    {"dir/rec.tpl", "x ${templatefile(\"hello.tpl\",{})}\n"},
    {"dir/syntax.tpl", "${foo(\n"},
    {"dir/two.tpl", "ab${x}\n${y}"},
    {"dir/list.tpl", "${x}"},
    {"dir/errors.tpl", "%{for a in x}${a.b}${zz(1)}%{endfor}"},
    {"/home/u/f", "hi"}};

HclHost test_host() {
  HclHost host;
  host.base_directory = "dir";
  host.working_directory = "/srv/here";
  host.home = "/home/u";
  host.started = std::chrono::system_clock::time_point(std::chrono::seconds(1600000000));
  host.now = [] { return std::chrono::system_clock::time_point(std::chrono::seconds(1600000007)); };
  host.read_file = [](const std::string& path) {
    auto found = test_files.find(path);
    if (found == test_files.end())
      throw Error(ErrorKind::user, "open " + path + ": no such file or directory");
    return found->second;
  };
  host.stat = [](const std::string& path) -> std::string {
    if (test_files.contains(path)) return "-rw-r--r--";
    auto next = test_files.lower_bound(path + "/");
    return next != test_files.end() && next->first.starts_with(path + "/") ? "drwxr-xr-x" : "";
  };
  host.list_files = [](const std::string& directory) {
    std::vector<std::string> out;
    std::string prefix = directory == "." ? "" : directory + "/";
    for (const auto& file : test_files) {
      if (file.first.starts_with(prefix)) out.push_back(file.first.substr(prefix.size()));
    }
    return out;
  };
  host.random = [](void* bytes, size_t size) { std::fill_n(static_cast<char*>(bytes), size, '\x5a'); };
  host.env = [](const std::string& name) {
    return name == "SET" ? std::optional<std::string>("value") : std::nullopt;
  };
  host.secret = [](const std::string& function, const std::vector<std::string>& arguments) {
    if (arguments[0] == "none") throw Error(ErrorKind::remote, "no such secret");
    return function + ":" + join(arguments, ",");
  };
  return host;
}

HclScope test_scope(const HclHost& host) {
  HclScope scope;
  scope.functions = hcl_functions;
  scope.host = &host;
  HclType string = HclType::string();
  auto text = [](const char* value) { return HclValue::string(value); };
  scope.variables["us"] = HclValue::unknown(string);
  scope.variables["un"] = HclValue::unknown(HclType::number());
  scope.variables["ud"] = HclValue::unknown(HclType::dynamic());
  scope.variables["ul"] = HclValue::unknown(HclType::list(string));
  scope.variables["um"] = HclValue::unknown(HclType::map(string));
  scope.variables["hs"] = HclValue::list(string, {text("a"), HclValue::unknown(string)});
  scope.variables["uo"] =
      HclValue::object({{"a", HclValue::unknown(string)}, {"b", HclValue::boolean(true)}});
  scope.variables["ls"] = HclValue::list(string, {text("b"), text("a")});
  scope.variables["mp"] = HclValue::map(string, {{"j", text("w")}, {"k", text("v")}});
  scope.variables["st"] = HclValue::set(string, {text("y"), text("x")});
  scope.variables["le"] = HclValue::list(HclType::number(), {});
  return scope;
}

/// "V type json", "U type" for an unknown, "P type" for a partly unknown, "X type why" for what JSON cannot
/// hold, "E detail" for an error.
std::string outcome(const std::string& call, const HclScope& scope) {
  Diagnostics diagnostics;
  auto expression = parse_hcl_expression(std::make_shared<SourceFile>(SourceFile{"x", call}), diagnostics);
  if (!expression || diagnostics.has_errors()) return "does not parse";
  HclValue value = evaluate_hcl(*expression, scope, diagnostics);
  if (diagnostics.has_errors()) return "E " + diagnostics.items()[0].detail;
  if (!value.is_known()) return "U " + value.type().text();
  if (!value.is_wholly_known()) return "P " + value.type().text();
  try {
    return "V " + value.type().text() + " " + hcl_fn::json_text(value);
  } catch (const HclFunctionError& error) {
    return "X " + value.type().text() + " " + error.message;
  }
}

std::string outcome(const std::string& call) {
  HclHost host = test_host();
  return outcome(call, test_scope(host));
}

TEST(HclFunction, RowsAreAsTheOriginalsSay) {
  std::string path = KILN_SOURCE_DIR "/src/lang/testdata/hcl_function_rows.json";
  Diagnostics diagnostics;
  Value rows = parse_json(std::make_shared<SourceFile>(SourceFile{path, read_file(path)}), diagnostics);
  ASSERT_FALSE(diagnostics.has_errors());
  HclHost host = test_host();
  HclScope scope = test_scope(host);
  std::set<std::string> called;
  for (const auto& row : rows.as_list()) {
    std::string call = row.as_list()[0].as_string();
    EXPECT_EQ(outcome(call, scope), row.as_list()[1].as_string()) << call;
    called.insert(call.substr(0, call.find('(')));
  }
  EXPECT_GT(rows.as_list().size(), 500u);
  for (const auto& function : hcl_functions()) {
    bool elsewhere =
        std::set<std::string>{"can", "try", "convert", "timestamp", "uuidv4", "bcrypt", "rsadecrypt"}
            .contains(function.first);
    EXPECT_TRUE(elsewhere || called.contains(function.first)) << function.first;
  }
}

TEST(HclFunction, TableHasAllOfPacker) {
  EXPECT_EQ(hcl_functions().size(), 103u);
  for (const auto& [name, function] : hcl_functions()) {
    EXPECT_TRUE(function.doc.ends_with('.')) << name;
    EXPECT_EQ(function.lazy, !function.call) << name;
  }
  EXPECT_EQ(hcl_variable_functions().size(), 1u);
}

std::string failure(const HclFunction& function, const std::vector<HclValue>& arguments) {
  try {
    call_hcl_function(function, arguments, test_host());
  } catch (const HclFunctionError& error) {
    return fmt::format("{} @{}", error.message, error.argument);
  }
  return "";
}

TEST(HclFunction, CallChecksNumberAndNulls) {
  const auto& functions = hcl_functions();
  HclValue text = HclValue::string("a");
  EXPECT_EQ(failure(functions.at("upper"), {}), "wrong number of arguments (1 required; 0 given) @-1");
  EXPECT_EQ(failure(functions.at("upper"), {text, text}),
            "wrong number of arguments (1 required; 2 given) @-1");
  EXPECT_EQ(failure(functions.at("format"), {}),
            "wrong number of arguments (at least 1 required; 0 given) @-1");
  EXPECT_EQ(failure(functions.at("upper"), {HclValue::null(HclType::dynamic())}),
            "argument must not be null @0");
  EXPECT_EQ(failure(functions.at("max"), {HclValue::number(1), text}), "a number is required @1");
}

TEST(HclFunction, CallPutsMarksOnTheResult) {
  HclHost host = test_host();
  const auto& functions = hcl_functions();
  HclValue secret = HclValue::string("s").with_sensitive();
  HclValue list = HclValue::list(HclType::string(), {secret, HclValue::string("t")});
  auto call = [&](const char* name, const std::vector<HclValue>& arguments) {
    return call_hcl_function(functions.at(name), arguments, host);
  };
  EXPECT_TRUE(call("upper", {secret}).sensitive());
  EXPECT_TRUE(call("join", {HclValue::string(","), list}).sensitive());
  // Where the function takes marked values, only what was marked stays so.
  EXPECT_FALSE(call("length", {list}).sensitive());
  EXPECT_TRUE(call("length", {list.with_sensitive()}).sensitive());
  EXPECT_FALSE(call("element", {list, HclValue::number(1)}).sensitive());
  EXPECT_TRUE(call("element", {list, HclValue::number(0)}).sensitive());
  // Nor do marks get lost behind an argument whose type is not known yet.
  HclValue untyped = HclValue::unknown(HclType::dynamic());
  EXPECT_TRUE(call("element", {untyped, HclValue::number(0).with_sensitive()}).sensitive());
  HclValue merged =
      call("merge", {HclValue::object({{"a", secret}}), HclValue::object({{"b", HclValue::boolean(true)}})});
  EXPECT_FALSE(merged.sensitive());
  EXPECT_TRUE(merged.find("a")->sensitive());
}

TEST(HclFunction, WhatChangesFromCallToCall) {
  EXPECT_EQ(outcome("timestamp()"), "V string \"2020-09-13T12:26:47Z\"");
  EXPECT_EQ(outcome("uuidv4()"), "V string \"5a5a5a5a-5a5a-4a5a-9a5a-5a5a5a5a5a5a\"");
  EXPECT_THAT(outcome("bcrypt(\"secret\", 4)"), testing::StartsWith("V string \"$2a$04$"));
  EXPECT_EQ(outcome("bcrypt(\"a\", 40)"),
            "E Call to function \"bcrypt\" failed: error occured generating password crypto/bcrypt: cost 40 "
            "is outside "
            "allowed inclusive range 4..31.");
  EXPECT_THAT(outcome("bcrypt(\"a\", 30)"), testing::HasSubstr("would take hours"));
}

TEST(HclFunction, WithoutAHostFunctionsSaySo) {
  HclHost host;
  for (const char* call :
       {"timestamp()", "uuidv4()", "bcrypt(\"a\")", "file(\"a\")", "filebase64(\"a\")", "fileexists(\"a\")",
        "fileset(\".\",\"*\")", "templatefile(\"a\",{})", "vault(\"a\",\"b\")", "pathexpand(\"~\")"}) {
    EXPECT_THAT(outcome(call, test_scope(host)), testing::StartsWith("E ")) << call;
  }
}

TEST(HclFunction, ResultsAreBounded) {
  for (const char* call : {
           "format(\"%2000000d\", 1)",
           "indent(100000000, \"\\n\\n\\n\")",
           "range(0, 1e9)",
           "setproduct(range(1000), range(1000), range(1000))",
           "indent(9223372036854775807, \"\\n\")",
           "replace(format(\"%999999s\", \"\"), \" \", format(\"%9999s\", \"\"))",
           "regex_replace(format(\"%999999s\", \"\"), \" \", format(\"%9999s\", \"\"))",
       }) {
    EXPECT_THAT(outcome(call), testing::StartsWith("E ")) << call;
  }
  EXPECT_EQ(outcome("pow(10, 400)"), "X number cannot serialize infinity as JSON");
  std::string bomb = "yamldecode(\"a0: &a0 [x]\\n";
  for (int i = 1; i < 40; ++i) bomb += fmt::format("a{0}: &a{0} [*a{1}, *a{1}]\\n", i, i - 1);
  EXPECT_THAT(outcome(bomb + "\")"), testing::HasSubstr("too large"));
  std::string deep(5000, '[');
  EXPECT_THAT(outcome("jsondecode(\"" + deep + "\")"), testing::HasSubstr("exceeded max depth"));
  EXPECT_THAT(outcome("yamldecode(\"" + deep + "\")"), testing::StartsWith("E "));
}

TEST(HclFunction, FilesetMatchesAsDoublestar) {
  using hcl_fn::match_file;
  EXPECT_TRUE(match_file("**/*.txt", "a/b/c.txt"));
  EXPECT_TRUE(match_file("**/*.txt", "c.txt"));
  EXPECT_TRUE(match_file("a/**", "a/b/c"));
  EXPECT_FALSE(match_file("a/*", "a/b/c"));
  EXPECT_TRUE(match_file("{a,b/c}/d", "b/c/d"));
  EXPECT_TRUE(match_file("a[b-d]?", "acx"));
  EXPECT_FALSE(match_file("a[^b-d]?", "acx"));
  EXPECT_TRUE(match_file("a\\*", "a*"));
  EXPECT_FALSE(match_file("a\\*", "ab"));
  EXPECT_TRUE(match_file("**/b/**/d", "a/b/c/b/d"));
  EXPECT_THROW(match_file("a[", "ab"), Error);
  EXPECT_THROW(match_file("a[]", "ab"), Error);
  EXPECT_FALSE(match_file("a[", "b"));
  // Neither many stars nor many braces take long.
  EXPECT_FALSE(match_file("*a*a*a*a*a*a*a*a*a*a*a*ab", std::string(3000, 'a')));
  EXPECT_THROW(match_file("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", "x"), Error);
}

}  // namespace
}  // namespace kiln
