#include "core/provision.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/error.h"
#include "base/text.h"

namespace kiln {

namespace {

/// Requests `stop` when the time is over, unless it is destroyed before.
class Timer {
 public:
  Timer(std::chrono::nanoseconds duration, Stop stop, Ui ui) : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!event_.is_open()) throw_errno("eventfd");
    thread_ = std::thread([this, duration, stop, ui] {
      if (wait(event_.get(), POLLIN, Deadline::in(duration), Stop()) == Woke::ready) return;
      over_ = true;
      ui.error("Cancelling provisioner after a timeout...");
      stop.request("timeout");
    });
  }
  ~Timer() {
    uint64_t one = 1;
    [[maybe_unused]] auto written = ::write(event_.get(), &one, sizeof one);
    thread_.join();
  }
  Timer(const Timer&) = delete;
  bool is_over() const { return over_; }

 private:
  Fd event_;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

void run_once(PlannedProvisioner& planned, Communicator& communicator, StageContext& context,
              const PrepareProvisioner& prepare) {
  prepare(planned);
  only_errors([&] { planned.component->run(communicator, context); });
}

void run_limited(PlannedProvisioner& planned, Communicator& communicator, StageContext& context,
                 const PrepareProvisioner& prepare) {
  std::string limit = format_go_duration(planned.declaration.timeout);
  context.ui.say(fmt::format("Setting a {} timeout for the next provisioner...", limit));
  StageContext limited = context;
  limited.stop = context.stop.child();
  Timer timer(planned.declaration.timeout, limited.stop, context.ui);
  try {
    run_once(planned, communicator, limited, prepare);
  } catch (const Error&) {
    if (!timer.is_over() || context.stop.requested()) throw;
    throw Error(ErrorKind::timeout, fmt::format("the provisioner {} did not end within its timeout of {}",
                                                planned.declaration.type, limit));
  }
}

void run_attempt(PlannedProvisioner& planned, Communicator& communicator, StageContext& context,
                 const PrepareProvisioner& prepare) {
  context.stop.check();
  const auto& declaration = planned.declaration;
  if (declaration.pause_before > std::chrono::nanoseconds(0)) {
    context.ui.say(
        fmt::format("Pausing {} before the next provisioner...", format_go_duration(declaration.pause_before)));
    sleep_for(declaration.pause_before, context.stop);
    run_once(planned, communicator, context, prepare);
  } else if (declaration.timeout > std::chrono::nanoseconds(0)) {
    run_limited(planned, communicator, context, prepare);
  } else {
    run_once(planned, communicator, context, prepare);
  }
}

void run_retried(PlannedProvisioner& planned, Communicator& communicator, StageContext& context,
                 const PrepareProvisioner& prepare) {
  std::optional<Error> first;
  for (int left = planned.max_retries;; --left) {
    try {
      run_attempt(planned, communicator, context, prepare);
      return;
    } catch (const Error& error) {
      if (context.stop.requested()) throw;
      if (!first) first = error;
      if (left > 0) {
        context.ui.say(fmt::format("Provisioner failed with {}, retrying with {} trie(s) left",
                                   go_quote(error.message()), left));
        continue;
      }
    }
    if (planned.max_retries > 0) context.ui.say("retry limit reached.");
    throw Error(*first);
  }
}

}  // namespace

void debug_pause(StageContext& context, const std::string& what) {
  if (!context.build.debug) return;
  try {
    context.ui.ask(what + " Press enter to continue. ", context.stop);
  } catch (const Error& error) {
    if (context.stop.requested()) throw;
    context.log.line("debug: " + error.message());
  }
}

void run_provisioner(PlannedProvisioner& planned, Communicator& communicator, StageContext& context,
                     const PrepareProvisioner& prepare) {
  try {
    run_retried(planned, communicator, context, prepare);
  } catch (const Error& error) {
    if (context.stop.requested() || !planned.declaration.continue_on_error) throw;
    context.ui.say(
        fmt::format("Warning: Provisioner failed with {}, but continue_on_error is set; continuing the build.",
                    go_quote(error.message())));
  }
}

void run_provisioners(std::vector<PlannedProvisioner>& provisioners, Communicator& communicator,
                      StageContext& context, const PrepareProvisioner& prepare, const AroundProvisioners& around) {
  for (size_t i = around.first; i < provisioners.size(); ++i) {
    PlannedProvisioner& planned = provisioners[i];
    debug_pause(context, fmt::format("Pausing before the next provisioner {}.", planned.declaration.name));
    Event event;
    event.kind = EventKind::step_started;
    event.stage = context.ui.stage();
    event.text = planned.declaration.type;
    context.ui.sink().emit(event);
    event.kind = EventKind::step_finished;
    event.type = "ok";
    auto start = Clock::now();
    auto run = [&](StageContext& inner) { run_provisioner(planned, communicator, inner, prepare); };
    try {
      if (around.each) around.each(i, run);
      else run(context);
    } catch (const Error&) {
      event.type = context.stop.requested() ? "cancelled" : "failed";
      event.time = std::chrono::system_clock::now();
      event.duration = Clock::now() - start;
      context.ui.sink().emit(event);
      throw;
    }
    event.time = std::chrono::system_clock::now();
    event.duration = Clock::now() - start;
    context.ui.sink().emit(event);
  }
}

}  // namespace kiln
