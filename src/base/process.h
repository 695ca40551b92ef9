// Child processes: posix_spawn and pidfd, never fork.
#pragma once
#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/wait.h"

namespace kiln {

/// What to start. argv[0] is looked up on PATH.
struct Command {
  std::vector<std::string> argv;
  std::map<std::string, std::string> env;  ///< added to (and overriding) our own environment
  std::optional<std::filesystem::path> directory;
  bool new_session = false;  ///< its own session, so that a terminal's ^C does not reach it
};

struct ExitStatus {
  int code = 0;    ///< exit code; 128+signal when killed by one
  int signal = 0;  ///< 0 when it exited by itself
  bool ok() const { return code == 0; }
};

/// A running child. The destructor kills it (SIGKILL, whole session if new_session) and reaps it.
class Process {
 public:
  enum class Stdio { null, pipe, inherit };
  struct Streams {
    Stdio in = Stdio::null;
    Stdio out = Stdio::inherit;
    Stdio err = Stdio::inherit;
    int out_fd = -1;  ///< when >= 0: the child writes stdout here (borrowed)
    int err_fd = -1;  ///< likewise stderr
    int in_fd = -1;   ///< likewise stdin
    std::vector<std::pair<int, int>> pass;  ///< further {ours, theirs} descriptors
  };
  static Process start(const Command& command, const Streams& streams);
  ~Process();
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  ///< readable when it has ended
  Fd& in() { return in_; }                    ///< our ends of the pipes
  Fd& out() { return out_; }
  Fd& err() { return err_; }

  /// Waits for its end. nullopt when the deadline passes. Throws Error{cancelled} on Stop (the child lives on).
  std::optional<ExitStatus> wait(const Deadline& deadline, const Stop& stop);
  /// Non-blocking.
  std::optional<ExitStatus> poll();
  void kill(int signal);
  /// SIGTERM, then after `grace` SIGKILL; reaps.
  void terminate(std::chrono::nanoseconds grace = std::chrono::seconds(5));
  /// Leaves the child running and unowned (its pid is journaled by the caller).
  void detach();

 private:
  Process() = default;
  pid_t pid_ = -1;
  bool session_ = false;
  Fd pidfd_, in_, out_, err_;
  std::optional<ExitStatus> status_;
};

struct RunResult {
  ExitStatus status;
  std::string out;
  std::string err;
};
/// Runs to the end and captures; throws Error{environment} when it cannot be started, Error{timeout} after killing it.
RunResult run(const Command& command, const Deadline& deadline, const Stop& stop, std::string_view input = {});
/// The same, and a non-zero exit is Error{environment} with the command and the last lines of stderr.
std::string run_checked(const Command& command, const Deadline& deadline, const Stop& stop,
                        std::string_view input = {});

using Sink = std::function<void(std::string_view)>;  ///< gets bytes as they come

/// Runs to the end, handing over output as it arrives (raw bytes, not lines). On Stop or deadline the child is
/// terminated and the Error thrown.
ExitStatus run_streaming(const Command& command, const Sink& out, const Sink& err, const Deadline& deadline,
                         const Stop& stop, std::string_view input = {});

/// Cuts a byte stream into lines (without the newline; a trailing "\r" is dropped) for a per-line function.
class LineSplitter {
 public:
  explicit LineSplitter(std::function<void(std::string_view)> line) : line_(std::move(line)) {}
  void feed(std::string_view bytes);
  void finish();  ///< hands over an unfinished last line

 private:
  std::function<void(std::string_view)> line_;
  std::string pending_;
};

}  // namespace kiln
