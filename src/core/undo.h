// What must be taken back, registered when the thing is made; run newest first, all of it.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace kiln {

/// How a stage ended, for those who clean up differently.
enum class Outcome { succeeded, failed, cancelled };

/// The undo list of one stage. Owned by the stage's thread; not thread-safe.
class Undo {
 public:
  using Action = std::function<void(Outcome)>;
  /// `action` may throw: its failure is reported beside, never instead of, the first error.
  void add(std::string what, Action action) { entries_.push_back({std::move(what), std::move(action)}); }
  /// Runs all, newest first, each once; failures go to `report`.
  void run(Outcome outcome, const std::function<void(const std::string&)>& report);
  /// Runs the newest until only `keep` are left.
  void run_down_to(size_t keep, Outcome outcome, const std::function<void(const std::string&)>& report);
  /// Forgets everything (-on-error=abort).
  void abandon() { entries_.clear(); }
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string what;
    Action action;
  };
  std::vector<Entry> entries_;
};

}  // namespace kiln
