// An owned file descriptor.
#pragma once
#include <string>
#include <string_view>
#include <utility>

namespace kiln {

/// Owns one file descriptor and closes it. Movable, not copyable.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
};
/// A pipe, both ends close-on-exec. Throws.
Pipe make_pipe();
void set_nonblocking(int fd, bool on = true);
/// Writes all of data to a blocking descriptor. Throws (EPIPE included; SIGPIPE is ignored by main).
void write_all(int fd, std::string_view data);
/// Reads at most max bytes; empty at end of file. For a non-blocking descriptor `*would_block` is set instead.
std::string read_some(int fd, size_t max = 65536, bool* would_block = nullptr);

}  // namespace kiln
