#include "core/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "core/scripted.h"
#include "lang/packer_json.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

struct Planned {
  std::shared_ptr<Script> script = std::make_shared<Script>();
  PlanInput input;
  Diagnostics diagnostics;
  Plan plan;

  void from(const std::string& json) {
    Template parsed =
        parse_packer_json(std::make_shared<const SourceFile>(SourceFile{"t.json", json}), diagnostics);
    ASSERT_FALSE(diagnostics.has_errors()) << render_diagnostics(diagnostics);
    plan = make_plan(parsed, input, scripted_components(script), diagnostics);
  }
  std::vector<std::string> details() const {
    std::vector<std::string> out;
    for (const auto& item : diagnostics.items()) out.push_back(item.detail.empty() ? item.summary : item.detail);
    return out;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& stage : plan.stages) out.push_back(stage.info.display_name);
    return out;
  }
};

TEST(MakePlan, NamesBuilds) {
  Planned planned;
  planned.from(R"({"variables":{"v":"x"},"builders":[{"type":"scripted"},{"type":"scripted","name":"a-{{user `v`}}"}]})");
  EXPECT_THAT(planned.names(), ElementsAre("scripted", "scripted.a-x"));
  EXPECT_EQ(planned.plan.stages[1].info.name, "a-x");
  EXPECT_EQ(planned.plan.stages[1].info.builder_type, "scripted");
  EXPECT_EQ(planned.plan.stages[1].info.scope.build_name, "a-x");
}

TEST(MakePlan, OnlyAndExceptMatchTheInterpolatedNameExactly) {
  std::string json =
      R"({"variables":{"v":"x"},"builders":[{"type":"scripted","name":"a-{{user `v`}}"},{"type":"scripted","name":"b"}]})";
  Planned only;
  only.input.only = {"a-x", "nobody"};
  only.from(json);
  EXPECT_THAT(only.names(), ElementsAre("scripted.a-x"));
  Planned except;
  except.input.except = {"a-x"};
  except.from(json);
  EXPECT_THAT(except.names(), ElementsAre("scripted.b"));
  Planned glob;
  glob.input.only = {"a-*"};
  glob.from(json);
  EXPECT_THAT(glob.names(), IsEmpty());
}

TEST(MakePlan, TellsEverythingWrongWithTheTemplateAtOnce) {
  Planned planned;
  planned.from(R"({
    "builders": [{"type": "scripted", "name": "web"}],
    "provisioners": [
      {"type": "scripted"},
      {"type": "scripted", "only": ["wep"]},
      {"type": "scripted", "only": ["web"], "except": ["web"]},
      {"type": "scripted", "override": {"q": {}}}
    ],
    "post-processors": ["scripted", ["scripted", {"type": "scripted", "except": ["nn"]}]]})");
  EXPECT_THAT(planned.details(), ElementsAre("provisioner 2: 'only' specified builder 'wep' not found",
                                             "provisioner 3: only one of 'only' or 'except' may be specified",
                                             "provisioner 4: override 'q' doesn't exist",
                                             "post-processor 2.2: 'except' specified builder 'nn' not found"));
  for (const auto& item : planned.diagnostics.items()) {
    EXPECT_TRUE(item.range.known()) << item.detail;
    EXPECT_EQ(item.summary, "");
  }
  EXPECT_EQ(planned.diagnostics.items()[0].hint, "Did you mean \"web\"?");
  EXPECT_THAT(planned.names(), IsEmpty());
}

TEST(MakePlan, FiltersGoByTheRawName) {
  Planned planned;
  planned.from(R"({"variables":{"v":"x"},"builders":[{"type":"scripted","name":"a-{{user `v`}}"},{"type":"scripted","name":"b"}],
    "provisioners":[{"type":"scripted","only":["a-{{user `v`}}"]}],
    "post-processors":[{"type":"scripted","except":["b"]}]})");
  ASSERT_EQ(planned.plan.stages.size(), 2u);
  EXPECT_EQ(planned.plan.stages[0].provisioners.size(), 1u);
  EXPECT_EQ(planned.plan.stages[1].provisioners.size(), 0u);
  EXPECT_EQ(planned.plan.stages[0].post_processors.size(), 1u);
  EXPECT_EQ(planned.plan.stages[1].post_processors.size(), 0u);
}

TEST(MakePlan, OverridesReplaceMemberByMember) {
  Planned planned;
  std::vector<std::string> seen;
  planned.script->prepare = [&](const std::string& argument, const PrepareInput& input) {
    const Value* other = input.config.find("other");
    if (other != nullptr) seen.push_back(input.build.name + " " + argument + " " + other->as_string());
  };
  planned.from(R"({"builders":[{"type":"scripted","name":"a"},{"type":"scripted","name":"b"}],
    "provisioners":[{"type":"scripted","do":"base","other":"o","override":{"b":{"do":"own"}}}]})");
  EXPECT_THAT(seen, ElementsAre("a base o", "b own o"));
}

TEST(MakePlan, NoBuilder) {
  Planned planned;
  planned.from(R"({"variables":{}})");
  EXPECT_THAT(planned.details(), ElementsAre("at least one builder must be defined"));
}

TEST(MakePlan, MinimumVersion) {
  auto complaint = [](const std::string& version) {
    Planned planned;
    planned.from(R"({"min_packer_version":")" + version + R"(","builders":[{"type":"scripted"}]})");
    return join(planned.details(), "|");
  };
  EXPECT_EQ(complaint("1.16.0"), "");
  EXPECT_EQ(complaint("1.2"), "");
  EXPECT_EQ(complaint("1.16.0-dev"), "");
  EXPECT_EQ(complaint("2.0.0"), "This template requires Packer version 2.0.0 or higher; using 1.16.0");
  EXPECT_EQ(complaint("1.16.1-beta1"), "This template requires Packer version 1.16.1-beta1 or higher; using 1.16.0");
  EXPECT_EQ(complaint("zz"), "min_version is invalid: malformed version: zz");
}

TEST(MakePlan, RequiredVariablesStopEverything) {
  Planned planned;
  planned.from(R"({"variables":{"a":null,"b":null},"builders":[{"type":"scripted"}]})");
  EXPECT_THAT(planned.details(),
              ElementsAre(HasSubstr("required variable not set: a"), HasSubstr("required variable not set: b")));
  EXPECT_THAT(planned.names(), IsEmpty());
}

TEST(MakePlan, SensitiveValuesAreSecrets) {
  Planned planned;
  planned.input.variables = {{"a", "one"}, {"extra", "two"}};
  planned.from(R"({"variables":{"a":"","b":"plain"},"sensitive-variables":["a","extra"],"builders":[{"type":"scripted"}]})");
  EXPECT_THAT(planned.plan.secrets, UnorderedElementsAre("one", "two"));
  EXPECT_EQ(planned.plan.variables.at("b"), "plain");
}

TEST(MakePlan, UnknownTypesTellTheNearestAndTheirPlace) {
  Planned planned;
  planned.from(R"({"builders":[{"type":"scriptet"},{"type":"scripted"},{"type":"zorp"}],
    "provisioners":[{"type":"quux"}]})");
  auto items = planned.diagnostics.items();
  ASSERT_EQ(items.size(), 3u) << "the provisioner is told once, not once a build";
  EXPECT_EQ(items[0].summary, "Failed to initialize build \"scriptet\"");
  EXPECT_EQ(items[0].detail, "Did you mean to use \"scripted\"?");
  EXPECT_EQ(line_column(items[0].range).line, 1u);
  bool zorp = false;
  for (const auto& item : items) {
    EXPECT_TRUE(item.range.known()) << item.detail;
    zorp |= contains(item.detail,
                     "The builder zorp is unknown by Packer, and is likely part of a plugin that is not installed.");
  }
  EXPECT_TRUE(zorp);
  EXPECT_THAT(planned.names(), IsEmpty());
}

TEST(MakePlan, HealthyBuildsStayBesideBrokenOnes) {
  Planned planned;
  planned.script->prepare = [](const std::string& argument, const PrepareInput& input) {
    if (argument == "bad") input.diagnostics.error("it is bad");
    if (argument == "odd") input.diagnostics.warning("it is odd");
  };
  planned.from(R"({"builders":[{"type":"scripted","do":"bad"},{"type":"scripted","name":"b","do":"odd"}]})");
  EXPECT_THAT(planned.names(), ElementsAre("scripted.b"));
  auto items = planned.diagnostics.items();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].summary, "Failed to prepare build: \"scripted\"");
  EXPECT_EQ(items[0].detail, "it is bad");
  EXPECT_TRUE(items[0].range.known()) << "the block's place where the component knew none";
  EXPECT_EQ(items[1].summary, "Warning when preparing build: \"b\"");
  EXPECT_EQ(items[1].severity, Severity::warning);
}

TEST(MakePlan, RetriesMayBeTemplates) {
  Planned planned;
  planned.from(R"({"variables":{"n":"3"},"builders":[{"type":"scripted"}],
    "provisioners":[{"type":"scripted","max_retries":"{{user `n`}}"},{"type":"scripted","max_retries":2}]})");
  ASSERT_EQ(planned.plan.stages.size(), 1u);
  EXPECT_EQ(planned.plan.stages[0].provisioners[0].max_retries, 3);
  EXPECT_EQ(planned.plan.stages[0].provisioners[1].max_retries, 2);
  Planned wrong;
  wrong.from(R"({"builders":[{"type":"scripted"}],"provisioners":[{"type":"scripted","max_retries":"zz"}]})");
  EXPECT_THAT(wrong.details(),
              ElementsAre("`max_retries` must be a valid integer: strconv.Atoi: parsing \"zz\": invalid syntax"));
}

TEST(MakePlan, BuildDataIsAPlaceholderUntilItIsKnown) {
  Planned planned;
  std::vector<std::string> seen;
  planned.script->data_names = {"Disk"};
  planned.script->prepare = [&](const std::string& argument, const PrepareInput&) { seen.push_back(argument); };
  planned.from(R"({"builders":[{"type":"scripted"}],
    "provisioners":[{"type":"scripted","do":"{{build `Host`}} {{build `Disk`}}"}]})");
  EXPECT_THAT(seen, ElementsAre("", "{{.Host}} {{.Disk}}"));
  Planned unknown;
  unknown.from(R"({"builders":[{"type":"scripted"}],"provisioners":[{"type":"scripted","do":"{{build `Nothing`}}"}]})");
  EXPECT_TRUE(unknown.diagnostics.has_errors());
}

TEST(MakePlan, ABrokenNameLeavesItsBuildOut) {
  Planned planned;
  planned.from(R"({"builders":[{"type":"scripted","name":"a{{user"},{"type":"scripted","name":"b"}]})");
  EXPECT_THAT(planned.details(), ElementsAre(HasSubstr("Error interpolating builder 'a{{user': template: root:1:")));
  EXPECT_THAT(planned.names(), ElementsAre("scripted.b"));
}

}  // namespace
}  // namespace kiln
