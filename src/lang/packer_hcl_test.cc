#include "lang/packer_hcl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lang/version.h"

namespace kiln {
namespace {

using testing::ElementsAre;

std::shared_ptr<const SourceFile> source_file(std::string text, std::string name = "t.pkr.hcl") {
  return std::make_shared<SourceFile>(SourceFile{std::move(name), std::move(text)});
}

/// A template read, with the data sources that were run and a builder "null" and a provisioner "say".
struct Loaded {
  std::shared_ptr<PackerHcl> config;
  HclEnvironment environment;
  Diagnostics diagnostics;
  std::vector<std::string> run;  ///< names of data sources, in the order they were run
  std::shared_ptr<HclEvaluation> evaluation;

  explicit Loaded(const std::string& text, const HclVariableInput& input = {}) {
    config =
        std::make_shared<PackerHcl>(parse_packer_hcl({source_file(text)}, "1.16.0", environment.host, diagnostics));
    collect_hcl_variables(*config, input, diagnostics);
    environment.packer_version = "1.16.0";
    environment.root_directory = ".";
    environment.matches = [](const std::string& pattern, const std::string& name) { return pattern == name; };
    environment.run_data_sources = true;
    environment.components.docs = [](std::string_view kind, const std::string& type) -> const std::vector<OptionDoc>* {
      static const std::vector<OptionDoc> text{{.name = "text", .type = "string"},
                                               {.name = "list", .type = "list(string)"},
                                               {.name = "wait", .type = "duration"}};
      static const std::vector<OptionDoc> data{{.name = "input", .type = "string"}};
      if (kind == kind_data) return type == "null" ? &data : nullptr;
      return type == "null" || type == "say" ? &text : nullptr;
    };
    environment.components.known = [](std::string_view) { return std::vector<std::string>{"null", "say"}; };
    environment.components.outputs = [](const std::string& type) -> const std::vector<OptionDoc>* {
      static const std::vector<OptionDoc> output{{.name = "output", .type = "string"}};
      return type == "null" ? &output : nullptr;
    };
    environment.run_data = [this](const HclComponentBlock& block, const Value& config, bool only_check,
                                  Diagnostics&) -> std::optional<Value> {
      run.push_back(block.name);
      if (only_check) return std::nullopt;
      Value out = Value::empty_object();
      out.set("output", *config.find("input"));
      return out;
    };
  }

  Template lower() {
    evaluation = std::make_shared<HclEvaluation>(config, environment);
    return lower_packer_hcl(evaluation, diagnostics);
  }

  std::vector<std::string> summaries() const {
    std::vector<std::string> out;
    for (const auto& item : diagnostics.items()) out.push_back(item.summary);
    return out;
  }
};

constexpr const char* two_sources = R"(
data "null" "second" { input = "${data.null.first.output}!" }
data "null" "first" { input = local.start }
data "null" "unused" { input = "x" }
locals {
  start = upper("a")
  end   = data.null.second.output
}
source "null" "a" { text = local.end }
source "null" "b" { text = data.null.unused.output }
build {
  name    = "n"
  sources = ["null.a", "source.null.b"]
  provisioner "say" {
    text = "${build.name} ${source.name} ${build.ID}"
  }
}
)";

TEST(PackerHcl, EvaluatesByDependency) {
  Loaded loaded(two_sources);
  Template lowered = loaded.lower();
  EXPECT_THAT(loaded.summaries(), ElementsAre());
  EXPECT_THAT(loaded.run, ElementsAre("first", "second", "unused"));
  ASSERT_EQ(lowered.builds.size(), 1u);
  const auto& build = lowered.builds[0];
  ASSERT_EQ(build.sources.size(), 2u);
  EXPECT_EQ(build.sources[0].display_name, "n.null.a");
  Diagnostics diagnostics;
  EXPECT_EQ(to_json(build.sources[0].body({}, diagnostics)), R"({"text":"A!"})");
}

TEST(PackerHcl, EvaluatesOnlyWhatTheSelectionNeeds) {
  Loaded loaded(two_sources);
  loaded.environment.only = {"n.null.b"};
  Template lowered = loaded.lower();
  EXPECT_THAT(loaded.summaries(), ElementsAre());
  EXPECT_THAT(loaded.run, ElementsAre("unused"));
  ASSERT_EQ(lowered.builds[0].sources.size(), 1u);
  EXPECT_EQ(lowered.builds[0].sources[0].name, "b");
}

TEST(PackerHcl, BodiesKnowTheMachineOnlyWhenItIsThere) {
  Loaded loaded(two_sources);
  Template lowered = loaded.lower();
  const auto& body = lowered.builds[0].provisioners[0].body;
  Value data = Value::empty_object();
  data.set("ID", Value("i-1"));
  Diagnostics diagnostics;
  EXPECT_EQ(to_json(body({data, false, "null", "a"}, diagnostics)), R"({"text":"n a <unknown>"})");
  EXPECT_EQ(to_json(body({data, true, "null", "a"}, diagnostics)), R"({"text":"n a i-1"})");
  EXPECT_FALSE(diagnostics.has_errors());
}

TEST(PackerHcl, TellsCirclesAndWhatIsMissing) {
  Loaded loaded(R"(
locals {
  a = local.b
  b = local.a
  c = local.nowhere
}
source "null" "a" {}
build { sources = ["null.a"] }
)");
  loaded.lower();
  ASSERT_THAT(loaded.summaries(), ElementsAre("failed to prepare execution graph"));
  const std::string& detail = loaded.diagnostics.items()[0].detail;
  EXPECT_THAT(detail, testing::HasSubstr("Cycle: local.a, local.b"));
  EXPECT_THAT(detail, testing::HasSubstr(R"("local.nowhere" missing in template)"));
}

TEST(PackerHcl, TellsAMistakeOnceAndNotWhatFollows) {
  Loaded loaded(R"(
locals {
  a = nope.x
  b = local.a
  c = "${local.b} and ${local.a}"
}
source "null" "a" { text = local.c }
build { sources = ["null.a"] }
)");
  Template lowered = loaded.lower();
  EXPECT_THAT(loaded.summaries(), ElementsAre("Unknown variable"));
  EXPECT_TRUE(loaded.evaluation->failed("a"));
  EXPECT_FALSE(loaded.evaluation->failed("b"));
}

TEST(PackerHcl, LaterSourcesOfValuesWin) {
  const char* text = R"(
variable "v" { default = "default" }
variable "n" { type = number }
source "null" "a" {}
build { sources = ["null.a"] }
)";
  HclVariableInput input;
  input.environment = {{"v", "env"}, {"n", "1"}, {"other", "x"}};
  Loaded from_env(text, input);
  EXPECT_EQ(from_env.config->find_variable("v")->value->as_string(), "env");
  input.files = {source_file("v = \"file\"\n", "a.pkrvars.hcl"), source_file("{\"v\": \"json\"}", "b.pkrvars.json")};
  Loaded from_file(text, input);
  EXPECT_EQ(from_file.config->find_variable("v")->value->as_string(), "json");
  input.command_line = {{"v", "cmd"}, {"n", "zz"}};
  Loaded from_command_line(text, input);
  EXPECT_EQ(from_command_line.config->find_variable("v")->value->as_string(), "cmd");
  EXPECT_THAT(from_command_line.summaries(), ElementsAre("Invalid argument value for -var variable"));
}

TEST(PackerHcl, SensitiveValuesAreSecrets) {
  Loaded loaded(R"(
variable "p" {
  default   = "hunter2"
  sensitive = true
}
locals { derived = "x-${var.p}" }
source "null" "a" { text = local.derived }
build { sources = ["null.a"] }
)");
  Template lowered = loaded.lower();
  EXPECT_THAT(lowered.secrets, testing::IsSupersetOf({"hunter2", "x-hunter2"}));
  Diagnostics diagnostics;
  EXPECT_TRUE(lowered.builds[0].sources[0].body({}, diagnostics).find("text")->secret);
}

TEST(PackerHcl, AThousandBuildsShareOneEvaluation) {
  std::string text = "locals {\n  v0 = 0\n";
  for (int i = 1; i < 3000; ++i) text += "  v" + std::to_string(i) + " = local.v" + std::to_string(i - 1) + " + 1\n";
  text += "}\nsource \"null\" \"a\" { text = local.v2999 }\nbuild { sources = [\"null.a\"] }\n";
  Loaded loaded(text);
  Template lowered = loaded.lower();
  EXPECT_THAT(loaded.summaries(), ElementsAre());
  Diagnostics diagnostics;
  EXPECT_EQ(to_json(lowered.builds[0].sources[0].body({}, diagnostics)), R"({"text":"2999"})");
}

bool allows(const char* constraint, const char* version) {
  auto parsed = VersionConstraint::parse(constraint);
  return parsed && parsed->allows(version);
}

TEST(Version, Constraints) {
  EXPECT_TRUE(allows(">= 1.7.0, < 2", "1.16.0"));
  EXPECT_FALSE(allows(">= 1.7.0, < 1.16", "1.16.0"));
  EXPECT_TRUE(allows("~> 1", "1.99"));
  EXPECT_FALSE(allows("~> 1", "2.0"));
  EXPECT_TRUE(allows("~> 1.2.3", "1.2.9"));
  EXPECT_FALSE(allows("~> 1.2.3", "1.3.0"));
  EXPECT_TRUE(allows("1.2", "1.2.0"));
  EXPECT_TRUE(allows("!= 1.2", "1.2.1"));
  EXPECT_FALSE(allows(">= 1.0", "1.2.0-dev"));
  EXPECT_FALSE(VersionConstraint::parse("x").has_value());
  EXPECT_FALSE(VersionConstraint::parse(">= ").has_value());
}

TEST(Version, ConstraintsThatAskForAnOlderOne) {
  auto older = [](const char* constraint) {
    return VersionConstraint::parse(constraint)->asks_for_older_than(*Version::parse("1.8.2"));
  };
  EXPECT_TRUE(older("1.2.8"));
  EXPECT_TRUE(older("~> 1.3.0"));
  EXPECT_TRUE(older(">= 1.0, < 1.3"));
  EXPECT_TRUE(older("~> 0.9"));
  EXPECT_FALSE(older("~> 1.3")) << "allows it";
  EXPECT_FALSE(older("1.9.0"));
  EXPECT_FALSE(older("~> 2.0"));
  EXPECT_FALSE(older(">= 1.9, < 2"));
  EXPECT_FALSE(older("< 1.8.2, != 1.8.2"));
}

}  // namespace
}  // namespace kiln
