#include "cli/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/error.h"

namespace kiln {

SignalWatch::SignalWatch(Stop stop, std::function<void(const std::string&)> announce)
    : stop_(std::move(stop)), announce_(std::move(announce)) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.is_open()) throw_errno("signalfd");
  thread_ = std::thread([this] { watch(); });
}

SignalWatch::~SignalWatch() {
  own_.request("done");
  thread_.join();
}

void SignalWatch::watch() {
  bool first = true;
  try {
    for (;;) {
      wait(signals_.get(), POLLIN, Deadline::never(), own_);
      signalfd_siginfo info{};
      if (::read(signals_.get(), &info, sizeof info) != sizeof info) continue;
      if (!first) ::_exit(1);
      first = false;
      announce_(info.ssi_signo == SIGINT ? "interrupt" : "terminated");
      stop_.request("context canceled");
    }
  } catch (const Error&) {
    // the run is over
  }
}

}  // namespace kiln
