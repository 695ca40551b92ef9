// Remembered digests of files (core/image_store.h).
#include <fmt/format.h>
#include <sys/stat.h>

#include <mutex>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sqlite.h"
#include "core/image_store.h"

namespace kiln {

namespace {

constexpr auto settle_time = std::chrono::seconds(2);
constexpr auto remembered_for = std::chrono::hours(24 * 90);

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

int64_t nanoseconds_of(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

/// What tells that a file is as it was.
struct FileIdentity {
  int64_t inode = 0, size = 0, mtime = 0, ctime = 0;
  bool operator==(const FileIdentity&) const = default;
  bool is_settled() const {
    return std::max(mtime, ctime) + std::chrono::nanoseconds(settle_time).count() < now_ns();
  }
};

std::optional<FileIdentity> identity_of(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return FileIdentity{static_cast<int64_t>(status.st_ino), status.st_size, nanoseconds_of(status.st_mtim),
                      nanoseconds_of(status.st_ctim)};
}

DatabaseOptions digests_options() {
  DatabaseOptions options;
  options.what = "the digests of files";
  options.advice = "Set KILN_STATE_DIR to a directory you may write to";
  options.write_ahead = true;
  options.upgrade = [](Database& db, int) {
    db.execute(
        "CREATE TABLE digest (path TEXT PRIMARY KEY, inode INTEGER NOT NULL, size INTEGER NOT NULL, "
        "mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, sha256 TEXT NOT NULL, read INTEGER NOT NULL)");
  };
  return options;
}

std::unique_ptr<Database> open_digests(const fs::path& file) {
  try {
    return std::make_unique<Database>(file, digests_options());
  } catch (const Error&) {
    // Most likely damaged or of a newer Kiln. It only saves work.
    for (const char* part : {"", "-wal", "-shm"}) {
      std::error_code ignored;
      fs::remove(file.string() + part, ignored);
    }
    return std::make_unique<Database>(file, digests_options());
  }
}

/// See docs/formats/images.md.
class StoredFileDigests : public FileDigests {
 public:
  explicit StoredFileDigests(const fs::path& file) : db_(open_digests(file)) {
    db_->execute("PRAGMA synchronous = NORMAL");  // what a crash takes is read again
    Statement(*db_, "DELETE FROM digest WHERE read < ?")
        .bind(now_ns() - std::chrono::nanoseconds(remembered_for).count())
        .step();
  }

  std::string of_file(const fs::path& file) override {
    fs::path path = fs::absolute(file).lexically_normal();
    auto before = identity_of(path);
    if (before) {
      if (auto known = find(path, *before)) return *known;
    }
    std::string digest = file_digest_hex("sha256", path);
    if (before && before->is_settled() && identity_of(path) == before) remember(path, *before, digest);
    return digest;
  }

  void note(const fs::path& file, const std::string& digest) override {
    fs::path path = fs::absolute(file).lexically_normal();
    if (auto identity = identity_of(path)) remember(path, *identity, digest);
  }

 private:
  std::optional<std::string> find(const fs::path& path, const FileIdentity& now) {
    std::lock_guard lock(mutex_);
    try {
      Statement select(*db_, "SELECT inode, size, mtime, ctime, sha256 FROM digest WHERE path = ?");
      if (!select.bind(path.string()).step()) return std::nullopt;
      FileIdentity known{select.number(0), select.number(1), select.number(2), select.number(3)};
      return known == now ? std::optional(select.text(4)) : std::nullopt;
    } catch (const Error&) {
      return std::nullopt;  // damaged since it was opened: the file is then read
    }
  }

  void remember(const fs::path& path, const FileIdentity& identity, const std::string& digest) {
    std::lock_guard lock(mutex_);
    try {
      Statement insert(*db_, "INSERT OR REPLACE INTO digest VALUES (?, ?, ?, ?, ?, ?, ?)");
      insert.bind(path.string())
          .bind(identity.inode)
          .bind(identity.size)
          .bind(identity.mtime)
          .bind(identity.ctime);
      insert.bind(digest).bind(now_ns()).step();
    } catch (const Error&) {
      // A full disk, say: the file is then read again.
    }
  }

  std::mutex mutex_;
  std::unique_ptr<Database> db_;
};

}  // namespace

std::unique_ptr<FileDigests> open_file_digests(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    throw Error(
        ErrorKind::environment,
        fmt::format(
            "cannot make the state directory {}: {}. Set KILN_STATE_DIR to a directory you may write to",
            directory.string(), go_errno_text(error.value())));
  }
  return std::make_unique<StoredFileDigests>(directory / "digests.db");
}

}  // namespace kiln
