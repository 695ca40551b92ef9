#include "core/slots.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"

namespace kiln {

Slots::Lease& Slots::Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    release();
    slots_ = std::exchange(other.slots_, nullptr);
    name_ = std::move(other.name_);
    units_ = other.units_;
  }
  return *this;
}

void Slots::Lease::release() {
  if (slots_ != nullptr) std::exchange(slots_, nullptr)->give_back(name_, units_);
}

void Slots::limit(const std::string& name, int64_t units) {
  std::lock_guard lock(mutex_);
  if (units >= 1) {
    counts_[name].total = units;
  } else {
    counts_.erase(name);
  }
}

bool Slots::take(const std::string& name, int64_t units) {
  auto found = counts_.find(name);
  if (found == counts_.end()) return true;
  Count& count = found->second;
  if (units > count.total) {
    throw Error(ErrorKind::user, fmt::format("{} of \"{}\" are asked for, but there are {}", units, name, count.total));
  }
  if (count.used + units > count.total) return false;
  count.used += units;
  return true;
}

std::optional<Slots::Lease> Slots::try_acquire(const std::string& name, int64_t units) {
  std::lock_guard lock(mutex_);
  if (!take(name, units)) return std::nullopt;
  return Lease(this, name, units);
}

Slots::Lease Slots::acquire(const std::string& name, int64_t units, const Deadline& deadline, const Stop& stop) {
  Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.is_open()) throw_errno("eventfd");
  std::list<int>::iterator place;
  {
    std::lock_guard lock(mutex_);
    if (take(name, units)) return Lease(this, name, units);
    place = waiters_.insert(waiters_.end(), event.get());
  }
  auto forget = [&] { waiters_.erase(place); };
  for (;;) {
    Woke woke = Woke::deadline;
    try {
      woke = wait(event.get(), POLLIN, deadline, stop);
    } catch (...) {
      std::lock_guard lock(mutex_);
      forget();
      throw;
    }
    uint64_t count = 0;
    [[maybe_unused]] auto drained = ::read(event.get(), &count, sizeof count);
    std::lock_guard lock(mutex_);
    if (take(name, units)) {
      forget();
      return Lease(this, name, units);
    }
    if (woke == Woke::deadline) {
      forget();
      throw Error(ErrorKind::timeout, fmt::format("waited too long for {} of \"{}\"", units, name));
    }
  }
}

void Slots::give_back(const std::string& name, int64_t units) {
  std::lock_guard lock(mutex_);
  auto found = counts_.find(name);
  if (found == counts_.end()) return;
  found->second.used -= units;
  for (int waiter : waiters_) {
    uint64_t one = 1;
    [[maybe_unused]] auto written = ::write(waiter, &one, sizeof one);
  }
}

}  // namespace kiln
