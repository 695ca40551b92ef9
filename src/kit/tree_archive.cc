#include "kit/tree_archive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lazy_archive.h"

namespace kiln {

namespace {

constexpr size_t block = 256 << 10;

/// libarchive calls these; exceptions must not cross it, so they wait here.
struct OutStream {
  const std::function<void(std::string_view)>& out;
  std::string pending;
  std::exception_ptr failure;

  static la_ssize_t write(struct archive*, void* user, const void* bytes, size_t size) {
    auto* self = static_cast<OutStream*>(user);
    try {
      self->pending.append(static_cast<const char*>(bytes), size);
      if (self->pending.size() >= block) self->flush();
      return static_cast<la_ssize_t>(size);
    } catch (...) {
      self->failure = std::current_exception();
      return -1;
    }
  }
  void flush() {
    out(pending);
    pending.clear();
  }
};

struct InStream {
  const std::function<std::string()>& in;
  std::string current;
  std::exception_ptr failure;

  static la_ssize_t read(struct archive*, void* user, const void** bytes) {
    auto* self = static_cast<InStream*>(user);
    try {
      self->current = self->in();
      *bytes = self->current.data();
      return static_cast<la_ssize_t>(self->current.size());
    } catch (...) {
      self->failure = std::current_exception();
      return -1;
    }
  }
};

[[noreturn]] void unreadable(const fs::path& path, int error) {
  throw Error(ErrorKind::user, fmt::format("open {}: {}", path.string(), go_errno_text(error)));
}

class TreeWriter {
 public:
  TreeWriter(const std::function<void(std::string_view)>& out, const std::function<void(uint64_t)>& progress)
      : stream_{out, {}, nullptr},
        progress_(progress),
        archive_(archive_write_new()),
        entry_(archive_entry_new()) {
    archive_write_set_format_gnutar(archive_.get());
    archive_write_set_bytes_per_block(archive_.get(), 0);
    check(archive_write_open(archive_.get(), &stream_, nullptr, OutStream::write, nullptr));
  }

  void add_directory(const fs::path& local, const std::string& inside) {
    auto names = sorted_names(local);
    for (const auto& name : names)
      add(local / name, inside.empty() ? name.string() : inside + "/" + name.string());
  }

  void finish() {
    check(archive_write_close(archive_.get()));
    stream_.flush();
  }

 private:
  void check(int rc) {
    if (stream_.failure) std::rethrow_exception(stream_.failure);
    if (rc == ARCHIVE_OK || rc == ARCHIVE_WARN) return;
    const char* why = archive_error_string(archive_.get());
    throw Error(ErrorKind::internal, fmt::format("archive: {}", why ? why : "failed"));
  }

  void add(const fs::path& local, const std::string& inside) {
    struct stat info = lstat_of(local);
    archive_entry_clear(entry_.get());
    archive_entry_set_pathname(entry_.get(), inside.c_str());
    archive_entry_set_perm(entry_.get(), info.st_mode & 07777);
    archive_entry_set_mtime(entry_.get(), info.st_mtim.tv_sec, 0);
    if (S_ISLNK(info.st_mode)) {
      std::error_code error;
      fs::path target = fs::read_symlink(local, error);
      if (error) unreadable(local, error.value());
      archive_entry_set_filetype(entry_.get(), AE_IFLNK);
      archive_entry_set_symlink(entry_.get(), target.c_str());
      check(archive_write_header(archive_.get(), entry_.get()));
    } else if (S_ISDIR(info.st_mode)) {
      bool plain = (info.st_mode & 07777) == 0755;
      if (!plain || fs::is_empty(local)) {
        archive_entry_set_filetype(entry_.get(), AE_IFDIR);
        check(archive_write_header(archive_.get(), entry_.get()));
      }
      add_directory(local, inside);
    } else if (S_ISREG(info.st_mode)) {
      add_file(local, static_cast<uint64_t>(info.st_size));
    }
    // Sockets, pipes and devices are no content.
  }

  void add_file(const fs::path& local, uint64_t size) {
    Fd fd(::open(local.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.is_open()) unreadable(local, errno);
    archive_entry_set_filetype(entry_.get(), AE_IFREG);
    archive_entry_set_size(entry_.get(), static_cast<la_int64_t>(size));
    check(archive_write_header(archive_.get(), entry_.get()));
    uint64_t sent = 0;
    while (sent <= size) {
      ssize_t n = ::read(fd.get(), buffer_.data(), buffer_.size());
      if (n < 0) unreadable(local, errno);
      if (n == 0) break;
      sent += static_cast<uint64_t>(n);
      if (sent > size) break;
      if (archive_write_data(archive_.get(), buffer_.data(), static_cast<size_t>(n)) < 0)
        check(ARCHIVE_FATAL);
      done_ += static_cast<uint64_t>(n);
      if (progress_) progress_(done_);
    }
    if (sent != size) {
      throw Error(ErrorKind::user, fmt::format("{} changed while it was sent", local.string()));
    }
  }

  OutStream stream_;
  const std::function<void(uint64_t)>& progress_;
  std::unique_ptr<struct archive, CallToDelete<archive_write_free>> archive_;
  std::unique_ptr<archive_entry, CallToDelete<archive_entry_free>> entry_;
  std::string buffer_ = std::string(block, '\0');
  uint64_t done_ = 0;
};

}  // namespace

struct stat lstat_of(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) unreadable(path, errno);
  return info;
}

std::vector<fs::path> sorted_names(const fs::path& directory) {
  std::error_code error;
  std::vector<fs::path> names;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename());
  }
  if (error) unreadable(directory, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

TreeSize measure_tree(const fs::path& from) {
  struct stat top {};
  if (::stat(from.c_str(), &top) != 0) {
    throw Error(ErrorKind::user, fmt::format("stat {}: {}", from.string(), go_errno_text(errno)));
  }
  if (!S_ISDIR(top.st_mode))
    throw Error(ErrorKind::user, fmt::format("{} is not a directory", from.string()));
  TreeSize size;
  std::vector<fs::path> open{from};
  while (!open.empty()) {
    fs::path directory = std::move(open.back());
    open.pop_back();
    for (const auto& name : sorted_names(directory)) {
      struct stat info = lstat_of(directory / name);
      ++size.entries;
      if (S_ISDIR(info.st_mode)) open.push_back(directory / name);
      if (S_ISREG(info.st_mode)) size.bytes += static_cast<uint64_t>(info.st_size);
    }
  }
  return size;
}

void write_tree_archive(const fs::path& from, const std::function<void(std::string_view)>& out,
                        const std::function<void(uint64_t)>& progress) {
  TreeWriter writer(out, progress);
  writer.add_directory(from, "");
  writer.finish();
}

void read_tree_archive(const std::function<std::string()>& in, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to, error);
  if (error)
    throw Error(ErrorKind::environment,
                fmt::format("mkdir {}: {}", to.string(), go_errno_text(error.value())));
  InStream stream{in, {}, nullptr};
  std::unique_ptr<struct archive, CallToDelete<archive_read_free>> reader(archive_read_new());
  std::unique_ptr<struct archive, CallToDelete<archive_write_free>> disk(archive_write_disk_new());
  archive_read_support_format_tar(reader.get());
  // The names are made absolute below `to`, so "absolute" is not refused here but before that.
  archive_write_disk_set_options(disk.get(), ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_SECURE_NODOTDOT);
  auto fail = [&](struct archive* a, ErrorKind kind) {
    if (stream.failure) std::rethrow_exception(stream.failure);
    const char* why = archive_error_string(a);
    throw Error(kind, fmt::format("unpack into {}: {}", to.string(), why ? why : "broken archive"));
  };
  if (archive_read_open(reader.get(), &stream, nullptr, InStream::read, nullptr) != ARCHIVE_OK) {
    fail(reader.get(), ErrorKind::remote);
  }
  archive_entry* entry = nullptr;
  std::set<fs::path> links;
  for (;;) {
    int rc = archive_read_next_header(reader.get(), &entry);
    if (rc == ARCHIVE_EOF) break;
    if (rc < ARCHIVE_WARN) fail(reader.get(), ErrorKind::remote);
    fs::path inside = fs::path(archive_entry_pathname(entry)).lexically_normal();
    if (inside.is_absolute() || (!inside.empty() && *inside.begin() == "..")) {
      throw Error(ErrorKind::remote,
                  fmt::format("the machine sent a name outside the directory: {}", inside.string()));
    }
    if (inside.empty() || inside == "." || inside == "./") continue;
    // A link the stream itself made must not lead a later name out of `to`.
    for (fs::path part = inside; !part.empty() && part != part.parent_path(); part = part.parent_path()) {
      if (links.count(part) && part != inside) {
        throw Error(ErrorKind::remote,
                    fmt::format("the machine sent a name below a link: {}", inside.string()));
      }
    }
    if (archive_entry_filetype(entry) == AE_IFLNK) links.insert(inside);
    archive_entry_set_pathname(entry, (to / inside).c_str());
    if (const char* link = archive_entry_hardlink(entry)) {
      std::string target = fs::path(link).lexically_normal().relative_path().string();
      if (target.starts_with(".."))
        throw Error(ErrorKind::remote, "the machine sent a link outside the directory");
      archive_entry_set_hardlink(entry, (to / target).c_str());
    }
    rc = archive_write_header(disk.get(), entry);
    if (rc < ARCHIVE_WARN) fail(disk.get(), ErrorKind::environment);
    const void* bytes = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    while ((rc = archive_read_data_block(reader.get(), &bytes, &size, &offset)) == ARCHIVE_OK) {
      if (archive_write_data_block(disk.get(), bytes, size, offset) < ARCHIVE_WARN)
        fail(disk.get(), ErrorKind::environment);
    }
    if (rc != ARCHIVE_EOF) fail(reader.get(), ErrorKind::remote);
    if (archive_write_finish_entry(disk.get()) < ARCHIVE_WARN) fail(disk.get(), ErrorKind::environment);
  }
  if (archive_write_close(disk.get()) < ARCHIVE_WARN) fail(disk.get(), ErrorKind::environment);
  while (!in().empty()) {
  }  // what follows the archive's end mark
}

}  // namespace kiln
