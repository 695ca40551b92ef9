#include "endpoint/state.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/file.h"

namespace kiln::ec2 {
namespace {

/// While it lives, nothing can be written to a file.
class FullDisk {
 public:
  FullDisk() : action_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit none = {0, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, action_);
  }

 private:
  rlimit before_ = {};
  void (*action_)(int);
};

Volume volume(const std::string& id) {
  Volume out;
  out.id = id;
  return out;
}

class StateTest : public testing::Test {
 protected:
  /// As another process sees it.
  bool written(const std::string& id) { return State(directory_.path()).find<Volume>(id) != nullptr; }

  TempDir directory_;
  State state_{directory_.path()};
};

TEST_F(StateTest, ChangesAreKeptTogether) {
  auto lock = state_.lock();
  State::Changes changes(state_);
  state_.put(volume("vol-1"));
  state_.put(volume("vol-2"));
  EXPECT_FALSE(written("vol-1"));
  changes.keep();
  EXPECT_TRUE(written("vol-1") && written("vol-2"));
}

TEST_F(StateTest, ChangesThatAreNotKeptNeverWere) {
  auto lock = state_.lock();
  bool told = false;
  state_.put(volume("vol-1"));
  {
    State::Changes changes(state_);
    state_.put(volume("vol-2"));
    state_.erase<Volume>("vol-1");
    state_.when_kept([&] { told = true; });
  }
  EXPECT_TRUE(state_.find<Volume>("vol-1") && !state_.find<Volume>("vol-2"));
  EXPECT_FALSE(written("vol-2") || told);
  state_.when_kept([&] { told = true; });
  EXPECT_TRUE(told);
}

TEST_F(StateTest, ChangesAreRefusedWhenTheDiskIsFull) {
  auto lock = state_.lock();
  {
    FullDisk full;
    State::Changes changes(state_);
    EXPECT_THROW(
        {
          state_.put(volume("vol-1"));
          changes.keep();
        },
        Error);
  }
  EXPECT_FALSE(state_.find<Volume>("vol-1"));
  State::Changes changes(state_);
  state_.put(volume("vol-1"));
  changes.keep();
  EXPECT_TRUE(written("vol-1"));
}

TEST_F(StateTest, WhatHasHappenedIsWrittenWhenThereIsRoomAgain) {
  auto lock = state_.lock();
  state_.put(volume("vol-1"));
  {
    FullDisk full;
    state_.put(volume("vol-2"));
    state_.erase<Volume>("vol-1");
    EXPECT_TRUE(state_.find<Volume>("vol-2") && !state_.find<Volume>("vol-1"));
  }
  EXPECT_TRUE(written("vol-1") && !written("vol-2"));
  state_.refresh();
  EXPECT_TRUE(written("vol-2") && !written("vol-1"));
}

TEST_F(StateTest, WhatHasHappenedOutlivesChangesThatAreNotKept) {
  auto lock = state_.lock();
  {
    FullDisk full;
    state_.put(volume("vol-1"));
  }
  {
    State::Changes changes(state_);
    state_.put(volume("vol-2"));
    state_.refresh();
  }
  EXPECT_TRUE(state_.find<Volume>("vol-1") && !state_.find<Volume>("vol-2"));
  state_.refresh();
  EXPECT_TRUE(written("vol-1") && !written("vol-2"));
}

TEST_F(StateTest, WhatIsNotWrittenYetOutlivesWhatOthersWrite) {
  auto lock = state_.lock();
  {
    FullDisk full;
    state_.put(volume("vol-1"));
  }
  {
    State other(directory_.path());
    auto other_lock = other.lock();
    other.put(volume("vol-2"));
  }
  {
    FullDisk full;
    state_.refresh();
  }
  EXPECT_TRUE(state_.find<Volume>("vol-1") && state_.find<Volume>("vol-2"));
  State::Changes changes(state_);
  state_.put(volume("vol-3"));
  changes.keep();
  EXPECT_TRUE(written("vol-1") && written("vol-3"));
}

}  // namespace
}  // namespace kiln::ec2
