#include "base/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"

namespace kiln {

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw_errno("pipe");
  return {Fd(ends[0]), Fd(ends[1])};
}

void set_nonblocking(int fd, bool on) {
  int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) != 0) throw_errno("fcntl");
}

void write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("write");
    data.remove_prefix(static_cast<size_t>(n));
  }
}

std::string read_some(int fd, size_t max, bool* would_block) {
  std::string buffer(max, '\0');
  for (;;) {
    ssize_t n = ::read(fd, buffer.data(), max);
    if (n >= 0) {
      buffer.resize(static_cast<size_t>(n));
      if (would_block) *would_block = false;
      return buffer;
    }
    if (errno == EINTR) continue;
    if (would_block && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      *would_block = true;
      return {};
    }
    throw_errno("read");
  }
}

}  // namespace kiln
