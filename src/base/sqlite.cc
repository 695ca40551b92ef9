#include "base/sqlite.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <utility>

#include "base/error.h"
#include "base/lazy_sqlite.h"
#include "base/wait.h"

namespace kiln {

namespace {

constexpr int busy_timeout_ms = 30'000;

/// SQLite's words, or better ones where it is plain what happened.
std::string why_sqlite_failed(sqlite3* db) {
  switch (db == nullptr ? SQLITE_NOMEM : sqlite3_errcode(db)) {
    case SQLITE_NOMEM:
      return "out of memory";
    case SQLITE_BUSY:
      return "another process has kept it locked for 30 seconds";
    case SQLITE_FULL:
      return "the disk is full";
    case SQLITE_READONLY:
      return "it is read-only";
    case SQLITE_CORRUPT:
      return "the file is damaged (database disk image is malformed)";
    default:
      return sqlite3_errmsg(db);
  }
}

}  // namespace

Database::Database(const std::filesystem::path& file, DatabaseOptions options)
    : file_(file), options_(std::move(options)) {
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  try {
    if (sqlite3_open_v2(file_.c_str(), &db_, flags, nullptr) != SQLITE_OK) fail();
    set_up();
  } catch (...) {
    close();
    throw;
  }
}

Database::~Database() { close(); }

void Database::close() { sqlite3_close(std::exchange(db_, nullptr)); }

void Database::fail() const {
  std::string text = fmt::format("{} {}: {}", options_.what, file_.string(), why_sqlite_failed(db_));
  if (!options_.advice.empty()) text += ". " + options_.advice;
  throw Error(ErrorKind::environment, text);
}

void Database::execute(const char* sql) {
  Statement statement(*this, sql);
  while (statement.step()) {
  }
}

int64_t Database::last_insert_rowid() const { return sqlite3_last_insert_rowid(db_); }
int64_t Database::changes() const { return sqlite3_changes(db_); }
bool Database::read_only() const { return sqlite3_db_readonly(db_, "main") == 1; }

static int format_of(Database& database) {
  Statement version(database, "PRAGMA user_version");
  version.step();
  return static_cast<int>(version.number(0));
}

/// Where two processes change it at once SQLite turns one away without waiting.
void Database::set_journal_mode(const char* pragma) {
  Deadline deadline = Deadline::in(Millis(busy_timeout_ms));
  for (;;) {
    int code = sqlite3_exec(db_, pragma, nullptr, nullptr, nullptr);
    if (code == SQLITE_OK) return;
    if (code != SQLITE_BUSY || deadline.passed()) fail();
    sleep_for(Millis(5), Stop());
  }
}

void Database::set_up() {
  sqlite3_busy_timeout(db_, busy_timeout_ms);
  if (!read_only()) {
    ::chmod(file_.c_str(), 0600);
    set_journal_mode(options_.write_ahead ? "PRAGMA journal_mode = WAL" : "PRAGMA journal_mode = DELETE");
    // EXTRA: what was committed stays so when the power goes just after the rollback journal was deleted.
    execute(options_.write_ahead ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = EXTRA");
    execute("PRAGMA foreign_keys = ON");
  }
  int found = format_of(*this);
  if (found < options_.version && !read_only()) {
    Transaction transaction(*this);
    found = format_of(*this);  // another process may have been faster
    if (found < options_.version) {
      if (options_.upgrade) options_.upgrade(*this, found);
      execute(fmt::format("PRAGMA user_version = {}", options_.version).c_str());
      found = options_.version;
    }
    transaction.commit();
  }
  if (found > options_.version) {
    throw Error(ErrorKind::environment,
                fmt::format("{} {} has format {}, made by a newer Kiln; this one knows up to {}",
                            options_.what, file_.string(), found, options_.version));
  }
  if (found < options_.version) {
    throw Error(ErrorKind::environment,
                fmt::format("{} {} has format {} and is read-only: it cannot be brought to format {}. {}",
                            options_.what, file_.string(), found, options_.version, options_.advice));
  }
}

Statement::Statement(Database& database, const char* sql) : database_(database) {
  if (sqlite3_prepare_v2(database_.db_, sql, -1, &statement_, nullptr) != SQLITE_OK) database_.fail();
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::bind(std::string_view text) {
  if (sqlite3_bind_text64(statement_, ++bound_, text.data() == nullptr ? "" : text.data(), text.size(),
                          SQLITE_TRANSIENT, SQLITE_UTF8) != SQLITE_OK) {
    database_.fail();
  }
  return *this;
}

Statement& Statement::bind(int64_t number) {
  if (sqlite3_bind_int64(statement_, ++bound_, number) != SQLITE_OK) database_.fail();
  return *this;
}

bool Statement::step() {
  int code = sqlite3_step(statement_);
  if (code != SQLITE_ROW && code != SQLITE_DONE) database_.fail();
  return code == SQLITE_ROW;
}

int64_t Statement::number(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Statement::text(int column) const {
  auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return bytes == nullptr ? ""
                          : std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

Transaction::Transaction(Database& database) : database_(database) { database_.execute("BEGIN IMMEDIATE"); }

Transaction::~Transaction() {
  if (open_) sqlite3_exec(database_.db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

}  // namespace kiln
