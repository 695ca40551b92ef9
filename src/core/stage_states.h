// The states of one stage's machine while it runs: brought back, kept, replayed.
#pragma once
#include <memory>
#include <optional>
#include <thread>

#include "base/redact.h"
#include "core/plan.h"
#include "core/stage_context.h"

namespace kiln {

/// Owned by the stage's thread. What it writes is written by a thread of its own, one state after the other.
class StageStates {
 public:
  StageStates(const Stage& stage, StageContext& context, const Redactor& redactor);
  /// Waits for what is being written.
  ~StageStates();

  /// What the whole build made before, when nothing of it changed; its files are where they belong.
  std::optional<Artifact> finished_before();
  /// Keeps what the build made.
  void keep_result(const Artifact& artifact);

  /// The machine as the furthest state that can be used left it; nullptr: it is to be started. Waits while
  /// another run makes the state that is needed next.
  std::unique_ptr<Machine> resume();
  /// How many provisioners the machine has behind it. The words of those are said again, marked.
  size_t done() const { return resumed_ ? *resumed_ : 0; }
  void replay();
  /// Says why the step that comes next is run, when that is known.
  void say_why(size_t number);

  /// Runs a step with its words recorded.
  void record(const std::function<void(StageContext& context)>& step);
  /// Keeps the machine's state behind `number` provisioners. A failure is said and ends the keeping, not the
  /// build.
  void keep(Machine& machine, size_t number, std::chrono::nanoseconds cost);
  /// Keeps the machine as the failing step left it, to be looked at.
  void keep_failed(Machine& machine, size_t number);
  /// Waits until everything is on disk; says what could not be kept.
  void settle();

 private:
  void wait_for_writer();
  class Recording;
  struct Writing;
  bool wait_for_maker(size_t next);
  bool save(Machine& machine, size_t number, std::chrono::nanoseconds cost, bool failed);
  void write(std::unique_ptr<PendingState> pending, MachineState state, std::filesystem::path directory,
             std::optional<FileLock> making);
  void give_up(const std::string& why);
  void lock_next(size_t next);
  bool take_lock(size_t next);

  const Stage& stage_;
  StageContext& context_;
  const Redactor& redactor_;
  const StatePlan& plan_;
  std::unique_ptr<StateRun> run_;
  std::optional<size_t> resumed_;
  MachineState resumed_state_;
  std::string why_next_;
  std::optional<FileLock> making_;
  bool keeping_ = true;
  bool can_save_ = true;  ///< the machine was not brought back as one that keeps no states
  std::vector<Event> words_;                 ///< of the steps since the last state that was kept
  std::chrono::nanoseconds passed_cost_{0};  ///< of those before the last of them
  std::shared_ptr<Writing> writing_;
  std::jthread writer_;  ///< of the newest state; it waits for the one before
};

}  // namespace kiln
