#include "kit/tree_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(TreeArchive, NamesThatLeaveTheDirectoryAreRefused) {
  TempDir dir;
  fs::create_directories(dir.path() / "evil");
  fs::create_directories(dir.path() / "outside");
  fs::create_symlink(dir.path() / "outside", dir.path() / "evil/link");
  std::string links =
      run_checked({{"tar", "-C", dir.path() / "evil", "-cf", "-", "link"}}, Deadline::in(10s), Stop());
  fs::remove(dir.path() / "evil/link");
  fs::create_directories(dir.path() / "evil/link");
  write_file_atomically(dir.path() / "evil/link/file", "x");
  std::string below =
      run_checked({{"tar", "-C", dir.path() / "evil", "-cf", "-", "link/file"}}, Deadline::in(10s), Stop());
  std::string up = run_checked(
      {{"tar", "-C", dir.path() / "evil", "-P", "--transform", "s,link,../out,", "-cf", "-", "link/file"}},
      Deadline::in(10s), Stop());
  int round = 0;
  auto unpack = [&](std::string archive) {
    fs::path to = dir.path() / std::to_string(++round);
    try {
      read_tree_archive([&] { return std::exchange(archive, std::string()); }, to);
    } catch (const Error& error) {
      return error;
    }
    return Error(ErrorKind::internal, "no error");
  };
  EXPECT_THAT(unpack(up).message(), HasSubstr("outside the directory"));

  links.resize(512);  // the link's header without the end marks, then the other archive
  EXPECT_THAT(unpack(links + below).message(), HasSubstr("below a link"));
  EXPECT_TRUE(fs::is_empty(dir.path() / "outside"));
  Error broken = unpack(below.substr(0, 700));
  EXPECT_EQ(broken.kind(), ErrorKind::remote);
}

}  // namespace
}  // namespace kiln
