#include "cli/pipeline_seal.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "cli/component_table.h"
#include "core/build_inputs.h"
#include "core/image_store.h"
#include "core/plan.h"
#include "core/plan_outline.h"

namespace kiln {
namespace {

SourceDeclaration source(const std::string& type, const std::string& name, Value::Object config = {}) {
  SourceDeclaration out;
  out.type = type;
  out.name = out.display_name = out.filter_name = out.override_name = name;
  out.body = constant_body(Value(std::move(config)));
  return out;
}

ProvisionerDeclaration provisioner(const std::string& type, Value::Object config = {}) {
  ProvisionerDeclaration out;
  out.type = type;
  out.body = constant_body(Value(std::move(config)));
  return out;
}

Template with(std::vector<SourceDeclaration> sources, std::vector<ProvisionerDeclaration> provisioners) {
  Template out;
  BuildDeclaration build;
  build.sources = std::move(sources);
  build.provisioners = std::move(provisioners);
  out.builds.push_back(std::move(build));
  return out;
}

/// "shell seal": what would run, by the plan, for each source.
std::vector<std::string> planned(const Template& parsed, std::vector<Value>* inputs = nullptr) {
  Diagnostics diagnostics;
  Plan plan = make_plan(parsed, {}, component_table(), diagnostics);
  for (const auto& item : diagnostics.items()) EXPECT_NE(item.severity, Severity::error) << item.summary;
  std::vector<std::string> out;
  for (const auto& stage : plan.stages) {
    std::string line = stage.info.name + ":";
    for (const auto& one : stage.provisioners) line += " " + one.declaration.type;
    out.push_back(line);
  }
  if (inputs) {
    TempDir directory("kiln-seal");
    auto digests = open_file_digests(directory.path());
    for (const auto& stage : outline_plan(plan, component_table(), {}))
      inputs->push_back(build_inputs(stage, {}, *digests));
  }
  return out;
}

Value::Object image() { return {{"suite", "bookworm"}, {"output_directory", "/nowhere/out"}}; }

TEST(PipelineSeal, StagesSayWhetherOrTheBuildsPlaceDoes) {
  StageSettings settings;
  EXPECT_TRUE(wants_seal(settings, true));
  EXPECT_FALSE(wants_seal(settings, false));
  settings.seal = false;
  EXPECT_FALSE(wants_seal(settings, true));
  settings.seal = true;
  EXPECT_TRUE(wants_seal(settings, false));
}

TEST(PipelineSeal, ComesLastWhereThereIsALinuxMachine) {
  Template parsed =
      with({source("rootfs", "vm", image()), source("file", "text", {{"content", "x"}, {"target", "/nowhere/t"}}),
            source("null", "there", {{"communicator", "none"}}),
            source("qemu", "windows",
                   {{"communicator", "winrm"},
                    {"winrm_username", "me"},
                    {"iso_url", "x"},
                    {"iso_checksum", "none"},
                    {"output_directory", "/nowhere/w"}})},
           {provisioner("shell-local", {{"inline", Value(Value::List{Value("true")})}})});
  seal_builds(parsed);
  EXPECT_EQ(planned(parsed), (std::vector<std::string>{"vm: shell-local seal", "text: shell-local",
                                                       "there: shell-local", "windows: shell-local"}));
}

TEST(PipelineSeal, WhoSealsAlreadyIsNotSealedTwice) {
  Template parsed =
      with({source("rootfs", "vm", image())}, {provisioner("seal", {{"logs", false}}), provisioner("sleep")});
  seal_builds(parsed);
  EXPECT_EQ(planned(parsed), (std::vector<std::string>{"vm: seal sleep"}));
}

TEST(PipelineSeal, IsPartOfWhatTheImageIsMadeFrom) {
  Template plain = with({source("rootfs", "vm", image())}, {});
  Template sealed = plain;
  seal_builds(sealed);
  std::vector<Value> inputs;
  planned(plain, &inputs);
  planned(sealed, &inputs);
  ASSERT_EQ(inputs.size(), 2U);
  EXPECT_NE(document_key(inputs[0]), document_key(inputs[1]));
}

TEST(PipelineSeal, TextBuildsStayAsTheyAre) {
  Template parsed = with({source("file", "text", {{"content", "x"}, {"target", "/nowhere/t"}})}, {});
  seal_builds(parsed);
  EXPECT_TRUE(parsed.builds[0].provisioners.empty());
}

}  // namespace
}  // namespace kiln
