#include "kit/lfs_pointer.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"

namespace kiln {
namespace {

const std::string pointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:"
    "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

TEST(LfsPointer, IsRecognizedByItsText) {
  EXPECT_TRUE(is_lfs_pointer(pointer));
  EXPECT_FALSE(is_lfs_pointer("version https://git-lfs.github.com/spec/v1 is what a pointer begins with"));
  EXPECT_FALSE(is_lfs_pointer("the " + pointer));
  EXPECT_FALSE(is_lfs_pointer(pointer + std::string(1024, ' ')));
}

TEST(LfsPointer, IsFoundAnywhereInATree) {
  TempDir dir;
  fs::create_directories(dir.path() / "deep/er");
  write_file_atomically(dir.path() / "deep/er/installer.bin", pointer);
  write_file_atomically(dir.path() / "README", "about git-lfs");
  write_file_atomically(dir.path() / "empty", "");
  auto found = find_lfs_pointers({dir.path()}, Stop());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0], dir.path() / "deep/er/installer.bin");
  try {
    refuse_lfs_pointers({dir.path() / "README", dir.path()}, Stop());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::user);
    EXPECT_NE(error.message().find("deep/er/installer.bin"), std::string::npos);
    EXPECT_NE(error.message().find("git lfs pull"), std::string::npos);
  }
  refuse_lfs_pointers({dir.path() / "README", dir.path() / "missing"}, Stop());
}

}  // namespace
}  // namespace kiln
