#include "core/stage_states.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "core/engine.h"
#include "core/scripted.h"
#include "core/state_plan.h"

namespace kiln {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Builds whose machine is in a cache of states after each step, and what is said of its states.
class States : public testing::Test {
 protected:
  States() {
    run.script->save = [this] { return std::make_unique<Pending>(*this, saved_++); };
    run.script->provision = [this](const std::string& argument, StageContext&) { run.story.add("runs " + argument); };
    run.script->restore = [this](const std::vector<MachineState>& line) {
      run.story.add(fmt::format("goes on from {}", line.back().number));
    };
  }

  class Pending : public PendingState {
   public:
    Pending(States& test, int number) : test_(test), number_(number) {}
    ~Pending() override {
      if (!kept_) test_.run.story.add(fmt::format("takes back {}", number_));
    }
    void write(MachineState& state, const Stop&) override {
      if (number_ == test_.failing) throw Error(ErrorKind::environment, "no space left on device");
      state.details = Value::empty_object();
    }
    void kept() override { kept_ = true; }

   private:
    States& test_;
    int number_;
    bool kept_ = false;
  };

  /// One build with these provisioners, whose states are called as they are.
  StageResult build(const std::vector<std::string>& steps, const std::vector<std::string>& chosen = {}) {
    run.parsed.build().provisioners.clear();
    for (const auto& step : steps) run.parsed.build().provisioners.push_back(scripted_provisioner(step));
    run.parsed.build().sources = {scripted_source("vm")};
    Plan plan = run.plan();
    auto states = std::make_shared<StatePlan>();
    states->cache = cache;
    std::string key = "boot";
    for (size_t i = 0; i <= steps.size(); ++i) {
      if (i > 0) key += "-" + steps[i - 1];
      PlannedState state;
      state.key = key;
      state.step = state.what = i == 0 ? "boot" : steps[i - 1];
      state.document = Value::empty_object();
      bool is_chosen = i > 0 && std::find(chosen.begin(), chosen.end(), steps[i - 1]) != chosen.end();
      if (run.script->keeps_chosen_states && !is_chosen) state.passed = "it is not chosen";
      states->states.push_back(state);
    }
    plan.stages[0].states = states;
    saved_ = 0;
    return run_plan(plan, run.options, run.sink, *run.journal, run.log, run.stop)[0];
  }

  ScriptedRun run;
  TempDir directory;
  std::shared_ptr<StateCache> cache = open_state_cache(directory.path());
  int failing = -1;  ///< the state whose writing fails

 private:
  int saved_ = 0;
};

TEST_F(States, EachIsTheChildOfTheOneBefore) {
  std::vector<std::string> steps{"a", "b", "c", "d", "e", "f"};  // more than wait to be written at a time
  EXPECT_EQ(build(steps).error, "");
  auto last = cache->find("boot-a-b-c-d-e-f").state;
  ASSERT_TRUE(last);
  EXPECT_EQ(cache->lineage(*last).size(), 7U);
  run.story.clear();
  steps[5] = "g";
  EXPECT_EQ(build(steps).error, "");
  EXPECT_THAT(run.story.lines(), ElementsAre("goes on from 5", "runs g"));
}

TEST_F(States, WhatCannotBeWrittenEndsTheKeepingAndIsSaid) {
  auto said = [&] {
    auto texts = run.sink.texts();
    return std::count_if(texts.begin(), texts.end(), [](const std::string& text) {
      return text.starts_with("No further states of this machine are kept: no space");
    });
  };
  int times = 0;
  for (int state : {0, 2, 3}) {  // the first, one in between, the last
    failing = state;
    run.story.clear();
    cache = open_state_cache(directory.path() / fmt::format("{}", state));
    EXPECT_EQ(build({"a", "b", "c"}).error, "");
    EXPECT_THAT(run.story.lines(), Contains(fmt::format("takes back {}", state)));
    EXPECT_EQ(said(), ++times);
    EXPECT_EQ(cache->list().size(), static_cast<size_t>(state)) << "those before it stay, those behind it are not kept";
  }
}

TEST_F(States, WhatAnotherBuildBeganAndDidNotMakeIsMadeHere) {
  auto other = cache->try_make("boot");
  ASSERT_TRUE(other);
  run.sink.on_event = [&](const Event& event) {
    if (event.text.starts_with("Another build is making")) other.reset();
  };
  EXPECT_EQ(build({"a"}).error, "");
  EXPECT_TRUE(cache->find("boot-a").state);
}

TEST_F(States, OnlyChosenOnesAreKept) {
  run.script->keeps_chosen_states = true;
  EXPECT_EQ(build({"a", "b", "c"}, {"b"}).error, "");
  EXPECT_EQ(cache->list().size(), 1U);
  run.story.clear();
  EXPECT_EQ(build({"a", "b", "d"}, {"b"}).error, "");
  EXPECT_THAT(run.story.lines(), ElementsAre("goes on from 2", "runs d"));
  EXPECT_THAT(run.sink.texts(), Contains(HasSubstr("Cached: a")));
  // What fails is kept by no builder whose states cost money.
  run.script->provision = [](const std::string&, StageContext&) { throw Error(ErrorKind::remote, "failed"); };
  EXPECT_EQ(build({"a", "b", "e"}, {"b"}).error, "failed");
  EXPECT_EQ(cache->list().size(), 1U);
}

TEST_F(States, AStateThatCannotBeUsedIsMadeAnew) {
  EXPECT_EQ(build({"a"}).error, "");
  run.script->restore = [](const std::vector<MachineState>&) { throw Error(ErrorKind::environment, "it is gone"); };
  run.story.clear();
  EXPECT_EQ(build({"a", "b"}).error, "");
  EXPECT_THAT(run.story.lines(), ElementsAre("runs a", "runs b"));
  EXPECT_THAT(run.sink.texts(), Contains("The state after a cannot be used: it is gone"));
}

}  // namespace
}  // namespace kiln
