#include "base/sparse.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace kiln {

namespace {

constexpr size_t kernel_copy_step = 64 << 20;
constexpr size_t copy_block = 1 << 20;

/// One step of a copy by hand: how many bytes, 0 at the end of the file, -1 with errno.
ssize_t copy_step_by_hand(int from, int to, off_t at, size_t size, std::vector<char>& block) {
  block.resize(copy_block);
  ssize_t got = 0;
  do got = ::pread(from, block.data(), std::min(size, block.size()), at);
  while (got < 0 && errno == EINTR);
  for (ssize_t done = 0; done < got;) {
    ssize_t wrote = ::pwrite(to, block.data() + done, static_cast<size_t>(got - done), at + done);
    if (wrote < 0 && errno != EINTR) return -1;
    if (wrote > 0) done += wrote;
  }
  return got;
}

bool kernel_cannot_copy(int error) {
  return error == EXDEV || error == EINVAL || error == ENOSYS || error == EOPNOTSUPP || error == EBADF ||
         error == EPERM;
}

}  // namespace

std::optional<Extent> next_extent(int fd, off_t at, off_t size) {
  if (at >= size) return std::nullopt;
  off_t begin = ::lseek(fd, at, SEEK_DATA);
  if (begin < 0) return errno == ENXIO ? std::nullopt : std::optional(Extent{at, size});
  off_t end = ::lseek(fd, begin, SEEK_HOLE);
  if (begin >= size) return std::nullopt;
  return Extent{begin, end < 0 ? size : std::min(end, size)};
}

bool share_content(int from, int to) { return ::ioctl(to, FICLONE, from) == 0; }

int copy_content(int from, int to, const std::function<void(uint64_t)>& progress) {
  struct stat status {};
  if (::fstat(from, &status) != 0 || ::ftruncate(to, status.st_size) != 0) return errno;
  bool by_hand = false;
  std::vector<char> block;
  for (off_t at = 0; auto extent = next_extent(from, at, status.st_size);) {
    for (at = extent->begin; at < extent->end;) {
      if (progress) progress(static_cast<uint64_t>(at));
      auto left = static_cast<size_t>(extent->end - at);
      off_t source = at, target = at;
      ssize_t copied =
          by_hand ? copy_step_by_hand(from, to, at, left, block)
                  : ::copy_file_range(from, &source, to, &target, std::min(left, kernel_copy_step), 0);
      if (copied == 0) return 0;  // it was cut meanwhile
      if (copied > 0)
        at += copied;
      else if (!by_hand && kernel_cannot_copy(errno))
        by_hand = true;
      else if (errno != EINTR)
        return errno;
    }
  }
  return 0;
}

}  // namespace kiln
