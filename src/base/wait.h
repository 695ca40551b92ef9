// The only place where Kiln waits: readiness of descriptors, a deadline, or Stop.
#pragma once
#include <poll.h>

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kiln {

using Clock = std::chrono::steady_clock;
using Millis = std::chrono::milliseconds;

/// A point in time by which something must have happened. One budget is passed down through every layer:
/// a callee takes the caller's Deadline and may only shorten it.
class Deadline {
 public:
  static Deadline in(std::chrono::nanoseconds duration) { return Deadline(Clock::now() + duration); }
  /// Far away (a year): for waits whose real bound is elsewhere (a child that the caller kills, say).
  static Deadline never() { return in(std::chrono::hours(24 * 365)); }
  bool passed() const { return Clock::now() >= at_; }
  Millis left() const;
  /// The earlier of this and `duration` from now.
  Deadline at_most(std::chrono::nanoseconds duration) const;
  Clock::time_point at() const { return at_; }

 private:
  explicit Deadline(Clock::time_point at) : at_(at) {}
  Clock::time_point at_;
};

/// Cancellation of a stage: the other end of every wait. Copies share one state; thread-safe.
class Stop {
 public:
  Stop();
  /// A child is stopped when its parent is; it can be stopped alone (a step's timeout).
  Stop child() const;
  /// Asks everybody who waits with this Stop to end. `reason` is kept from the first call. Async-signal-unsafe.
  void request(std::string reason = "cancelled") const;
  bool requested() const;
  std::string reason() const;
  /// Throws Error{cancelled} if requested.
  void check() const;
  /// Readable (POLLIN) once requested. Owned by Stop.
  int fd() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

enum class Woke { ready, deadline };

/// Waits until one of `fds` has events (filled into revents), the deadline passes, or Stop is requested
/// (then throws Error{cancelled}). With no fds it is a sleep.
Woke wait(std::span<pollfd> fds, const Deadline& deadline, const Stop& stop);
Woke wait(int fd, short events, const Deadline& deadline, const Stop& stop);
/// Sleeps for the duration; throws Error{cancelled} on Stop.
void sleep_for(std::chrono::nanoseconds duration, const Stop& stop);

}  // namespace kiln
