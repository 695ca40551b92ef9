// SQLite: a database file shared by processes, its statements and transactions.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace kiln {

/// How a database is opened and spoken of.
struct DatabaseOptions {
  std::string what;    ///< in messages: "the journal"
  std::string advice;  ///< what to do when it cannot be used: "Set X to a directory you may write to"
  int version = 1;     ///< the newest format this program knows: PRAGMA user_version
  /// Write-ahead log: writers do not hold up readers, but every process must be able to write, even to read,
  /// and the file must not be on a network file system. Without: a rollback journal, which has neither limit.
  bool write_ahead = false;
  /// Makes the tables; called in a transaction when the file is of an `older` format (0: it is new).
  void (*upgrade)(class Database& database, int older) = nullptr;
};

/// One open database file, made with mode 0600 when it is not there; its directory must exist. Committed
/// changes are durable, and waiting for other processes ends after 30 s. What goes wrong is
/// Error{environment} with the advice. Not for two threads at once: the owner locks.
class Database {
 public:
  Database(const std::filesystem::path& file, DatabaseOptions options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void execute(const char* sql);
  int64_t last_insert_rowid() const;
  int64_t changes() const;  ///< rows that the last statement changed
  /// Whether this user cannot write the file (it can be read all the same).
  bool read_only() const;
  const std::filesystem::path& file() const { return file_; }

 private:
  friend class Statement;
  friend class Transaction;
  [[noreturn]] void fail() const;
  void set_up();
  void set_journal_mode(const char* pragma);
  void close();
  std::filesystem::path file_;
  DatabaseOptions options_;
  sqlite3* db_ = nullptr;
};

/// One prepared statement, used once: bind in order, then step. Lives no longer than its Database.
class Statement {
 public:
  Statement(Database& database, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  Statement& bind(std::string_view text);
  Statement& bind(const char* text) { return bind(std::string_view(text)); }
  Statement& bind(int64_t number);
  Statement& bind(int number) { return bind(static_cast<int64_t>(number)); }
  /// Whether there is a row.
  bool step();
  int64_t number(int column) const;
  std::string text(int column) const;

 private:
  Database& database_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

/// A transaction that may write, from its beginning on: others who want to write wait. Rolled back when it
/// dies without commit().
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace kiln
