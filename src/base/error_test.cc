#include "base/error.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace kiln {
namespace {

TEST(Error, gains_context_and_keeps_its_kind) {
  try {
    during("provisioning web", [] { throw Error(ErrorKind::remote, "it hung up"); });
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::remote);
    EXPECT_STREQ(error.what(), "provisioning web: it hung up");
  }
}

TEST(Error, whatever_escapes_a_component_is_one) {
  try {
    only_errors([] { throw std::runtime_error("a library's"); });
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::internal);
    EXPECT_EQ(error.message(), "a library's");
  }
  try {
    only_errors([]() -> int { throw Error(ErrorKind::timeout, "ours"); });
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::timeout);
  }
  EXPECT_EQ(only_errors([] { return 3; }), 3);
}

}  // namespace
}  // namespace kiln
