// Everything the endpoint knows, in memory and in a database: what is changed is durable at once, and any
// number of processes may change it.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
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

  /// Puts a record, new or changed, into its table and the database.
  template <class T>
  T& put(const T& record) {
    write(kind_of<T>(), record.id,
          nlohmann::json(record).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return table<T>()[record.id] = record;
  }
  /// Takes it out, with its tags.
  template <class T>
  void erase(const std::string& id) {
    remove(kind_of<T>(), id);
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
  void write(const char* kind, const std::string& id, const std::string& document);
  void remove(const char* kind, const std::string& id);
  void changed();
  void load();
  int64_t data_version();

  std::filesystem::path directory_;
  mutable std::mutex mutex_;
  Database db_;
  int64_t seen_ = 0;  ///< PRAGMA data_version
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
