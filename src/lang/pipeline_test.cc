#include "lang/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

/// A pipeline read, with a test "goss" and a post-processor "copy".
struct Read {
  std::shared_ptr<PackerHcl> config;
  HclEnvironment environment;
  Diagnostics diagnostics;
  std::unique_ptr<Pipeline> pipeline;

  /// Text by source.
  std::map<std::string, std::string> modules;
  PipelineModuleFinder find_module = [this](const std::string& source, const std::string& directory,
                                            const SourceRange& range,
                                            Diagnostics& found) -> std::optional<PipelineModuleSource> {
    if (!modules.count(source)) {
      found.error("No module " + source, "", range);
      return std::nullopt;
    }
    auto file = std::make_shared<SourceFile>(SourceFile{source, modules[source]});
    PipelineModuleSource out{
        std::make_shared<PackerHcl>(parse_packer_hcl({file}, "1.16.0", environment.host, found, pipeline_blocks())),
        directory + "/" + source, environment.host};
    collect_hcl_variables(*out.config, {}, found);
    return out;
  };

  explicit Read(const std::string& text, std::map<std::string, std::string> with = {}) : modules(std::move(with)) {
    auto file = std::make_shared<SourceFile>(SourceFile{"web.kiln.hcl", text});
    config = std::make_shared<PackerHcl>(
        parse_packer_hcl({file}, "1.16.0", environment.host, diagnostics, pipeline_blocks()));
    config->path = "dir/web.kiln.hcl";
    collect_hcl_variables(*config, {}, diagnostics);
    environment.matches = [](const std::string& pattern, const std::string& name) { return pattern == name; };
    environment.components.docs = [](std::string_view kind, const std::string& type) -> const std::vector<OptionDoc>* {
      static const std::vector<OptionDoc> options{{.name = "file", .type = "string"}};
      bool known = (kind == kind_tester && type == "goss") || (kind == kind_post_processor && type == "copy") ||
                   (kind == kind_source && type == "make");
      return known ? &options : nullptr;
    };
    environment.components.known = [](std::string_view kind) {
      return std::vector<std::string>{kind == kind_tester ? "goss" : kind == kind_source ? "make" : "copy"};
    };
    environment.components.outputs = [](const std::string&) -> const std::vector<OptionDoc>* { return nullptr; };
    if (!diagnostics.has_errors())
      pipeline = std::make_unique<Pipeline>(config, environment, "/dir", find_module, diagnostics);
  }

  std::vector<std::string> order() const {
    std::vector<std::string> out;
    for (size_t i : pipeline->order()) out.push_back(pipeline->instances()[i].name);
    return out;
  }
  std::string mistakes() const {
    std::string out;
    for (const auto& item : diagnostics.items())
      out += item.summary + ": " + item.detail + (item.hint.empty() ? "" : " " + item.hint) + "\n";
    return out;
  }
  StageSettings settings(size_t instance) { return pipeline->evaluate(instance, diagnostics); }
};

constexpr const char* chain = R"(
variable "where" { default = "out" }
defaults {
  only      = ["make"]
  variables = { images = var.where }
  memory    = "1G"
}
stage "custom" {
  for_each  = ["b", "a"]
  template  = "custom.json"
  variables = { from = stage.app.artifact.id, name = each.key }
  cpus      = 2
}
stage "app" {
  template  = "app.json"
  variables = { from = stage.base.artifact.file, images = "elsewhere" }
  test "goss" { file = "${artifact.id}.yaml" }
  publish "copy" { file = artifact.file }
}
stage "base" { template = "base.json" }
output "all" { value = { for key, one in stage.custom : key => one.artifact.id } }
)";

TEST(Pipeline, OrdersStagesByWhatTheyReferTo) {
  Read read(chain);
  ASSERT_EQ(read.mistakes(), "");
  EXPECT_THAT(read.order(), ElementsAre("base", "app", "custom[\"b\"]", "custom[\"a\"]"));
  EXPECT_EQ(read.pipeline->settings().name, "web");
}

TEST(Pipeline, WhatIsBuiltLaterIsUnknownUntilThen) {
  Read read(chain);
  StageSettings before = read.settings(0);
  ASSERT_EQ(read.mistakes(), "");
  EXPECT_THAT(before.only, ElementsAre("make"));
  EXPECT_THAT(before.slots, ElementsAre(Pair("cpus", 2), Pair("memory", int64_t{1} << 30)));
  EXPECT_TRUE(before.variables[1].second.is_unknown());
  size_t app = read.pipeline->instances_of(1)[0];
  read.pipeline->set_artifacts(app, {{"make", "ami-1", {"/out/app"}, "digest", "id"}});
  StageSettings after = read.settings(0);
  EXPECT_EQ(after.variables[0].second, Value("out"));
  EXPECT_EQ(after.variables[1].second, Value("ami-1"));
  EXPECT_EQ(after.variables[2].second, Value("b"));
}

TEST(Pipeline, AStageOverridesVariablesOfDefaults) {
  Read read(chain);
  StageSettings app = read.settings(read.pipeline->instances_of(1)[0]);
  ASSERT_EQ(app.variables.size(), 2u);
  EXPECT_EQ(app.variables[0].first, "from");
  EXPECT_EQ(app.variables[1].second, Value("elsewhere"));
}

TEST(Pipeline, TestsAndPublishesKnowTheArtifact) {
  Read read(chain);
  size_t app = read.pipeline->instances_of(1)[0];
  EXPECT_TRUE(read.pipeline->tests(app, nullptr, read.diagnostics)[0].config.find("file")->is_unknown());
  StageArtifact artifact{"make", "ami-1", {"/out/app"}, "digest", "id"};
  EXPECT_EQ(*read.pipeline->tests(app, &artifact, read.diagnostics)[0].config.find("file"), Value("ami-1.yaml"));
  EXPECT_EQ(*read.pipeline->publishes(app, &artifact, read.diagnostics)[0].config.find("file"), Value("/out/app"));
  EXPECT_EQ(read.mistakes(), "");
}

TEST(Pipeline, OutputsSeeAllInstances) {
  Read read(chain);
  for (size_t i : read.pipeline->instances_of(0)) {
    read.pipeline->set_artifacts(i, {{"make", "id-" + read.pipeline->instances()[i].name.substr(8, 1), {}, "", ""}});
  }
  HclValue all = read.pipeline->output(read.pipeline->outputs()[0], read.diagnostics);
  ASSERT_EQ(read.mistakes(), "");
  EXPECT_EQ(all.find("a")->as_string(), "id-a");
  EXPECT_EQ(all.find("b")->as_string(), "id-b");
}

TEST(Pipeline, OneInstanceNeedsOneInstance) {
  Read read(R"(
    stage "os" {
      for_each = { x = "1", y = "2" }
      template = "os.json"
    }
    stage "app" {
      for_each  = ["x", "y"]
      template  = "app.json"
      variables = { from = stage.os[each.key].artifact.id, of_x = stage.os["x"].artifact.id }
    })");
  ASSERT_EQ(read.mistakes(), "");
  const auto& instances = read.pipeline->instances();
  ASSERT_EQ(instances.size(), 4u);
  EXPECT_EQ(instances[2].needs.size(), 1u);  // x of x
  ASSERT_EQ(instances[3].needs.size(), 2u);
  EXPECT_EQ(instances[instances[3].needs[0].instance.value()].name, "os[\"y\"]");
  read.pipeline->set_artifacts(0, {{"make", "id-x", {}, "", ""}});
  EXPECT_EQ(read.settings(2).variables[0].second, Value("id-x"));
}

TEST(Pipeline, ABuildMayBeWrittenInTheStage) {
  Read read(R"(
    stage "base" { template = "base.json" }
    stage "app" {
      for_each = ["one"]
      source "make" "it" { file = "${stage.base.artifact.id}-${each.key}" }
      build { sources = ["source.make.it"] }
    })");
  ASSERT_EQ(read.mistakes(), "");
  read.pipeline->set_artifacts(0, {{"make", "ami-1", {}, "", ""}});
  Template built = read.pipeline->inline_template(1, read.environment.host, read.settings(1), read.diagnostics);
  ASSERT_EQ(read.mistakes(), "");
  ASSERT_EQ(built.builds.size(), 1u);
  Value config = built.builds[0].sources[0].body({}, read.diagnostics);
  EXPECT_EQ(*config.find("file"), Value("ami-1-one"));
}

constexpr const char* web_module = R"(
variable "image" {}
variable "names" { default = ["only"] }
stage "app" {
  template  = "app.json"
  variables = { from = var.image }
}
stage "custom" {
  for_each  = var.names
  template  = "custom.json"
  variables = { from = stage.app.artifact.id }
}
output "images" { value = [for one in stage.custom : one.artifact.id] }
)";

TEST(Pipeline, AModulesStagesArePartOfTheGraph) {
  Read read(R"(
    stage "base" { template = "base.json" }
    module "web" {
      source    = "web"
      variables = { image = stage.base.artifact.id, names = ["x", "y"] }
    }
    stage "last" {
      template  = "last.json"
      variables = { all = join(",", module.web.images) }
    })", {{"web", web_module}});
  ASSERT_EQ(read.mistakes(), "");
  EXPECT_THAT(read.order(), ElementsAre("base", "web.app", "web.custom[\"x\"]", "web.custom[\"y\"]", "last"));
  auto index = [&](const std::string& name) {
    const auto& instances = read.pipeline->instances();
    return static_cast<size_t>(
        std::find_if(instances.begin(), instances.end(), [&](const auto& one) { return one.name == name; }) -
        instances.begin());
  };
  EXPECT_TRUE(read.settings(index("web.app")).variables[0].second.is_unknown());
  EXPECT_TRUE(read.settings(index("last")).variables[0].second.is_unknown());
  read.pipeline->set_artifacts(index("base"), {{"make", "ami-1", {}, "", ""}});
  EXPECT_EQ(read.settings(index("web.app")).variables[0].second, Value("ami-1"));
  EXPECT_EQ(read.settings(index("web.app")).directory, "/dir/web");
  for (const char* name : {"web.custom[\"x\"]", "web.custom[\"y\"]"}) {
    read.pipeline->set_artifacts(index(name), {{"make", std::string("of ") + name[12], {}, "", ""}});
  }
  EXPECT_EQ(read.settings(index("last")).variables[0].second, Value("of x,of y"));
  EXPECT_EQ(read.mistakes(), "");
}

TEST(Pipeline, MistakesWithModulesAreTold) {
  auto mistake = [](const std::string& text) {
    return Read(text, {{"web", web_module}, {"self", "module \"again\" { source = \"self\" }"}}).mistakes();
  };
  EXPECT_THAT(mistake("module \"web\" { source = \"wib\" }"), HasSubstr("No module wib"));
  EXPECT_THAT(mistake("module \"web\" { source = \"web\" }"), HasSubstr("image"));
  EXPECT_THAT(
      mistake("module \"web\" {\n source = \"web\"\n variables = { image = \"i\", nams = [] }\n}"),
      HasSubstr("Unknown variable \"nams\": The module declares no variable of that name. Did you mean \"names\"?"));
  EXPECT_THAT(mistake("module \"web\" {\n source = \"web\"\n variables = { image = stage.bas.artifact.id }\n}\n"
                      "stage \"base\" { template = \"b\" }"),
              HasSubstr("Did you mean stage.base?"));
  EXPECT_THAT(mistake("module \"self\" { source = \"self\" }"), HasSubstr("does one use itself?"));
  EXPECT_THAT(mistake("stage \"a\" {\n template = \"a\"\n variables = { x = module.wob.images }\n}\n"
                      "module \"web\" {\n source = \"web\"\n variables = { image = \"i\" }\n}"),
              HasSubstr("Unknown module \"wob\": There is no module of that name here. Did you mean module.web?"));
}

struct Wrong {
  const char* text;
  const char* mistake;
};

class WrongPipeline : public testing::TestWithParam<Wrong> {};

TEST_P(WrongPipeline, IsTold) {
  Read read(GetParam().text);
  if (read.pipeline && !read.diagnostics.has_errors()) {
    for (size_t i = 0; i < read.pipeline->instances().size(); ++i) {
      read.settings(i);
      read.pipeline->tests(i, nullptr, read.diagnostics);
    }
  }
  EXPECT_TRUE(read.diagnostics.has_errors());
  EXPECT_THAT(read.mistakes(), HasSubstr(GetParam().mistake));
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes, WrongPipeline,
    testing::Values(
        Wrong{"", "Missing stage block"},
        Wrong{"stage \"a\" {}", "Missing template: Stage \"a\" needs a template"},
        Wrong{"stage \"a\" {\n template = \"a\"\n build {}\n}", "has both a template and a build block"},
        Wrong{"stage \"a b\" { template = \"a\" }", "Invalid stage name"},
        Wrong{"stage \"a\" { template = \"a\" }\nstage \"a\" { template = \"a\" }", "Duplicate stage"},
        Wrong{"stage \"a\" { template = stage.a.artifact.id }",
              "Stage needs itself: Stage a refers to its own artifact."},
        Wrong{"stage \"a\" { template = stage.b.artifact.id }\nstage \"b\" { template = stage.a.artifact.id }",
              "Circle of stages: Each of these needs the next, and the last the first: a, b."},
        Wrong{"stage \"base\" { template = \"b\" }\n"
              "stage \"a\" {\n template = \"a\"\n variables = { x = stage.bose.artifact.id }\n}",
              "Unknown stage \"bose\": There is no stage of that name here. Did you mean stage.base?"},
        Wrong{"stage \"b\" {\n for_each = [\"x\"]\n template = \"b\"\n}\n"
              "stage \"a\" {\n template = \"a\"\n variables = { x = stage.b[\"y\"].artifact.id }\n}",
              "Unknown stage b[\"y\"]: The stage's for_each has no such key."},
        Wrong{"stage \"b\" { template = \"b\" }\nstage \"a\" { template = stage.b.artifact.id }",
              "must be known before anything is built"},
        Wrong{"stage \"b\" { template = \"b\" }\n"
              "stage \"a\" {\n template = \"a\"\n variables = { x = stage.b.artifact.ide }\n}",
              "ide"},
        Wrong{"stage \"a\" {\n template = \"a\"\n for_each = 3\n}",
              "It must be a map, an object, or a list or set of strings."},
        Wrong{"stage \"a\" {\n template = \"a\"\n for_each = [\"x\", \"x\"]\n}", "\"x\" is in it twice."},
        Wrong{"stage \"a\" {\n template = \"a\"\n for_each = [1]\n}", "must be a string"},
        Wrong{"stage \"a\" {\n template = \"a\"\n cpus = 0\n}", "Invalid cpus"},
        Wrong{"stage \"a\" {\n template = \"a\"\n memory = \"lots\"\n}", "Invalid memory"},
        Wrong{"stage \"a\" {\n template = \"a\"\n slots = { x = -1 }\n}", "Invalid amount of \"x\""},
        Wrong{"stage \"a\" {\n template = \"a\"\n variables = 1\n}", "Invalid variables"},
        Wrong{"stage \"a\" {\n template = \"a\"\n templat = 1\n}", "Unsupported argument"},
        Wrong{"stage \"a\" {\n template = \"a\"\n test \"gos\" {}\n}",
              "Unknown test type \"gos\": Known: goss. Did you mean \"goss\"?"},
        Wrong{"stage \"a\" {\n template = \"a\"\n test \"goss\" { timeout = \"soon\" }\n}", "Invalid timeout"},
        Wrong{"stage \"a\" {\n template = \"a\"\n test \"goss\" { machine = 1 }\n}", "Invalid machine"},
        Wrong{"pipeline {}\npipeline {}\nstage \"a\" { template = \"a\" }", "Duplicate pipeline block"},
        Wrong{"output \"x\" { value = stage.b.artifact.id }\nstage \"a\" { template = \"a\" }",
              "Unknown stage \"b\""}));

TEST(Pipeline, ManyStagesAreSortedWithoutRecursionAndWithoutASquareOfEdges) {
  std::string text =
      "locals { all = flatten([for a in range(5) : [for b in range(1000) : \"s${a}-${b}\"]]) }\n"
      "stage \"many\" {\n for_each = local.all\n template = \"m\"\n}\n"
      "stage \"more\" {\n for_each = local.all\n template = \"m\"\n variables = { all = length(stage.many) }\n}\n";
  Read read(text);
  ASSERT_EQ(read.mistakes(), "");
  EXPECT_EQ(read.pipeline->order().size(), 10'000u);
}

}  // namespace
}  // namespace kiln
