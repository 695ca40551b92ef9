#include "base/lazy_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "base/error.h"
#include "base/lazy_archive.h"
#include "base/lazy_crypto.h"
#include "base/lazy_zlib.h"

namespace kiln {

constexpr LazyLibrary lazy_missing{"libkiln-has-no-such.so.7", "libkiln7"};
constexpr LazyLibrary lazy_libc{"libc.so.6", "libc6"};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // how its format is checked is no part of its type
KILN_LAZY_FUNCTION(lazy_libc, snprintf);
#pragma GCC diagnostic pop

namespace {

using testing::AllOf;
using testing::HasSubstr;

template <class F>
Error failure_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::internal, "nothing was thrown");
}

TEST(LazyLibrary, CallsFunctionsByTheirOwnNames) {
  const std::string text = "the same three";
  EXPECT_EQ(crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())), 0x3a88fefU);
  std::unique_ptr<archive, CallToDelete<archive_read_free>> reader(archive_read_new());
  EXPECT_NE(reader, nullptr);
}

TEST(LazyLibrary, HandsOnVariableArguments) {
  char text[32];
  EXPECT_EQ(snprintf(text, sizeof text, "%d %s %ld", 7, "of", 9L), 6);
  EXPECT_STREQ(text, "7 of 9");
}

TEST(LazyLibrary, NamesThePackageOfOneThatIsMissing) {
  Error error = failure_of([] { function_of(lazy_missing, "anything"); });
  EXPECT_EQ(error.kind(), ErrorKind::environment);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("libkiln-has-no-such.so.7"), HasSubstr("apt-get install libkiln7")));
}

TEST(LazyLibrary, NamesTheFunctionThatOneLacks) {
  Error error = failure_of([] { function_of(lazy_zlib, "deflate_by_magic"); });
  EXPECT_EQ(error.kind(), ErrorKind::environment);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("libz.so.1"), HasSubstr("deflate_by_magic"), HasSubstr("zlib1g")));
}

}  // namespace
}  // namespace kiln
