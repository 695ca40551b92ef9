#include "kit/boot_id.h"

#include <gtest/gtest.h>

#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using Answer = ScriptedCommunicator::Answer;

/// A machine that goes through states, one a probe; the last one stays.
struct Story {
  explicit Story(std::vector<Answer> states) : states(std::move(states)) {
    communicator.answer = [this](const std::string&) {
      size_t at = std::min(probes++, this->states.size() - 1);
      return this->states[at];
    };
  }
  CameBack watch(bool disconnected, std::optional<GuestState> before = GuestState{"one"}) {
    ReturnWatch watch;
    watch.before = std::move(before);
    watch.disconnected = disconnected;
    watch.settle_connected = Millis(100);
    watch.settle_disconnected = Millis(150);
    watch.probe_pause = Millis(20);
    return await_return(communicator, watch, Deadline::in(std::chrono::seconds(5)), stage.context.ui,
                        stage.stop);
  }
  std::vector<Answer> states;
  size_t probes = 0;
  ScriptedCommunicator communicator;
  TestStage stage;
};

Answer alive(const std::string& id, const std::string& more = "") {
  return {0, "boot-id:" + id + "\n" + more};
}
const Answer unreachable{0, "", "connection refused", true};

TEST(BootId, ReadsWhatTheMachineSays) {
  Story story({alive("abc", "stopping\ncontainer\n")});
  auto state = probe_guest(story.communicator, Deadline::never(), Stop());
  ASSERT_TRUE(state.has_value());
  EXPECT_EQ(state->boot_id, "abc");
  EXPECT_TRUE(state->stopping);
  EXPECT_TRUE(state->container);
}

TEST(BootId, TheProbeIsPlainShell) {
  ScriptedCommunicator communicator;
  std::string command;
  communicator.answer = [&](const std::string& text) {
    command = text;
    return Answer{};
  };
  probe_guest(communicator, Deadline::never(), Stop());
  std::string out = run_checked({{"sh", "-c", command}}, Deadline::in(std::chrono::seconds(10)), Stop());
  EXPECT_EQ(out.substr(0, out.find('\n')),
            "boot-id:" + std::string(trim(read_file("/proc/sys/kernel/random/boot_id"))));
}

TEST(BootId, AnotherIdIsARestart) {
  Story story({unreachable, alive("two")});
  EXPECT_EQ(story.watch(true), CameBack::restarted);
}

TEST(BootId, AMachineThatIsStillGoingDownIsNotTakenForBack) {
  Story story({alive("one", "stopping\n"), alive("one", "stopping\n"), unreachable, alive("two")});
  EXPECT_EQ(story.watch(false), CameBack::restarted);
  EXPECT_EQ(story.probes, 4u);
}

TEST(BootId, TheSameBootForAWhileIsAHiccup) {
  Story story({alive("one")});
  EXPECT_EQ(story.watch(true), CameBack::same_boot);
  EXPECT_GE(story.probes, 2u);
}

TEST(BootId, AContainerIsNotWaitedFor) {
  Story story({alive("one", "container\n")});
  EXPECT_EQ(story.watch(false), CameBack::same_boot);
  EXPECT_EQ(story.probes, 1u);
}

TEST(BootId, WithoutAnIdReachableForAWhileMustDo) {
  Story story({unreachable, alive("")});
  EXPECT_EQ(story.watch(true, std::nullopt), CameBack::same_boot);
}

TEST(BootId, NeverWaitsForEver) {
  Story story({unreachable});
  ReturnWatch watch;
  watch.disconnected = true;
  watch.probe_pause = Millis(20);
  EXPECT_EQ(
      await_return(story.communicator, watch, Deadline::in(Millis(200)), story.stage.context.ui, Stop()),
      CameBack::gone);
}

}  // namespace
}  // namespace kiln
