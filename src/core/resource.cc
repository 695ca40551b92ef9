// How each kind of outside thing is removed.
#include <fmt/format.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "base/wait.h"
#include "core/aws_resource.h"
#include "core/journal.h"
#include "core/process_table.h"

namespace kiln {

namespace {

constexpr auto grace_after_sigterm = std::chrono::seconds(5);
constexpr auto grace_after_sigkill = std::chrono::seconds(10);

/// Processes with the token, each held by a pidfd so that a signal can never reach another one of that number.
std::vector<Fd> open_processes(const std::string& token) {
  std::vector<Fd> processes;
  for (pid_t pid : processes_with_env("KILN_RESOURCE", token)) {
    if (pid == ::getpid()) continue;
    Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (pidfd.is_open() && process_start_time(pid)) processes.push_back(std::move(pidfd));
  }
  return processes;
}

/// Sends the signal and waits for their end; true when all have ended.
bool signal_all(std::vector<Fd>& processes, int signal, std::chrono::nanoseconds grace) {
  for (auto& process : processes) ::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0);
  Deadline deadline = Deadline::in(grace);
  for (auto& process : processes) {
    if (wait(process.get(), POLLIN, deadline, Stop()) == Woke::deadline) return false;
  }
  return true;
}

void remove_processes(const Resource& resource) {
  if (resource.token.empty()) return;
  auto processes = open_processes(resource.token);
  if (processes.empty()) return;
  signal_all(processes, SIGTERM, grace_after_sigterm);
  for (int round = 0; round < 3; ++round) {  // what was started while we looked has the token too
    processes = open_processes(resource.token);
    if (processes.empty()) return;
    signal_all(processes, SIGKILL, grace_after_sigkill);
  }
  if (!open_processes(resource.token).empty()) {
    throw Error(ErrorKind::environment, fmt::format("the process {} does not end", resource.name));
  }
}

/// mountinfo writes blanks as \040.
std::string unescape_mount_path(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    auto digit = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool is_below(const std::string& path, const std::string& directory) {
  return path == directory || (path.starts_with(directory) && path[directory.size()] == '/');
}

/// Mount points at or below `directory`, newest first.
std::vector<std::string> mounts_below(const std::string& directory) {
  std::vector<std::string> mounts;
  for (const auto& line : split(read_file("/proc/self/mountinfo"), '\n')) {
    auto fields = split(line, ' ');
    if (fields.size() < 5) continue;
    std::string point = unescape_mount_path(fields[4]);
    if (is_below(point, directory)) mounts.push_back(point);
  }
  std::reverse(mounts.begin(), mounts.end());
  return mounts;
}

/// The path without a trailing slash; refuses what nobody may have meant to journal.
std::string checked_path(const std::string& name) {
  fs::path path(name);
  std::string home = get_env("HOME").value_or("");
  fs::path clean = path.lexically_normal();
  if (!clean.has_filename()) clean = clean.parent_path();
  auto refuse = [&](const char* why) {
    throw Error(ErrorKind::internal, fmt::format("will not remove {}: {}", go_quote(name), why));
  };
  if (name.empty()) refuse("it is no path");
  if (!path.is_absolute()) refuse("it is relative");
  if (clean == clean.root_path()) refuse("it is the root directory");
  if (clean.parent_path() == clean.root_path()) refuse("it is a directory of the system");
  if (!home.empty() && is_below(fs::path(home + "/").lexically_normal().parent_path().string(), clean.string())) {
    refuse("it holds the home directory");
  }
  return clean.string();
}

void remove_path(const Resource& resource) {
  std::string path = checked_path(resource.name);
  if (auto mounts = mounts_below(path); !mounts.empty()) {
    throw Error(ErrorKind::environment, fmt::format("will not remove {}: {} is mounted in it", path, mounts.front()));
  }
  std::error_code error;
  fs::remove_all(path, error);
  if (error && error != std::errc::no_such_file_or_directory) {
    throw Error(ErrorKind::environment, fmt::format("remove {}: {}", path, go_errno_text(error.value())));
  }
}

void remove_container(const Resource& resource) {
  remove_processes(resource);
  std::string path = checked_path(resource.name);
  for (const auto& point : mounts_below(path)) {
    if (::umount2(point.c_str(), UMOUNT_NOFOLLOW) == 0) continue;
    if (errno == EINVAL || errno == ENOENT) continue;  // went away with another one
    if (::umount2(point.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0 || errno == EINVAL || errno == ENOENT) continue;
    throw Error(ErrorKind::environment, fmt::format("unmount {}: {}", point, go_errno_text(errno)));
  }
}

}  // namespace

void remove_resource(const Resource& resource) {
  switch (resource.kind) {
    case ResourceKind::process: remove_processes(resource); return;
    case ResourceKind::path: remove_path(resource); return;
    case ResourceKind::container: remove_container(resource); return;
    case ResourceKind::aws: remove_aws_resource(resource); return;
  }
}

}  // namespace kiln
