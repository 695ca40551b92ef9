// Files and trees over ssh, by every way there is.
#include "communicator/ssh/transfer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/digest.h"
#include "base/text.h"
#include "communicator/ssh/command.h"
#include "communicator/ssh/servers_for_test.h"

namespace kiln {
namespace {

using namespace testing_ssh;
using testing::HasSubstr;

std::string random_text(size_t size, unsigned seed) {
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
  write_file_atomically(root / "nothing", "", 0644);
  write_file_atomically(root / std::string(180, 'n'), "long", 0644);
  fs::create_directories(root / std::string(120, 'd') / std::string(120, 'e'));
  write_file_atomically(root / std::string(120, 'd') / std::string(120, 'e') / "f", "deep", 0644);
  write_file_atomically(root / "big", random_text(3'000'001, 1), 0644);
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

class SshTransfer : public testing::TestWithParam<std::string> {
 protected:
  Ground ground;
  Scene scene;
  OpenSshd server{ground};
  fs::path there = ground.dir.path() / "there";
  std::unique_ptr<Communicator> ssh = open(GetParam());
  std::unique_ptr<Communicator> open(const std::string& method) {
    auto config = config_with_key(ground);
    config.ssh_file_transfer_method = method;
    fs::create_directories(there);
    return connect_ssh(config, server.target(), scene.context);
  }
};
INSTANTIATE_TEST_SUITE_P(Methods, SshTransfer, testing::Values("", "scp", "sftp"), [](const auto& info) {
  return info.param.empty() ? std::string("fastest") : info.param;
});

TEST_P(SshTransfer, FilesArriveWholeWithTheirMode) {
  Deadline deadline = Deadline::in(20s);
  for (size_t size : {size_t(0), size_t(1), size_t(32768), size_t(5'000'003)}) {
    std::string content = random_text(size, static_cast<unsigned>(size));
    fs::path path = there / ("a file's " + std::to_string(size));
    ssh->upload({path.string(), content.size(), 0751}, source_of(content), deadline, scene.stop);
    EXPECT_EQ(read_file(path), content);
    EXPECT_EQ(mode_of(path), 0751);
    EXPECT_EQ(download_text(*ssh, path.string()), content);
  }
  // Written over something longer.
  fs::path path = there / "again";
  write_file_atomically(path, "something that was longer", 0600);
  ssh->upload({path.string(), 5, 0644}, source_of("short"), deadline, scene.stop);
  EXPECT_EQ(read_file(path), "short");
  EXPECT_EQ(run_remote(*ssh, "echo usable").out, "usable\n");
}

TEST_P(SshTransfer, FailuresAreToldInTheMachinesWords) {
  Deadline deadline = Deadline::in(20s);
  auto upload = [&](const std::string& path) {
    return error_of([&] { ssh->upload({path, 3, 0644}, source_of("abc"), deadline, scene.stop); });
  };
  Error missing = upload((there / "no/such/dir").string());
  EXPECT_EQ(missing.kind(), ErrorKind::remote);
  auto not_there =
      testing::AnyOf(HasSubstr("no such file"), HasSubstr("nonexistent"));  // dash has its own words
  EXPECT_THAT(lower(missing.message()), not_there);
  EXPECT_THAT(upload("/proc/nope").message(), testing::Not(testing::IsEmpty()));
  Error gone = error_of([&] { download_text(*ssh, (there / "gone").string()); });
  EXPECT_THAT(lower(gone.message()), not_there);
  // A full disk: what was taken is not taken for whole.
  std::string much = random_text(1'000'000, 7);
  Error full = error_of([&] {
    ssh->upload({"/dev/full", much.size(), 0644}, source_of(much), deadline, scene.stop);
  });
  EXPECT_EQ(full.kind(), ErrorKind::remote);
  EXPECT_EQ(run_remote(*ssh, "echo usable").out, "usable\n");
}

TEST_P(SshTransfer, ASourceOfAnotherSizeIsAnError) {
  Deadline deadline = Deadline::in(20s);
  Error less = error_of([&] {
    ssh->upload({(there / "x").string(), 10, 0644}, source_of("abc"), deadline, scene.stop);
  });
  EXPECT_EQ(less.kind(), ErrorKind::user);
  EXPECT_THAT(less.message(), HasSubstr("10 bytes were announced"));
  Error more = error_of([&] {
    ssh->upload({(there / "x").string(), 2, 0644}, source_of("abc"), deadline, scene.stop);
  });
  EXPECT_EQ(more.kind(), ErrorKind::user);
  EXPECT_EQ(run_remote(*ssh, "echo usable").out, "usable\n");
}

TEST_P(SshTransfer, TreesGoThereAndBack) {
  fs::path from = ground.dir.path() / "from", back = ground.dir.path() / "back";
  fs::create_directories(from);
  make_tree(from);
  if (GetParam() != "scp") {  // its protocol follows links
    fs::create_symlink("plain", from / "link");
    fs::create_symlink("/nowhere/at/all", from / "dangling");
  }
  uint64_t last = 0, total = 0;
  fs::path to = there / "new/place with space";
  ssh->upload_tree(
      from, to.string(), [&](uint64_t done, uint64_t of) { last = done, total = of; }, Deadline::in(20s),
      scene.stop);
  EXPECT_EQ(listing(to), listing(from));
  EXPECT_EQ(last, total);
  EXPECT_GT(total, 3'000'000u);
  ssh->download_tree(to.string(), back, Deadline::in(20s), scene.stop);
  EXPECT_EQ(listing(back), listing(from));
}

TEST_P(SshTransfer, ATreeIntoWhatIsThereLeavesTheRest) {
  fs::path from = ground.dir.path() / "from";
  fs::create_directories(from / "lib");
  write_file_atomically(from / "lib/new", "new");
  fs::create_directories(there / "usr/lib");
  write_file_atomically(there / "usr/lib/old", "old");
  fs::create_symlink("usr/lib", there / "lib");
  ::chmod(there.c_str(), 0711);
  ssh->upload_tree(from, there.string(), nullptr, Deadline::in(20s), scene.stop);
  EXPECT_TRUE(fs::is_symlink(there / "lib"));
  EXPECT_EQ(read_file(there / "usr/lib/new"), "new");
  EXPECT_EQ(read_file(there / "usr/lib/old"), "old");
  EXPECT_EQ(mode_of(there), 0711);
}

TEST_P(SshTransfer, EveryFileOfATreeHasItsModeNewOrThereAlready) {
  if (GetParam() == "scp") GTEST_SKIP() << "skipped: its protocol leaves the mode to the machine";
  fs::path from = ground.dir.path() / "from";
  fs::create_directories(from);
  fs::path to = there / "tree";
  fs::create_directories(to);
  for (int mode : {0644, 0600, 0755, 0666, 0777, 0444, 04755}) {  // the server's umask takes something off some of them
    for (int i = 0; i < 70; ++i) {  // more than are on their way at once
      std::string name = std::to_string(mode) + "." + std::to_string(i);
      write_file_atomically(from / name, "new " + name, mode);
      ::chmod((from / name).c_str(), static_cast<mode_t>(mode));
      if (i % 7 == 2) write_file_atomically(to / name, "what was there before, which is longer", 0640);
    }
  }
  for (int turn = 0; turn < 2; ++turn) {  // the second one finds everything there
    ssh->upload_tree(from, to.string(), nullptr, Deadline::in(20s), scene.stop);
    EXPECT_EQ(listing(to), listing(from));
  }
}

TEST_P(SshTransfer, TreeFailuresAreTold) {
  fs::path from = ground.dir.path() / "from";
  fs::create_directories(from);
  make_tree(from);
  write_file_atomically(there / "file", "");
  Error e = error_of([&] {
    ssh->upload_tree(from, (there / "file/below").string(), nullptr, Deadline::in(20s), scene.stop);
  });
  EXPECT_EQ(e.kind(), ErrorKind::remote) << e.message();
  Error nowhere = error_of([&] {
    ssh->download_tree((there / "gone").string(), ground.dir.path() / "b", Deadline::in(20s), scene.stop);
  });
  EXPECT_EQ(nowhere.kind(), ErrorKind::remote) << nowhere.message();
  Error local = error_of(
      [&] { ssh->upload_tree(from / "no", there.string(), nullptr, Deadline::in(20s), scene.stop); });
  EXPECT_EQ(local.kind(), ErrorKind::user);
  EXPECT_EQ(run_remote(*ssh, "echo usable").out, "usable\n");
}

// What scp would take for the next message when the file is refused.
TEST_P(SshTransfer, TheContentOfARefusedFileIsNeverTakenForAMessage) {
  fs::path from = ground.dir.path() / "from", to = there / "t";
  for (std::string content : {"C0644 5 evil\nevil\n", "D0755 0 evil\nE\n", "plain\nC0644 5 evil\nevil\n", ""}) {
    fs::create_directories(from);
    write_file_atomically(from / "ablaze", content);
    for (int i = 0; i < 60; ++i) write_file_atomically(from / fmt::format("b{}", i), content);
    fs::create_directories(to / "ablaze/in/the/way");
    Error e = error_of([&] { ssh->upload_tree(from, to.string(), nullptr, Deadline::in(20s), scene.stop); });
    EXPECT_EQ(e.kind(), ErrorKind::remote) << content;
    EXPECT_THAT(e.message(), HasSubstr("ablaze")) << content;
    EXPECT_FALSE(fs::exists(to / "evil")) << content;
    EXPECT_EQ(run_remote(*ssh, "echo usable").out, "usable\n");
  }
}

class SshWays : public SshTransfer {};
INSTANTIATE_TEST_SUITE_P(Fastest, SshWays, testing::Values(""));

TEST_P(SshWays, FiveThousandFilesArrive) {
  fs::path from = ground.dir.path() / "from";
  std::mt19937 random(5);
  for (int i = 0; i < 5000; ++i) {
    fs::path dir = from / std::to_string(i % 50);
    if (i < 50) fs::create_directories(dir);
    Fd fd(::open((dir / std::to_string(i)).c_str(), O_WRONLY | O_CREAT, 0644));
    write_all(fd.get(), std::string(1000 + random() % 3000, static_cast<char>('a' + i % 26)));
  }
  auto start = Clock::now();
  ssh->upload_tree(from, (there / "t").string(), nullptr, Deadline::in(60s), scene.stop);
  RecordProperty("milliseconds", static_cast<int>((Clock::now() - start) / 1ms));
  EXPECT_EQ(listing(there / "t"), listing(from));
}

TEST_P(SshWays, APatternIsFetched) {
  write_file_atomically(there / "one.log", "1");
  write_file_atomically(there / "two.log", "2");
  write_file_atomically(there / "other", "3");
  ssh->download_tree((there / "*.log").string(), ground.dir.path() / "logs", Deadline::in(20s), scene.stop);
  EXPECT_EQ(read_file(ground.dir.path() / "logs/one.log"), "1");
  EXPECT_FALSE(fs::exists(ground.dir.path() / "logs/other"));
}

TEST_P(SshWays, HomeAndVariablesMeanWhatTheShellMakesOfThem) {
  std::string home = run_remote(*ssh, "echo ~").out;
  EXPECT_EQ(run_remote(*ssh, "echo " + remote_word("~/a b$HOME/${USER}-x/$(id)/'q")).out,
            std::string(trim(home)) + "/a b" + std::string(trim(home)) + "/" + me() + "-x/$(id)/'q\n");
}

/// A machine whose commands see only these programs.
struct PoorMachine {
  Ground ground;
  Scene scene;
  fs::path bin = ground.dir.path() / "bin";
  std::optional<OpenSshd> server;
  explicit PoorMachine(const std::vector<std::string>& programs, const std::string& extra = {}) {
    fs::create_directories(bin);
    for (const auto& name : programs) fs::create_symlink(*find_program(name), bin / name);
    // Every command runs with that PATH only; /bin/sh itself is there only if named.
    std::string shell =
        std::find(programs.begin(), programs.end(), "sh") != programs.end()
            ? "exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\""
            : "case \"$SSH_ORIGINAL_COMMAND\" in /bin/sh*) exit 127;; esac; eval \"$SSH_ORIGINAL_COMMAND\"";
    write_file_atomically(ground.dir.path() / "force",
                          "#!/bin/sh\nPATH=" + bin.string() + "\nexport PATH\n" + shell + "\n", 0755);
    server.emplace(ground, "ForceCommand " + (ground.dir.path() / "force").string() + "\n" + extra);
  }
};

TEST(SshPoorMachine, WithoutTarScpTakesOver) {
  PoorMachine machine({"sh", "cat", "wc", "chmod", "mkdir", "scp"});
  auto ssh = connect_ssh(config_with_key(machine.ground), machine.server->target(), machine.scene.context);
  fs::path from = machine.ground.dir.path() / "from", to = machine.ground.dir.path() / "to";
  fs::create_directories(from / "sub");
  write_file_atomically(from / "sub/x", "x", 0600);
  ssh->upload_tree(from, to.string(), nullptr, Deadline::in(20s), machine.scene.stop);
  EXPECT_EQ(listing(to), listing(from));
}

TEST(SshPoorMachine, WithNothingTheErrorSaysSo) {
  PoorMachine machine({}, "Subsystem nothing /bin/false");
  auto ssh = connect_ssh(config_with_key(machine.ground), machine.server->target(), machine.scene.context);
  Error e = error_of([&] {
    ssh->upload({(machine.ground.dir.path() / "x").string(), 1, 0644}, source_of("x"), Deadline::in(20s),
                machine.scene.stop);
  });
  EXPECT_EQ(e.kind(), ErrorKind::remote);
  EXPECT_THAT(e.message(), HasSubstr("the machine has none of sh with cat and tar, scp, and sftp"));
}

}  // namespace
}  // namespace kiln
