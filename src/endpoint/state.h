// Everything the endpoint knows, in memory and in a database: what is changed is durable at once, and any
// number of processes may change it. Changes somebody asks for are made together or not at all (State::Changes).
// What has happened by itself, to a machine for instance, cannot be refused: when the database does not take it,
// because the disk is full, it is true in memory and is written as soon as that goes.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/sqlite.h"
#include "base/wait.h"
#include "endpoint/records.h"

namespace kiln::ec2 {

/// Records of one kind by id. Changes go through State, which writes them down.
template <class T>
using Table = std::map<std::string, T>;

/// Contract: all members but changed_fd() and the functions of Waiter are used with lock() held.
class State {
 public:
  /// Opens (makes) ec2.db in `directory`. Throws Error{environment} with what to do.
  explicit State(const std::filesystem::path& directory);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }
  /// Takes in what other processes have written since. Cheap when that is nothing.
  void refresh();

  Table<Image> images;
  Table<Instance> instances;
  Table<Volume> volumes;
  Table<Snapshot> snapshots;
  Table<KeyPairRecord> keys;
  Table<SecurityGroup> groups;
  Table<Address> addresses;
  Table<LaunchTemplate> templates;
  Table<AccessKey> access_keys;
  Table<Role> roles;
  Table<Profile> profiles;
  Table<Parameter> parameters;
  Table<Secret> secrets;
  Table<TagSet> tag_sets;

  /// All changes while it lives, which is no longer than the lock is held: durable together by keep(), else undone
  /// when it dies. A change that cannot be written throws Error{environment}. Not two at once.
  class Changes {
   public:
    explicit Changes(State& state);
    ~Changes();
    Changes(const Changes&) = delete;
    Changes& operator=(const Changes&) = delete;
    void keep();

   private:
    State& state_;
  };
  /// Does what cannot be undone, such as telling a machine, once the changes are kept; at once when none are open.
  void when_kept(std::function<void()> f);

  /// Puts a record, new or changed, into its table and the database. Outside of Changes it never fails.
  template <class T>
  T& put(const T& record) {
    write({kind_of<T>(), record.id},
          nlohmann::json(record).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return table<T>()[record.id] = record;
  }
  /// Takes it out, with its tags.
  template <class T>
  void erase(const std::string& id) {
    write({kind_of<T>(), id}, std::nullopt);
    table<T>().erase(id);
    if (tag_sets.contains(id)) erase<TagSet>(id);
  }
  template <class T>
  T* find(const std::string& id) {
    auto found = table<T>().find(id);
    return found == table<T>().end() ? nullptr : &found->second;
  }
  /// Wakes those who wait for a change, of something beside the records.
  void notify() { changed(); }
  const Tags& tags_of(const std::string& id) const;
  void set_tags(const std::string& id, const Tags& tags);  ///< added to those it has

  /// A random identifier that nothing has: "i-0123456789abcdef0".
  std::string new_id(const std::string& prefix) const;

  const std::filesystem::path& directory() const { return directory_; }

  /// Somebody who waits for a change; made before what it waits for is looked at; waits without lock().
  class Waiter {
   public:
    explicit Waiter(State& state);
    ~Waiter();
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    /// Until something is changed; false at the deadline or when `hang_up` (a socket, or -1) has something to
    /// say.
    bool wait_for_change(const Deadline& deadline, const Stop& stop, int hang_up = -1);

   private:
    State& state_;
    Fd event_;
  };

 private:
  template <class T>
  Table<T>& table();
  template <class T>
  static const char* kind_of();
  using Key = std::pair<std::string, std::string>;  ///< kind, id
  using Document = std::optional<std::string>;      ///< nullopt: the record is gone
  void write(const Key& key, const Document& document);
  void write_row(const Key& key, const Document& document);
  void write_unsaved();
  void changed();
  void load();
  void take_in(const Key& key, const Document& document);
  void take_back();
  int64_t data_version();

  std::filesystem::path directory_;
  mutable std::mutex mutex_;
  Database db_;
  int64_t seen_ = 0;                        ///< PRAGMA data_version
  std::map<Key, Document> unsaved_;         ///< true, but not in the database yet
  bool collecting_ = false;                 ///< there are Changes
  std::optional<Transaction> transaction_;  ///< of the Changes, once there is one
  std::set<Key> touched_;                   ///< by it
  std::vector<std::function<void()>> when_kept_;
  std::mutex waiters_mutex_;
  std::set<int> waiters_;
};

/// Now, as EC2 writes times: "2026-11-27T10:20:30.000Z".
std::string now_text();

#define KILN_TABLE(Type, member, word)        \
  template <>                                 \
  inline Table<Type>& State::table<Type>() {  \
    return member;                            \
  }                                           \
  template <>                                 \
  inline const char* State::kind_of<Type>() { \
    return word;                              \
  }
KILN_TABLE(Image, images, "image")
KILN_TABLE(Instance, instances, "instance")
KILN_TABLE(Volume, volumes, "volume")
KILN_TABLE(Snapshot, snapshots, "snapshot")
KILN_TABLE(KeyPairRecord, keys, "key-pair")
KILN_TABLE(SecurityGroup, groups, "security-group")
KILN_TABLE(Address, addresses, "address")
KILN_TABLE(LaunchTemplate, templates, "launch-template")
KILN_TABLE(AccessKey, access_keys, "access-key")
KILN_TABLE(Role, roles, "role")
KILN_TABLE(Profile, profiles, "instance-profile")
KILN_TABLE(Parameter, parameters, "parameter")
KILN_TABLE(Secret, secrets, "secret")
KILN_TABLE(TagSet, tag_sets, "tags")
#undef KILN_TABLE

}  // namespace kiln::ec2
