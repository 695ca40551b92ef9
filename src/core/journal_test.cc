#include "core/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <unistd.h>

#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/sqlite.h"
#include "core/gc.h"
#include "core/process_table.h"

namespace kiln {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(Journal, KeepsEntriesUntilTheyAreRemoved) {
  TempDir directory;
  int64_t first = 0;
  {
    auto journal = open_journal(directory.path() / "state", "run-1");
    first = journal->append(ResourceKind::process, "qemu", "qemu.a").id;
    journal->append(ResourceKind::path, "/var/tmp/disk", "qemu.a");
  }
  auto journal = open_journal(directory.path() / "state", "run-2");
  auto all = journal->all();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].kind, ResourceKind::process);
  EXPECT_EQ(all[0].name, "qemu");
  EXPECT_EQ(all[0].stage, "qemu.a");
  EXPECT_EQ(all[0].run_id, "run-1");
  EXPECT_EQ(all[0].owner_pid, ::getpid());
  EXPECT_NE(all[0].token, all[1].token);
  EXPECT_FALSE(is_orphan(all[0]));
  journal->remove(first);
  journal->remove(first);
  EXPECT_EQ(journal->all().size(), 1u);
  EXPECT_GT(journal->append(ResourceKind::path, "/x/y", "").id, all[1].id) << "numbers are never used again";
}

TEST(Journal, WhatIsTakenOverIsNoOrphan) {
  TempDir directory;
  auto journal = open_journal(directory.path(), "run-1");
  int64_t id = journal->append(ResourceKind::process, "qemu", "i-1").id;
  {
    Database db(directory.path() / "journal.db", {.what = "", .advice = "", .write_ahead = true});
    db.execute("UPDATE resource SET owner_start = owner_start - 1");
  }
  EXPECT_TRUE(is_orphan(journal->all()[0]));
  journal->take_over(id);
  Resource taken = journal->all()[0];
  EXPECT_FALSE(is_orphan(taken));
  EXPECT_EQ(taken.stage, "i-1");
}

TEST(Journal, SaysWhatToDoWhenItCannotBeOpened) {
  TempDir directory;
  write_file_atomically(directory.path() / "file", "");
  try {
    open_journal(directory.path() / "file" / "state", "run");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::environment);
    EXPECT_THAT(error.message(), HasSubstr("KILN_STATE_DIR"));
  }
}

TEST(Journal, RefusesANewerFormatAndNonsense) {
  TempDir directory;
  open_journal(directory.path(), "run");
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((directory.path() / "journal.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "PRAGMA user_version = 99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  EXPECT_THROW(open_journal(directory.path(), "run"), Error);
  TempDir other;
  write_file_atomically(other.path() / "journal.db", std::string(5000, 'x'));
  EXPECT_THROW(open_journal(other.path(), "run"), Error);
}

TEST(Journal, ReadsTheFirstFormat) {  // the golden statement of docs/formats/journal.md
  TempDir directory;
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((directory.path() / "journal.db").c_str(), &db), SQLITE_OK);
  const char* golden =
      "CREATE TABLE resource (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, run_id "
      "TEXT "
      "NOT NULL, stage TEXT NOT NULL, token TEXT NOT NULL, owner_pid INTEGER NOT NULL, owner_start INTEGER NOT NULL, "
      "made_at TEXT NOT NULL);"
      "INSERT INTO resource VALUES (7, 'container', '/srv/root', 'r', 's', 't', 1, 2, '2026-11-23T20:00:00Z');"
      "INSERT INTO resource VALUES (8, 'of the future', '/srv/root', 'r', 's', 't', 1, 2, '2026-11-23T20:00:00Z');"
      "PRAGMA user_version = 1";
  ASSERT_EQ(sqlite3_exec(db, golden, nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  auto all = open_journal(directory.path(), "run")->all();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].id, 7);
  EXPECT_EQ(all[0].kind, ResourceKind::container);
  EXPECT_EQ(all[0].made_at, "2026-11-23T20:00:00Z");
  EXPECT_TRUE(is_orphan(all[0]));
}

TEST(Journal, ManyThreadsAndTwoConnectionsWriteAtOnce) {
  TempDir directory;
  auto one = open_journal(directory.path(), "one");
  auto two = open_journal(directory.path(), "two");
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      Journal& journal = i % 2 == 0 ? *one : *two;
      for (int turn = 0; turn < 10; ++turn) {
        auto made = journal.append(ResourceKind::path, "/x/" + std::to_string(i), "");
        if (turn % 2 == 0) journal.remove(made.id);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(one->all().size(), 40u);
}

/// Not a test of its own: what this program does when a test starts it again to write a journal and be killed, or
/// to leave something behind. It tells on its standard output what is durably journaled.
TEST(JournalWriter, Runs) {
  auto directory = get_env("KILN_TEST_JOURNAL");
  if (!directory) GTEST_SKIP() << "started by other tests only";
  auto journal = open_journal(*directory, "crashed");
  if (auto left = get_env("KILN_TEST_LEAVE")) {
    journal->append(ResourceKind::path, *left, "qemu.a");
    journal->append(ResourceKind::path, "/", "qemu.a");
    return;
  }
  for (int i = 0;; ++i) {
    auto made = journal->append(ResourceKind::path, "/made/" + std::to_string(i), "s");
    write_all(STDERR_FILENO, std::to_string(made.id) + "\n");
    if (i % 3 == 2) journal->remove(made.id);
  }
}

Process start_writer(const std::map<std::string, std::string>& env) {
  Command command{{fs::read_symlink("/proc/self/exe").string(), "--gtest_filter=JournalWriter.Runs"}, env};
  Process::Streams streams;
  streams.out = Process::Stdio::null;
  streams.err = Process::Stdio::pipe;
  return Process::start(command, streams);
}

TEST(JournalCrash, WhatWasAppendedSurvivesSigkill) {
  TempDir directory;
  unsigned seed = 12345;
  int64_t told_before = 0;
  for (int round = 0; round < 12; ++round) {
    Process writer = start_writer({{"KILN_TEST_JOURNAL", directory.path().string()}});
    std::string told;
    size_t wanted = static_cast<size_t>(::rand_r(&seed)) % 200 + 1;
    while (told.size() < wanted) told += read_some(writer.err().get());
    writer.kill(SIGKILL);
    writer.wait(Deadline::never(), Stop());
    for (std::string more = read_some(writer.err().get()); !more.empty(); more = read_some(writer.err().get()))
      told += more;
    told.resize(told.rfind('\n') + 1);
    auto journal = open_journal(directory.path(), "reader");
    std::vector<int64_t> ids;
    for (const auto& resource : journal->all()) {
      EXPECT_TRUE(is_orphan(resource));
      ids.push_back(resource.id);
    }
    std::vector<int64_t> numbers;
    for (size_t at = 0; at < told.size(); at = told.find('\n', at) + 1) numbers.push_back(std::stoll(told.substr(at)));
    ASSERT_FALSE(numbers.empty());
    EXPECT_GT(numbers.front(), told_before);
    told_before = numbers.back();
    for (size_t i = 0; i < numbers.size(); ++i) {
      bool present = std::find(ids.begin(), ids.end(), numbers[i]) != ids.end();
      bool may_be_removed = i % 3 == 2;
      EXPECT_TRUE(present || may_be_removed) << "entry " << numbers[i] << " of round " << round << " is lost";
    }
  }
}

TEST(Orphan, OwnerIsToldByPidAndStartTime) {
  auto journal = make_memory_journal();
  Resource mine = journal->append(ResourceKind::path, "/x/y", "");
  EXPECT_FALSE(is_orphan(mine));
  mine.owner_start += 1;
  EXPECT_TRUE(is_orphan(mine)) << "another process has its number now";
  mine.owner_pid = 0;
  EXPECT_TRUE(is_orphan(mine));
}

Resource orphan(ResourceKind kind, const std::string& name) {
  Resource resource;
  resource.kind = kind;
  resource.name = name;
  resource.token = "token-" + std::to_string(::getpid()) + "-" + std::to_string(::rand());
  return resource;
}

TEST(RemoveResource, DeletesTrees) {
  TempDir directory;
  fs::create_directories(directory.path() / "tree" / "deep");
  write_file_atomically(directory.path() / "tree" / "deep" / "file", "x");
  write_file_atomically(directory.path() / "outside", "x");
  fs::create_symlink(directory.path() / "outside", directory.path() / "tree" / "link");
  Resource resource = orphan(ResourceKind::path, (directory.path() / "tree").string());
  remove_resource(resource);
  remove_resource(resource);
  EXPECT_FALSE(fs::exists(directory.path() / "tree"));
  EXPECT_TRUE(fs::exists(directory.path() / "outside"));
}

TEST(RemoveResource, RefusesWhatNobodyMeant) {
  std::string home = get_env("HOME").value_or("/root");
  for (const std::string& name : {std::string(), std::string("/"), std::string("//"), std::string("/."),
                                  std::string("/usr/.."), std::string("/usr"), std::string("/home/"),
                                  std::string("relative/path"), std::string("."), home, home + "/", home + "/x/.."}) {
    EXPECT_THROW(remove_resource(orphan(ResourceKind::path, name)), Error) << name;
    EXPECT_THROW(remove_resource(orphan(ResourceKind::container, name)), Error) << name;
  }
}

/// Started with the token; it runs when this returns.
Process start_marked(const std::string& token, bool deaf) {
  std::string script = std::string(deaf ? "trap '' TERM; " : "") + "echo ready; exec sleep 1000";
  Command command{{"/bin/sh", "-c", script}, {{"KILN_RESOURCE", token}}, std::nullopt, true};
  Process::Streams streams;
  streams.out = Process::Stdio::pipe;
  streams.err = Process::Stdio::null;
  Process process = Process::start(command, streams);
  EXPECT_EQ(read_some(process.out().get()), "ready\n");
  return process;
}

TEST(RemoveResource, EndsProcessesWithTheToken) {
  Resource resource = orphan(ResourceKind::process, "sh");
  Process process = start_marked(resource.token, false);
  EXPECT_FALSE(processes_with_env("KILN_RESOURCE", resource.token).empty());
  std::thread reaper([&] { process.wait(Deadline::never(), Stop()); });  // a zombie still has its pidfd unready
  remove_resource(resource);
  reaper.join();
  EXPECT_THAT(processes_with_env("KILN_RESOURCE", resource.token), IsEmpty());
  remove_resource(resource);
}

TEST(RemoveResource, LeavesOtherTokensAlone) {
  Resource resource = orphan(ResourceKind::process, "sh");
  Process process = start_marked(resource.token + "0", false);
  remove_resource(resource);
  EXPECT_FALSE(process.poll());
}

TEST(RemoveResource, UnmountsContainers) {
  TempDir directory;
  fs::path root = directory.path() / "a root";
  fs::create_directories(root / "proc");
  if (::mount("tmpfs", root.c_str(), "tmpfs", 0, nullptr) != 0) GTEST_SKIP() << "mounting needs root";
  fs::create_directories(root / "inner");
  ASSERT_EQ(::mount("tmpfs", (root / "inner").c_str(), "tmpfs", 0, nullptr), 0);
  Resource path = orphan(ResourceKind::path, root.string());
  EXPECT_THROW(remove_resource(path), Error) << "never deletes through a mount";
  Resource resource = orphan(ResourceKind::container, root.string());
  remove_resource(resource);
  remove_resource(resource);
  remove_resource(path);
  EXPECT_FALSE(fs::exists(root));
}

TEST(Gc, RemovesWhatOrphansLeftNewestFirst) {
  TempDir directory;
  auto journal = open_journal(directory.path() / "state", "old");
  fs::path left = directory.path() / "left";
  fs::create_directories(left);
  Process writer = start_writer(
      {{"KILN_TEST_JOURNAL", (directory.path() / "state").string()}, {"KILN_TEST_LEAVE", left.string()}});
  writer.wait(Deadline::never(), Stop());
  journal->append(ResourceKind::path, (directory.path() / "alive").string(), "");
  fs::create_directories(directory.path() / "alive");

  std::vector<std::pair<std::string, GcOutcome>> seen;
  auto note = [&](const GcItem& item) { seen.emplace_back(item.resource.name, item.outcome); };
  GcSummary dry = run_gc(*journal, GcOptions{.dry_run = true}, note);
  EXPECT_EQ(dry.removed, 2);
  EXPECT_TRUE(fs::exists(left));
  seen.clear();
  GcSummary summary = run_gc(*journal, GcOptions{}, note);
  EXPECT_EQ(summary.removed, 1);
  EXPECT_EQ(summary.in_use, 1);
  EXPECT_EQ(summary.failed, 1);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].second, GcOutcome::in_use);
  EXPECT_EQ(seen[1], std::make_pair(std::string("/"), GcOutcome::failed));
  EXPECT_EQ(seen[2], std::make_pair(left.string(), GcOutcome::removed));
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(directory.path() / "alive"));
  EXPECT_EQ(journal->all().size(), 2u);
}

}  // namespace
}  // namespace kiln
