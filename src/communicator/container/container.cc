#include "communicator/container/container.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <tuple>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "core/communicator.h"

namespace kiln {

namespace {

/// systemd-nspawn's exit status for "the guest asked for a reboot" when it keeps its unit.
constexpr int nspawn_reboot_status = 133;
constexpr auto poll_interval = std::chrono::milliseconds(30);
constexpr auto state_timeout = std::chrono::seconds(10);
constexpr auto wake_interval = std::chrono::milliseconds(250);

/// Children of a process's main thread.
std::vector<pid_t> children_of(pid_t pid) {
  std::string id = std::to_string(pid);
  std::vector<pid_t> out;
  auto text = read_file_if_exists("/proc/" + id + "/task/" + id + "/children");
  for (const auto& word : split(text.value_or(""), ' ')) {
    if (!trim(word).empty()) out.push_back(static_cast<pid_t>(std::atol(word.c_str())));
  }
  return out;
}

std::string program_of(pid_t pid) {
  std::error_code error;
  return fs::read_symlink("/proc/" + std::to_string(pid) + "/exe", error).filename();
}

/// Whether `pid` is PID 1 of a PID name space below ours.
bool is_container_init(pid_t pid) {
  auto text = read_file_if_exists("/proc/" + std::to_string(pid) + "/status");
  for (const auto& line : split(text.value_or(""), '\n')) {
    if (!line.starts_with("NSpid:")) continue;
    auto ids = split(std::string(trim(line.substr(6))), '\t');
    return ids.size() == 2 && ids.back() == "1";
  }
  return false;
}

}  // namespace

std::vector<std::string> nspawn_arguments(const ContainerSpec& spec, pid_t network_process, bool keep_unit) {
  // setpriv: when the thread that started it dies, whatever the reason, nspawn dies.
  std::vector<std::string> argv = {"setpriv",
                                   "--pdeathsig",
                                   "KILL",
                                   "systemd-nspawn",
                                   "--quiet",
                                   "--register=no",
                                   "--directory=" + spec.root.string(),
                                   "--machine=" + spec.machine,
                                   "--hostname=" + (spec.hostname.empty() ? spec.machine : spec.hostname),
                                   "--console=pipe",
                                   "--resolv-conf=off",
                                   "--timezone=off",
                                   "--link-journal=no"};
  // The guest's init outlives nspawn: by its environment it is found after a crash.
  if (!spec.token.empty()) argv.push_back("--setenv=KILN_RESOURCE=" + spec.token);
  if (keep_unit) argv.push_back("--keep-unit");
  if (network_process > 0) {
    argv.push_back("--network-namespace-path=/proc/" + std::to_string(network_process) + "/ns/net");
  }
  if (spec.boot) {
    // In a container systemd reads its own arguments as the kernel's. Remounting the root as fstab says fails there
    // (no device nodes), and would leave the system "degraded".
    argv.insert(argv.end(), {"--boot", "--", "systemd.mask=systemd-remount-fs.service"});
  } else {
    // Lives as long as its standard input is open.
    argv.insert(argv.end(), {"--as-pid2", "/bin/cat"});
  }
  return argv;
}

std::vector<std::string> enter_arguments(pid_t leader, const std::vector<std::string>& inner) {
  std::vector<std::string> argv = {"env", "-i"};
  argv.insert(argv.end(), {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                           "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "LANG=C.UTF-8", "container=systemd-nspawn"});
  // Not nsenter's own fork: when the guest's shutdown stops all processes before ending them, nsenter stops itself too
  // and never reaps its child, and the kernel lets a guest's init go only when all are reaped. A shell waits on.
  // Its own words ("Terminated") are not the command's.
  argv.insert(argv.end(), {"nsenter", "--no-fork", "--target", std::to_string(leader), "--mount", "--uts", "--ipc",
                           "--net", "--pid", "--cgroup", "--root", "--wd", "--", "/bin/sh", "-c",
                           "exec 3>&2 2>/dev/null; \"$@\" 2>&3 3>&-; exit $?", "sh"});
  argv.insert(argv.end(), inner.begin(), inner.end());
  return argv;
}

GuestState guest_state_of(const std::string& systemctl_output) {
  std::string word(trim(systemctl_output));
  if (word == "running" || word == "degraded" || word == "maintenance") return GuestState::up;
  if (word == "initializing" || word == "starting") return GuestState::starting;
  if (word == "stopping") return GuestState::stopping;
  return GuestState::silent;
}

Container::Container(ContainerSpec spec) : spec_(std::move(spec)), cgroup_(spec_.machine) {}

Container::~Container() {
  try {
    kill();
  } catch (const Error&) {
    // The journal's entry stays with its owner, who tries again.
  }
}

Command Container::tagged(std::vector<std::string> argv) const {
  Command command{.argv = std::move(argv), .new_session = true};
  command.env["KILN_RESOURCE"] = spec_.token;
  return command;
}

void Container::start_network(const Deadline& deadline, const Stop& stop) {
  if (spec_.network == ContainerNetwork::host) return;
  network_holder_ = Process::start(
      tagged({"unshare", "--net", "cat"}),
      {.in = Process::Stdio::pipe, .out = Process::Stdio::null, .err = Process::Stdio::null});
  holder_life_ = std::move(network_holder_->in());
  Deadline soon = deadline.at_most(std::chrono::seconds(10));
  while (program_of(network_holder_->pid()) == "unshare" || program_of(network_holder_->pid()).empty()) {
    if (soon.passed() || network_holder_->poll()) {
      throw Error(ErrorKind::environment, "unshare could not make a network name space for the container");
    }
    sleep_for(std::chrono::milliseconds(2), stop);
  }
  if (spec_.network == ContainerNetwork::none) return;
  Pipe ready = make_pipe();
  Pipe life = make_pipe();
  Process::Streams streams{.out = Process::Stdio::null, .err = Process::Stdio::null};
  // Numbers above both, so that neither overwrites the other on its way into the child.
  int ready_fd = std::max(ready.write.get(), life.read.get()) + 1;
  int life_fd = ready_fd + 1;
  streams.pass = {{ready.write.get(), ready_fd}, {life.read.get(), life_fd}};
  slirp_ = Process::start(tagged({"slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback",
                                  "--ready-fd=" + std::to_string(ready_fd), "--exit-fd=" + std::to_string(life_fd),
                                  std::to_string(network_holder_->pid()), "tap0"}),
                          streams);
  slirp_life_ = std::move(life.write);
  ready.write.reset();
  if (kiln::wait(ready.read.get(), POLLIN, soon, stop) == Woke::deadline || read_some(ready.read.get()).empty()) {
    throw Error(ErrorKind::environment, "slirp4netns could not set up the container's network");
  }
}

void Container::start_nspawn() {
  Fd log(::open(spec_.console_log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!log.is_open()) throw_errno("open " + spec_.console_log.string());
  Process::Streams streams{.in = Process::Stdio::pipe};
  streams.out_fd = log.get();
  streams.err_fd = log.get();
  cgroup_.make();
  pid_t network = network_holder_ ? network_holder_->pid() : 0;
  // Without --keep-unit nspawn asks the host's systemd for a scope.
  bool keep_unit = !fs::exists("/run/systemd/system");
  Command command = tagged(cgroup_.entered(nspawn_arguments(spec_, network, keep_unit)));
  // The guest's /tmp lies on its disk, as on a machine, and survives what a machine's would.
  command.env["SYSTEMD_NSPAWN_TMPFS_TMP"] = "0";
  leader_ = 0;
  nspawn_ = Process::start(command, streams);
  ++boots_;
}

bool Container::find_leader() {
  for (pid_t child : children_of(nspawn_->pid())) {
    if (!is_container_init(child)) continue;
    if (spec_.boot && program_of(child) == "systemd-nspawn") continue;  // not yet the guest's init
    if (!spec_.boot) {
      auto inner = children_of(child);
      if (inner.empty() || program_of(inner[0]) == "systemd-nspawn") continue;
    }
    leader_ = child;
    return true;
  }
  return false;
}

GuestState Container::state(const Deadline& deadline, const Stop& stop) {
  if (!is_running() || leader_ == 0) return GuestState::silent;
  if (!spec_.boot) return GuestState::up;
  std::string said;
  try {
    run_entered({"/bin/systemctl", "is-system-running"}, [&](std::string_view bytes) { said += bytes; },
                [](std::string_view) {}, deadline.at_most(state_timeout), stop, {});
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::timeout) throw;  // an init that is going down may not answer
  }
  return guest_state_of(said);
}

void Container::wait_until_up(const Deadline& deadline, const Stop& stop) {
  for (;;) {
    if (auto ended = nspawn_->poll()) {
      if (ended->code == nspawn_reboot_status) {
        start_nspawn();
        continue;
      }
      throw Error(ErrorKind::remote, "the container ended with status " + std::to_string(ended->code) +
                                         " before it was up:\n" + console_tail());
    }
    if (leader_ != 0 || find_leader()) {
      if (state(deadline, stop) == GuestState::up) return;
    }
    if (deadline.passed()) {
      throw Error(ErrorKind::timeout, "the container did not come up in time; its console ends:\n" + console_tail());
    }
    kiln::wait(nspawn_->pidfd(), POLLIN, deadline.at_most(poll_interval), stop);
  }
}

void Container::start(const Deadline& deadline, const Stop& stop) {
  start_network(deadline, stop);
  start_nspawn();
  wait_until_up(deadline, stop);
}

void Container::ensure_up(const Deadline& deadline, const Stop& stop) {
  KILN_CHECK(nspawn_.has_value());
  for (;;) {
    if (auto ended = nspawn_->poll()) {
      if (ended->code != nspawn_reboot_status) {
        throw Error(ErrorKind::remote, "the container is no longer running (status " + std::to_string(ended->code) +
                                           "): it was powered off");
      }
      start_nspawn();
      wait_until_up(deadline, stop);
      return;
    }
    if (leader_ == 0 || !is_container_init(leader_)) {  // nspawn itself is starting the guest again
      leader_ = 0;
      wait_until_up(deadline, stop);
      return;
    }
    GuestState now = state(deadline, stop);
    if (now == GuestState::up) return;
    if (now == GuestState::starting) {
      wait_until_up(deadline, stop);
      return;
    }
    nudge();
    if (deadline.passed()) throw Error(ErrorKind::timeout, "the container did not come back after it went down");
    kiln::wait(nspawn_->pidfd(), POLLIN, deadline.at_most(poll_interval), stop);
  }
}

// An init going down looks for the processes left whenever a child ends, else after ten seconds. Those entered from
// outside are nobody's children in there, so it is told.
void Container::nudge() const {
  if (leader_ != 0) ::kill(leader_, SIGCHLD);
}

bool Container::is_going_down(const Deadline& deadline, const Stop& stop) {
  // When init dies the commands die first; nspawn follows within moments.
  if (nspawn_->wait(deadline.at_most(std::chrono::milliseconds(spec_.boot ? 50 : 300)), stop)) return true;
  return state(deadline, stop) != GuestState::up;
}

Command Container::shell_command(const Deadline& deadline, const Stop& stop) {
  ensure_up(deadline, stop);
  std::string term = get_env("TERM").value_or("dumb");
  Command command{.argv = enter_arguments(leader_, {"/usr/bin/env", "TERM=" + term, "/bin/sh", "-c",
                                                    "command -v bash >/dev/null && exec bash -l; exec sh -l"})};
  command.env["KILN_RESOURCE"] = spec_.token;
  return command;
}

/// As run_streaming, but wakes nsenter: systemd stops all processes for a moment when it shuts down, nsenter stops
/// itself when its child is stopped, and nobody outside would ever continue it.
ExitStatus Container::run_entered(const std::vector<std::string>& inner, const Sink& out, const Sink& err,
                                  const Deadline& deadline, const Stop& stop, std::string_view input) {
  Process::Streams streams{.in = input.empty() ? Process::Stdio::null : Process::Stdio::pipe,
                           .out = Process::Stdio::pipe,
                           .err = Process::Stdio::pipe};
  Process process = Process::start(tagged(enter_arguments(leader_, inner)), streams);
  if (process.in().is_open()) set_nonblocking(process.in().get());
  try {
    while (process.out().is_open() || process.err().is_open()) {
      pollfd fds[] = {{process.out().get(), POLLIN, 0}, {process.err().get(), POLLIN, 0},
                      {process.in().get(), POLLOUT, 0}};
      if (deadline.passed()) throw Error(ErrorKind::timeout, "the command in the container did not end in time");
      if (kiln::wait(fds, deadline.at_most(wake_interval), stop) == Woke::deadline) ::kill(process.pid(), SIGCONT);
      for (auto [fd, revents, sink] : {std::tuple(&process.out(), fds[0].revents, &out),
                                       std::tuple(&process.err(), fds[1].revents, &err)}) {
        if (revents == 0) continue;
        std::string bytes = read_some(fd->get());
        bytes.empty() ? fd->reset() : (*sink)(bytes);
      }
      if (fds[2].revents == 0) continue;
      ssize_t n = ::write(process.in().get(), input.data(), std::min<size_t>(input.size(), 65536));
      if (n > 0) input.remove_prefix(static_cast<size_t>(n));
      if (input.empty() || (n < 0 && errno != EAGAIN && errno != EINTR)) process.in().reset();
    }
    for (;;) {
      if (auto status = process.wait(deadline.at_most(wake_interval), stop)) return *status;
      if (deadline.passed()) throw Error(ErrorKind::timeout, "the command in the container did not end in time");
      ::kill(process.pid(), SIGCONT);
    }
  } catch (const Error&) {
    process.terminate();
    throw;
  }
}

int Container::run(const std::vector<std::string>& inner, const Sink& out, const Sink& err, const Deadline& deadline,
                   const Stop& stop, std::string_view input) {
  ensure_up(deadline, stop);
  ExitStatus status = run_entered(inner, out, err, deadline, stop, input);
  // Killed from outside: by the guest's shutdown, or by somebody inside who meant this command.
  bool killed = status.signal != 0 || status.code > 128;
  if (killed && is_going_down(deadline, stop)) return disconnected_status;
  return status.code;
}

RootTree Container::tree() const {
  KILN_CHECK(leader_ != 0);
  return RootTree("/proc/" + std::to_string(leader_) + "/root");
}

void Container::shut_down(const Deadline& deadline, const Stop& stop) {
  if (is_running() && leader_ != 0) {
    if (spec_.boot) {
      ::kill(leader_, SIGRTMIN + 4);  // systemd: poweroff.target
    } else {
      nspawn_->in().reset();
    }
    while (!nspawn_->wait(deadline.at_most(std::chrono::milliseconds(100)), stop)) {
      nudge();
      if (deadline.passed()) break;
    }
  }
  kill();
}

void Container::kill() {
  if (nspawn_) {
    // The guest's init first: nspawn then ends by itself and tidies up.
    if (leader_ != 0 && is_running()) ::kill(leader_, SIGKILL);
    Stop no_stop;
    if (!nspawn_->wait(Deadline::in(std::chrono::seconds(5)), no_stop)) nspawn_->terminate(std::chrono::seconds(1));
    nspawn_.reset();
    leader_ = 0;
    cgroup_.remove();
    std::error_code ignored;
    fs::remove(fs::path("/run/systemd/nspawn/propagate") / spec_.machine, ignored);
    fs::remove(spec_.root.parent_path() / (".#" + spec_.root.filename().string() + ".lck"), ignored);
  }
  slirp_life_.reset();
  if (slirp_) slirp_->terminate(std::chrono::seconds(1));
  slirp_.reset();
  holder_life_.reset();
  if (network_holder_) network_holder_->terminate(std::chrono::seconds(1));
  network_holder_.reset();
}

std::string Container::console_tail(size_t lines) const {
  auto all = split(std::string(trim(read_file_if_exists(spec_.console_log).value_or(""))), '\n');
  size_t begin = all.size() > lines ? all.size() - lines : 0;
  return join(std::vector<std::string>(all.begin() + static_cast<std::ptrdiff_t>(begin), all.end()), "\n");
}

}  // namespace kiln
