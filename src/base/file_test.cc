#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/error.h"

namespace kiln {
namespace {

TEST(ReadFile, ReadsWhatHasNoSizeAndWhatIsLong) {
  TempDir dir;
  std::string text(300000, 'x');
  write_file_atomically(dir.path() / "long", text);
  EXPECT_EQ(read_file(dir.path() / "long"), text);
  write_file_atomically(dir.path() / "empty", "");
  EXPECT_EQ(read_file(dir.path() / "empty"), "");
  EXPECT_TRUE(read_file("/proc/self/status").starts_with("Name:"));
  EXPECT_GT(read_file("/proc/self/smaps").size(), 4096U) << "more than the first read can take";
}

TEST(File, an_atomic_write_replaces_whole_and_leaves_no_temporary) {
  TempDir dir;
  write_file_atomically(dir.path() / "a", "old");
  write_file_atomically(dir.path() / "a", "new", 0600);
  EXPECT_EQ(read_file(dir.path() / "a"), "new");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1);
  struct stat info {};
  ASSERT_EQ(::stat((dir.path() / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(File, a_failed_write_leaves_the_old_content) {
  TempDir dir;
  EXPECT_THROW(write_file_atomically(dir.path() / "missing" / "a", "x"), Error);
}

TEST(File, a_missing_file_is_said_in_gos_words) {
  try {
    read_file("/no/such/file");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "open /no/such/file: no such file or directory");
  }
  EXPECT_EQ(read_file_if_exists("/no/such/file"), std::nullopt);
}

TEST(File, temporary_directories_go_with_their_content) {
  fs::path path;
  {
    TempDir dir;
    path = dir.path();
    append_file(path / "log", "a");
    append_file(path / "log", "b");
    EXPECT_EQ(read_file(path / "log"), "ab");
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(File, a_lock_excludes_and_is_released) {
  TempDir dir;
  {
    auto first = FileLock::try_lock(dir.path() / "lock");
    ASSERT_TRUE(first);
    EXPECT_FALSE(FileLock::try_lock(dir.path() / "lock"));
  }
  EXPECT_TRUE(FileLock::try_lock(dir.path() / "lock"));
}

TEST(File, programs_are_found_on_path) {
  EXPECT_TRUE(find_program("sh"));
  EXPECT_FALSE(find_program("no-such-program-anywhere"));
  EXPECT_FALSE(find_program("/etc/passwd")) << "not executable";
}

TEST(Digest, agrees_with_published_vectors) {
  EXPECT_EQ(digest_hex("md5", "abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(digest_hex("sha1", "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(digest_hex("sha256", "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_THROW(Digest("crc32"), Error);
  TempDir dir;
  append_file(dir.path() / "abc", "abc");
  EXPECT_EQ(file_digest_hex("sha256", dir.path() / "abc"), digest_hex("sha256", "abc"));
}

}  // namespace
}  // namespace kiln
