#include "communicator/container/root_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

int open_in_root(int root, const std::string& path, int flags, int mode) {
  open_how how{};
  how.flags = static_cast<uint64_t>(static_cast<unsigned>(flags | O_CLOEXEC));
  if (flags & O_CREAT) how.mode = static_cast<uint64_t>(mode);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0;; ++tries) {
    long fd = ::syscall(SYS_openat2, root, path.empty() ? "/" : path.c_str(), &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    // EAGAIN: a rename raced with the look-up; the kernel asks to try again.
    if ((errno != EAGAIN && errno != EINTR) || tries == 100) return -1;
  }
}

[[noreturn]] void throw_guest_errno(const std::string& what, const std::string& path) {
  throw Error(ErrorKind::environment, what + " " + path + " in the guest: " + go_errno_text(errno));
}

fs::path fd_path(int fd, const std::string& name) {
  return fs::path("/proc/self/fd") / std::to_string(fd) / name;
}

}  // namespace

RootTree::RootTree(const std::filesystem::path& root)
    : root_(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
  if (!root_.is_open()) throw_errno("open " + root.string());
}

Fd RootTree::open(const std::string& path, int flags, int mode) const {
  int fd = open_in_root(root_.get(), path, flags, mode);
  if (fd < 0) throw_guest_errno("open", path);
  return Fd(fd);
}

std::optional<Fd> RootTree::open_if_exists(const std::string& path, int flags) const {
  int fd = open_in_root(root_.get(), path, flags, 0);
  if (fd >= 0) return Fd(fd);
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw_guest_errno("open", path);
}

std::optional<struct stat> RootTree::status(const std::string& path) const {
  auto fd = open_if_exists(path, O_PATH | O_NOFOLLOW);
  if (!fd) return std::nullopt;
  struct stat status {};
  if (::fstat(fd->get(), &status) != 0) throw_guest_errno("stat", path);
  return status;
}

bool RootTree::is_directory(const std::string& path) const {
  auto fd = open_if_exists(path, O_PATH);
  struct stat status {};
  return fd && ::fstat(fd->get(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::optional<std::string> RootTree::read(const std::string& path) const {
  auto fd = open_if_exists(path, O_RDONLY);
  if (!fd) return std::nullopt;
  std::string all;
  for (;;) {
    std::string bytes = read_some(fd->get());
    if (bytes.empty()) return all;
    all += bytes;
  }
}

void RootTree::write(const std::string& path, std::string_view content, int mode) const {
  make_directories(fs::path(path).parent_path());
  Fd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  write_all(fd.get(), content);
  if (::fchmod(fd.get(), static_cast<mode_t>(mode)) != 0) throw_guest_errno("chmod", path);
}

void RootTree::make_directories(const std::string& path, int mode) const {
  std::string done;
  for (const auto& part : split(path, '/')) {
    if (part.empty()) continue;
    std::string next = fmt::format("{}/{}", done, part);
    int fd = open_in_root(root_.get(), next, O_PATH | O_DIRECTORY, 0);
    if (fd < 0 && errno == ENOENT) {
      Fd parent = open(done, O_PATH | O_DIRECTORY);
      if (::mkdirat(parent.get(), part.c_str(), static_cast<mode_t>(mode)) != 0) throw_guest_errno("mkdir", next);
    } else if (fd < 0) {
      throw_guest_errno("mkdir", next);
    } else {
      ::close(fd);
    }
    done = next;
  }
}

RootTree::Place RootTree::parent_of(const std::string& path) const {
  fs::path clean = fs::path(path).lexically_normal();
  if (!clean.has_filename()) clean = clean.parent_path();
  return {open(clean.parent_path(), O_PATH | O_DIRECTORY), clean.filename()};
}

void RootTree::symlink(const std::string& target, const std::string& path) const {
  make_directories(fs::path(path).parent_path());
  Place place = parent_of(path);
  ::unlinkat(place.directory.get(), place.name.c_str(), 0);
  if (::symlinkat(target.c_str(), place.directory.get(), place.name.c_str()) != 0) throw_guest_errno("symlink", path);
}

void RootTree::rename(const std::string& from, const std::string& to) const {
  Place source = parent_of(from);
  Place target = parent_of(to);
  if (::renameat(source.directory.get(), source.name.c_str(), target.directory.get(), target.name.c_str()) != 0) {
    throw_guest_errno("rename", from);
  }
}

std::optional<std::string> RootTree::link_target(const std::string& path) const {
  if (!exists(path)) return std::nullopt;
  Place place = parent_of(path);
  std::string target(4096, '\0');
  ssize_t n = ::readlinkat(place.directory.get(), place.name.c_str(), target.data(), target.size());
  if (n < 0) return std::nullopt;
  target.resize(static_cast<size_t>(n));
  return target;
}

void RootTree::remove(const std::string& path) const {
  if (!exists(path)) return;
  Place place = parent_of(path);
  std::error_code error;
  fs::remove_all(fd_path(place.directory.get(), place.name), error);
  if (error) throw Error(ErrorKind::environment, "remove " + path + " in the guest: " + error.message());
}

void RootTree::remove_contents(const std::string& path) const {
  auto fd = open_if_exists(path, O_PATH | O_DIRECTORY);
  if (!fd) return;
  for (const auto& name : list(path)) {
    std::error_code error;
    fs::remove_all(fd_path(fd->get(), name), error);
    if (error) throw Error(ErrorKind::environment, fmt::format("remove {}/{}: {}", path, name, error.message()));
  }
}

std::vector<std::string> RootTree::list(const std::string& path) const {
  std::vector<std::string> names;
  auto fd = open_if_exists(path, O_RDONLY | O_DIRECTORY);
  if (!fd) return names;
  DIR* directory = ::fdopendir(fd->release());
  if (directory == nullptr) throw_guest_errno("list", path);
  while (const dirent* entry = ::readdir(directory)) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  ::closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace kiln
