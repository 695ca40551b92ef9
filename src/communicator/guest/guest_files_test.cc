// Files and trees through the real agent.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/digest.h"
#include "base/text.h"
#include "communicator/guest/agent_for_test.h"

namespace kiln {
namespace {

using namespace testing_guest;
using testing::HasSubstr;

std::string noise(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string text(size, '\0');
  for (auto& c : text) c = static_cast<char>(random());
  return text;
}

int mode_of(const fs::path& path) {
  struct stat info {};
  ::lstat(path.c_str(), &info);
  return static_cast<int>(info.st_mode & 07777);
}

ByteSource source_of(const std::string& text) {
  return [text, at = size_t(0)](char* buffer, size_t size) mutable {
    size_t n = text.copy(buffer, size, at);
    at += n;
    return n;
  };
}

/// A tree with everything in it: modes, links, empty and private directories, odd and long names.
void make_tree(const fs::path& root) {
  fs::create_directories(root / "a dir/deep/er");
  fs::create_directories(root / "empty");
  fs::create_directories(root / "private");
  ::chmod((root / "private").c_str(), 0700);
  write_file_atomically(root / "plain", "plain\n", 0644);
  write_file_atomically(root / "run.sh", "#!/bin/sh\n", 0755);
  write_file_atomically(root / "private/secret", "s", 0600);
  write_file_atomically(root / "a dir/deep/er/it's $odd \"name\"", "odd", 0640);
  write_file_atomically(root / "two\nlines \t\\ * ", "odd", 0640);
  write_file_atomically(root / "-rf", "dash", 0644);
  write_file_atomically(root / "nothing", "", 0644);
  write_file_atomically(root / std::string(180, 'n'), "long", 0644);
  fs::create_directories(root / std::string(120, 'd') / std::string(120, 'e'));
  write_file_atomically(root / std::string(120, 'd') / std::string(120, 'e') / "f", "deep", 0644);
  write_file_atomically(root / "big", noise(3'000'001, 1), 0644);
  fs::create_symlink("plain", root / "link");
  fs::create_symlink("/nowhere/at\nall", root / "dangling");
}

std::string listing(const fs::path& root) {
  std::vector<std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    std::string line = entry.path().lexically_relative(root).string() + " ";
    if (entry.is_symlink())
      line += "-> " + fs::read_symlink(entry.path()).string();
    else if (entry.is_directory())
      line += "/ " + std::to_string(mode_of(entry.path()));
    else
      line += std::to_string(mode_of(entry.path())) + " " + file_digest_hex("sha256", entry.path());
    lines.push_back(line);
  }
  std::sort(lines.begin(), lines.end());
  return join(lines, "\n");
}

class GuestFiles : public testing::Test {
 protected:
  LocalAgent agent;
  std::unique_ptr<GuestChannel> channel;
  Stop stop;
  fs::path there = agent.dir.path() / "there";
  void SetUp() override {
    if (guest_agent_program().empty()) GTEST_SKIP() << "this Kiln was built without an agent";
    fs::create_directories(there);
    channel = agent.start().connect();
  }
  void upload(const fs::path& path, const std::string& content, int mode = 0644) {
    channel->upload({path.string(), content.size(), mode}, source_of(content), Deadline::in(60s), stop);
  }
  std::string download(const fs::path& path) {
    std::string out;
    channel->download(path.string(), [&](std::string_view b) { out += b; }, Deadline::in(60s), stop);
    return out;
  }
  void expect_usable() { EXPECT_EQ(run_there(*channel, "echo usable").out, "usable\n"); }
};

TEST_F(GuestFiles, ArriveWholeWithTheirMode) {
  for (size_t size : {size_t(0), size_t(1), size_t(32768), size_t(262144), size_t(30'000'003)}) {
    std::string content = noise(size, static_cast<unsigned>(size));
    fs::path path = there / ("a file's " + std::to_string(size));
    upload(path, content, 0751);
    EXPECT_TRUE(read_file(path) == content) << size;
    EXPECT_EQ(mode_of(path), 0751);
    EXPECT_TRUE(download(path) == content) << size;
  }
  // Written over something longer, through a link: as over ssh.
  write_file_atomically(there / "again", "something that was longer", 0600);
  fs::create_symlink("again", there / "link");
  upload(there / "link", "short");
  EXPECT_TRUE(fs::is_symlink(there / "link"));
  EXPECT_EQ(read_file(there / "again"), "short");
  expect_usable();
}

TEST_F(GuestFiles, FailuresAreToldInTheMachinesWords) {
  Error missing = error_of([&] { upload(there / "no/such/dir", "abc"); });
  EXPECT_EQ(missing.kind(), ErrorKind::remote);
  EXPECT_THAT(lower(missing.message()), testing::AnyOf(HasSubstr("no such file"), HasSubstr("nonexistent")));
  Error gone = error_of([&] { download(there / "gone"); });
  EXPECT_EQ(gone.kind(), ErrorKind::remote);
  Error full = error_of([&] { upload("/dev/full", noise(1'000'000, 7)); });
  EXPECT_EQ(full.kind(), ErrorKind::remote);
  Error directory = error_of([&] { upload(there, "abc"); });
  EXPECT_THAT(lower(directory.message()), HasSubstr("is a directory"));
  Error less = error_of([&] {
    channel->upload({(there / "x").string(), 10, 0644}, source_of("abc"), Deadline::in(20s), stop);
  });
  EXPECT_EQ(less.kind(), ErrorKind::user);
  expect_usable();
}

TEST_F(GuestFiles, StopWhileSendingLeavesTheChannelUsable) {
  uint64_t sent = 0;
  auto source = [&](char*, size_t size) {
    sent += size;
    if (sent > 5'000'000) stop.request();
    return size;
  };
  Error e = error_of([&] {
    channel->upload({(there / "x").string(), 1U << 30, 0644}, source, Deadline::in(60s), stop);
  });
  EXPECT_EQ(e.kind(), ErrorKind::cancelled);
  expect_usable();
}

TEST_F(GuestFiles, TreesGoThereAndBack) {
  fs::path from = agent.dir.path() / "from", back = agent.dir.path() / "back", to = there / "new/place with space";
  fs::create_directories(from);
  make_tree(from);
  uint64_t last = 0, total = 0;
  channel->upload_tree(
      from, to.string(), [&](uint64_t done, uint64_t of) { last = done, total = of; }, Deadline::in(60s), stop);
  EXPECT_EQ(listing(to), listing(from));
  EXPECT_EQ(last, total);
  EXPECT_GT(total, 3'000'000U);
  channel->download_tree(to.string(), back, Deadline::in(60s), stop);
  EXPECT_EQ(listing(back), listing(from));
  Error e = error_of(
      [&] { channel->upload_tree(from, (to / "plain").string(), nullptr, Deadline::in(60s), stop); });
  EXPECT_EQ(e.kind(), ErrorKind::remote);
  expect_usable();
}

TEST_F(GuestFiles, WithoutTarTreesGoFileByFile) {
  channel->quit_agent(Deadline::in(20s), stop);
  fs::path bin = agent.dir.path() / "bin";
  fs::create_directories(bin);
  for (const char* name : {"cat", "wc", "chmod", "mkdir", "ln", "rm"}) {
    fs::create_symlink(*find_program(name), bin / name);
  }
  agent.put_program();
  channel = agent.start({{"PATH", bin.string()}, {"SHELL", "/bin/sh"}}).connect();
  fs::path from = agent.dir.path() / "from";
  fs::create_directories(from);
  make_tree(from);
  fs::path to = there / "new/a";
  uint64_t last = 0, total = 0;
  for (int again = 0; again < 2; ++again) {
    channel->upload_tree(
        from, to.string(), [&](uint64_t done, uint64_t of) { last = done, total = of; }, Deadline::in(60s), stop);
    EXPECT_EQ(listing(to), listing(from));
    EXPECT_EQ(last, total);
  }
  Error e = error_of([&] { channel->download_tree(to.string(), there / "b", Deadline::in(60s), stop); });
  EXPECT_THAT(e.message(), HasSubstr("the machine has no sh with tar"));
}

TEST_F(GuestFiles, FiveThousandFilesArrive) {
  fs::path from = agent.dir.path() / "from";
  std::mt19937 random(5);
  for (int i = 0; i < 5000; ++i) {
    fs::path dir = from / std::to_string(i % 50);
    if (i < 50) fs::create_directories(dir);
    Fd fd(::open((dir / std::to_string(i)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    write_all(fd.get(), std::string(1000 + random() % 3000, static_cast<char>('a' + i % 26)));
  }
  channel->upload_tree(from, (there / "t").string(), nullptr, Deadline::in(60s), stop);
  EXPECT_EQ(listing(there / "t"), listing(from));
}

}  // namespace
}  // namespace kiln
