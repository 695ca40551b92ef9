#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <ctime>
#include <mutex>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"

namespace kiln {

struct Log::Sink {
  std::mutex mutex;
  Fd owned;
  int fd = -1;
  const Redactor* redactor = nullptr;
};

Log::Log() = default;
Log::~Log() = default;

std::unique_ptr<Log> Log::from_environment(const Redactor* redactor) {
  auto log = std::make_unique<Log>();
  auto on = get_env("PACKER_LOG").value_or("");
  auto path = get_env("PACKER_LOG_PATH").value_or("");
  if ((on.empty() || on == "0") && path.empty()) return log;
  log->sink_ = std::make_unique<Sink>();
  log->sink_->redactor = redactor;
  log->sink_->fd = 2;
  if (!path.empty()) {
    log->sink_->owned = Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666));
    if (!log->sink_->owned.is_open()) throw_errno("PACKER_LOG_PATH " + path);
    log->sink_->fd = log->sink_->owned.get();
  }
  return log;
}

bool Log::is_on() const { return sink_ != nullptr; }

void Log::line(std::string_view text) const {
  if (!sink_) return;
  std::time_t now = std::time(nullptr);
  std::tm tm{};
  ::localtime_r(&now, &tm);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y/%m/%d %H:%M:%S ", &tm);
  std::string line = stamp + (sink_->redactor ? sink_->redactor->redact(std::string(text)) : std::string(text)) + "\n";
  std::lock_guard lock(sink_->mutex);
  [[maybe_unused]] auto n = ::write(sink_->fd, line.data(), line.size());
}

}  // namespace kiln
