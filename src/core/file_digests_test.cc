#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "core/image_store.h"

namespace kiln {
namespace {

TEST(FileDigests, RemembersWhatStaysTheSame) {
  TempDir directory;
  fs::path file = directory.path() / "file";
  write_file_atomically(file, "one");
  struct timespec old[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
  auto digests = open_file_digests(directory.path() / "state");
  EXPECT_EQ(digests->of_file(file), digest_hex("sha256", "one"));
  write_file_atomically(file, "two");  // as young as the first and of its size: nothing was remembered
  EXPECT_EQ(digests->of_file(file), digest_hex("sha256", "two"));
  sleep_for(std::chrono::milliseconds(2100), Stop());  // ctime cannot be set
  EXPECT_EQ(digests->of_file(file), digest_hex("sha256", "two"));
  // Changed behind the back of the time stamps, as nothing but a test does: the row is what answers.
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((directory.path() / "state/digests.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "UPDATE digest SET sha256 = 'remembered'", nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(db);
  EXPECT_EQ(digests->of_file(file), "remembered");
  EXPECT_EQ(open_file_digests(directory.path() / "state")->of_file(file), "remembered");
  ::utimensat(AT_FDCWD, file.c_str(), old, 0);
  EXPECT_EQ(digests->of_file(file), digest_hex("sha256", "two"));
  EXPECT_THROW(digests->of_file(directory.path() / "none"), Error);
}

TEST(FileDigests, BeginsAnewWhenItsFileIsDamaged) {
  TempDir directory;
  write_file_atomically(directory.path() / "digests.db", std::string(5000, 'x'));
  write_file_atomically(directory.path() / "file", "one");
  EXPECT_EQ(open_file_digests(directory.path())->of_file(directory.path() / "file"),
            digest_hex("sha256", "one"));
}

}  // namespace
}  // namespace kiln
