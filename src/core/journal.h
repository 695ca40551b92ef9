// The record of every outside thing that was made and not yet removed (SQLite).
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kiln {

/// What kind of outside thing; `gc` knows how to remove each.
enum class ResourceKind {
  process,    ///< a process tree started with KILN_RESOURCE=<token> in its environment
  path,       ///< a file or directory to delete
  container,  ///< an nspawn machine: its leader (as process), then its mounts below `name`
  aws,        ///< a thing in AWS; `name` is aws_resource_text() (core/aws_resource.h), its tag has `token`
};

/// One entry. `name` is the path, or what a person would call the process.
struct Resource {
  int64_t id = 0;
  ResourceKind kind = ResourceKind::path;
  std::string name;
  std::string run_id;
  std::string stage;
  std::string token;      ///< random; put into KILN_RESOURCE of a process that is started
  int64_t owner_pid = 0;  ///< the kiln process; with its start time it tells whether the run still lives
  int64_t owner_start = 0;
  std::string made_at;    ///< RFC 3339
};

/// Contract: append() is durable when it returns, so call it before making the thing. Thread-safe, and safe
/// between processes. The file lives in the state directory (KILN_STATE_DIR, default ~/.local/state/kiln).
class Journal {
 public:
  virtual ~Journal() = default;
  virtual Resource append(ResourceKind kind, const std::string& name, const std::string& stage) = 0;
  virtual void remove(int64_t id) = 0;
  /// From now on this process owns it: what another one left running on purpose, or by dying, is no orphan any more.
  virtual void take_over(int64_t id) = 0;
  virtual std::vector<Resource> all() = 0;
};

/// Opens (makes) the journal; throws Error{environment} with what to do.
std::unique_ptr<Journal> open_journal(const std::filesystem::path& directory, const std::string& run_id);
/// A journal that forgets: for tests and for commands that make nothing.
std::unique_ptr<Journal> make_memory_journal();
/// Where the journal lives for this user.
std::filesystem::path state_directory();

/// Removes one left-over thing (kills, deletes, unmounts). Throws Error when it cannot. Idempotent.
void remove_resource(const Resource& resource);
/// Whether the kiln process that made it is gone.
bool is_orphan(const Resource& resource);

}  // namespace kiln
