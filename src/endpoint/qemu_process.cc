#include "endpoint/qemu_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "core/process_table.h"

namespace kiln::ec2 {

namespace {

constexpr auto start_limit = std::chrono::seconds(90);
constexpr auto answer_limit = std::chrono::seconds(30);
/// Of what is asked often, and of what is to end it: one that hangs keeps nobody waiting.
constexpr auto short_limit = std::chrono::seconds(5);

/// QEMU's complaint without its name in front and without warnings, if there is anything else.
std::string complaint_of(const std::string& text) {
  std::vector<std::string> errors, all;
  for (const auto& line : split(text, '\n')) {
    if (trim(line).empty()) continue;
    all.push_back(line);
    if (!contains(line, "warning:")) errors.push_back(line);
  }
  return join(errors.empty() ? all : errors, "\n");
}

int64_t read_pid(const fs::path& file) {
  std::string text(trim(read_file(file)));
  int64_t pid = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc() || pid <= 1) throw Error(ErrorKind::environment, "QEMU did not write its number");
  return pid;
}

}  // namespace

std::unique_ptr<QemuProcess> QemuProcess::start(const std::vector<std::string>& argv,
                                                const std::string& token, const fs::path& directory,
                                                const Stop& stop) {
  std::error_code ignored;
  fs::remove(directory / "qmp", ignored);
  fs::remove(directory / "pid", ignored);
  // What QEMU starts answers a guest with all its outputs: no log may get between.
  Command command{
      .argv = argv, .env = {{"KILN_RESOURCE", token}, {"PACKER_LOG", ""}}, .directory = directory};
  RunResult result = run(command, Deadline::in(start_limit), stop);
  if (!result.status.ok()) {
    std::string why = complaint_of(result.err);
    throw Error(ErrorKind::environment,
                why.empty() ? fmt::format("QEMU ended with status {}", result.status.code) : why);
  }
  std::unique_ptr<QemuProcess> out(new QemuProcess);
  out->pid_ = read_pid(directory / "pid");
  out->start_time_ = process_start_time(static_cast<pid_t>(out->pid_)).value_or(0);
  out->open(directory, stop);
  return out;
}

std::unique_ptr<QemuProcess> QemuProcess::adopt(int64_t pid, int64_t start_time, const fs::path& directory,
                                                const Stop& stop) {
  if (pid <= 1 || process_start_time(static_cast<pid_t>(pid)) != start_time) return nullptr;
  std::unique_ptr<QemuProcess> out(new QemuProcess);
  out->pid_ = pid;
  out->start_time_ = start_time;
  try {
    out->open(directory, stop);
    // Halted for a copy when we died, or because it could not write.
    std::string status = out->execute("query-status", {}, stop).value("status", "");
    if (status == "paused") out->go_on(stop);
    out->stands_still_ = status == "io-error";
  } catch (const Error&) {
    if (stop.requested()) throw;
    out->kill();  // it runs and does not answer: of no use to anybody
    return nullptr;
  }
  return out;
}

void QemuProcess::open(const fs::path& directory, const Stop& stop) {
  pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid_), 0)));
  if (!pidfd_.is_open()) throw Error(ErrorKind::environment, "QEMU ended at once");
  if (process_start_time(static_cast<pid_t>(pid_)) != start_time_)
    throw Error(ErrorKind::environment, "QEMU ended at once");
  // The path of a socket is short; that of a directory may be long.
  Fd at(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!at.is_open()) throw_errno("open " + directory.string());
  qmp_ = std::make_unique<QmpClient>(
      QmpClient::connect(fmt::format("/proc/self/fd/{}/qmp", at.get()), Deadline::in(answer_limit), stop));
}

bool QemuProcess::alive() const {
  if (!pidfd_.is_open()) return false;
  pollfd fd{pidfd_.get(), POLLIN, 0};
  return ::poll(&fd, 1, 0) == 0;
}

void QemuProcess::note(const nlohmann::json& event) {
  std::string name = event.value("event", "");
  if (name == "SHUTDOWN") guest_shut_down_ = true;
  if (name != "BLOCK_IO_ERROR") return;
  auto data = event.value("data", nlohmann::json::object());
  if (data.is_object() && data.value("action", "") == "stop") stands_still_ = true;
}

void QemuProcess::wait_for_news(int other, const Deadline& deadline, const Stop& stop) {
  while (auto event = qmp_->poll_event()) note(*event);
  pollfd fds[3] = {
      {pidfd_.get(), POLLIN, 0}, {qmp_->closed() ? -1 : qmp_->fd(), POLLIN, 0}, {other, POLLIN, 0}};
  if (wait(fds, deadline, stop) == Woke::deadline) return;
  if (fds[1].revents != 0) {
    if (auto event = qmp_->next_event(Deadline::in(Millis(0)), stop)) note(*event);
  }
}

nlohmann::json QemuProcess::execute(const std::string& command, const nlohmann::json& arguments,
                                    const Stop& stop) {
  return qmp_->execute(command, arguments, Deadline::in(answer_limit), stop);
}

std::string QemuProcess::monitor(const std::string& line, const Stop& stop) {
  auto answer = execute("human-monitor-command", {{"command-line", line}}, stop);
  return answer.is_string() ? answer.get<std::string>() : "";
}

bool QemuProcess::wait_for_event(const std::string& name, const std::string& device, const Deadline& deadline,
                                 const Stop& stop) {
  while (alive() && !qmp_->closed()) {
    auto event = qmp_->next_event(deadline, stop);
    if (!event) return false;
    note(*event);
    if (event->value("event", "") == name &&
        event->value("data", nlohmann::json::object()).value("device", "") == device) {
      return true;
    }
  }
  return false;
}

bool QemuProcess::guest_drives_network(const Stop& stop) {
  constexpr const char* card = "/machine/peripheral/card0/virtio-backend";
  try {
    auto answer = qmp_->execute("x-query-virtio-status", {{"path", card}}, Deadline::in(short_limit), stop);
    return contains(answer.at("status").dump(), "VIRTIO_CONFIG_S_DRIVER_OK");
  } catch (const Error& error) {
    stop.check();
    return error.kind() != ErrorKind::timeout;  // it is busy: ask later
  } catch (const std::exception&) {
    return true;  // a QEMU that does not have this
  }
}

void QemuProcess::go_on(const Stop& stop) {
  stands_still_ = false;
  execute("cont", {}, stop);
}

void QemuProcess::press_power_button(const Stop& stop) {
  try {
    if (!qmp_->closed()) qmp_->execute("system_powerdown", {}, Deadline::in(short_limit), stop);
  } catch (const Error&) {
    if (stop.requested()) throw;  // else it is going
  }
}

void QemuProcess::quit(const Stop& stop) {
  try {
    qmp_->execute("quit", {}, Deadline::in(short_limit), stop);
    wait(pidfd_.get(), POLLIN, Deadline::in(short_limit), stop);
  } catch (const Error&) {
    if (stop.requested()) throw;  // else it ends by signal
  }
  kill();
}

void QemuProcess::kill() {
  if (!pidfd_.is_open()) return;
  for (int signal : {SIGTERM, SIGKILL}) {
    if (!alive()) return;
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
    try {
      wait(pidfd_.get(), POLLIN, Deadline::in(short_limit), Stop());
    } catch (const Error&) {
      return;
    }
  }
}

}  // namespace kiln::ec2
