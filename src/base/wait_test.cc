#include "base/wait.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"
#include "base/fd.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;

TEST(Wait, ends_by_readiness) {
  Pipe pipe = make_pipe();
  write_all(pipe.write.get(), "x");
  EXPECT_EQ(wait(pipe.read.get(), POLLIN, Deadline::in(10s), Stop()), Woke::ready);
}

TEST(Wait, ends_by_deadline) {
  Pipe pipe = make_pipe();
  EXPECT_EQ(wait(pipe.read.get(), POLLIN, Deadline::in(5ms), Stop()), Woke::deadline);
}

TEST(Wait, ends_by_stop_from_another_thread) {
  Pipe pipe = make_pipe();
  Stop stop;
  std::thread other([&] { stop.request("told to"); });
  try {
    wait(pipe.read.get(), POLLIN, Deadline::in(10s), stop);
    ADD_FAILURE() << "Stop did not end the wait";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::cancelled);
    EXPECT_EQ(error.message(), "told to");
  }
  other.join();
}

TEST(Stop, reaches_children_but_not_parents) {
  Stop parent;
  Stop child = parent.child();
  Stop grandchild = child.child();
  child.request("child only");
  EXPECT_FALSE(parent.requested());
  EXPECT_TRUE(grandchild.requested());
  parent.request("all");
  EXPECT_EQ(child.reason(), "child only") << "the first reason stays";
  EXPECT_TRUE(parent.child().requested()) << "a child of a stopped parent is born stopped";
}

TEST(Deadline, can_only_be_shortened) {
  Deadline outer = Deadline::in(10ms);
  EXPECT_LE(outer.at_most(1h).at(), outer.at());
  EXPECT_LT(Deadline::never().at_most(1ms).left(), 1s);
}

}  // namespace
}  // namespace kiln
