// Everything a person or a program may see of a run, as values. Only renderers (report/) turn them into text.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/wait.h"

namespace kiln {

enum class EventKind {
  say,             ///< a line of Packer's UI, from a build (stage set) or of the program itself (stage empty)
  message,         ///< Packer's ui.Message (machine-readable type "message")
  error,           ///< a line of Packer's UI, in red
  machine,         ///< machine-readable record: `type` and `data`
  progress,        ///< `text` is what is moving; `done` of `total` bytes (total 0: unknown)
  stage_started,   ///< a build begins
  stage_finished,  ///< `text` empty: well; else the error; `duration` set. Renderers print Packer's line from it, in
                   ///< the build's colour and without its prefix: "Build 'NAME' finished after D." (say) or
                   ///< "Build 'NAME' errored after D: ERROR" (error); the engine emits no such line itself
  step_started,    ///< `text` is the step's name ("StepConnect", "shell")
  step_finished,   ///< `duration` set; `type` is "ok", "failed", "cancelled"
  check,           ///< one check of a test: `text` names it, `type` is "passed", "failed" or "skipped", `data` has the
                   ///< message, what was expected, what was found and FILE:LINE, each maybe empty; `duration` set
};

/// One event. `stage` is the build's display name; `label` says whose words they are when not the build's own,
/// as Packer shows it: "(manifest)" for a post-processor.
struct Event {
  EventKind kind = EventKind::say;
  std::chrono::system_clock::time_point time = std::chrono::system_clock::now();
  std::string stage;
  std::string label;
  std::string type;
  std::string text;
  std::vector<std::string> data;
  uint64_t done = 0;
  uint64_t total = 0;
  std::chrono::nanoseconds duration{0};
};

/// Receives events, from any thread. Implementations: renderers, a fan-out, a recorder in tests.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void emit(const Event& event) = 0;
  /// Asks the person and waits for a line. Throws Error{environment} "no available tty" when nobody can answer.
  virtual std::string ask(const std::string& stage, const std::string& question, const Stop& stop);
};

/// What a component talks to: an EventSink bound to a stage. A cheap value; the sink outlives it.
class Ui {
 public:
  Ui(EventSink& sink, std::string stage = {}, std::string label = {})
      : sink_(&sink), stage_(std::move(stage)), label_(std::move(label)) {}
  void say(std::string text) const;
  void message(std::string text) const;
  void error(std::string text) const;
  /// A machine-readable record: "TIME,STAGE,TYPE,DATA...".
  void machine(std::string type, std::vector<std::string> data) const;
  void progress(std::string what, uint64_t done, uint64_t total) const;
  std::string ask(const std::string& question, const Stop& stop) const { return sink_->ask(stage_, question, stop); }
  /// The same stage, other words: with_label("(manifest)").
  Ui with_label(std::string label) const { return Ui(*sink_, stage_, std::move(label)); }
  const std::string& stage() const { return stage_; }
  EventSink& sink() const { return *sink_; }

 private:
  EventSink* sink_;
  std::string stage_;
  std::string label_;
};

}  // namespace kiln
