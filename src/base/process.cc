#include "base/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

extern char** environ;

namespace kiln {

namespace {

class SpawnActions {
 public:
  SpawnActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  void dup(int from, int to) { ::posix_spawn_file_actions_adddup2(&actions_, from, to); }
  void open(int fd, const char* path, int flags) {
    ::posix_spawn_file_actions_addopen(&actions_, fd, path, flags, 0);
  }
  void chdir(const char* path) { ::posix_spawn_file_actions_addchdir_np(&actions_, path); }
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> out;
  for (char** e = environ; *e; ++e) {
    std::string_view entry(*e);
    if (!extra.count(std::string(entry.substr(0, entry.find('='))))) out.emplace_back(entry);
  }
  for (const auto& [name, value] : extra) out.push_back(fmt::format("{}={}", name, value));
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (auto& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

ExitStatus to_exit_status(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return {info.si_status, 0};
  return {128 + info.si_status, info.si_status};
}

/// Connects child descriptor `to`; returns the child's end of a pipe that must be closed after the spawn.
Fd connect_stream(SpawnActions& actions, Process::Stdio how, int given, int to, Fd& ours) {
  if (given >= 0) {
    actions.dup(given, to);
    return {};
  }
  if (how == Process::Stdio::null) actions.open(to, "/dev/null", to == 0 ? O_RDONLY : O_WRONLY);
  if (how != Process::Stdio::pipe) return {};
  Pipe pipe = make_pipe();
  Fd theirs = to == 0 ? std::move(pipe.read) : std::move(pipe.write);
  ours = to == 0 ? std::move(pipe.write) : std::move(pipe.read);
  actions.dup(theirs.get(), to);
  return theirs;
}

}  // namespace

Process Process::start(const Command& command, const Streams& streams) {
  KILN_CHECK(!command.argv.empty());
  auto program = find_program(command.argv[0]);
  if (!program) {
    throw Error(ErrorKind::environment, "the program \"" + command.argv[0] + "\" was not found on PATH");
  }
  Process process;
  SpawnActions actions;
  std::array<Fd, 3> theirs;
  theirs[0] = connect_stream(actions, streams.in, streams.in_fd, 0, process.in_);
  theirs[1] = connect_stream(actions, streams.out, streams.out_fd, 1, process.out_);
  theirs[2] = connect_stream(actions, streams.err, streams.err_fd, 2, process.err_);
  for (auto [ours, child] : streams.pass) actions.dup(ours, child);
  if (command.directory) actions.chdir(command.directory->c_str());

  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (command.new_session) flags |= POSIX_SPAWN_SETSID;
  ::posix_spawnattr_setflags(&attributes, flags);

  auto argv_strings = command.argv;
  auto env_strings = merged_environment(command.env);
  auto argv = pointers(argv_strings);
  auto envp = pointers(env_strings);
  int error = ::posix_spawn(&process.pid_, program->c_str(), actions.get(), &attributes, argv.data(), envp.data());
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    process.pid_ = -1;
    throw Error(ErrorKind::environment, "cannot start " + program->string() + ": " + std::strerror(error));
  }
  process.session_ = command.new_session;
  process.pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid_, 0)));
  if (!process.pidfd_.is_open()) throw_errno("pidfd_open");
  return process;
}

Process::Process(Process&& other) noexcept { *this = std::move(other); }

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(session_, other.session_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(in_, other.in_);
  std::swap(out_, other.out_);
  std::swap(err_, other.err_);
  std::swap(status_, other.status_);
  return *this;
}

Process::~Process() {
  if (pid_ <= 0 || status_) return;
  kill(SIGKILL);
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0 && errno == EINTR) {
  }
}

std::optional<ExitStatus> Process::poll() {
  if (status_) return status_;
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) != 0) throw_errno("waitid");
  if (info.si_pid != 0) status_ = to_exit_status(info);
  return status_;
}

std::optional<ExitStatus> Process::wait(const Deadline& deadline, const Stop& stop) {
  for (;;) {
    if (auto status = poll()) return status;
    if (kiln::wait(pidfd_.get(), POLLIN, deadline, stop) == Woke::deadline) return poll();
  }
}

void Process::kill(int signal) {
  if (pid_ <= 0 || status_) return;
  if (session_) ::kill(-pid_, signal);
  ::kill(pid_, signal);
}

void Process::terminate(std::chrono::nanoseconds grace) {
  if (pid_ <= 0 || poll()) return;
  kill(SIGTERM);
  Stop no_stop;
  if (wait(Deadline::in(grace), no_stop)) return;
  kill(SIGKILL);
  wait(Deadline::in(std::chrono::seconds(10)), no_stop);
}

void Process::detach() { pid_ = -1; }

ExitStatus run_streaming(const Command& command, const Sink& out, const Sink& err, const Deadline& deadline,
                         const Stop& stop, std::string_view input) {
  Process::Streams streams{.in = input.empty() ? Process::Stdio::null : Process::Stdio::pipe,
                           .out = Process::Stdio::pipe,
                           .err = Process::Stdio::pipe};
  Process process = Process::start(command, streams);
  if (process.in().is_open()) set_nonblocking(process.in().get());
  auto timed_out = [&] {
    return Error(ErrorKind::timeout, "\"" + command.argv[0] + "\" did not end in time and was stopped");
  };
  try {
    while (process.out().is_open() || process.err().is_open() || process.in().is_open()) {
      std::vector<pollfd> fds;
      for (Fd* fd : {&process.out(), &process.err()}) fds.push_back({fd->get(), POLLIN, 0});
      fds.push_back({process.in().get(), POLLOUT, 0});
      if (wait(fds, deadline, stop) == Woke::deadline) throw timed_out();
      if (fds[0].revents) {
        std::string bytes = read_some(process.out().get());
        bytes.empty() ? process.out().reset() : out(bytes);
      }
      if (fds[1].revents) {
        std::string bytes = read_some(process.err().get());
        bytes.empty() ? process.err().reset() : err(bytes);
      }
      if (fds[2].revents) {
        ssize_t n = ::write(process.in().get(), input.data(), std::min<size_t>(input.size(), 65536));
        if (n > 0) input.remove_prefix(static_cast<size_t>(n));
        if (input.empty() || (n < 0 && errno != EAGAIN && errno != EINTR)) process.in().reset();
      }
    }
    auto status = process.wait(deadline, stop);
    if (!status) throw timed_out();
    return *status;
  } catch (const Error&) {
    process.terminate();
    throw;
  }
}

RunResult run(const Command& command, const Deadline& deadline, const Stop& stop, std::string_view input) {
  RunResult result;
  result.status = run_streaming(
      command, [&](std::string_view bytes) { result.out += bytes; },
      [&](std::string_view bytes) { result.err += bytes; }, deadline, stop, input);
  return result;
}

std::string run_checked(const Command& command, const Deadline& deadline, const Stop& stop, std::string_view input) {
  RunResult result = run(command, deadline, stop, input);
  if (result.status.ok()) return result.out;
  std::string_view tail = trim(result.err.empty() ? result.out : result.err);
  if (tail.size() > 2000) tail.remove_prefix(tail.size() - 2000);
  throw Error(ErrorKind::environment, join(command.argv, " ") + " failed with exit status " +
                                          std::to_string(result.status.code) + ": " + std::string(tail));
}

void LineSplitter::feed(std::string_view bytes) {
  for (;;) {
    size_t at = bytes.find('\n');
    if (at == std::string_view::npos) break;
    pending_ += bytes.substr(0, at);
    bytes.remove_prefix(at + 1);
    if (pending_.ends_with('\r')) pending_.pop_back();
    line_(pending_);
    pending_.clear();
  }
  pending_ += bytes;
}

void LineSplitter::finish() {
  if (!pending_.empty()) line_(pending_);
  pending_.clear();
}

}  // namespace kiln
