#include "core/stage_states.h"

#include <fmt/format.h>

#include <atomic>

#include "base/digest.h"
#include "base/error.h"
#include "base/guarded.h"
#include "base/text.h"

namespace kiln {

namespace {

constexpr size_t most_words = 2000;  // lines of a step's output that are kept
constexpr int most_unwritten = 3;    // states at a time: each holds the pages that changed

MachineState state_for(const StatePlan& plan, const Stage& stage, size_t number) {
  const PlannedState& planned = plan.states[number];
  MachineState out;
  out.key = planned.key;
  out.builder_type = stage.source.type;
  out.build = stage.info.display_name;
  out.step = planned.step;
  out.number = number;
  out.document = planned.document;
  return out;
}

/// Build data that post-processors may ask for, without what opens the machine.
Value without_access(Value data) {
  for (auto name : {"Password", "WinRMPassword", "SSHPrivateKey"}) data.take(name);
  return data;
}

}  // namespace

/// What the writing thread and the stage share. Outlives both.
struct StageStates::Writing {
  struct Last {
    std::optional<MachineState> state;  ///< committed last: the parent of the next
    std::optional<StateLease> lease;
    std::string error;  ///< why nothing more can be kept
  };
  Guarded<Last> last;
  std::atomic<int> unwritten = 0;
};

/// Hands every event on and remembers what a person saw.
class StageStates::Recording : public EventSink {
 public:
  Recording(EventSink& next, const Redactor& redactor) : next_(next), redactor_(redactor) {}
  void emit(const Event& event) override {
    next_.emit(event);
    if (event.kind != EventKind::say && event.kind != EventKind::message && event.kind != EventKind::error)
      return;
    words_.with([&](auto& words) {
      if (words.size() >= most_words) return;
      words.push_back(event);
      words.back().text = redactor_.redact(event.text);
    });
  }
  std::string ask(const std::string& stage, const std::string& question, const Stop& stop) override {
    return next_.ask(stage, question, stop);
  }
  std::vector<Event> take() {
    return words_.with([](auto& words) { return std::exchange(words, {}); });
  }

 private:
  EventSink& next_;
  const Redactor& redactor_;
  Guarded<std::vector<Event>> words_;
};

StageStates::StageStates(const Stage& stage, StageContext& context, const Redactor& redactor)
    : stage_(stage),
      context_(context),
      redactor_(redactor),
      plan_(*stage.states),
      writing_(std::make_shared<Writing>()) {
  if (std::string why = stage.builder->keeps_no_states(); !why.empty()) {
    keeping_ = false;
    bool wanted = next_kept(plan_, 0) < plan_.states.size();
    if (wanted && !plan_.read_only && why != builder_without_states)
      context_.ui.say(fmt::format("States of this machine are not kept: {}.", why));
    return;
  }
  try {
    run_ = plan_.cache->open_run();
    context_.states = run_.get();
  } catch (const Error& error) {  // the disk is full, say: that costs states, not the build
    if (plan_.read_only) throw;
    keeping_ = false;
    context_.ui.say("States of this machine are neither used nor kept: " + error.message());
  }
}

StageStates::~StageStates() { wait_for_writer(); }

void StageStates::wait_for_writer() {
  if (writer_.joinable()) writer_.join();
}

void StageStates::settle() {
  wait_for_writer();
  std::string error = writing_->last.with([](auto& last) { return last.error; });
  if (!error.empty() && !context_.stop.requested()) give_up(error);
}

void StageStates::give_up(const std::string& why) {
  if (keeping_) context_.ui.say("No further states of this machine are kept: " + why);
  keeping_ = false;
  making_.reset();
}

/// False: somebody else makes it now. What cannot be locked, on a full disk, is not kept.
bool StageStates::take_lock(size_t next) {
  making_.reset();  // it may be the very lock that is held
  try {
    making_ = plan_.cache->try_make(plan_.states[next].key);
    return making_.has_value();
  } catch (const Error& error) {
    give_up(error.message());
    return true;
  }
}

/// Whether the state after this one is ours to make; if another run makes it now, waits until it has ended.
bool StageStates::wait_for_maker(size_t next) {
  next = next_kept(plan_, next);
  if (plan_.read_only || next >= plan_.states.size() || !plan_.states[next].keep) return true;
  if (take_lock(next)) return true;
  context_.ui.say(
      fmt::format("Another build is making the state after {}: waiting for it.", plan_.states[next].what));
  do sleep_for(std::chrono::milliseconds(100), context_.stop);
  while (!take_lock(next));
  return false;
}

std::optional<Artifact> StageStates::finished_before() {
  if (!plan_.images || plan_.rebuild_from != SIZE_MAX) return std::nullopt;
  for (const auto& state : plan_.states) {
    if (!state.keep) return std::nullopt;
    if (state.max_age.count() == 0) continue;
    StateReach reach = reach_of(plan_);  // how old it is, its state tells
    if (!reach.index || next_kept(plan_, *reach.index + 1) < plan_.states.size()) return std::nullopt;
    break;
  }
  auto image = plan_.images->find_by_key(plan_.result_key);
  if (!image || image->files.empty()) return std::nullopt;
  bool put_back = plan_.images->restore(*image, context_.stop);
  context_.ui.say(fmt::format("Cached: nothing changed since the image was made ({}){}",
                              format_rfc3339_utc(image->made),
                              put_back ? "; it is put back from the store" : "; it is where it belongs"));
  return artifact_of_image(*image);
}

void StageStates::keep_result(const Artifact& artifact) {
  if (!plan_.images || plan_.read_only) return;
  try {
    ImageRecord record;
    auto files = describe_artifact(artifact, record);
    if (files.empty()) return;
    record.key = plan_.result_key;
    record.inputs = plan_.result_inputs;
    record.name = stage_.info.display_name;
    record.builder_type = stage_.source.type;
    record.state.set("generated_data", without_access(context_.scope.build_data));
    plan_.images->add(std::move(record), files, context_.stop);
  } catch (const Error& error) {
    if (context_.stop.requested()) throw;
    context_.ui.say("The image is not kept in the store: " + error.message());
  }
}

void StageStates::lock_next(size_t next) {
  next = next_kept(plan_, next);
  if (next < plan_.states.size() && plan_.states[next].keep) take_lock(next);
}

std::unique_ptr<Machine> StageStates::resume() {
  if (!keeping_) return nullptr;
  StateReach reach = reach_of(plan_);
  while (!wait_for_maker(reach.index ? *reach.index + 1 : 0)) reach = reach_of(plan_);
  why_next_ = reach.why_not_next;
  if (!reach.state) return nullptr;
  auto lease = plan_.cache->lease(*reach.state);
  if (!lease) return nullptr;
  size_t undo_before = context_.undo.size();
  try {
    bool goes_on = keeping_ && !plan_.read_only && next_kept(plan_, *reach.index + 1) < plan_.states.size();
    auto machine = stage_.builder->restore(plan_.cache->lineage(*reach.state), goes_on, context_);
    if (!machine) return nullptr;
    can_save_ = goes_on;
    resumed_ = reach.index;
    resumed_state_ = *reach.state;
    writing_->last.with([&](auto& last) {
      last.state = resumed_state_;
      last.lease = std::move(lease);
    });
    return machine;
  } catch (const Error& error) {
    if (context_.stop.requested()) throw;
    context_.ui.say(fmt::format("The state after {} cannot be used: {}", plan_.states[*reach.index].what,
                                error.message()));
    context_.undo.run_down_to(undo_before, Outcome::cancelled, [&](const std::string& problem) {
      context_.ui.error("Error cleaning up: " + problem);
    });
    return nullptr;
  }
}

void StageStates::replay() {
  if (!resumed_ || plan_.read_only) return;
  auto line = plan_.cache->lineage(resumed_state_);
  size_t next = 1;
  for (const auto& state : line) {
    if (state.number == 0) continue;
    for (; next < state.number; ++next) context_.ui.say("Cached: " + plan_.states.at(next).what);
    next = state.number + 1;
    context_.ui.say(fmt::format("Cached: {} (ran in {}, {})", plan_.states.at(state.number).what,
                                format_duration_words(state.cost), format_rfc3339_utc(state.made)));
    for (Event event : state.output) {
      event.stage = context_.ui.stage();
      event.text = "[cached] " + event.text;
      event.kind = event.kind == EventKind::say ? EventKind::message : event.kind;
      context_.ui.sink().emit(event);
    }
  }
}

void StageStates::say_why(size_t number) {
  if (!keeping_ || number >= plan_.states.size()) return;
  std::string why = std::exchange(why_next_, "");
  if (why.empty()) return;
  context_.ui.say(number == 0 ? "Starts the machine, because " + why
                              : fmt::format("Runs {}, because {}", plan_.states[number].what, why));
}

void StageStates::record(const std::function<void(StageContext& context)>& step) {
  Recording recording(context_.ui.sink(), redactor_);
  StageContext inner = context_;
  inner.ui = Ui(recording, context_.ui.stage());
  auto remember = [&] {  // behind those of steps whose states were not kept
    for (auto& word : recording.take()) {
      if (words_.size() < most_words) words_.push_back(std::move(word));
    }
  };
  try {
    step(inner);
  } catch (...) {
    remember();
    throw;
  }
  remember();
}

void StageStates::keep(Machine& machine, size_t number, std::chrono::nanoseconds cost) {
  if (!keeping_ || plan_.read_only || number >= plan_.states.size()) return;
  if (!plan_.states[number].passed.empty()) {
    if (number > 0) passed_cost_ += cost;
    return;
  }
  if (!plan_.states[number].keep) return give_up(plan_.states[number].what + " says cache = false.");
  if (save(machine, number, std::exchange(passed_cost_, {}) + cost, false)) lock_next(number + 1);
}

void StageStates::keep_failed(Machine& machine, size_t number) {
  bool chosen_only = stage_.builder->keeps_chosen_states();
  if (!keeping_ || !can_save_ || chosen_only || plan_.read_only || number >= plan_.states.size()) return;
  if (!save(machine, number, {}, true)) return;
  settle();
  context_.ui.say(
      "The machine is kept as the failure left it: `shell -at=failed` opens a copy. The next build with "
      "-cache or "
      "-resume goes on where this step began.");
}

bool StageStates::save(Machine& machine, size_t number, std::chrono::nanoseconds cost, bool failed) {
  std::optional<FileLock> making;  // until it is written
  try {
    std::filesystem::path directory = run_->begin();
    auto pending = machine.save_state(directory, context_);
    if (!pending) {
      give_up("its builder has none.");
      return false;
    }
    MachineState state = state_for(plan_, stage_, number);
    state.cost = cost;
    state.failed = failed;
    if (failed) state.key = digest_hex("sha256", "failed:" + state.key);
    state.output = std::exchange(words_, {});
    if (!failed) making = std::move(making_);
    write(std::move(pending), std::move(state), std::move(directory), std::move(making));
    return true;
  } catch (const Error& error) {
    if (context_.stop.requested()) throw;
    give_up(error.message());
    return false;
  }
}

/// One state after the other: each builds on the one before. The machine goes on meanwhile.
void StageStates::write(std::unique_ptr<PendingState> pending, MachineState state,
                        std::filesystem::path directory, std::optional<FileLock> making) {
  if (writing_->unwritten >= most_unwritten) wait_for_writer();
  auto failed_before = [](Writing& writing) { return writing.last.with([](auto& last) { return last.error; }); };
  if (std::string error = failed_before(*writing_); !error.empty()) return give_up(error);
  ++writing_->unwritten;
  writer_ =
      std::jthread([before = std::move(writer_), failed_before, pending = std::move(pending),
                    state = std::move(state), directory = std::move(directory), making = std::move(making),
                    writing = writing_, run = run_.get(), cache = plan_.cache, stop = context_.stop,
                    log = &context_.log]() mutable {
        if (before.joinable()) before.join();
        auto parent = writing->last.with([](auto& last) { return last.state; });
        try {
          only_errors([&] {
            if (std::string error = failed_before(*writing); !error.empty())
              throw Error(ErrorKind::environment, error);
            if (parent) {
              state.parent = parent->key;
              state.parent_instance = parent->instance;
            }
            pending->write(state, stop);
            MachineState made = run->commit(std::move(state), directory);
            pending->kept();
            auto lease = cache->lease(made);
            writing->last.with([&](auto& last) {
              last.state = std::move(made);
              last.lease = std::move(lease);
            });
          });
        } catch (const Error& failure) {
          log->line("state cache: " + failure.message());
          std::error_code ignored;
          std::filesystem::remove_all(
              directory, ignored);  // at once: the disk may be full, and the machine writes to it
          writing->last.with([&](auto& last) { last.error = failure.message(); });
        }
        --writing->unwritten;
      });
}

}  // namespace kiln
