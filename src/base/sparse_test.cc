#include "base/sparse.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"

namespace kiln {
namespace {

Fd new_file(const fs::path& path) {
  return Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
}

void put_at(const Fd& fd, off_t at, const std::string& text) {
  ASSERT_EQ(::pwrite(fd.get(), text.data(), text.size(), at), static_cast<ssize_t>(text.size()));
}

int64_t disk_usage(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? int64_t{status.st_blocks} * 512 : -1;
}

/// Layouts of files: data as {offset, text}, and the size.
struct Layout {
  std::vector<std::pair<off_t, std::string>> data;
  off_t size;
};

const Layout layouts[] = {
    {{}, 0},
    {{}, 1},
    {{}, 5'000'000},                                               // a hole alone
    {{{0, "abc"}}, 3},                                             // data alone
    {{{0, "head"}}, 9'000'001},                                    // a hole at the end
    {{{4'194'304, "tail"}}, 4'194'308},                            // a hole at the beginning
    {{{0, "a"}, {3'000'000, "b"}, {3'500'000, "c"}}, 10'000'000},  // between
    {{{1'048'576, std::string(2'097'153, 'x')}}, 4'000'000},       // blocks that do not end where data does
};

TEST(Sparse, DigestsAndCopiesAreThoseOfThePlainContent) {
  TempDir directory;
  for (const auto& layout : layouts) {
    fs::path path = directory.path() / "file", copy_path = directory.path() / "copy";
    std::string plain(static_cast<size_t>(layout.size), '\0');
    Fd file = new_file(path), copy = new_file(copy_path);
    for (const auto& [at, text] : layout.data) {
      put_at(file, at, text);
      plain.replace(static_cast<size_t>(at), text.size(), text);
    }
    ASSERT_EQ(::ftruncate(file.get(), layout.size), 0);
    EXPECT_EQ(file_digest_hex("sha256", path), digest_hex("sha256", plain)) << layout.size;
    ASSERT_EQ(copy_content(file.get(), copy.get()), 0);
    EXPECT_EQ(read_file(copy_path), plain) << layout.size;
    EXPECT_LE(disk_usage(copy_path), disk_usage(path) + 65536) << "holes stay holes";
  }
}

TEST(Sparse, DigestsWhatHasNoSize) {
  EXPECT_EQ(file_digest_hex("sha256", "/proc/self/mountinfo"),
            digest_hex("sha256", read_file("/proc/self/mountinfo")));
  Pipe pipe = make_pipe();
  write_all(pipe.write.get(), "abc");
  pipe.write.reset();
  EXPECT_EQ(file_digest_hex("sha256", pipe.read.get()), digest_hex("sha256", "abc"));
}

TEST(Sparse, ProgressMayEndTheWork) {
  TempDir directory;
  Fd file = new_file(directory.path() / "file"), copy = new_file(directory.path() / "copy");
  put_at(file, 0, std::string(10 << 20, 'x'));
  uint64_t last = 0;
  file_digest_hex("sha256", file.get(), [&](uint64_t done) { last = done; });
  EXPECT_EQ(last, uint64_t{8} << 20);
  auto end = [](uint64_t) { throw Error(ErrorKind::cancelled, "enough"); };
  EXPECT_THROW(file_digest_hex("sha256", file.get(), end), Error);
  EXPECT_THROW(static_cast<void>(copy_content(file.get(), copy.get(), end)), Error);
}

TEST(Sparse, ACopySaysWhatFailed) {
  Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)),
      full(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  EXPECT_NE(copy_content(file.get(), full.get()), 0) << "it is not open for writing";
}

}  // namespace
}  // namespace kiln
