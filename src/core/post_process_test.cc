#include "core/post_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/scripted.h"

namespace kiln {
namespace {

using testing::ElementsAre;

/// What one post-processor does with its input.
struct Keep {
  bool keep_default;
  bool force;
  std::optional<bool> user;
  bool kept;  ///< expected
};

Artifact named_artifact(Story& story, const std::string& id) {
  Artifact artifact;
  artifact.id = id;
  artifact.destroy = [&story, id] { story.add("destroyed " + id); };
  return artifact;
}

std::vector<std::string> ids(const StageResult& result) {
  std::vector<std::string> out;
  for (const auto& artifact : result.artifacts) out.push_back(artifact.id);
  return out;
}

/// Arguments: "NAME:FLAGS", flags k (keeps by default), f (forced), e (fails), n (no artifact).
void install_post_processing(ScriptedRun& run) {
  run.script->finish = [&run](StageContext&) { return named_artifact(run.story, "built"); };
  run.script->post_process = [&run](const std::string& argument, const Artifact& input, StageContext&) {
    std::string name = argument.substr(0, argument.find(':'));
    std::string flags = argument.substr(argument.find(':') + 1);
    auto has = [&](char flag) { return flags.find(flag) != std::string::npos; };
    run.story.add(name + " of " + input.id);
    if (has('e')) throw Error(ErrorKind::user, name + " is broken");
    PostProcessed result;
    if (!has('n')) result.artifact = named_artifact(run.story, name);
    result.keep_input = has('k');
    result.force_keep = has('f');
    return result;
  };
}

void add_sequence(ScriptedRun& run, const std::vector<std::string>& arguments) {
  PostProcessorChain chain;
  for (const auto& argument : arguments) chain.push_back(scripted_post_processor(argument));
  run.parsed.build().post_processors.push_back(chain);
}

class KeepTable : public testing::TestWithParam<Keep> {};

TEST_P(KeepTable, FirstOfASequenceDecidesOnTheBuiltArtifact) {
  const Keep& row = GetParam();
  ScriptedRun run;
  install_post_processing(run);
  add_sequence(run, {std::string("a:") + (row.keep_default ? "k" : "") + (row.force ? "f" : "")});
  run.parsed.build().post_processors[0][0].keep_input_artifact = row.user;
  StageResult result = run.run_one();
  EXPECT_EQ(result.error, "");
  if (row.kept) {
    EXPECT_THAT(ids(result), ElementsAre("built", "a"));
    EXPECT_EQ(run.story.count("destroyed built"), 0u);
  } else {
    EXPECT_THAT(ids(result), ElementsAre("a"));
    EXPECT_EQ(run.story.count("destroyed built"), 1u);
  }
}

TEST_P(KeepTable, LaterOnesDecideOnTheOneBefore) {
  const Keep& row = GetParam();
  ScriptedRun run;
  install_post_processing(run);
  add_sequence(run, {"a:k", std::string("b:") + (row.keep_default ? "k" : "") + (row.force ? "f" : "")});
  run.parsed.build().post_processors[0][1].keep_input_artifact = row.user;
  StageResult result = run.run_one();
  if (row.kept) {
    EXPECT_THAT(ids(result), ElementsAre("built", "a", "b"));
    EXPECT_EQ(run.story.count("destroyed a"), 0u);
  } else {
    EXPECT_THAT(ids(result), ElementsAre("built", "b"));
    EXPECT_EQ(run.story.count("destroyed a"), 1u);
  }
}

constexpr std::optional<bool> unset;
INSTANTIATE_TEST_SUITE_P(All, KeepTable,
                         testing::Values(Keep{false, false, unset, false}, Keep{false, false, false, false},
                                         Keep{false, false, true, true}, Keep{false, true, unset, false},
                                         Keep{false, true, false, false}, Keep{false, true, true, true},
                                         Keep{true, false, unset, true}, Keep{true, false, false, false},
                                         Keep{true, false, true, true}, Keep{true, true, unset, true},
                                         Keep{true, true, false, true}, Keep{true, true, true, true}));

TEST(PostProcess, NoneKeepsTheBuiltArtifact) {
  ScriptedRun run;
  install_post_processing(run);
  EXPECT_THAT(ids(run.run_one()), ElementsAre("built"));
}

TEST(PostProcess, AnySequenceMayKeepTheBuiltArtifact) {
  ScriptedRun run;
  install_post_processing(run);
  add_sequence(run, {"a:"});
  add_sequence(run, {"b:k"});
  EXPECT_THAT(ids(run.run_one()), ElementsAre("built", "a", "b"));
  EXPECT_THAT(run.story.lines(), ElementsAre("a of built", "b of built"));
}

TEST(PostProcess, AFailureEndsItsSequenceOnly) {
  ScriptedRun run;
  install_post_processing(run);
  add_sequence(run, {"a:e", "never:"});
  add_sequence(run, {"b:"});
  StageResult result = run.run_one();
  EXPECT_EQ(result.error, "1 error(s) occurred:\n\n* Post-processor failed: a is broken");
  EXPECT_TRUE(result.artifacts.empty());
  EXPECT_THAT(run.story.lines(), ElementsAre("a of built", "b of built", "destroyed built"));
}

TEST(PostProcess, AFailureDoesNotDestroyWhatAnotherSequenceKeeps) {
  ScriptedRun run;
  install_post_processing(run);
  add_sequence(run, {"a:e"});
  add_sequence(run, {"b:kf"});
  EXPECT_NE(run.run_one().error, "");
  EXPECT_EQ(run.story.count("destroyed built"), 0u);
}

TEST(PostProcess, NoArtifactEndsTheSequenceSilently) {
  ScriptedRun run;
  install_post_processing(run);
  add_sequence(run, {"a:k", "b:n", "never:"});
  StageResult result = run.run_one();
  EXPECT_EQ(result.error, "");
  EXPECT_THAT(run.story.lines(), ElementsAre("a of built", "b of a"));
  EXPECT_THAT(ids(result), ElementsAre("built"));
}

TEST(PostProcess, SaysWhatRuns) {
  ScriptedRun run;
  install_post_processing(run);
  add_sequence(run, {"a:k", "b:k"});
  run.parsed.build().post_processors[0][1].name = "second";
  run.run_one();
  EXPECT_THAT(run.sink.texts(),
              ElementsAre("Running post-processor: scripted", "Running post-processor: second (type scripted)"));
}

TEST(PostProcess, ExceptDropsTheRestOfTheSequence) {
  ScriptedRun run;
  install_post_processing(run);
  add_sequence(run, {"a:k", "b:k", "c:k"});
  run.parsed.build().post_processors[0][1].name = "second";
  run.input.except = {"second"};
  run.run_one();
  EXPECT_THAT(run.story.lines(), ElementsAre("a of built"));
}

TEST(PostProcess, CancellingDestroysWhatNobodyKept) {
  ScriptedRun run;
  install_post_processing(run);
  auto inner = run.script->post_process;
  run.script->post_process = [&](const std::string&, const Artifact&, StageContext& context) -> PostProcessed {
    run.stop.request();
    context.stop.check();
    return {};
  };
  add_sequence(run, {"a:k"});
  StageResult result = run.run_one();
  EXPECT_TRUE(result.cancelled);
  EXPECT_THAT(run.story.lines(), ElementsAre("destroyed built"));
}

TEST(PostProcess, GeneratedDataGoesAlong) {
  ScriptedRun run;
  run.script->build_data.set("Host", "h");
  run.script->post_process = [&](const std::string&, const Artifact& input, StageContext&) {
    run.story.add(to_json(*input.state.find("generated_data")->find("Host")));
    return PostProcessed{input, true, true};
  };
  add_sequence(run, {"a"});
  EXPECT_EQ(run.run_one().error, "");
  EXPECT_THAT(run.story.lines(), ElementsAre("\"h\""));
}

}  // namespace
}  // namespace kiln
