#include "builder/qemu/vm.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/file.h"
#include "base/text.h"
#include "core/journal.h"

namespace kiln::qemu {

namespace {

constexpr auto vm_answer_limit = std::chrono::seconds(60);

/// QEMU's complaints, without the warnings it gives on a good day when there is something else.
std::string told_by_log(const fs::path& log) {
  std::vector<std::string> errors;
  std::vector<std::string> all;
  for (auto& line : split(read_file_if_exists(log).value_or(""), '\n')) {
    if (trim(line).empty()) continue;
    all.push_back(line);
    if (!contains(line, "warning:")) errors.push_back(line);
  }
  auto& lines = errors.empty() ? all : errors;
  if (lines.size() > 10) lines.erase(lines.begin(), lines.end() - 10);
  return join(lines, "\n");
}

/// Why a machine does not go on after this event; empty: it does.
std::string why_stuck(const nlohmann::json& event) {
  const auto& data = event.value("data", nlohmann::json::object());
  if (event.value("event", "") != "BLOCK_IO_ERROR" || data.value("action", "") != "stop") return "";
  return fmt::format("its disk cannot be {}: {}", data.value("operation", "") == "read" ? "read" : "written",
                     data.value("reason", "input/output error"));
}

std::pair<Fd, Fd> connected_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw_errno("socketpair");
  return {Fd(ends[0]), Fd(ends[1])};
}

}  // namespace

Vm::Vm(Process process, fs::path log, Fd events, Journal& journal, int64_t journal_id)
    : process_(std::move(process)), log_(std::move(log)), journal_(journal), journal_id_(journal_id) {
  Fd pidfd(::fcntl(process_.pidfd(), F_DUPFD_CLOEXEC, 0));
  watcher_ = std::thread([this, fd = std::move(pidfd), events = std::move(events)]() mutable {
    try {
      watch(fd.get(), std::move(events));
    } catch (const Error&) {
      return;  // stopped
    }
    watched_.with([](Watched& watched) {
      watched.dead = true;
      for (const Stop* stop : watched.stops) stop->request("the virtual machine ended");
    });
  });
}

/// Until QEMU ends. QEMU stops a machine whose disk it cannot write to, and says so only here: nobody who waits for the
/// guest would ever know.
void Vm::watch(int pidfd, Fd events) {
  std::optional<QmpClient> told;
  try {
    told.emplace(std::move(events), Deadline::in(vm_answer_limit), watcher_stop_);
    while (auto event = told->next_event(Deadline::never(), watcher_stop_)) {
      std::string why = why_stuck(*event);
      if (event->value("event", "") == "STOP" &&
          told->execute("query-status", {}, Deadline::in(vm_answer_limit), watcher_stop_).value("status", "") ==
              "internal-error") {
        why =
            "the accelerator failed (what QEMU said of it is in qemu.log); with accelerator = \"tcg\" the machine is "
            "emulated";
      }
      if (why.empty()) continue;
      watched_.with([&](Watched& watched) {
        watched.stuck = "the virtual machine stands still: " + why;
        for (const Stop* stop : watched.stops) stop->request(watched.stuck);
      });
    }
  } catch (const Error& error) {
    if (watcher_stop_.requested()) throw;
  }
  wait(pidfd, POLLIN, Deadline::never(), watcher_stop_);
}

Vm::~Vm() {
  watcher_stop_.request();
  watcher_.join();
  force_off();
}

std::unique_ptr<Vm> Vm::start(std::vector<std::string> argv, const fs::path& log, int memory, StageContext& context) {
  auto [ours, theirs] = connected_pair();
  auto [our_events, their_events] = connected_pair();
  Fd log_fd(::open(log.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644));
  if (!log_fd.is_open()) throw_errno("open " + log.string());
  Resource resource = context.journal.append(ResourceKind::process, "QEMU of " + context.build.display_name,
                                             context.build.display_name);
  std::unique_ptr<Vm> vm;
  try {
    Command command{.argv = std::move(argv), .env = {{"KILN_RESOURCE", resource.token}}, .new_session = true};
    std::vector<std::pair<int, int>> passed{{theirs.get(), control_fd_number}, {their_events.get(), events_fd_number}};
    if (memory >= 0) passed.emplace_back(memory, memory_fd_number);
    Process process = Process::start(command, {.out_fd = log_fd.get(), .err_fd = log_fd.get(), .pass = passed});
    theirs.reset();
    their_events.reset();
    vm.reset(new Vm(std::move(process), log, std::move(our_events), context.journal, resource.id));
  } catch (const Error&) {
    context.journal.remove(resource.id);
    throw;
  }
  try {
    vm->qmp_ = std::make_unique<QmpClient>(std::move(ours), Deadline::in(vm_answer_limit), context.stop);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::remote) throw;
    throw Error(ErrorKind::environment, vm->last_words());
  }
  return vm;
}

std::optional<ExitStatus> Vm::status_after_break() { return process_.wait(Deadline::in(Millis(300)), Stop()); }

std::string Vm::last_words() {
  auto status = process_.wait(Deadline::in(std::chrono::seconds(2)), Stop());
  std::string how = "";
  if (status) {
    how = status->signal != 0 ? fmt::format(" (killed by signal {})", status->signal)
                              : fmt::format(" (exit status {})", status->code);
  }
  std::string words = told_by_log(log_);
  return "QEMU ended unexpectedly" + how + (words.empty() ? "" : ": " + words);
}

bool Vm::wait_off(const Deadline& deadline, const Stop& stop) {
  bool shut_down = false;
  for (;;) {
    if (!alive()) return true;
    while (auto event = qmp_->poll_event()) {
      if (event->value("event", "") == "SHUTDOWN") shut_down = true;
    }
    // After SHUTDOWN QEMU ends at once, or never when it was told so.
    Deadline until = shut_down ? deadline.at_most(std::chrono::seconds(3)) : deadline;
    pollfd fds[2] = {{process_.pidfd(), POLLIN, 0}, {qmp_->closed() ? -1 : qmp_->fd(), POLLIN, 0}};
    if (wait(fds, until, stop) == Woke::deadline) return shut_down;
    if (fds[1].revents != 0) {
      if (auto event = qmp_->next_event(Deadline::in(Millis(0)), stop)) {
        if (event->value("event", "") == "SHUTDOWN") shut_down = true;
      }
    }
  }
}

void Vm::force_off() {
  if (process_.pid() > 0 && alive()) {
    try {
      if (qmp_ && !qmp_->closed()) {
        qmp_->execute("quit", {}, Deadline::in(std::chrono::seconds(2)), Stop());
        process_.wait(Deadline::in(std::chrono::seconds(3)), Stop());
      }
    } catch (const Error&) {
      // It dies by signal, below.
    }
    process_.terminate(std::chrono::seconds(1));
  }
  if (journal_id_ != 0) journal_.remove(std::exchange(journal_id_, 0));
}

fs::path Vm::screenshot(const fs::path& directory, const Stop& stop) {
  Deadline limit = Deadline::in(std::chrono::seconds(5));
  fs::path png = fs::absolute(directory / "screenshot.png");
  try {
    qmp_->execute("screendump", {{"filename", png.string()}, {"format", "png"}}, limit, stop);
    return png;
  } catch (const Error& error) {
    if (!contains(error.message(), "format")) throw;
  }
  fs::path ppm = fs::absolute(directory / "screenshot.ppm");
  qmp_->execute("screendump", {{"filename", ppm.string()}}, limit, stop);
  return ppm;
}

Vm::Watch::Watch(Vm& watched_vm, const Stop& watched_stop) : vm(watched_vm), stop(watched_stop) {
  vm.watched_.with([&](Watched& watched) {
    watched.stops.push_back(&stop);
    if (watched.dead) stop.request("the virtual machine ended");
    else if (!watched.stuck.empty()) stop.request(watched.stuck);
  });
}

Vm::Watch::~Watch() {
  vm.watched_.with([&](Watched& watched) {
    watched.stops.erase(std::remove(watched.stops.begin(), watched.stops.end(), &stop), watched.stops.end());
  });
}

void Vm::explain(const Error& error, const Stop& stop) {
  if (stop.requested()) return;
  std::string stuck = watched_.with([](const Watched& watched) { return watched.stuck; });
  if (!stuck.empty()) throw Error(ErrorKind::environment, stuck);
  auto status = error.kind() == ErrorKind::remote ? status_after_break() : process_.poll();
  if (!status) return;
  if (!status->ok()) throw Error(ErrorKind::environment, last_words());
  if (error.kind() == ErrorKind::cancelled) throw Error(ErrorKind::remote, "the virtual machine switched itself off");
}

int VmCommunicator::run(const std::string& command, const Sink& out, const Sink& err, const Deadline& deadline,
                        const Stop& stop) {
  int status = 0;
  try {
    status = vm_.while_alive(stop, [&](const Stop& s) { return inner_->run(command, out, err, deadline, s); });
  } catch (const Error&) {
    auto ended = vm_.status();
    if (stop.requested() || !ended || !ended->ok()) throw;
    return disconnected_status;  // the guest switched itself off while the command ran
  }
  if (status == disconnected_status) {
    auto ended = vm_.status_after_break();
    if (ended && !ended->ok()) throw Error(ErrorKind::environment, vm_.last_words());
  }
  return status;
}

void VmCommunicator::upload(const RemoteFile& file, const ByteSource& source, const Deadline& deadline,
                            const Stop& stop) {
  vm_.while_alive(stop, [&](const Stop& s) { inner_->upload(file, source, deadline, s); });
}

void VmCommunicator::upload_tree(const fs::path& from, const std::string& to, const ProgressFn& progress,
                                 const Deadline& deadline, const Stop& stop) {
  vm_.while_alive(stop, [&](const Stop& s) { inner_->upload_tree(from, to, progress, deadline, s); });
}

void VmCommunicator::download(const std::string& path, const Sink& out, const Deadline& deadline, const Stop& stop) {
  vm_.while_alive(stop, [&](const Stop& s) { inner_->download(path, out, deadline, s); });
}

void VmCommunicator::download_tree(const std::string& from, const fs::path& to, const Deadline& deadline,
                                   const Stop& stop) {
  vm_.while_alive(stop, [&](const Stop& s) { inner_->download_tree(from, to, deadline, s); });
}

}  // namespace kiln::qemu
