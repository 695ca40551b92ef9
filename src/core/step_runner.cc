#include "core/step_runner.h"

#include <fmt/format.h>

#include "base/text.h"
#include "core/provision.h"

namespace kiln {

void StepRunner::emit(EventKind kind, const std::string& name, const char* type,
                      std::chrono::nanoseconds duration) const {
  Event event;
  event.kind = kind;
  event.stage = context_.ui.stage();
  event.text = name;
  event.type = type;
  event.duration = duration;
  context_.ui.sink().emit(event);
}

void StepRunner::run(const std::string& name, const std::function<void()>& body) {
  size_t undo_before = context_.undo.size();
  for (;;) {
    auto start = Clock::now();
    emit(EventKind::step_started, name, "", {});
    try {
      context_.stop.check();
      only_errors(body);
      emit(EventKind::step_finished, name, "ok", Clock::now() - start);
      break;
    } catch (const Error& error) {
      bool cancelled = context_.stop.requested();
      emit(EventKind::step_finished, name, cancelled ? "cancelled" : "failed", Clock::now() - start);
      if (!failed_step_.empty()) throw;  // an inner step has been decided on already
      if (cancelled || !decide_to_retry(name, error)) {
        failed_step_ = name;
        throw;
      }
    }
  }
  done_.push_back({name, undo_before});
  debug_pause(context_, fmt::format("Pausing after run of step '{}'.", name));
}

bool StepRunner::decide_to_retry(const std::string& name, const Error& error) {
  switch (context_.build.on_error) {
    case OnError::cleanup: decision_ = AfterFailure::clean_up; return false;
    case OnError::abort: decision_ = AfterFailure::abandon; return false;
    case OnError::run_cleanup_provisioner: decision_ = AfterFailure::provision_only; return false;
    case OnError::ask: break;
  }
  context_.ui.error(error.message());
  context_.ui.error(fmt::format("Step {} failed", go_quote(name)));
  for (;;) {
    std::string answer;
    try {
      answer =
          lower(trim(context_.ui.ask("[c] Clean up and exit, [a] abort without cleanup, or [r] retry step (build may "
                                     "fail even if retry succeeds)? ",
                                     context_.stop)));
    } catch (const Error&) {
      answer = "c";  // nobody can answer, or the run was stopped while asking
    }
    if (answer.empty() || answer == "c") decision_ = AfterFailure::clean_up;
    else if (answer == "a") decision_ = AfterFailure::abandon;
    else if (answer == "r") return true;
    else {
      context_.ui.say(fmt::format("Incorrect input: {}", go_quote(answer)));
      continue;
    }
    return false;
  }
}

void StepRunner::undo_all(Outcome outcome) {
  auto report = [&](const std::string& problem) { context_.ui.error("Error cleaning up: " + problem); };
  for (auto step = done_.rbegin(); step != done_.rend(); ++step) {
    try {
      debug_pause(context_, fmt::format("Pausing before cleanup of step '{}'.", step->name));
    } catch (const Error&) {
      // stopped while asking: clean up without further questions
    }
    context_.undo.run_down_to(step->undo_before, outcome, report);
  }
  context_.undo.run(outcome, report);
  done_.clear();
}

void StepRunner::say_skipped(size_t from) const {
  for (size_t i = from; i > 0; --i) {
    context_.ui.error(fmt::format("aborted: skipping cleanup of step {}", go_quote(done_[i - 1].name)));
  }
}

void StepRunner::abandon_all(const Error& error) {
  if (context_.stop.requested()) {
    context_.ui.error("Interrupted, aborting...");
  } else {
    context_.ui.error(error.message());
    context_.ui.error(fmt::format("Step {} failed, aborting...", go_quote(failed_step_)));
  }
  say_skipped(done_.size());
  context_.undo.abandon();
}

void StepRunner::abandon_after_cleanup(const std::string& error) {
  context_.ui.error(error);
  if (done_.empty()) {
    context_.ui.error(fmt::format("Step {} failed, aborting...", go_quote(failed_step_)));
  } else {
    context_.ui.error(fmt::format("Step {} failed, aborting...", go_quote(done_.back().name)));
    say_skipped(done_.size() - 1);
  }
  context_.undo.abandon();
}

}  // namespace kiln
