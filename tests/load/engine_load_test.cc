// A thousand builds in one process, each with seeded faults, stopped at random.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <set>

#include "base/file.h"
#include "core/scripted.h"

namespace kiln {
namespace {

constexpr int builds = 1000;
constexpr auto bound = std::chrono::seconds(40);

/// Where a build of this seed goes wrong.
enum class Fault { none, start, provision, retried, timeout, finish, post_process, undo, foreign };
constexpr int faults = 9;

/// Every build makes two things, which must be taken back exactly once, however it ends.
struct Factory {
  std::atomic<int> made = 0;
  std::atomic<int> taken_back = 0;
  std::atomic<int> started = 0;
  std::atomic<int> running = 0;
  std::atomic<int> most_running = 0;
  unsigned seed = 1;

  Fault fault_of(const std::string& build) const {
    std::mt19937 random(seed * 7919 + static_cast<unsigned>(std::stoi(build)));
    return static_cast<Fault>(random() % faults);
  }
  void make(StageContext& context) {
    Resource entry =
        context.journal.append(ResourceKind::path, "/nowhere/" + context.build.name, context.build.display_name);
    ++made;
    context.undo.add("thing", [this, entry, &context](Outcome) {
      ++taken_back;
      context.journal.remove(entry.id);
      if (fault_of(context.build.name) == Fault::undo) throw Error(ErrorKind::environment, "busy");
    });
  }
  void install(ScriptedRun& run) {
    run.script->start = [this](StageContext& context) {
      ++started;
      int now = ++running;
      for (int seen = most_running; now > seen && !most_running.compare_exchange_weak(seen, now);) {
      }
      context.undo.add("count", [this](Outcome) { --running; });
      context.step("StepMake", [&] { make(context); });
      context.step("StepBoot", [&] {
        make(context);
        if (fault_of(context.build.name) == Fault::start) throw Error(ErrorKind::environment, "no machine");
      });
    };
    run.script->provision = [this](const std::string& argument, StageContext& context) {
      if (argument != "tidy") provision(context);
    };
    run.script->finish = [this](StageContext& context) -> std::optional<Artifact> {
      if (fault_of(context.build.name) == Fault::finish) throw Error(ErrorKind::remote, "no artifact");
      return Artifact{};
    };
    run.script->post_process = [this](const std::string&, const Artifact& input, StageContext& context) {
      if (fault_of(context.build.name) == Fault::post_process) throw Error(ErrorKind::user, "no archive");
      return PostProcessed{input, true, true};
    };
  }
  void provision(StageContext& context) {
    switch (fault_of(context.build.name)) {
      case Fault::provision:
      case Fault::retried: throw Error(ErrorKind::remote, "exit 3");
      case Fault::foreign: throw std::runtime_error("from a library");
      case Fault::timeout: sleep_for(std::chrono::hours(1), context.stop); break;
      default: context.ui.say("provisioned"); break;
    }
  }
};

void fill(ScriptedRun& run) {
  for (int i = 0; i < builds; ++i) run.parsed.build().sources.push_back(scripted_source(std::to_string(i)));
  auto provisioner = scripted_provisioner("");
  provisioner.max_retries = Value(1);
  provisioner.timeout = std::chrono::milliseconds(50);
  run.parsed.build().provisioners = {provisioner};
  run.parsed.build().error_cleanup_provisioner = scripted_provisioner("tidy");
  run.parsed.build().post_processors = {{scripted_post_processor("")}};
}

void expect_nothing_left(ScriptedRun& run, const Factory& factory, const std::vector<StageResult>& results) {
  ASSERT_EQ(results.size(), static_cast<size_t>(builds));
  EXPECT_EQ(factory.taken_back, factory.made);
  EXPECT_EQ(factory.running, 0);
  EXPECT_THAT(run.journal->all(), testing::IsEmpty());
  std::multiset<std::string> open;  // every build that is announced is told to have ended, once
  for (const auto& event : run.sink.events()) {
    if (event.kind == EventKind::stage_started) open.insert(event.stage);
    if (event.kind != EventKind::stage_finished) continue;
    EXPECT_EQ(open.erase(event.stage), 1u) << event.stage;
  }
  EXPECT_THAT(open, testing::IsEmpty());
}

TEST(Load, AThousandBuildsWithFaults) {
  TempDir root;
  ScriptedRun run;
  Factory factory;
  factory.install(run);
  fill(run);
  run.options.evidence_root = root.path();
  run.input.run_id = "load";
  auto start = Clock::now();
  auto results = run.run();
  EXPECT_LT(Clock::now() - start, bound);
  expect_nothing_left(run, factory, results);
  EXPECT_EQ(factory.started, builds);
  for (int i = 0; i < builds; ++i) {
    const StageResult& result = results[static_cast<size_t>(i)];
    Fault fault = factory.fault_of(std::to_string(i));
    EXPECT_EQ(result.stage, "scripted." + std::to_string(i)) << "results are in the plan's order";
    EXPECT_EQ(result.error.empty(), fault == Fault::none || fault == Fault::undo) << i << ": " << result.error;
    EXPECT_EQ(result.error.empty(), result.evidence.empty());
    EXPECT_FALSE(result.cancelled);
  }
}

TEST(Load, StoppedAtAnyMomentEverythingEndsAndIsTakenBack) {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    ScriptedRun run;
    Factory factory;
    factory.seed = seed;
    factory.install(run);
    fill(run);
    run.options.parallel_builds = seed % 2 == 0 ? 100 : 0;
    std::mt19937 random(seed);
    int stop_after = static_cast<int>(random() % 9000) + 1;
    std::atomic<int> events = 0;
    run.sink.on_event = [&](const Event&) {
      if (++events == stop_after) run.stop.request("interrupt");
    };
    auto start = Clock::now();
    auto results = run.run();
    EXPECT_LT(Clock::now() - start, bound) << "seed " << seed;
    expect_nothing_left(run, factory, results);
    if (run.options.parallel_builds > 0) {
      EXPECT_LE(factory.most_running, run.options.parallel_builds);
    }
    size_t cancelled = 0;
    for (const auto& result : results) {
      cancelled += result.cancelled;
      EXPECT_EQ(result.cancelled, result.error == "context canceled");
    }
    if (run.stop.requested()) {
      EXPECT_GT(cancelled, 0u) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace kiln
