#include "core/image_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "core/gc.h"
#include "core/image_store_fixture.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(ImageStoreTest, KeepsARecordAsItWasGiven) {
  ImageRecord record;
  record.name = "atlas/app";
  record.key = "k1";
  record.builder_type = "qemu";
  record.builder_id = "transcend.qemu";
  record.artifact_id = "VM";
  record.description = "VM files";
  record.log = "/var/log/x";
  record.inputs.set("version", Number{"1.50"});
  record.state.set("generated_data", Value::Object{{"ID", "x", {}}});
  Value password = "hunter2";
  password.secret = true;
  record.fresh_machine.set("ssh_password", password);
  record.fresh_machine.set("list", Value::List{1, true, Value(), "é\n"});
  record.tests.set("passed", 3);
  record.parents = {"aaaaaaaaaaaa"};
  record.tags = {"stable"};
  auto added = store_->add(record, {output("a.qcow2", "abc"), output("vars.fd", "")}, Stop());
  EXPECT_EQ(added.id.size(), 12u);
  ASSERT_EQ(added.files.size(), 2u);
  EXPECT_EQ(added.files[0].digest, digest_hex("sha256", "abc"));
  EXPECT_EQ(added.files[0].size, 3u);
  EXPECT_EQ(added.digest,
            digest_hex("sha256", digest_hex("sha256", "abc") + "\n" + digest_hex("sha256", "") + "\n"));

  open_again();
  auto read = store_->find_by_key("k1");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->id, added.id);
  EXPECT_EQ(read->name, "atlas/app");
  EXPECT_EQ(read->builder_id, "transcend.qemu");
  EXPECT_EQ(read->artifact_id, "VM");
  EXPECT_EQ(read->description, "VM files");
  EXPECT_EQ(read->log, "/var/log/x");
  EXPECT_EQ(read->inputs, record.inputs);
  EXPECT_EQ(read->state, record.state);
  EXPECT_EQ(read->tests, record.tests);
  EXPECT_EQ(*read->fresh_machine.find("list"), *record.fresh_machine.find("list"));
  EXPECT_EQ(read->fresh_machine.find("ssh_password")->as_string(), "<sensitive>")
      << "secrets do not go to the disk";
  EXPECT_THAT(read->parents, ElementsAre("aaaaaaaaaaaa"));
  EXPECT_THAT(read->tags, ElementsAre("stable"));
  EXPECT_EQ(read->made, added.made);
  EXPECT_EQ(read->files[0].path, added.files[0].path);
  EXPECT_FALSE(store_->find_by_key("k2").has_value());
  EXPECT_FALSE(store_->find_by_key("").has_value());
}

TEST_F(ImageStoreTest, AnArtifactMayComeToBeCalledOtherwise) {
  ImageRecord record;
  record.name = "atlas/ami";
  record.key = "k1";
  record.artifact_id = "eu-west-1:ami-1";
  ImageRecord added = store_->add(record, {}, Stop());
  added.artifact_id = "eu-west-1:ami-1,us-east-1:ami-2";
  added.description = "two";
  added.state.set("a", "b");
  store_->set_artifact(added);
  open_again();
  auto read = store_->find_by_key("k1");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->id, added.id);
  EXPECT_EQ(read->artifact_id, "eu-west-1:ami-1,us-east-1:ami-2");
  EXPECT_EQ(read->description, "two");
  EXPECT_EQ(read->state, added.state);
}

TEST_F(ImageStoreTest, KeepsContentOnceAndLeavesTheOutputAsItIs) {
  std::string one = output("one", "same"), two = output("two", "same");
  ::chmod(one.c_str(), 0640);
  auto first = made("a", "1", {one, two});
  auto second = made("b", "2", {two});
  EXPECT_THAT(files_below("objects"), ElementsAre(digest_hex("sha256", "same")));
  EXPECT_THAT(files_below("tmp"), IsEmpty());
  EXPECT_EQ(first.files[0].mode, 0640);
  EXPECT_EQ(fs::status(one).permissions(), fs::perms(0640));
  EXPECT_EQ(read_file(one), "same");
}

TEST_F(ImageStoreTest, FindsTheNewestOfAKeyAndOfAName) {
  made("app", "k", {output("1", "1")});
  auto second = made("app", "k", {output("2", "2")});
  EXPECT_EQ(store_->find_by_key("k")->id, second.id);
  EXPECT_EQ(store_->get("app").id, second.id);
  EXPECT_EQ(store_->newest("app")->id, second.id);
  EXPECT_FALSE(store_->newest("ap").has_value()) << "a name is asked for whole";
  EXPECT_FALSE(store_->newest(second.id).has_value());
  EXPECT_THAT(store_->list(), testing::SizeIs(2));
  EXPECT_EQ(store_->list()[0].id, second.id);
}

TEST_F(ImageStoreTest, GetsByIdItsBeginningTagNameAndPath) {
  auto image = made("atlas/app", "k", {output("disk", "x")});
  store_->tag(image.id, "stable");
  for (const std::string& reference : {image.id, image.id.substr(0, 4), std::string("stable"),
                                       std::string("atlas/app"), image.files[0].path}) {
    EXPECT_EQ(store_->get(reference).id, image.id) << reference;
  }
  EXPECT_EQ(message([&] { store_->get("atlas/apq"); }), "no image \"atlas/apq\"; did you mean atlas/app?");
  EXPECT_THAT(message([&] { store_->get(image.id.substr(0, 2)); }), HasSubstr("no image"))
      << "too short to be meant";
  TempDir other;
  EXPECT_EQ(message([&] { open_image_store(other.path())->get("x"); }),
            "no image \"x\": there are none in " + other.path().string());
}

TEST_F(ImageStoreTest, MovesTagsAndForgetsThem) {
  auto one = made("a", "1", {}), two = made("b", "2", {});
  store_->tag(one.id, "stable");
  store_->tag(two.id, "stable");
  EXPECT_EQ(store_->get("stable").id, two.id);
  EXPECT_THAT(store_->get(one.id).tags, IsEmpty());
  EXPECT_EQ(message([&] { store_->untag("stabel"); }),
            "no image has the tag \"stabel\"; did you mean stable?");
  store_->untag("stable");
  EXPECT_THAT(message([&] { store_->get("stable"); }), HasSubstr("no image"));
  for (const char* bad : {"", "a b", "-x", "a\nb"})
    EXPECT_THAT(message([&] { store_->tag(one.id, bad); }), HasSubstr("is no tag"));
  EXPECT_THAT(message([&] { store_->tag("zzz", "x"); }), HasSubstr("no image"));
  store_->set_tests(one.id, Value::Object{{"passed", 2, {}}});
  EXPECT_EQ(store_->get(one.id).tests.find("passed")->as_number().text, "2");
}

TEST_F(ImageStoreTest, PutsBackWhatIsGoneOrDiffers) {
  auto image = made("a", "1", {output("dir/disk", "content"), output("dir/vars", "vars")});
  EXPECT_FALSE(store_->restore(image, Stop()));
  fs::remove_all(out_ / "dir");
  EXPECT_TRUE(store_->restore(image, Stop()));
  EXPECT_EQ(read_file(out_ / "dir/disk"), "content");
  EXPECT_EQ(read_file(out_ / "dir/vars"), "vars");
  EXPECT_FALSE(store_->restore(image, Stop()));
  fs::remove(out_ / "dir/disk");
  output("dir/disk", "tnetnoc");  // another file of that size
  EXPECT_TRUE(store_->restore(image, Stop()));
  EXPECT_EQ(read_file(out_ / "dir/disk"), "content");
  fs::remove(out_ / "dir/disk");
  fs::create_directory(out_ / "dir/disk");
  EXPECT_THAT(message([&] { store_->restore(image, Stop()); }, ErrorKind::environment),
              HasSubstr("is a directory"));
}

TEST_F(ImageStoreTest, PutsBackTheModeToo) {
  std::string file = output("disk", "content");
  ::chmod(file.c_str(), 0600);
  auto image = made("a", "1", {file});
  fs::remove(file);
  store_->restore(image, Stop());
  EXPECT_EQ(fs::status(file).permissions(), fs::perms(0600));
}

TEST_F(ImageStoreTest, NeverHandsOutWhatWasWrittenToInPlace) {
  auto large = [&](const char* name) {
    std::string file = output(name, "head");
    fs::resize_file(file, 20 << 20);
    return file;
  };
  auto image = made("a", "k", {large("disk")});
  bool linked = fs::hard_link_count(out_ / "disk") > 1;
  write_into(out_ / "disk", "booted");
  if (linked) {  // one file: the store's content is gone with it
    EXPECT_FALSE(store_->find_by_key("k").has_value());
    EXPECT_THAT(message([&] { store_->restore(image, Stop()); }, ErrorKind::environment),
                HasSubstr("Build the image again"));
    EXPECT_THAT(message([&] { store_->export_image(image, out_ / "x.tar", Stop()); }, ErrorKind::environment),
                HasSubstr("no longer has the content"));
    EXPECT_FALSE(fs::exists(out_ / "x.tar"));
  } else {
    EXPECT_TRUE(store_->find_by_key("k").has_value());
    EXPECT_TRUE(store_->restore(image, Stop()));
  }
  auto again = made("a", "k", {large("disk2")});
  EXPECT_EQ(store_->find_by_key("k")->id, again.id);
  EXPECT_EQ(store_->restore(image, Stop()), linked) << "the same content heals it";
  EXPECT_EQ(file_digest_hex("sha256", out_ / "disk"), image.files[0].digest);
}

TEST_F(ImageStoreTest, SmallFilesMayBeWrittenToInPlace) {
  auto image = made("a", "k", {output("disk", "content")});
  EXPECT_EQ(fs::hard_link_count(out_ / "disk"), 1u);
  write_into(out_ / "disk", "booted!");
  EXPECT_TRUE(store_->find_by_key("k").has_value());
  EXPECT_TRUE(store_->restore(image, Stop()));
  EXPECT_EQ(read_file(out_ / "disk"), "content");
}

TEST_F(ImageStoreTest, VerifyFindsDamageThatTimeStampsDoNotShow) {
  auto image = made("a", "k", {output("disk", std::string(5000, 'x')), output("vars", "v")});
  std::vector<std::pair<uint64_t, uint64_t>> progress;
  EXPECT_THAT(store_->verify(
                  image,
                  [&](uint64_t done, uint64_t total) {
                    progress.push_back({done, total});
                  },
                  Stop()),
              IsEmpty());
  ASSERT_FALSE(progress.empty());
  EXPECT_EQ(progress.back(), std::make_pair(uint64_t{5001}, uint64_t{5001}));

  fs::path stored = object(image.files[0].digest);
  auto time = fs::last_write_time(stored);
  ::chmod(stored.c_str(), 0600);
  write_into(stored, "rot");
  fs::last_write_time(stored, time);
  auto damages = store_->verify(image, {}, Stop());
  ASSERT_EQ(damages.size(), 1u);
  EXPECT_EQ(damages[0].id, image.id);
  EXPECT_EQ(damages[0].path, image.files[0].path);
  EXPECT_EQ(damages[0].what, "content differs");
  EXPECT_FALSE(store_->find_by_key("k").has_value()) << "what verify found is remembered";
  fs::remove(stored);
  EXPECT_EQ(store_->verify(image, {}, Stop())[0].what, "missing");
  EXPECT_FALSE(store_->find_by_key("k").has_value());
}

TEST_F(ImageStoreTest, TouchingAFileLosesNothing) {
  auto image = made("a", "k", {output("disk", "content")});
  fs::last_write_time(out_ / "disk", fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_TRUE(store_->find_by_key("k").has_value());
  EXPECT_FALSE(store_->restore(image, Stop()));
}

/// Of a database with a rollback journal: how many transactions have changed it (big-endian, in its header).
uint32_t transactions(const fs::path& database) {
  std::string header = read_file(database).substr(24, 4);
  uint32_t count = 0;
  for (char c : header) count = count << 8 | static_cast<unsigned char>(c);
  return count;
}

TEST_F(ImageStoreTest, WhatReadingHasShownIsWrittenInOneTransaction) {
  std::vector<ImageRecord> images;
  for (const char* name : {"a", "b", "c"}) images.push_back(made(name, name, {output(name, name)}));
  store_.reset();
  uint32_t before = transactions(store_directory_ / "index.db");
  auto make_older = [](const fs::path& file) {  // its time stamp proves something then, once it was read
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(1));
  };
  for (const auto& image : images) {
    make_older(image.files[0].path);
    make_older(object(image.files[0].digest));
  }
  for (int turn = 0; turn < 2; ++turn) {  // the second one has nothing to read
    open_again();
    for (const auto& image : images) {
      EXPECT_TRUE(store_->find_by_key(image.key).has_value());
      EXPECT_FALSE(store_->restore(image, Stop()));
    }
    EXPECT_EQ(transactions(store_directory_ / "index.db"), before + turn);
    store_.reset();
    EXPECT_EQ(transactions(store_directory_ / "index.db"), before + 1);
  }
}

TEST_F(ImageStoreTest, WhatReadingHasShownIsNotReadAgain) {
  auto image = made("a", "k", {output("disk", "content")});
  open_again();
  fs::path object_file = object(image.files[0].digest);
  auto past = fs::file_time_type::clock::now() - std::chrono::hours(1);
  for (const fs::path& file : {object_file, out_ / "disk"}) fs::last_write_time(file, past);
  EXPECT_TRUE(store_->find_by_key("k").has_value());
  EXPECT_FALSE(store_->restore(image, Stop()));
  // Now other content with the same size, inode and time stamps, which only reading would show.
  fs::permissions(object_file, fs::perms::owner_all);
  for (const fs::path& file : {object_file, out_ / "disk"}) {
    write_into(file, "CONTENT");
    fs::last_write_time(file, past);
  }
  for (int turn = 0; turn < 2; ++turn) {  // as noted, and as written by what the store changed after it
    EXPECT_TRUE(store_->find_by_key("k").has_value());
    EXPECT_FALSE(store_->restore(image, Stop()));
    store_->tag(image.id, "stable");
  }
}

TEST_F(ImageStoreTest, RemovesContentThatNobodyElseHas) {
  auto one = made("a", "1", {output("1/a", "shared"), output("1/b", "own")});
  auto two = made("b", "2", {output("2/a", "shared")});
  store_->remove(one.id, false);
  EXPECT_THAT(files_below("objects"), ElementsAre(digest_hex("sha256", "shared")));
  EXPECT_TRUE(fs::exists(out_ / "1/b")) << "the files at their paths stay";
  store_->remove(two.id, true);
  EXPECT_THAT(files_below("objects"), IsEmpty());
  EXPECT_FALSE(fs::exists(out_ / "2")) << "they go when asked, with the directory";
  EXPECT_THAT(message([&] { store_->remove(two.id, false); }), HasSubstr("no image"));
}

TEST_F(ImageStoreTest, RemovesOnlyFilesThatAreStillWhatWasBuilt) {
  auto one = made("a", "1", {output("d/a", "first"), output("d/b", "kept")});
  fs::remove(out_ / "d/b");
  output("d/b", "mine");
  auto later = made("a", "1", {out_ / "d/a"});
  store_->remove(one.id, true);
  EXPECT_EQ(read_file(out_ / "d/b"), "mine");
  EXPECT_EQ(read_file(out_ / "d/a"), "first") << "another image has it there too";
}

TEST_F(ImageStoreTest, AParentStays) {
  auto base = made("base", "1", {output("base", "b")});
  auto child = made("app", "2", {output("app", "a")}, {base.id});
  EXPECT_EQ(message([&] { store_->remove(base.id, true); }),
            "image " + base.id + " (base) stays: " + child.id + " was made from it. Remove that first");
  EXPECT_TRUE(fs::exists(out_ / "base"));
  store_->remove(child.id, false);
  store_->remove(base.id, false);
  EXPECT_THAT(store_->list(), IsEmpty());
}

TEST_F(ImageStoreTest, PruneKeepsTheNewestTaggedOnesAndParents) {
  auto base = made("base", "1", {});
  auto old_base = made("old-base", "1", {});
  auto app1 = made("app", "2", {}, {old_base.id});
  auto app2 = made("app", "3", {}, {base.id});
  auto app3 = made("app", "4", {}, {base.id});
  auto tagged = made("web", "5", {});
  store_->tag(tagged.id, "stable");
  auto ids = [&](const PrunePolicy& policy) {
    std::vector<std::string> out;
    for (const auto& record : store_->prunable(policy)) out.push_back(record.id);
    return out;
  };
  EXPECT_THAT(ids({1, std::nullopt}), ElementsAre(app1.id, app2.id));
  EXPECT_THAT(ids({0, std::nullopt}), ElementsAre(app1.id, app2.id, app3.id, base.id, old_base.id));
  EXPECT_THAT(ids({0, std::chrono::hours(1)}), IsEmpty());
  store_->tag(app3.id, "candidate");
  auto pruned = ids({0, std::nullopt});
  EXPECT_THAT(pruned, ElementsAre(app1.id, app2.id, old_base.id))
      << "base is what the tagged app was made from";
  for (const auto& id : pruned) store_->remove(id, false);
  EXPECT_THAT(ids({0, std::nullopt}), IsEmpty());
}

TEST_F(ImageStoreTest, SaysWhatToDoAboutAnUnusableStore) {
  auto image = made("a", "k", {output("disk", "x")});
  store_.reset();
  std::string index = read_file(store_directory_ / "index.db");
  for (size_t at = 100; at < index.size(); at += 3) index[at] = '#';
  write_file_atomically(store_directory_ / "index.db", index);
  std::string text = message([&] { open_image_store(store_directory_)->list(); }, ErrorKind::environment);
  EXPECT_THAT(text, HasSubstr("damaged"));
  EXPECT_THAT(text, HasSubstr("move this one away"));
  write_file_atomically(store_directory_ / "index.db", std::string(5000, 'x'));
  EXPECT_THAT(message([&] { open_image_store(store_directory_); }, ErrorKind::environment),
              HasSubstr("file is not a database"));
  write_file_atomically(directory_.path() / "file", "");
  EXPECT_THAT(message([&] { open_image_store(directory_.path() / "file/store"); }, ErrorKind::environment),
              HasSubstr("cannot make the store"));
  EXPECT_THAT(message([&] { open_image_store("/proc/kiln"); }, ErrorKind::environment),
              HasSubstr("cannot make the store"));
}

TEST_F(ImageStoreTest, RefusesANewerFormat) {
  store_.reset();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((store_directory_ / "index.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "PRAGMA user_version = 2", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  EXPECT_THAT(message([&] { open_image_store(store_directory_); }, ErrorKind::environment),
              HasSubstr("made by a newer Kiln"));
}

/// A small file system that ends with the object.
struct SmallDisk {
  explicit SmallDisk(const fs::path& at) : path(at) {
    fs::create_directories(path);
    mounted = ::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=1m") == 0;
  }
  ~SmallDisk() {
    if (mounted) ::umount2(path.c_str(), MNT_DETACH);
  }
  fs::path path;
  bool mounted;
};

TEST_F(ImageStoreTest, AFullDiskLeavesTheStoreAsItWas) {
  SmallDisk disk(directory_.path() / "small");
  if (!disk.mounted) GTEST_SKIP() << "skipped: mounting needs root";
  store_directory_ = disk.path / "store";
  open_again();
  auto small = made("small", "s", {output("small", "small")});
  std::string file = output("large", random_bytes(2 << 20));
  std::string text = message([&] { made("large", "l", {file}); }, ErrorKind::environment);
  EXPECT_THAT(text, HasSubstr("no space left on device"));
  EXPECT_THAT(text, HasSubstr("kiln images prune"));
  EXPECT_THAT(files_below("tmp"), IsEmpty());
  EXPECT_THAT(files_below("objects"), ElementsAre(small.files[0].digest));
  EXPECT_EQ(store_->list().size(), 1u);
  EXPECT_THAT(message(
                  [&] {
                    store_->export_image(made("x", "x", {output("x", random_bytes(600'000))}),
                                         disk.path / "x.tar", Stop());
                  },
                  ErrorKind::environment),
              HasSubstr("no space left on device"));
  EXPECT_FALSE(fs::exists(disk.path / "x.tar"));
  store_.reset();
}

TEST_F(ImageStoreTest, AReadOnlyStoreIsReadAndSaysWhyItIsNotWritten) {
  SmallDisk disk(directory_.path() / "small");
  if (!disk.mounted) GTEST_SKIP() << "skipped: mounting needs root";
  store_directory_ = disk.path / "store";
  open_again();
  auto image = made("app", "k", {output("disk", "content")});
  store_.reset();
  ASSERT_EQ(::mount("", disk.path.c_str(), "", MS_REMOUNT | MS_RDONLY, nullptr), 0);
  open_again();
  EXPECT_EQ(store_->get("app").id, image.id);
  EXPECT_EQ(store_->find_by_key("k")->id, image.id);
  EXPECT_THAT(store_->verify(image, {}, Stop()), IsEmpty());
  fs::remove(out_ / "disk");
  EXPECT_TRUE(store_->restore(image, Stop()));
  EXPECT_EQ(read_file(out_ / "disk"), "content");
  EXPECT_THAT(message([&] { made("b", "b", {output("b", "b")}); }, ErrorKind::environment),
              HasSubstr("KILN_STORE_DIR"));
  EXPECT_THAT(message([&] { store_->tag(image.id, "x"); }, ErrorKind::environment),
              HasSubstr("it is read-only"));
  EXPECT_THAT(message([&] { store_->remove(image.id, false); }, ErrorKind::environment),
              HasSubstr("KILN_STORE_DIR"));
  store_.reset();
}

TEST(ImageStoreFormat, ReadsTheFirst) {  // the golden statement of docs/formats/images.md
  TempDir directory;
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((directory.path() / "index.db").c_str(), &db), SQLITE_OK);
  const char* golden =
      "CREATE TABLE image (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, key TEXT NOT "
      "NULL, name TEXT "
      "NOT NULL, made INTEGER NOT NULL, builder_type TEXT NOT NULL, builder_id TEXT NOT NULL, artifact_id "
      "TEXT NOT NULL, "
      "description TEXT NOT NULL, digest TEXT NOT NULL, log TEXT NOT NULL, inputs TEXT NOT NULL, state TEXT "
      "NOT NULL, "
      "fresh_machine TEXT NOT NULL, tests TEXT NOT NULL);"
      "CREATE TABLE file (image INTEGER NOT NULL REFERENCES image (seq) ON DELETE CASCADE, ordinal INTEGER "
      "NOT NULL, path "
      "TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, mode INTEGER NOT NULL, inode INTEGER NOT "
      "NULL, mtime "
      "INTEGER NOT NULL, PRIMARY KEY (image, ordinal));"
      "CREATE TABLE object (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, inode INTEGER NOT NULL, mtime "
      "INTEGER NOT NULL, "
      "damaged INTEGER NOT NULL);"
      "CREATE TABLE parent (image INTEGER NOT NULL REFERENCES image (seq) ON DELETE CASCADE, ordinal INTEGER "
      "NOT NULL, "
      "parent TEXT NOT NULL, PRIMARY KEY (image, ordinal));"
      "CREATE TABLE tag (tag TEXT PRIMARY KEY, image INTEGER NOT NULL REFERENCES image (seq) ON DELETE "
      "CASCADE);"
      "INSERT INTO image VALUES (4, 'kx7c2m9qa1zd', 'k', 'app', 1764201600000000000, 'qemu', "
      "'transcend.qemu', 'VM', "
      "'VM files', 'd', '/log', '{\"a\":1}', 'null', '{\"disk\":\"/d\"}', '{\"passed\":2}');"
      "INSERT INTO file VALUES (4, 0, '/out/disk', "
      "'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', 3, 420, 7, 0);"
      "INSERT INTO object VALUES ('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', 3, 7, "
      "0, 0);"
      "INSERT INTO parent VALUES (4, 0, 'aaaaaaaaaaaa');"
      "INSERT INTO tag VALUES ('stable', 4);"
      "PRAGMA user_version = 1";
  ASSERT_EQ(sqlite3_exec(db, golden, nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  fs::create_directories(directory.path() / "objects/ba");
  write_file_atomically(
      directory.path() / "objects/ba/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "abc");
  auto image = open_image_store(directory.path())->find_by_key("k");
  ASSERT_TRUE(image.has_value());
  EXPECT_EQ(image->id, "kx7c2m9qa1zd");
  EXPECT_EQ(image->made, std::chrono::system_clock::from_time_t(1764201600));
  EXPECT_EQ(image->files[0].path, "/out/disk");
  EXPECT_EQ(image->files[0].mode, 0644);
  EXPECT_THAT(image->parents, ElementsAre("aaaaaaaaaaaa"));
  EXPECT_THAT(image->tags, ElementsAre("stable"));
  EXPECT_EQ(to_json(image->fresh_machine), "{\"disk\":\"/d\"}");
}

TEST_F(ImageStoreTest, TakesNoDirectoriesAndNothingThatIsMissing) {
  EXPECT_THAT(message([&] { made("a", "k", {directory_.path().string()}); }), HasSubstr("no regular file"));
  EXPECT_THAT(message(
                  [&] {
                    made("a", "k", {output("x", "x"), (out_ / "none").string()});
                  },
                  ErrorKind::environment),
              HasSubstr("no such file"));
  EXPECT_THAT(store_->list(), IsEmpty());
  EXPECT_THAT(files_below("tmp"), IsEmpty());
  EXPECT_THAT(files_below("objects"), IsEmpty());
}

TEST_F(ImageStoreTest, CopiesFromAnotherFileSystemWithItsHoles) {
  struct stat here {
  }, there{};
  if (::stat("/dev/shm", &there) != 0 || ::stat(directory_.path().c_str(), &here) != 0 ||
      here.st_dev == there.st_dev || ::access("/dev/shm", W_OK) != 0) {
    GTEST_SKIP() << "skipped: no other file system";
  }
  ::setenv("TMPDIR", "/dev/shm", 1);
  TempDir elsewhere;
  ::unsetenv("TMPDIR");
  fs::path file = elsewhere.path() / "disk";
  std::ofstream(file) << "head";
  fs::resize_file(file, 30 << 20);
  auto image = made("a", "k", {file.string()});
  struct stat status {};
  ASSERT_EQ(::stat(object(image.files[0].digest).c_str(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 1 << 20);
  EXPECT_EQ(status.st_mode & 07777, 0444u);
  write_into(file, "booted");
  EXPECT_TRUE(store_->find_by_key("k").has_value());
  EXPECT_TRUE(store_->restore(image, Stop()));
  EXPECT_EQ(file_digest_hex("sha256", file), image.files[0].digest);
}

/// Not a test of its own: what this program does when a test starts it again to add a file.
TEST(ImageStoreWriter, Runs) {
  auto directory = get_env("KILN_TEST_STORE"), file = get_env("KILN_TEST_FILE");
  if (!directory || !file) GTEST_SKIP() << "skipped: run by other tests";
  auto journal = open_journal(*get_env("KILN_STATE_DIR"), "run");
  ImageRecord record;
  record.name = "child";
  record.key = "child";
  open_image_store(*directory, journal.get())->add(record, {*file}, Stop());
}

Command writer(const fs::path& store, const fs::path& file, const fs::path& state) {
  Command command{{fs::read_symlink("/proc/self/exe").string(), "--gtest_filter=ImageStoreWriter.Runs"}};
  command.env = {{"KILN_TEST_STORE", store.string()},
                 {"KILN_TEST_FILE", file.string()},
                 {"KILN_STATE_DIR", state.string()}};
  return command;
}

TEST_F(ImageStoreTest, TwoProcessesAddTheSameContentAtOnce) {
  std::string content = random_bytes(2'000'000);
  std::vector<Process> children;
  for (const char* name : {"1", "2", "3"}) {
    children.push_back(
        Process::start(writer(store_directory_, output(name, content), directory_.path() / "state"),
                       {.out = Process::Stdio::null}));
  }
  for (auto& child : children) EXPECT_TRUE(child.wait(Deadline::in(std::chrono::minutes(1)), Stop())->ok());
  EXPECT_EQ(store_->list().size(), 3u);
  EXPECT_THAT(files_below("objects"), ElementsAre(digest_hex("sha256", content)));
  EXPECT_THAT(files_below("tmp"), IsEmpty());
  for (const auto& image : store_->list()) {
    EXPECT_THAT(store_->verify(image, {}, Stop()), IsEmpty());
    EXPECT_FALSE(store_->restore(image, Stop()));
  }
}

TEST_F(ImageStoreTest, NothingHalfIsFoundOfAProcessKilledWhileAdding) {
  fs::path file = output("huge", "head");
  fs::resize_file(file, uint64_t{1} << 38);  // a hole that takes minutes to digest
  fs::path state = directory_.path() / "state";
  auto child = Process::start(writer(store_directory_, file, state), {.out = Process::Stdio::null});
  Deadline deadline = Deadline::in(std::chrono::minutes(1));
  while (files_below("tmp").empty() && !deadline.passed()) sleep_for(std::chrono::milliseconds(5), Stop());
  ASSERT_THAT(files_below("tmp"), testing::SizeIs(1));
  auto beside = open_image_store(store_directory_);
  EXPECT_THAT(files_below("tmp"), testing::SizeIs(1)) << "a living process keeps what it writes";
  child.kill(SIGKILL);
  EXPECT_EQ(child.wait(Deadline::in(std::chrono::minutes(1)), Stop())->signal, SIGKILL);
  EXPECT_THAT(store_->list(), IsEmpty());
  EXPECT_FALSE(store_->find_by_key("child").has_value());
  EXPECT_THAT(files_below("tmp"), testing::SizeIs(1));

  auto journal = open_journal(state, "gc");
  GcSummary summary = run_gc(*journal, GcOptions{}, [](const GcItem&) {});
  EXPECT_EQ(summary.removed, 1);
  EXPECT_THAT(files_below("tmp"), IsEmpty());
  EXPECT_TRUE(fs::exists(file)) << "what was given stays";
}

TEST_F(ImageStoreTest, OpeningSweepsWhatAKilledProcessLeft) {
  auto image = made("a", "k", {output("disk", "x")});
  // As after a kill between giving an object its name and saying so in the index.
  std::string stray(64, 'a');
  fs::create_directories(object(stray).parent_path());
  write_file_atomically(object(stray), "stray");
  fs::create_directories(store_directory_ / "tmp/0123");
  write_file_atomically(store_directory_ / "tmp/0123/half", "half");
  open_again();
  EXPECT_THAT(files_below("tmp"), IsEmpty());
  EXPECT_THAT(files_below("objects"), ElementsAre(image.files[0].digest));
  EXPECT_TRUE(store_->find_by_key("k").has_value());
}

TEST_F(ImageStoreTest, ManyThreadsUseIt) {
  std::vector<std::thread> threads;
  threads.reserve(6);
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      for (int turn = 0; turn < 4; ++turn) {
        auto image = made("t" + std::to_string(i), "k",
                          {output(std::to_string(i) + "/" + std::to_string(turn), "same for all")});
        store_->tag(image.id, "last");
        store_->find_by_key("k");
        if (turn % 2 == 0) store_->remove(image.id, true);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(store_->list().size(), 12u);
  for (const auto& image : store_->list()) EXPECT_THAT(store_->verify(image, {}, Stop()), IsEmpty());
}

TEST_F(ImageStoreTest, IsCancelledByStop) {
  fs::path file = output("huge", "head");
  fs::resize_file(file, uint64_t{1} << 38);
  Stop stop;
  stop.request("enough");
  EXPECT_THAT(message(
                  [&] {
                    ImageRecord record;
                    store_->add(record, {file}, stop);
                  },
                  ErrorKind::cancelled),
              HasSubstr("enough"));
  EXPECT_THAT(files_below("tmp"), IsEmpty());
}

}  // namespace
}  // namespace kiln
