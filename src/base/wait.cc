#include "base/wait.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "base/error.h"
#include "base/fd.h"

namespace kiln {

Millis Deadline::left() const {
  auto left = std::chrono::ceil<Millis>(at_ - Clock::now());
  return std::max(left, Millis(0));
}

Deadline Deadline::at_most(std::chrono::nanoseconds duration) const {
  return Deadline(std::min(at_, Clock::now() + duration));
}

struct Stop::State {
  Fd event;
  std::mutex mutex;
  bool requested = false;
  std::string reason;
  std::vector<std::weak_ptr<State>> children;
};

Stop::Stop() : state_(std::make_shared<State>()) {
  state_->event = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state_->event.is_open()) throw_errno("eventfd");
}

Stop Stop::child() const {
  Stop made;
  bool already = false;
  {
    std::lock_guard lock(state_->mutex);
    already = state_->requested;
    auto& list = state_->children;
    list.erase(std::remove_if(list.begin(), list.end(), [](auto& weak) { return weak.expired(); }), list.end());
    list.push_back(made.state_);
  }
  if (already) made.request(reason());
  return made;
}

void Stop::request(std::string reason) const {
  std::vector<std::weak_ptr<State>> children;
  {
    std::lock_guard lock(state_->mutex);
    if (state_->requested) return;
    state_->requested = true;
    state_->reason = std::move(reason);
    children = state_->children;
    uint64_t one = 1;
    [[maybe_unused]] auto written = ::write(state_->event.get(), &one, sizeof one);
  }
  for (auto& weak : children) {
    if (auto shared = weak.lock()) {
      Stop child_stop;
      child_stop.state_ = shared;
      child_stop.request(this->reason());
    }
  }
}

bool Stop::requested() const {
  std::lock_guard lock(state_->mutex);
  return state_->requested;
}

std::string Stop::reason() const {
  std::lock_guard lock(state_->mutex);
  return state_->reason;
}

void Stop::check() const {
  if (requested()) throw Error(ErrorKind::cancelled, reason());
}

int Stop::fd() const { return state_->event.get(); }

Woke wait(std::span<pollfd> fds, const Deadline& deadline, const Stop& stop) {
  std::vector<pollfd> all(fds.begin(), fds.end());
  all.push_back({stop.fd(), POLLIN, 0});
  for (;;) {
    auto left = std::min<int64_t>(deadline.left().count(), 1000LL * 3600);
    int n = ::poll(all.data(), all.size(), static_cast<int>(left));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("poll");
    if (all.back().revents != 0) stop.check();
    std::copy(all.begin(), all.end() - 1, fds.begin());
    if (n > 0) return Woke::ready;
    if (deadline.passed()) return Woke::deadline;
  }
}

Woke wait(int fd, short events, const Deadline& deadline, const Stop& stop) {
  pollfd one{fd, events, 0};
  return wait(std::span<pollfd>(&one, 1), deadline, stop);
}

void sleep_for(std::chrono::nanoseconds duration, const Stop& stop) {
  wait(std::span<pollfd>(), Deadline::in(duration), stop);
}

}  // namespace kiln
