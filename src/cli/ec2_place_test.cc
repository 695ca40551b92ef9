#include "cli/ec2_place.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/process_table.h"

namespace kiln {
namespace {

TEST(InstanceState, OfAMachineThatHasEndedUnseen) {
  auto state = [](const char* written, int64_t pid, int64_t start) {
    ec2::Instance one;
    one.state = written;
    one.pid = pid;
    one.pid_start = start;
    return instance_state_now(one);
  };
  int64_t start = *process_start_time(::getpid());
  EXPECT_EQ(state("running", ::getpid(), start), "running");
  EXPECT_EQ(state("running", ::getpid(), start + 1), "stopped") << "another process has its number";
  EXPECT_EQ(state("stopping", ::getpid(), start + 1), "stopped");
  EXPECT_EQ(state("shutting-down", ::getpid(), start + 1), "terminated");
  EXPECT_EQ(state("stopped", ::getpid(), start + 1), "stopped");
  EXPECT_EQ(state("pending", 0, 0), "pending");
}

}  // namespace
}  // namespace kiln
