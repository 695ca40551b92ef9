// Files: whole reads, atomic writes, temporary directories.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

namespace fs = std::filesystem;

/// The whole file. Throws Error{user} "open PATH: no such file or directory" in Go's wording when it is missing.
std::string read_file(const fs::path& path);
std::optional<std::string> read_file_if_exists(const fs::path& path);
/// Writes to a temporary name beside `path`, syncs, renames: never half a file under the final name.
void write_file_atomically(const fs::path& path, std::string_view content, int mode = 0644);
void append_file(const fs::path& path, std::string_view content, int mode = 0644);
/// "/home/me/x" for "~/x". Uses HOME.
fs::path expand_home(const std::string& path);
std::optional<std::string> get_env(const char* name);
/// Go's error text for errno ("no such file or directory": lower case).
std::string go_errno_text(int error);
/// The first program of that name on PATH, or nullopt.
std::optional<fs::path> find_program(std::string_view name);
/// Sorted expansion of a shell pattern (Go's filepath.Glob); empty when nothing matches.
std::vector<fs::path> glob(const std::string& pattern);

/// A new directory under TMPDIR (mode 0700), removed with everything in it at the end.
class TempDir {
 public:
  explicit TempDir(std::string_view prefix = "kiln");
  ~TempDir();
  TempDir(TempDir&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TempDir& operator=(TempDir&&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Takes an exclusive flock on `path` (created); released when the object dies. Non-blocking try.
class FileLock {
 public:
  static std::optional<FileLock> try_lock(const fs::path& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace kiln
