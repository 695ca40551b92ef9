// The named steps of one stage: events, -debug pauses, and what -on-error makes of a failure.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "core/stage_context.h"

namespace kiln {

/// What is to be done with a stage whose step failed.
enum class AfterFailure {
  clean_up,       ///< the cleanup provisioner where it applies, then all undo
  abandon,        ///< nothing is taken back (-on-error=abort, or the person said [a])
  provision_only  ///< the cleanup provisioner, then nothing (-on-error=run-cleanup-provisioner)
};

/// Owned by the stage's thread.
class StepRunner {
 public:
  explicit StepRunner(StageContext& context) : context_(context) {}
  /// Runs one step; on a failure asks (-on-error=ask), retries when told so, and lets the Error out when decided.
  void run(const std::string& name, const std::function<void()>& body);
  /// Steps that ended well and what undo they registered: newest is taken back first, with a pause before in -debug.
  void undo_all(Outcome outcome);
  /// -on-error=abort's words: the step that failed and those not cleaned up; then forgets all undo.
  void abandon_all(const Error& error);
  /// After -on-error=run-cleanup-provisioner: the same for everything but the provisioning.
  void abandon_after_cleanup(const std::string& error);
  AfterFailure decision() const { return decision_; }
  const std::string& failed_step() const { return failed_step_; }

 private:
  struct Done {
    std::string name;
    size_t undo_before;
  };
  void emit(EventKind kind, const std::string& name, const char* type, std::chrono::nanoseconds duration) const;
  bool decide_to_retry(const std::string& name, const Error& error);
  void say_skipped(size_t from) const;

  StageContext& context_;
  std::vector<Done> done_;
  std::string failed_step_;  ///< empty: none failed yet
  AfterFailure decision_ = AfterFailure::clean_up;
};

}  // namespace kiln
