// A named, counted permission to use something scarce: -parallel-builds, CPU, memory, an API's rate.
#pragma once
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/wait.h"

namespace kiln {

/// Thread-safe. Names that were never limited are free. Must outlive its leases.
class Slots {
 public:
  /// Gives its units back when it dies. Movable; may be dropped by any thread.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)), name_(std::move(other.name_)), units_(other.units_) {}
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { release(); }
    void release();

   private:
    friend class Slots;
    Lease(Slots* slots, std::string name, int64_t units) : slots_(slots), name_(std::move(name)), units_(units) {}
    Slots* slots_ = nullptr;
    std::string name_;
    int64_t units_ = 0;
  };

  /// At most `units` of `name` at a time; less than 1: no limit. Before anyone takes of it.
  void limit(const std::string& name, int64_t units);
  /// nullopt when they are not free now.
  std::optional<Lease> try_acquire(const std::string& name, int64_t units = 1);
  /// Waits. Throws Error{timeout}, Error{cancelled}; Error{user} when more is asked for than there is.
  Lease acquire(const std::string& name, int64_t units, const Deadline& deadline, const Stop& stop);

 private:
  struct Count {
    int64_t total = 0;
    int64_t used = 0;
  };
  bool take(const std::string& name, int64_t units);
  void give_back(const std::string& name, int64_t units);

  std::mutex mutex_;
  std::map<std::string, Count> counts_;
  std::list<int> waiters_;  ///< event descriptors, written to when something is given back
};

}  // namespace kiln
