#include "endpoint/state.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace kiln::ec2 {

namespace {

constexpr const char* state_advice = "Set KILN_STATE_DIR to a directory you may write to";

fs::path made_directory(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    throw Error(ErrorKind::environment, "cannot make the directory " + directory.string() + ": " +
                                            go_errno_text(error.value()) + ". " + state_advice);
  }
  fs::permissions(directory, fs::perms::owner_all, error);  // keys and disks are nobody else's business
  return directory;
}

DatabaseOptions state_options() {
  DatabaseOptions options;
  options.what = "the endpoint's state";
  options.advice = state_advice;
  options.write_ahead = true;
  options.upgrade = [](Database& db, int) {
    db.execute(
        "CREATE TABLE record (kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY "
        "(kind, id))");
  };
  return options;
}

/// Takes a document into its table; one that is none is passed over, so that a damaged row costs no more than
/// itself.
template <class T>
void take(Table<T>& table, const std::string& id, const std::optional<std::string>& document) {
  if (!document) {
    table.erase(id);
    return;
  }
  try {
    table[id] = nlohmann::json::parse(*document).template get<T>();
    table[id].id = id;
  } catch (const nlohmann::json::exception&) {
    table.erase(id);
  }
}

}  // namespace

State::State(const fs::path& directory)
    : directory_(fs::absolute(made_directory(directory))), db_(directory_ / "ec2.db", state_options()) {
  seen_ = data_version();
  load();
}

State::~State() { write_unsaved(); }

int64_t State::data_version() {
  Statement version(db_, "PRAGMA data_version");
  return version.step() ? version.number(0) : 0;
}

void State::refresh() {
  if (!collecting_) write_unsaved();
  int64_t now = data_version();
  if (now == seen_) return;
  seen_ = now;
  load();
  changed();
}

void State::load() {
  images.clear(), instances.clear(), volumes.clear(), snapshots.clear(), keys.clear(), groups.clear();
  addresses.clear(), templates.clear(), access_keys.clear(), roles.clear(), profiles.clear();
  parameters.clear(), secrets.clear(), tag_sets.clear();
  Statement rows(db_, "SELECT kind, id, document FROM record");
  while (rows.step()) take_in({rows.text(0), rows.text(1)}, rows.text(2));
  for (const auto& [key, document] : unsaved_) take_in(key, document);
}

void State::take_in(const Key& key, const Document& document) {
  auto into = [&]<class T>(Table<T>& table) {
    if (key.first == kind_of<T>()) take(table, key.second, document);
  };
  into(images), into(instances), into(volumes), into(snapshots), into(keys), into(groups), into(addresses);
  into(templates), into(access_keys), into(roles), into(profiles), into(parameters), into(secrets);
  into(tag_sets);
}

void State::write_row(const Key& key, const Document& document) {
  if (!document) {
    Statement(db_, "DELETE FROM record WHERE kind = ? AND id = ?").bind(key.first).bind(key.second).step();
    return;
  }
  Statement(db_, "INSERT OR REPLACE INTO record (kind, id, document) VALUES (?, ?, ?)")
      .bind(key.first)
      .bind(key.second)
      .bind(*document)
      .step();
}

void State::write(const Key& key, const Document& document) {
  if (collecting_) {
    if (!transaction_) {
      transaction_.emplace(db_);
      for (const auto& [other, one] : unsaved_) write_row(other, one);
    }
    touched_.insert(key);
    return write_row(key, document);
  }
  unsaved_[key] = document;
  write_unsaved();
  changed();
}

/// The records of changes that were not kept, as they were.
void State::take_back() {
  for (const auto& key : std::exchange(touched_, {})) {
    Document document;
    if (auto unsaved = unsaved_.find(key); unsaved != unsaved_.end()) {
      document = unsaved->second;
    } else {
      Statement row(db_, "SELECT document FROM record WHERE kind = ? AND id = ?");
      if (row.bind(key.first).bind(key.second).step()) document = row.text(0);
    }
    take_in(key, document);
  }
}

void State::write_unsaved() {
  try {
    while (!unsaved_.empty()) {
      write_row(unsaved_.begin()->first, unsaved_.begin()->second);
      unsaved_.erase(unsaved_.begin());
    }
  } catch (const Error&) {  // it is tried again with whatever happens next
  }
}

State::Changes::Changes(State& state) : state_(state) {
  KILN_CHECK(!state_.collecting_);
  state_.collecting_ = true;
}

State::Changes::~Changes() {
  state_.collecting_ = false;
  state_.when_kept_.clear();
  if (!state_.transaction_) return;
  state_.transaction_.reset();
  try {
    state_.take_back();
  } catch (const Error&) {
    state_.seen_ = -1;  // everything is read at the next refresh()
  }
}

void State::Changes::keep() {
  if (state_.transaction_) {
    state_.transaction_->commit();
    state_.transaction_.reset();
    state_.unsaved_.clear();
    state_.touched_.clear();
    state_.changed();
  }
  state_.collecting_ = false;
  for (const auto& f : std::exchange(state_.when_kept_, {})) f();
}

void State::when_kept(std::function<void()> f) {
  if (!collecting_) return f();
  when_kept_.push_back(std::move(f));
}

void State::changed() {
  std::lock_guard lock(waiters_mutex_);
  for (int fd : waiters_) ::eventfd_write(fd, 1);
}

const Tags& State::tags_of(const std::string& id) const {
  static const Tags none;
  auto found = tag_sets.find(id);
  return found == tag_sets.end() ? none : found->second.tags;
}

void State::set_tags(const std::string& id, const Tags& tags) {
  if (tags.empty()) return;
  TagSet set{id, tags_of(id)};
  for (const auto& [key, value] : tags) set.tags[key] = value;
  put(set);
}

std::string State::new_id(const std::string& prefix) const {
  return prefix + "-" + hex_encode(random_bytes(9)).substr(0, 17);
}

State::Waiter::Waiter(State& state) : state_(state), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_.is_open()) throw_errno("eventfd");
  std::lock_guard lock(state_.waiters_mutex_);
  state_.waiters_.insert(event_.get());
}

State::Waiter::~Waiter() {
  std::lock_guard lock(state_.waiters_mutex_);
  state_.waiters_.erase(event_.get());
}

bool State::Waiter::wait_for_change(const Deadline& deadline, const Stop& stop, int hang_up) {
  pollfd fds[2] = {{event_.get(), POLLIN, 0}, {hang_up, POLLIN, 0}};
  if (wait(fds, deadline, stop) == Woke::deadline || fds[0].revents == 0) return false;
  eventfd_t count = 0;
  ::eventfd_read(event_.get(), &count);
  return true;
}

std::string now_text() {
  std::string text = format_rfc3339_utc(std::chrono::system_clock::now());
  return text.substr(0, text.size() - 1) + ".000Z";
}

}  // namespace kiln::ec2
