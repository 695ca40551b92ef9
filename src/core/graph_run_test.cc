#include "core/graph_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <mutex>

#include "base/error.h"
#include "core/slots.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

/// Runs a graph and keeps what happened.
struct GraphStory {
  std::vector<GraphNode> nodes;
  Slots slots;
  Stop stop;
  std::vector<size_t> failing;
  bool fail_fast = false;

  std::vector<std::string> run() {
    std::vector<std::string> lines;
    std::mutex mutex;
    auto add = [&](std::string text) {
      std::lock_guard lock(mutex);
      lines.push_back(std::move(text));
    };
    GraphWork work;
    work.run = [&](size_t node, const Stop&) {
      add("run " + std::to_string(node));
      int now = ++running;
      for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
      if (during) during(node);
      if (pause.count() > 0) sleep_for(pause, Stop());
      --running;
      return std::find(failing.begin(), failing.end(), node) == failing.end();
    };
    work.skip = [&](size_t node, std::optional<size_t> needed) {
      add("skip " + std::to_string(node) + (needed ? " for " + std::to_string(*needed) : ""));
    };
    work.refuse = [&](size_t node, const std::string& error) { add("refuse " + std::to_string(node) + ": " + error); };
    run_graph(nodes, slots, work, fail_fast, stop);
    return lines;
  }
  std::function<void(size_t node)> during;
  std::chrono::milliseconds pause{0};
  std::atomic<int> running{0};
  std::atomic<int> most{0};
};

TEST(GraphRun, EachNodeComesAfterWhatItNeeds) {
  GraphStory story;
  story.nodes = {{{1}}, {{2}}, {{}}};
  EXPECT_THAT(story.run(), ElementsAre("run 2", "run 1", "run 0"));
}

TEST(GraphRun, AFailureSkipsOnlyWhatNeedsIt) {
  GraphStory story;
  story.nodes = {{{}}, {{0}}, {{1}}, {{}}};
  story.failing = {0};
  EXPECT_THAT(story.run(), UnorderedElementsAre("run 0", "skip 1 for 0", "skip 2 for 1", "run 3"));
}

TEST(GraphRun, FailFastStartsNothingMore) {
  GraphStory story;
  story.slots.limit("one", 1);
  story.nodes = {{{}, {{"one", 1}}}, {{}, {{"one", 1}}}};
  story.failing = {0};
  story.fail_fast = true;
  EXPECT_THAT(story.run(), ElementsAre("run 0", "skip 1"));
}

TEST(GraphRun, SlotsBoundHowManyRunAtOnce) {
  GraphStory story;
  story.slots.limit("cpus", 3);
  for (int i = 0; i < 12; ++i) story.nodes.push_back({{}, {{"cpus", 1}}});
  story.pause = std::chrono::milliseconds(5);
  EXPECT_EQ(story.run().size(), 12u);
  EXPECT_LE(story.most, 3);
}

TEST(GraphRun, WhatWaitsForASlotDoesNotHoldUpOthers) {
  GraphStory story;
  story.slots.limit("rare", 1);
  story.slots.limit("stages", 2);
  story.nodes = {{{}, {{"rare", 1}, {"stages", 1}}}, {{}, {{"rare", 1}, {"stages", 1}}}, {{}, {{"stages", 1}}}};
  Stop last_began;
  story.during = [&](size_t node) {
    if (node == 2) last_began.request();
    if (node == 0) {  // holds "rare" until then
      EXPECT_THROW(sleep_for(std::chrono::seconds(20), last_began), Error);
    }
  };
  auto lines = story.run();
  EXPECT_THAT(lines, UnorderedElementsAre("run 0", "run 2", "run 1"));
  EXPECT_EQ(lines.back(), "run 1");
}

TEST(GraphRun, MoreThanThereIsIsRefusedAndItsNeedersSkipped) {
  GraphStory story;
  story.slots.limit("memory", 4);
  story.nodes = {{{}, {{"memory", 8}}}, {{0}}};
  EXPECT_THAT(story.run(), ElementsAre("refuse 0: 8 of \"memory\" are asked for, but there are 4", "skip 1 for 0"));
}

TEST(GraphRun, PassiveNodesOnlyJoin) {
  GraphStory story;
  story.nodes = {{{}}, {{}}, {.needs = {0, 1}, .passive = true}, {{2}}};
  EXPECT_THAT(story.run(), UnorderedElementsAre("run 0", "run 1", "run 3"));
  story.failing = {1};
  EXPECT_THAT(story.run(), UnorderedElementsAre("run 0", "run 1", "skip 3 for 2"));
}

TEST(GraphRun, AStoppedRunSkipsWhatHasNotBegun) {
  GraphStory story;
  story.nodes = {{{}}, {{0}}};
  story.stop.request();
  EXPECT_THAT(story.run(), ElementsAre("skip 0", "skip 1 for 0"));
}

TEST(GraphRun, ALongChainNeedsNoDeepStack) {
  GraphStory story;
  story.nodes.push_back({});
  for (size_t i = 1; i < 20'000; ++i) story.nodes.push_back({{i - 1}});
  story.failing = {0};
  EXPECT_EQ(story.run().size(), 20'000u);
}

}  // namespace
}  // namespace kiln
