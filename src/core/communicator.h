// The contract of a way into a machine.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/process.h"
#include "base/wait.h"

namespace kiln {

/// Packer's exit status for "the connection went away and no exit status came". Never a success.
constexpr int disconnected_status = 2300218;

/// Where the bytes of an upload come from: fills `buffer`, returns how many; 0 at the end.
using ByteSource = std::function<size_t(char* buffer, size_t size)>;

/// How a file shall look on the other side.
struct RemoteFile {
  std::string path;
  uint64_t size = 0;  ///< exact: protocols announce it first
  int mode = 0644;
  /// The same bytes as a file of this host, for ways that need not carry them (borrowed; -1: there is none).
  int local_file = -1;
};

using ProgressFn = std::function<void(uint64_t done, uint64_t total)>;

/// Contract: used by one thread at a time; every call blocks until done, deadline or Stop (Error{timeout},
/// Error{cancelled}); transport failures are Error{remote}. A lost connection is made again by the next call.
class Communicator {
 public:
  virtual ~Communicator() = default;
  /// Runs a command line by the remote shell; output as it comes. Returns its exit status, or
  /// disconnected_status when the connection ended without one.
  virtual int run(const std::string& command, const Sink& out, const Sink& err, const Deadline& deadline,
                  const Stop& stop) = 0;
  /// Writes one remote file. A half-written file is an error, never silently left for whole.
  virtual void upload(const RemoteFile& file, const ByteSource& source, const Deadline& deadline,
                      const Stop& stop) = 0;
  /// Sends the contents of local directory `from` into remote directory `to` (made if missing), with modes and
  /// links, as one archive where the remote has tar, else file by file.
  virtual void upload_tree(const std::filesystem::path& from, const std::string& to, const ProgressFn& progress,
                           const Deadline& deadline, const Stop& stop) = 0;
  /// Reads one remote file.
  virtual void download(const std::string& path, const Sink& out, const Deadline& deadline, const Stop& stop) = 0;
  /// Fetches the contents of remote directory `from` into local directory `to` (made if missing).
  virtual void download_tree(const std::string& from, const std::filesystem::path& to, const Deadline& deadline,
                             const Stop& stop) = 0;
  /// Drops the connection so that the next call makes a new one (after a reboot). Default: nothing to do.
  virtual void disconnect() {}
  /// The program of this host that gives a person a shell on the other side, for a terminal; nullopt: there is none.
  virtual std::optional<Command> shell_command() { return std::nullopt; }
  /// Whether the other side is surely Windows: paths have back-slashes, and there is no Unix shell to ask.
  virtual bool speaks_windows() const { return false; }
};

}  // namespace kiln
