#include "core/journal.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "core/lazy_sqlite.h"
#include "core/process_table.h"

namespace kiln {

namespace {

constexpr int journal_version = 1;

/// One prepared statement, used once.
class Statement {
 public:
  Statement(sqlite3* db, const char* sql) : db_(db) {
    if (sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr) != SQLITE_OK) fail();
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& bind(const std::string& text) {
    if (sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT) != SQLITE_OK) fail();
    return *this;
  }
  Statement& bind(int64_t number) {
    if (sqlite3_bind_int64(statement_, ++bound_, number) != SQLITE_OK) fail();
    return *this;
  }
  /// Whether there is a row.
  bool step() {
    int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) fail();
    return code == SQLITE_ROW;
  }
  int64_t number(int column) const { return sqlite3_column_int64(statement_, column); }
  std::string text(int column) const {
    auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return bytes == nullptr ? "" : std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
  }

 private:
  [[noreturn]] void fail() const { throw Error(ErrorKind::environment, fmt::format("the journal: {}", sqlite3_errmsg(db_))); }
  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

const char* kind_word(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::process: return "process";
    case ResourceKind::path: return "path";
    case ResourceKind::container: return "container";
  }
  return "path";
}

std::optional<ResourceKind> kind_of(const std::string& word) {
  if (word == "process") return ResourceKind::process;
  if (word == "path") return ResourceKind::path;
  if (word == "container") return ResourceKind::container;
  return std::nullopt;
}

Resource new_resource(ResourceKind kind, const std::string& name, const std::string& stage, const std::string& run_id) {
  Resource resource;
  resource.kind = kind;
  resource.name = name;
  resource.run_id = run_id;
  resource.stage = stage;
  resource.token = random_uuid();
  resource.owner_pid = ::getpid();
  resource.owner_start = process_start_time(::getpid()).value_or(0);
  resource.made_at = format_rfc3339_utc(std::chrono::system_clock::now());
  return resource;
}

/// See docs/formats/journal.md.
class SqliteJournal : public Journal {
 public:
  SqliteJournal(const fs::path& directory, std::string run_id) : run_id_(std::move(run_id)) {
    fs::path file = directory / "journal.db";
    std::error_code error;
    fs::create_directories(directory, error);
    if (error) {
      throw Error(ErrorKind::environment,
                  fmt::format("cannot make the state directory {}: {}. Set KILN_STATE_DIR to a directory you may write to",
                              directory.string(), go_errno_text(error.value())));
    }
    int code = sqlite3_open_v2(file.c_str(), &db_,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr);
    if (code != SQLITE_OK) {
      std::string why = db_ != nullptr ? sqlite3_errmsg(db_) : "out of memory";
      sqlite3_close(db_);
      throw Error(ErrorKind::environment,
                  fmt::format("cannot open the journal {}: {}. Set KILN_STATE_DIR to a directory you may write to",
                              file.string(), why));
    }
    try {
      set_up(file);
    } catch (...) {
      sqlite3_close(db_);
      throw;
    }
  }
  ~SqliteJournal() override { sqlite3_close(db_); }

  Resource append(ResourceKind kind, const std::string& name, const std::string& stage) override {
    Resource resource = new_resource(kind, name, stage, run_id_);
    std::lock_guard lock(mutex_);
    Statement insert(db_,
                     "INSERT INTO resource (kind, name, run_id, stage, token, owner_pid, owner_start, made_at) "
                     "VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    insert.bind(kind_word(kind)).bind(name).bind(run_id_).bind(stage).bind(resource.token);
    insert.bind(resource.owner_pid).bind(resource.owner_start).bind(resource.made_at).step();
    resource.id = sqlite3_last_insert_rowid(db_);
    return resource;
  }

  void remove(int64_t id) override {
    std::lock_guard lock(mutex_);
    Statement(db_, "DELETE FROM resource WHERE id = ?").bind(id).step();
  }

  std::vector<Resource> all() override {
    std::lock_guard lock(mutex_);
    Statement select(db_,
                     "SELECT id, kind, name, run_id, stage, token, owner_pid, owner_start, made_at FROM resource "
                     "ORDER BY id");
    std::vector<Resource> resources;
    while (select.step()) {
      auto kind = kind_of(select.text(1));
      if (!kind) continue;  // made by a later Kiln, which will know how to remove it
      resources.push_back({select.number(0), *kind, select.text(2), select.text(3), select.text(4), select.text(5),
                           select.number(6), select.number(7), select.text(8)});
    }
    return resources;
  }

 private:
  void execute(const char* sql) { Statement(db_, sql).step(); }

  void set_up(const fs::path& file) {
    ::chmod(file.c_str(), 0600);
    sqlite3_busy_timeout(db_, 30'000);
    execute("PRAGMA journal_mode = WAL");
    execute("PRAGMA synchronous = FULL");
    execute("BEGIN IMMEDIATE");
    Statement version(db_, "PRAGMA user_version");
    version.step();
    int64_t found = version.number(0);
    if (found > journal_version) {
      throw Error(ErrorKind::environment,
                  fmt::format("the journal {} has format {}, made by a newer Kiln; this one knows up to {}",
                              file.string(), found, journal_version));
    }
    if (found == 0) {
      execute(
          "CREATE TABLE resource (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, "
          "run_id TEXT NOT NULL, stage TEXT NOT NULL, token TEXT NOT NULL, owner_pid INTEGER NOT NULL, "
          "owner_start INTEGER NOT NULL, made_at TEXT NOT NULL)");
      execute("PRAGMA user_version = 1");
    }
    execute("COMMIT");
  }

  std::string run_id_;
  sqlite3* db_ = nullptr;
  std::mutex mutex_;  ///< last_insert_rowid belongs to the statement before it
};

class MemoryJournal : public Journal {
 public:
  Resource append(ResourceKind kind, const std::string& name, const std::string& stage) override {
    Resource resource = new_resource(kind, name, stage, "");
    std::lock_guard lock(mutex_);
    resource.id = ++next_;
    resources_.push_back(resource);
    return resource;
  }
  void remove(int64_t id) override {
    std::lock_guard lock(mutex_);
    std::erase_if(resources_, [&](const Resource& resource) { return resource.id == id; });
  }
  std::vector<Resource> all() override {
    std::lock_guard lock(mutex_);
    return resources_;
  }

 private:
  std::mutex mutex_;
  int64_t next_ = 0;
  std::vector<Resource> resources_;
};

}  // namespace

std::unique_ptr<Journal> open_journal(const fs::path& directory, const std::string& run_id) {
  return std::make_unique<SqliteJournal>(directory, run_id);
}

std::unique_ptr<Journal> make_memory_journal() { return std::make_unique<MemoryJournal>(); }

fs::path state_directory() {
  if (auto own = get_env("KILN_STATE_DIR"); own && !own->empty()) return *own;
  if (auto state = get_env("XDG_STATE_HOME"); state && !state->empty()) return fs::path(*state) / "kiln";
  if (auto home = get_env("HOME"); home && !home->empty()) return fs::path(*home) / ".local/state/kiln";
  throw Error(ErrorKind::environment, "neither HOME nor KILN_STATE_DIR is set: there is no place for the journal");
}

bool is_orphan(const Resource& resource) {
  auto start = process_start_time(static_cast<pid_t>(resource.owner_pid));
  return !start || *start != resource.owner_start;
}

}  // namespace kiln
