#include "base/file.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

namespace kiln {

std::string go_errno_text(int error) {
  std::string text = std::strerror(error);
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

static std::optional<std::string> read_whole(const fs::path& path, int* error) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) {
    *error = errno;
    return std::nullopt;
  }
  // One byte more than it should have shows its end at once; what the kernel makes as it is read has no size.
  struct stat status {};
  bool sized = ::fstat(fd.get(), &status) == 0 && status.st_size > 0;
  std::string out(sized ? std::min<size_t>(static_cast<size_t>(status.st_size) + 1, 64U << 20U) : 4096, '\0');
  size_t filled = 0;
  for (;;) {
    ssize_t n = ::read(fd.get(), out.data() + filled, out.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      *error = errno;
      return std::nullopt;
    }
    filled += static_cast<size_t>(n);
    if (n == 0) {
      out.resize(filled);
      return out;
    }
    if (filled == out.size()) out.resize(2 * filled);
  }
}

std::string read_file(const fs::path& path) {
  int error = 0;
  auto text = read_whole(path, &error);
  // A directory can be opened.
  const char* failed = error == EISDIR ? "read " : "open ";
  if (!text) throw Error(ErrorKind::user, failed + path.string() + ": " + go_errno_text(error));
  return *text;
}

std::optional<std::string> read_file_if_exists(const fs::path& path) {
  int error = 0;
  auto text = read_whole(path, &error);
  if (!text && error != ENOENT && error != ENOTDIR) {
    throw Error(ErrorKind::environment, "open " + path.string() + ": " + go_errno_text(error));
  }
  return text;
}

void write_file_atomically(const fs::path& path, std::string_view content, int mode) {
  std::string temp = path.string() + ".tmp-" + hex_encode(random_bytes(6));
  Fd fd(::open(temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd.is_open()) throw_errno("write " + path.string());
  try {
    write_all(fd.get(), content);
    if (::fsync(fd.get()) != 0) throw_errno("write " + path.string());
    fd.reset();
    if (::rename(temp.c_str(), path.c_str()) != 0) throw_errno("write " + path.string());
  } catch (...) {
    ::unlink(temp.c_str());
    throw;
  }
}

void append_file(const fs::path& path, std::string_view content, int mode) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode));
  if (!fd.is_open()) throw_errno("write " + path.string());
  write_all(fd.get(), content);
}

std::optional<std::string> get_env(const char* name) {
  const char* value = std::getenv(name);
  if (!value) return std::nullopt;
  return std::string(value);
}

fs::path expand_home(const std::string& path) {
  if (path == "~" || path.starts_with("~/")) {
    if (auto home = get_env("HOME")) return fs::path(*home + path.substr(1));
  }
  return path;
}

std::optional<fs::path> find_program(std::string_view name) {
  auto is_program = [](const fs::path& p) {
    std::error_code ec;
    return fs::is_regular_file(p, ec) && ::access(p.c_str(), X_OK) == 0;
  };
  if (contains(name, "/")) {
    fs::path path(name);
    return is_program(path) ? std::optional(path) : std::nullopt;
  }
  std::string path = get_env("PATH").value_or("/usr/local/bin:/usr/bin:/bin") + ":/usr/sbin:/sbin";
  for (const auto& dir : split(path, ':')) {
    fs::path candidate = fs::path(dir.empty() ? "." : dir) / name;
    if (is_program(candidate)) return candidate;
  }
  return std::nullopt;
}

std::vector<fs::path> glob(const std::string& pattern) {
  ::glob_t found{};
  std::vector<fs::path> paths;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
  }
  ::globfree(&found);
  return paths;
}

TempDir::TempDir(std::string_view prefix) {
  std::string pattern = get_env("TMPDIR").value_or("/tmp") + "/" + std::string(prefix) + "-XXXXXX";
  if (!::mkdtemp(pattern.data())) throw_errno("mkdtemp " + pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

std::optional<FileLock> FileLock::try_lock(const fs::path& path) {
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) throw_errno("open " + path.string());
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return FileLock(fd);
  int error = errno;
  ::close(fd);
  if (error == EWOULDBLOCK) return std::nullopt;
  errno = error;
  throw_errno("lock " + path.string());
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace kiln
