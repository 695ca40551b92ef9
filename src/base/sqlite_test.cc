#include "base/sqlite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"

namespace kiln {
namespace {

using testing::HasSubstr;

DatabaseOptions numbers() {
  DatabaseOptions options;
  options.what = "the list of numbers";
  options.advice = "Move it away";
  options.upgrade = [](Database& db, int) {
    db.execute("CREATE TABLE number (n INTEGER UNIQUE, word TEXT)");
  };
  return options;
}

int64_t count(Database& db) {
  Statement select(db, "SELECT count(*) FROM number");
  select.step();
  return select.number(0);
}

std::string refusal(const fs::path& file, DatabaseOptions options) {
  try {
    Database db(file, std::move(options));
    return "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::environment);
    return error.message();
  }
}

TEST(Sqlite, KeepsWhatIsCommittedAndTakesBackTheRest) {
  TempDir directory;
  fs::path file = directory.path() / "numbers.db";
  {
    Database db(file, numbers());
    Statement(db, "INSERT INTO number VALUES (?, ?)").bind(1).bind(std::string("o\0ne", 4)).step();
    Transaction kept(db);
    Statement(db, "INSERT INTO number VALUES (?, ?)").bind(2).bind("two").step();
    kept.commit();
    Transaction dropped(db);
    Statement(db, "INSERT INTO number VALUES (?, ?)").bind(3).bind("").step();
  }
  Database db(file, numbers());
  EXPECT_EQ(count(db), 2);
  Statement one(db, "SELECT word FROM number WHERE n = ?");
  ASSERT_TRUE(one.bind(1).step());
  EXPECT_EQ(one.text(0), std::string("o\0ne", 4));
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_THROW(Statement(db, "INSERT INTO number VALUES (1, '')").step(), Error);
  EXPECT_THROW(Statement(db, "SELECT nothing"), Error);
}

TEST(Sqlite, UpgradesStepByStepAndRefusesANewerFormat) {
  TempDir directory;
  fs::path file = directory.path() / "numbers.db";
  { Database db(file, numbers()); }
  DatabaseOptions second = numbers();
  second.version = 2;
  second.upgrade = [](Database& db, int older) {
    if (older == 1) db.execute("ALTER TABLE number ADD COLUMN colour TEXT");
  };
  {
    Database db(file, second);
    Statement(db, "INSERT INTO number VALUES (1, 'one', 'red')").step();
  }
  EXPECT_THAT(refusal(file, numbers()),
              HasSubstr("has format 2, made by a newer Kiln; this one knows up to 1"));
}

DatabaseOptions numbers_written_ahead() {
  DatabaseOptions options = numbers();
  options.write_ahead = true;
  return options;
}

/// Not a test of its own: what this program does when a test starts it again, several times at once.
TEST(SqliteOpener, Runs) {
  auto directory = get_env("KILN_TEST_DATABASES");
  if (!directory) GTEST_SKIP() << "skipped: run by another test";
  for (int i = 0; i < 40; ++i) Database(*directory + "/" + std::to_string(i) + ".db", numbers_written_ahead());
}

TEST(Sqlite, ManyProcessesOpenANewFileAtOnce) {
  TempDir directory;
  Command command{{fs::read_symlink("/proc/self/exe").string(), "--gtest_filter=SqliteOpener.Runs"}};
  command.env = {{"KILN_TEST_DATABASES", directory.path().string()}};
  std::vector<Process> openers;
  openers.reserve(4);
  for (int i = 0; i < 4; ++i) openers.push_back(Process::start(command, {.out = Process::Stdio::null}));
  for (auto& opener : openers) EXPECT_TRUE(opener.wait(Deadline::in(std::chrono::minutes(1)), Stop())->ok());
  for (int i = 0; i < 40; ++i) {
    Database db(directory.path() / (std::to_string(i) + ".db"), numbers_written_ahead());
    EXPECT_EQ(count(db), 0);
  }
}

TEST(Sqlite, SaysWhatIsWrongWithAFileAndWhatToDo) {
  TempDir directory;
  fs::path file = directory.path() / "numbers.db";
  write_file_atomically(file, std::string(5000, 'x'));
  EXPECT_THAT(refusal(file, numbers()),
              HasSubstr("the list of numbers " + file.string() + ": file is not a database"));
  EXPECT_THAT(refusal(file, numbers()), HasSubstr("Move it away"));
  EXPECT_THAT(refusal(directory.path() / "no" / "numbers.db", numbers()), HasSubstr("unable to open"));
}

}  // namespace
}  // namespace kiln
