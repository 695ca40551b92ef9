#include "core/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>

#include "base/file.h"
#include "core/evidence.h"
#include "core/scripted.h"

namespace kiln {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// A builder of two steps, each with something to undo, and a provisioner that obeys its argument.
void install_machine(ScriptedRun& run) {
  run.script->start = [&run](StageContext& context) {
    for (const char* name : {"StepMake", "StepConnect"}) {
      context.step(name, [&] {
        run.story.add(name);
        context.undo.add(name, [&run, name](Outcome outcome) {
          const char* how = outcome == Outcome::succeeded ? " well"
                            : outcome == Outcome::failed  ? " failed"
                                                          : " cancelled";
          run.story.add(std::string("undo ") + name + how);
        });
      });
    }
  };
  run.script->provision = [&run](const std::string& argument, StageContext& context) {
    run.story.add("provision " + argument);
    if (argument == "fail" || argument == "fail too") throw Error(ErrorKind::remote, argument + "ed");
    if (argument == "stop") {
      run.stop.request("interrupt");
      sleep_for(std::chrono::hours(1), context.stop);
    }
  };
  run.script->finish = [&run](StageContext& context) {
    run.story.add("finish");
    Artifact artifact;
    artifact.id = context.build.name;
    return artifact;
  };
}

TEST(Engine, RunsTheStepsAndTakesBackTheNewestFirst) {
  ScriptedRun run;
  install_machine(run);
  run.parsed.build().provisioners = {scripted_provisioner("a"), scripted_provisioner("b")};
  StageResult result = run.run_one();
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.stage, "scripted.vm");
  EXPECT_FALSE(result.cancelled);
  EXPECT_GT(result.duration.count(), 0);
  ASSERT_EQ(result.artifacts.size(), 1u);
  EXPECT_THAT(run.story.lines(), ElementsAre("StepMake", "StepConnect", "provision a", "provision b", "finish",
                                             "undo StepConnect well", "undo StepMake well"));
  auto events = run.sink.events();
  EXPECT_EQ(events.front().kind, EventKind::stage_started);
  EXPECT_EQ(events.back().kind, EventKind::stage_finished);
  EXPECT_EQ(events.back().text, "");
  for (const auto& event : events) EXPECT_EQ(event.stage, "scripted.vm");
}

TEST(Engine, AnArtifactMayBeMissing) {
  ScriptedRun run;
  run.script->finish = [](StageContext&) { return std::nullopt; };
  run.script->post_process = [&](const std::string&, const Artifact& input, StageContext&) {
    run.story.add("post-processor");
    return PostProcessed{input, true, true};
  };
  run.parsed.build().post_processors = {{scripted_post_processor("")}};
  StageResult result = run.run_one();
  EXPECT_EQ(result.error, "");
  EXPECT_THAT(result.artifacts, IsEmpty());
  EXPECT_THAT(run.story.lines(), IsEmpty());
}

/// What an earlier build of the same inputs made where such artifacts live.
TEST(Engine, AnArtifactThatIsThereIsHandedOut) {
  ScriptedRun run;
  install_machine(run);
  run.parsed.build().sources.push_back(scripted_source("vm"));
  run.script->find_made = [&](const std::string& key) {
    run.story.add("find " + key);
    Artifact made;
    made.id = "made";
    return key == "k1" ? std::optional(made) : std::nullopt;
  };
  run.script->hand_on = [&](const Artifact& artifact, StageContext&) {
    run.story.add("hand on " + artifact.id);
    Artifact out = artifact;
    out.id += " and copied";
    return out;
  };
  auto result_of = [&](const std::string& key, bool take, bool later) {
    Plan plan = run.plan();
    plan.stages[0].info.inputs_key = key;
    plan.stages[0].info.hand_on_later = later;
    plan.stages[0].take_made = take;
    return run_plan(plan, run.options, run.sink, *run.journal, run.log, run.stop)[0].artifacts.at(0).id;
  };
  EXPECT_EQ(result_of("k1", true, false), "made and copied");
  EXPECT_THAT(run.story.lines(), ElementsAre("find k1", "hand on made"));
  EXPECT_EQ(result_of("k1", true, true), "made");
  EXPECT_EQ(result_of("k1", false, false), "vm") << "built anew";
  EXPECT_EQ(result_of("k2", true, false), "vm") << "not there";
  EXPECT_EQ(result_of("", true, false), "vm") << "a build without a key asks nobody";
  EXPECT_EQ(run.story.count("find k1") + run.story.count("find k2") + run.story.count("find "), 3u);
}

const char* const cleanup_line = "Provisioning step had errors: Running the cleanup provisioner, if present...";

TEST(OnError, CleanupRunsTheCleanupProvisionerAndAllUndo) {
  ScriptedRun run;
  install_machine(run);
  run.parsed.build().provisioners = {scripted_provisioner("fail"), scripted_provisioner("never")};
  run.parsed.build().error_cleanup_provisioner = scripted_provisioner("tidy");
  StageResult result = run.run_one();
  EXPECT_EQ(result.error, "failed");
  EXPECT_THAT(run.story.lines(), ElementsAre("StepMake", "StepConnect", "provision fail", "provision tidy",
                                             "undo StepConnect failed", "undo StepMake failed"));
  EXPECT_THAT(run.sink.texts(), ElementsAre(cleanup_line));
}

TEST(OnError, AFailedCleanupProvisionerTellsBothErrors) {
  ScriptedRun run;
  install_machine(run);
  run.parsed.build().provisioners = {scripted_provisioner("fail")};
  run.parsed.build().error_cleanup_provisioner = scripted_provisioner("fail too");
  EXPECT_EQ(run.run_one().error, "Cleanup failed: fail tooed. Original Provisioning error: failed");
}

TEST(OnError, AbortLeavesEverything) {
  ScriptedRun run;
  install_machine(run);
  run.input.on_error = OnError::abort;
  run.parsed.build().provisioners = {scripted_provisioner("fail")};
  run.parsed.build().error_cleanup_provisioner = scripted_provisioner("tidy");
  EXPECT_EQ(run.run_one().error, "failed");
  EXPECT_THAT(run.story.lines(), ElementsAre("StepMake", "StepConnect", "provision fail"));
  EXPECT_THAT(run.sink.texts(), ElementsAre("failed", "Step \"StepProvision\" failed, aborting...",
                                            "aborted: skipping cleanup of step \"StepConnect\"",
                                            "aborted: skipping cleanup of step \"StepMake\""));
}

TEST(OnError, RunCleanupProvisionerRunsThatAlone) {
  ScriptedRun run;
  install_machine(run);
  run.input.on_error = OnError::run_cleanup_provisioner;
  run.parsed.build().provisioners = {scripted_provisioner("fail")};
  run.parsed.build().error_cleanup_provisioner = scripted_provisioner("tidy");
  EXPECT_EQ(run.run_one().error, "failed");
  EXPECT_THAT(run.story.lines(), ElementsAre("StepMake", "StepConnect", "provision fail", "provision tidy"));
  EXPECT_THAT(run.sink.texts(), ElementsAre(cleanup_line, "failed", "Step \"StepConnect\" failed, aborting...",
                                            "aborted: skipping cleanup of step \"StepMake\""));
}

TEST(OnError, AskRetriesTheStepAsOftenAsTold) {
  ScriptedRun run;
  install_machine(run);
  run.input.on_error = OnError::ask;
  run.sink.answers = {"r", "x", "c"};
  run.parsed.build().provisioners = {scripted_provisioner("a"), scripted_provisioner("fail")};
  EXPECT_EQ(run.run_one().error, "failed");
  EXPECT_THAT(run.story.lines(), ElementsAre("StepMake", "StepConnect", "provision a", "provision fail", "provision a",
                                             "provision fail", "undo StepConnect failed", "undo StepMake failed"));
  EXPECT_THAT(run.sink.texts(), ElementsAre("failed", "Step \"StepProvision\" failed", "failed",
                                            "Step \"StepProvision\" failed", "Incorrect input: \"x\"", cleanup_line));
  EXPECT_THAT(run.sink.questions(),
              Contains("[c] Clean up and exit, [a] abort without cleanup, or [r] retry step (build "
                       "may fail even if retry succeeds)? ")
                  .Times(3));
}

TEST(OnError, AskMayAbort) {
  ScriptedRun run;
  install_machine(run);
  run.input.on_error = OnError::ask;
  run.sink.answers = {"a"};
  run.parsed.build().provisioners = {scripted_provisioner("fail")};
  run.run_one();
  EXPECT_THAT(run.story.lines(), ElementsAre("StepMake", "StepConnect", "provision fail"));
}

TEST(OnError, AskWithoutATerminalCleansUp) {
  ScriptedRun run;
  install_machine(run);
  run.input.on_error = OnError::ask;
  run.parsed.build().provisioners = {scripted_provisioner("fail")};
  run.run_one();
  EXPECT_EQ(run.story.count("undo StepMake failed"), 1u);
}

TEST(OnError, ARetryThatWorksEndsWell) {
  ScriptedRun run;
  install_machine(run);
  auto tries = std::make_shared<int>(0);
  run.script->provision = [tries](const std::string&, StageContext&) {
    if (++*tries == 1) throw Error(ErrorKind::remote, "once");
  };
  run.input.on_error = OnError::ask;
  run.sink.answers = {"R"};
  run.parsed.build().provisioners = {scripted_provisioner("")};
  StageResult result = run.run_one();
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.artifacts.size(), 1u);
}

TEST(OnError, AFailureWhileTheMachineComesUpNeedsNoCleanupProvisioner) {
  ScriptedRun run;
  install_machine(run);
  auto whole = run.script->start;
  run.script->start = [&run, whole](StageContext& context) {
    whole(context);
    context.step("StepBoot", [&] {
      context.undo.add("half", [&](Outcome) { run.story.add("undo half"); });
      throw Error(ErrorKind::environment, "no room");
    });
  };
  run.parsed.build().error_cleanup_provisioner = scripted_provisioner("tidy");
  EXPECT_EQ(run.run_one().error, "no room");
  EXPECT_THAT(run.story.lines(),
              ElementsAre("StepMake", "StepConnect", "undo half", "undo StepConnect failed", "undo StepMake failed"));
  EXPECT_THAT(run.sink.texts(), IsEmpty());
}

TEST(OnError, AFailureOutsideOfAllStepsIsHandledToo) {
  ScriptedRun run;
  run.script->finish = [](StageContext&) -> std::optional<Artifact> {
    throw Error(ErrorKind::environment, "disk full");
  };
  run.input.on_error = OnError::abort;
  EXPECT_EQ(run.run_one().error, "disk full");
  EXPECT_THAT(run.sink.texts(), Contains("Step \"StepFinish\" failed, aborting..."));
}

TEST(OnError, AnUndoThatFailsIsToldBesideTheFirstError) {
  ScriptedRun run;
  run.script->start = [&](StageContext& context) {
    context.undo.add("older", [&](Outcome) { run.story.add("older undone"); });
    context.undo.add("the disk", [](Outcome) { throw Error(ErrorKind::environment, "busy"); });
  };
  run.script->provision = [](const std::string&, StageContext&) { throw Error(ErrorKind::remote, "first"); };
  run.parsed.build().provisioners = {scripted_provisioner("")};
  EXPECT_EQ(run.run_one().error, "first");
  EXPECT_THAT(run.sink.texts(), Contains("Error cleaning up: the disk: busy"));
  EXPECT_THAT(run.story.lines(), ElementsAre("older undone"));
}

TEST(Cancel, EndsWaitsAndCleansUp) {
  ScriptedRun run;
  install_machine(run);
  run.parsed.build().provisioners = {scripted_provisioner("stop"), scripted_provisioner("never")};
  run.parsed.build().error_cleanup_provisioner = scripted_provisioner("tidy");
  StageResult result = run.run_one();
  EXPECT_TRUE(result.cancelled);
  EXPECT_EQ(result.error, "context canceled");
  EXPECT_THAT(run.story.lines(), ElementsAre("StepMake", "StepConnect", "provision stop", "undo StepConnect cancelled",
                                             "undo StepMake cancelled"));
}

TEST(Cancel, WithAbortLeavesEverything) {
  ScriptedRun run;
  install_machine(run);
  run.input.on_error = OnError::abort;
  run.parsed.build().provisioners = {scripted_provisioner("stop")};
  EXPECT_TRUE(run.run_one().cancelled);
  EXPECT_THAT(run.sink.texts(),
              ElementsAre("Interrupted, aborting...", "aborted: skipping cleanup of step \"StepConnect\"",
                          "aborted: skipping cleanup of step \"StepMake\""));
}

TEST(Cancel, BuildsThatWaitForASlotNeverStart) {
  ScriptedRun run;
  install_machine(run);
  run.options.parallel_builds = 1;
  run.parsed.build().provisioners = {scripted_provisioner("stop")};
  for (auto name : {"a", "b", "c"}) run.parsed.build().sources.push_back(scripted_source(name));
  auto results = run.run();
  ASSERT_EQ(results.size(), 3u);
  for (const auto& result : results) EXPECT_TRUE(result.cancelled);
  EXPECT_EQ(results[2].stage, "scripted.c");
  EXPECT_EQ(run.story.count("StepMake"), 1u);
}

TEST(Scheduler, RunsAllAtOnceWhenNothingLimitsThem) {
  constexpr int builds = 8;
  ScriptedRun run;
  std::barrier meeting(builds);  // nobody gets past it unless all are running
  run.script->start = [&](StageContext&) { meeting.arrive_and_wait(); };
  for (int i = 0; i < builds; ++i) run.parsed.build().sources.push_back(scripted_source("vm" + std::to_string(i)));
  auto results = run.run();
  ASSERT_EQ(results.size(), static_cast<size_t>(builds));
  for (int i = 0; i < builds; ++i) EXPECT_EQ(results[static_cast<size_t>(i)].stage, "scripted.vm" + std::to_string(i));
}

TEST(Scheduler, KeepsToTheLimit) {
  ScriptedRun run;
  run.options.parallel_builds = 2;
  std::atomic<int> now = 0;
  std::atomic<bool> too_many = false;
  run.script->start = [&](StageContext&) {
    if (++now > 2) too_many = true;
  };
  run.script->finish = [&](StageContext&) {
    --now;
    return std::nullopt;
  };
  for (int i = 0; i < 20; ++i) run.parsed.build().sources.push_back(scripted_source("vm" + std::to_string(i)));
  EXPECT_EQ(run.run().size(), 20u);
  EXPECT_FALSE(too_many);
}

TEST(Debug, PausesAfterStepsBeforeProvisionersAndBeforeCleanup) {
  ScriptedRun run;
  install_machine(run);
  run.input.debug = true;
  run.sink.answers = std::vector<std::string>(20, "");
  run.parsed.build().provisioners = {scripted_provisioner("a")};
  EXPECT_EQ(run.run_one().error, "");
  EXPECT_THAT(run.sink.questions(),
              ElementsAre("Pausing after run of step 'StepMake'. Press enter to continue. ",
                          "Pausing after run of step 'StepConnect'. Press enter to continue. ",
                          "Pausing before the next provisioner . Press enter to continue. ",
                          "Pausing after run of step 'StepProvision'. Press enter to continue. ",
                          "Pausing before cleanup of step 'StepProvision'. Press enter to continue. ",
                          "Pausing before cleanup of step 'StepConnect'. Press enter to continue. ",
                          "Pausing before cleanup of step 'StepMake'. Press enter to continue. "));
}

TEST(Debug, GoesOnWhereNobodyCanAnswer) {
  ScriptedRun run;
  install_machine(run);
  run.input.debug = true;
  EXPECT_EQ(run.run_one().error, "");
}

TEST(Evidence, OfAFailureIsKeptAndTakenBeforeCleanUp) {
  TempDir root;
  ScriptedRun run;
  install_machine(run);
  run.options.evidence_root = root.path();
  run.options.reproduce_command = [](const Stage& stage) { return "kiln build -only=" + stage.info.name + " hunter2"; };
  run.input.run_id = "run-1";
  run.parsed.variables.push_back({"password", Value("hunter2"), true, {}});
  run.script->evidence = [&](const std::filesystem::path& directory) {
    run.story.add("evidence");
    write_file_atomically(directory / "serial.log", "booting");
  };
  auto provision = run.script->provision;
  run.script->provision = [provision](const std::string& argument, StageContext& context) {
    context.ui.say("the password is hunter2");
    provision(argument, context);
  };
  run.parsed.build().provisioners = {scripted_provisioner("fail")};
  StageResult result = run.run_one();
  EXPECT_THAT(run.story.lines(), ElementsAre("StepMake", "StepConnect", "provision fail", "evidence",
                                             "undo StepConnect failed", "undo StepMake failed"));
  EXPECT_EQ(result.evidence, root.path() / "run-1" / "scripted.vm");
  EXPECT_EQ(read_file(result.evidence / "serial.log"), "booting");
  EXPECT_EQ(read_file(result.evidence / "reproduce.txt"), "kiln build -only=vm <sensitive>\n");
  std::string log = read_file(result.evidence / "log.txt");
  EXPECT_THAT(log, HasSubstr("the password is <sensitive>"));
  EXPECT_THAT(log, HasSubstr("build failed: failed"));
  EXPECT_THAT(log, Not(HasSubstr("hunter2")));
  EXPECT_FALSE(std::filesystem::exists(root.path() / "run-1.part"));
  EXPECT_THAT(run.journal->all(), IsEmpty());
}

TEST(Evidence, OfASuccessIsRemoved) {
  TempDir root;
  ScriptedRun run;
  std::filesystem::path seen;
  run.options.evidence_root = root.path();
  run.script->start = [&](StageContext& context) {
    seen = context.evidence_directory;
    EXPECT_TRUE(std::filesystem::is_directory(seen));
    EXPECT_EQ(run.journal->all().size(), 1u) << "journaled before it is made";
  };
  StageResult result = run.run_one();
  EXPECT_EQ(result.error, "");
  EXPECT_TRUE(result.evidence.empty());
  EXPECT_FALSE(std::filesystem::exists(seen));
  EXPECT_TRUE(std::filesystem::is_empty(root.path()));
}

TEST(Evidence, BuildsOfTheSameFileNameDoNotMeet) {
  TempDir root;
  ScriptedRun run;
  run.options.evidence_root = root.path();
  run.script->start = [](StageContext&) { throw Error(ErrorKind::user, "no"); };
  run.parsed.build().sources = {scripted_source("a/b"), scripted_source("a b")};
  auto results = run.run();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_NE(results[0].evidence, results[1].evidence);
  EXPECT_TRUE(std::filesystem::exists(results[0].evidence / "log.txt"));
  EXPECT_TRUE(std::filesystem::exists(results[1].evidence / "log.txt"));
}

TEST(Evidence, PlansOfOneRunShareAPlaceAndLeaveEachOthersAlone) {
  TempDir root;
  ScriptedRun inner, outer;
  EvidenceRoom room(root.path(), "run-1", *outer.journal);
  StageResult failed;
  inner.options.evidence = outer.options.evidence = &room;
  inner.options.evidence_name = outer.options.evidence_name = "custom[one]";
  inner.script->start = [](StageContext&) { throw Error(ErrorKind::user, "no"); };
  outer.script->start = [&](StageContext& context) {
    failed = inner.run_one();
    EXPECT_TRUE(std::filesystem::exists(context.evidence_directory)) << "another plan has ended meanwhile";
    throw Error(ErrorKind::user, "no");
  };
  StageResult result = outer.run_one();
  EXPECT_EQ(failed.evidence.filename(), "custom_one_-2");
  EXPECT_EQ(result.evidence, root.path() / "run-1" / "custom_one_");
  EXPECT_TRUE(std::filesystem::exists(failed.evidence / "log.txt"));
  EXPECT_TRUE(std::filesystem::exists(result.evidence / "log.txt"));
}

}  // namespace
}  // namespace kiln
