#include "core/image_testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/scripted.h"

namespace kiln {
namespace {

using testing::HasSubstr;

TEST(WaitFor, KnowsItsWords) {
  for (const char* word : {"ssh", "systemd", "cloud-init", "port:8080", "command:test -e /ready"}) {
    EXPECT_EQ(wrong_wait_for(word), std::nullopt) << word;
  }
  for (const char* word : {"", "sytemd", "port:", "port:0", "port:70000", "port:http", "command:", "command:  "}) {
    ASSERT_NE(wrong_wait_for(word), std::nullopt) << word;
    EXPECT_THAT(*wrong_wait_for(word), HasSubstr("known are"));
  }
}

}  // namespace
}  // namespace kiln
