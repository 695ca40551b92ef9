#include "core/journal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <mutex>

#include "base/error.h"
#include "base/file.h"
#include "base/sqlite.h"
#include "base/text.h"
#include "core/process_table.h"

namespace kiln {

namespace {

const char* kind_word(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::process: return "process";
    case ResourceKind::path: return "path";
    case ResourceKind::container: return "container";
    case ResourceKind::aws: return "aws";
  }
  return "path";
}

std::optional<ResourceKind> kind_of(const std::string& word) {
  if (word == "process") return ResourceKind::process;
  if (word == "path") return ResourceKind::path;
  if (word == "container") return ResourceKind::container;
  if (word == "aws") return ResourceKind::aws;
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

constexpr const char* journal_advice = "Set KILN_STATE_DIR to a directory you may write to";

fs::path made_directory(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    throw Error(ErrorKind::environment, fmt::format("cannot make the state directory {}: {}. {}", directory.string(),
                                                    go_errno_text(error.value()), journal_advice));
  }
  return directory;
}

DatabaseOptions journal_options() {
  DatabaseOptions options;
  options.what = "the journal";
  options.advice = journal_advice;
  options.write_ahead = true;
  options.upgrade = [](Database& db, int) {
    db.execute(
        "CREATE TABLE resource (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, "
        "run_id TEXT NOT NULL, stage TEXT NOT NULL, token TEXT NOT NULL, owner_pid INTEGER NOT NULL, "
        "owner_start INTEGER NOT NULL, made_at TEXT NOT NULL)");
  };
  return options;
}

/// See docs/formats/journal.md.
class SqliteJournal : public Journal {
 public:
  SqliteJournal(const fs::path& directory, std::string run_id)
      : run_id_(std::move(run_id)), db_(made_directory(directory) / "journal.db", journal_options()) {}

  Resource append(ResourceKind kind, const std::string& name, const std::string& stage) override {
    Resource resource = new_resource(kind, name, stage, run_id_);
    std::lock_guard lock(mutex_);
    Statement insert(db_,
                     "INSERT INTO resource (kind, name, run_id, stage, token, owner_pid, owner_start, made_at) "
                     "VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    insert.bind(kind_word(kind)).bind(name).bind(run_id_).bind(stage).bind(resource.token);
    insert.bind(resource.owner_pid).bind(resource.owner_start).bind(resource.made_at).step();
    resource.id = db_.last_insert_rowid();
    return resource;
  }

  void remove(int64_t id) override {
    std::lock_guard lock(mutex_);
    Statement(db_, "DELETE FROM resource WHERE id = ?").bind(id).step();
  }

  void take_over(int64_t id) override {
    Resource mine = new_resource(ResourceKind::process, "", "", run_id_);
    std::lock_guard lock(mutex_);
    Statement update(db_, "UPDATE resource SET owner_pid = ?, owner_start = ?, run_id = ? WHERE id = ?");
    update.bind(mine.owner_pid).bind(mine.owner_start).bind(run_id_).bind(id).step();
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
  std::string run_id_;
  Database db_;
  std::mutex mutex_;  ///< of the database, and last_insert_rowid belongs to the statement before it
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
  void take_over(int64_t) override {}  // nobody else ever owns what is in it
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
