// The cache of machine states: what a machine was after a step, so that the step need not be run again.
// Format: docs/formats/states.md. Ours, not Packer's.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "base/wait.h"
#include "core/event.h"
#include "lang/value.h"

namespace kiln {

/// One state, as the cache knows it. A plain value.
struct MachineState {
  std::string key;       ///< digest of the chain of steps that led to it
  std::string instance;  ///< random: a state that is made anew under the same key is another one
  std::string parent;    ///< key of the state before; empty: the first
  std::string parent_instance;
  std::string builder_type;   ///< who can bring it back
  std::string build;          ///< display name
  std::string step;           ///< "boot", or the provisioner: "shell"
  size_t number = 0;          ///< how many provisioners it has behind it
  bool failed = false;        ///< the machine as a failing step left it: only for looking at
  Value document;             ///< what the key is made of, besides the parent
  Value details;              ///< the builder's own; `outside`, `outside_tag`: what it has outside of the cache
  std::vector<Event> output;  ///< what the step said, secrets masked; say, message and error only
  std::vector<std::string>
      layers;  ///< its own files in layers_directory(); it needs those of its parents, too
  std::vector<std::string>
      depends;  ///< files elsewhere (absolute) without which it is worth nothing: a disk's base
  std::chrono::nanoseconds cost{0};  ///< how long the step took
  std::chrono::system_clock::time_point made{};
  std::chrono::system_clock::time_point used{};
  uint64_t bytes = 0;               ///< on disk: its own files, and the layers that came with it
  std::filesystem::path directory;  ///< of the builder's files
};

/// Keeps a state from being removed while it is in use, and its parents with it.
class StateLease {
 public:
  explicit StateLease(Fd fd) : fd_(std::move(fd)) {}
  StateLease(StateLease&&) = default;
  StateLease& operator=(StateLease&&) = default;

 private:
  Fd fd_;
};

/// What is wrong with one state.
struct StateDamage {
  std::string key;
  std::string what;
};

/// Where one run puts its states while it makes them. What is not committed goes with it, or with the next
/// trim() when its process was killed.
class StateRun {
 public:
  virtual ~StateRun() = default;
  /// The cache's.
  virtual const std::filesystem::path& layers_directory() const = 0;
  /// A path in layers_directory() that nobody else has; no file is there yet.
  virtual std::filesystem::path new_layer(const std::string& extension) = 0;
  /// What marks something that a state has outside of the cache (an AMI): of this cache, and of one state of it.
  virtual std::string outside_tag() const = 0;
  /// A new directory for the builder's files of one state.
  virtual std::filesystem::path begin() = 0;
  /// Makes the state in `directory` (from begin()) findable, durably: its files and layers are synced first.
  /// One that was there under the key is replaced. Fills instance, made, used, bytes and directory.
  virtual MachineState commit(MachineState state, const std::filesystem::path& directory) = 0;
};

/// Contract: safe between processes and threads. A state is found only when it was written whole and is on
/// disk; a state whose files or parents changed is not found, and the reason is told. Throws
/// Error{environment}.
class StateCache {
 public:
  virtual ~StateCache() = default;
  /// Where layers live: files that a state and those after it share, never written to once a state names
  /// them.
  virtual const std::filesystem::path& layers_directory() const = 0;

  struct Found {
    std::optional<MachineState> state;
    std::string why_not;  ///< of a state that is there and cannot be used; empty: there is none
  };
  virtual Found find(const std::string& key) = 0;
  /// The states from the first to this one. Throws Error when one is missing.
  virtual std::vector<MachineState> lineage(const MachineState& state) = 0;
  /// Nobody removes it while the lease lives. nullopt: it is gone already. Counts as use, of its parents too.
  virtual std::optional<StateLease> lease(const MachineState& state) = 0;

  /// Where one run writes. Everything below is thread-safe.
  virtual std::unique_ptr<StateRun> open_run() = 0;

  /// Held while a state of this key is made, so that it is made once. nullopt: somebody else makes it now.
  virtual std::optional<FileLock> try_make(const std::string& key) = 0;

  /// What outside_tag() of its runs begins with: nobody else's does.
  virtual std::string id() = 0;

  /// Most recently used first.
  virtual std::vector<MachineState> list() = 0;
  /// With all states that build on it. False: in use.
  virtual bool remove(const std::string& key) = 0;
  /// Removes the least recently used states that no other builds on, until the rest fits into `budget` bytes,
  /// and whatever a killed process left. Returns what was removed.
  virtual std::vector<MachineState> trim(uint64_t budget) = 0;
  /// Reads all files and compares digests.
  virtual std::vector<StateDamage> verify(const MachineState& state, const Stop& stop) = 0;
};

/// A text among the state's details ("outside"); empty: there is none.
std::string state_detail(const MachineState& state, const char* name);

/// Opens (makes) the cache below `directory`.
std::unique_ptr<StateCache> open_state_cache(const std::filesystem::path& directory);
/// KILN_CACHE_DIR, else $XDG_CACHE_HOME/kiln/states, else ~/.cache/kiln/states.
std::filesystem::path state_cache_directory();
/// KILN_CACHE_SIZE ("30GB", "500MiB"), else 20 GiB. Throws Error{user} when it is no size.
uint64_t state_cache_budget();

}  // namespace kiln
