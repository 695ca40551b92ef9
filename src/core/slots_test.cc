#include "core/slots.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/error.h"

namespace kiln {
namespace {

TEST(Slots, CountsWhatIsTaken) {
  Slots slots;
  slots.limit("cpu", 2);
  auto one = slots.try_acquire("cpu");
  auto two = slots.try_acquire("cpu");
  ASSERT_TRUE(one && two);
  EXPECT_FALSE(slots.try_acquire("cpu"));
  one->release();
  EXPECT_TRUE(slots.try_acquire("cpu"));
  two.reset();
  EXPECT_TRUE(slots.try_acquire("cpu", 2));
}

TEST(Slots, NamesWithoutALimitAreFree) {
  Slots slots;
  EXPECT_TRUE(slots.try_acquire("anything", 1000));
  slots.limit("cpu", 0);
  EXPECT_TRUE(slots.try_acquire("cpu", 1000));
}

TEST(Slots, MoreThanThereIsCanNeverBeHad) {
  Slots slots;
  slots.limit("cpu", 2);
  EXPECT_THROW(slots.try_acquire("cpu", 3), Error);
}

TEST(Slots, WaitsUntilSomethingIsGivenBack) {
  Slots slots;
  slots.limit("cpu", 1);
  auto held = slots.try_acquire("cpu");
  std::thread other([&] { slots.acquire("cpu", 1, Deadline::in(std::chrono::seconds(30)), Stop()); });
  held.reset();
  other.join();
  EXPECT_TRUE(slots.try_acquire("cpu"));
}

TEST(Slots, WaitingEndsByDeadlineAndByStop) {
  Slots slots;
  slots.limit("cpu", 1);
  auto held = slots.try_acquire("cpu");
  try {
    slots.acquire("cpu", 1, Deadline::in(Millis(1)), Stop());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::timeout);
  }
  Stop stop;
  stop.request();
  try {
    slots.acquire("cpu", 1, Deadline::never(), stop);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::cancelled);
  }
}

TEST(Slots, ManyThreadsNeverHoldMoreThanThereIs) {
  Slots slots;
  slots.limit("cpu", 3);
  std::atomic<int> now = 0;
  std::atomic<int> most = 0;
  std::vector<std::thread> threads;
  threads.reserve(16);
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < 50; ++turn) {
        auto lease = slots.acquire("cpu", 1, Deadline::never(), Stop());
        int count = ++now;
        int seen = most;
        while (count > seen && !most.compare_exchange_weak(seen, count)) {
        }
        --now;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(most, 3);
  EXPECT_TRUE(slots.try_acquire("cpu", 3));
}

}  // namespace
}  // namespace kiln
