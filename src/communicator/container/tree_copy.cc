#include "communicator/container/tree_copy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/file.h"

namespace kiln {

namespace {

struct CopyWatch {
  const Deadline& deadline;
  const Stop& stop;
  const ProgressFn* progress = nullptr;
  uint64_t total = 0;
  uint64_t done = 0;

  void moved(uint64_t bytes) {
    done += bytes;
    stop.check();
    if (deadline.passed()) throw Error(ErrorKind::timeout, "copying the directory tree did not end in time");
    if (progress != nullptr && *progress) (*progress)(done, total);
  }
};

/// Copies all bytes from one descriptor to another within the kernel.
void copy_bytes(int from, int to, const std::string& name, CopyWatch& watch) {
  for (;;) {
    ssize_t n = ::sendfile(to, from, nullptr, 4 << 20);
    if (n == 0) return;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("copy " + name);
    watch.moved(static_cast<uint64_t>(n));
  }
}

Fd open_host_file(const fs::path& path, int flags, mode_t mode = 0644) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd.is_open()) throw_errno("open " + path.string());
  return fd;
}

uint64_t tree_size(const fs::path& from) {
  uint64_t total = 0;
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    if (entry.is_regular_file() && !entry.is_symlink()) total += entry.file_size();
  }
  return total;
}

mode_t host_mode(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) throw_errno("stat " + path.string());
  return status.st_mode & 07777;
}

void copy_directory_in(const fs::path& from, const RootTree& tree, const std::string& to, CopyWatch& watch) {
  for (const auto& entry : fs::directory_iterator(from)) {
    std::string target = to + "/" + entry.path().filename().string();
    if (entry.is_symlink()) {
      tree.symlink(fs::read_symlink(entry.path()), target);
    } else if (entry.is_directory()) {
      tree.make_directories(target);
      Fd made = tree.open(target, O_RDONLY | O_DIRECTORY);
      ::fchmod(made.get(), host_mode(entry.path()));
      copy_directory_in(entry.path(), tree, target, watch);
    } else if (entry.is_regular_file()) {
      Fd source = open_host_file(entry.path(), O_RDONLY);
      Fd made = tree.open(target, O_WRONLY | O_CREAT | O_TRUNC, 0600);
      copy_bytes(source.get(), made.get(), entry.path().string(), watch);
      if (::fchmod(made.get(), host_mode(entry.path())) != 0) throw_errno("chmod " + target);
    }
    watch.moved(0);
  }
}

void copy_directory_out(const RootTree& tree, const std::string& from, const fs::path& to, CopyWatch& watch) {
  fs::create_directories(to);
  for (const auto& name : tree.list(from)) {
    std::string source = fmt::format("{}/{}", from, name);
    auto status = tree.status(source);
    if (!status) continue;
    if (S_ISLNK(status->st_mode)) {
      fs::remove(to / name);
      fs::create_symlink(tree.link_target(source).value_or(""), to / name);
    } else if (S_ISDIR(status->st_mode)) {
      copy_directory_out(tree, source, to / name, watch);
      ::chmod((to / name).c_str(), (status->st_mode & 07777) | 0700);
    } else if (S_ISREG(status->st_mode)) {
      Fd in = tree.open(source, O_RDONLY);
      Fd out = open_host_file(to / name, O_WRONLY | O_CREAT | O_TRUNC);
      copy_bytes(in.get(), out.get(), source, watch);
      if (::fchmod(out.get(), status->st_mode & 0777) != 0) throw_errno("chmod " + (to / name).string());
    }
    watch.moved(0);
  }
}

template <class F>
void with_file_errors(F&& body) {
  try {
    body();
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorKind::environment, error.what());
  }
}

}  // namespace

void copy_tree_into_root(const std::filesystem::path& from, const RootTree& tree, const std::string& to,
                         const ProgressFn& progress, const Deadline& deadline, const Stop& stop) {
  with_file_errors([&] {
    CopyWatch watch{deadline, stop, &progress, progress ? tree_size(from) : 0};
    tree.make_directories(to);
    copy_directory_in(from, tree, to, watch);
  });
}

void copy_tree_from_root(const RootTree& tree, const std::string& from, const std::filesystem::path& to,
                         const Deadline& deadline, const Stop& stop) {
  if (!tree.is_directory(from)) throw Error(ErrorKind::remote, from + ": no such directory in the guest");
  with_file_errors([&] {
    CopyWatch watch{deadline, stop};
    copy_directory_out(tree, from, to, watch);
  });
}

}  // namespace kiln
