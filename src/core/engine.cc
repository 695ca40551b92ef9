#include "core/engine.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <deque>

#include "base/error.h"
#include "core/run_stage.h"
#include "core/slots.h"

namespace kiln {

namespace {

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || \
    __has_feature(thread_sanitizer)
constexpr size_t stage_stack_bytes = 4 << 20;
#else
constexpr size_t stage_stack_bytes = 512 << 10;
#endif
constexpr const char* builds_slot = "parallel-builds";

/// A message of a stage's thread to the scheduler: it has ended.
struct StageEnded {
  size_t index;
  StageResult result;
};

/// Where stages leave their messages; its descriptor is readable while there are any. Thread-safe.
class Inbox {
 public:
  Inbox() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!event_.is_open()) throw_errno("eventfd");
  }
  void put(StageEnded message) {
    std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
    uint64_t one = 1;
    [[maybe_unused]] auto written = ::write(event_.get(), &one, sizeof one);
  }
  StageEnded take() {
    wait(event_.get(), POLLIN, Deadline::never(), Stop());
    std::lock_guard lock(mutex_);
    StageEnded message = std::move(messages_.front());
    messages_.pop_front();
    if (messages_.empty()) {
      uint64_t count = 0;
      [[maybe_unused]] auto drained = ::read(event_.get(), &count, sizeof count);
    }
    return message;
  }

 private:
  Fd event_;
  std::mutex mutex_;
  std::deque<StageEnded> messages_;
};

/// A thread with a small stack.
class StageThread {
 public:
  StageThread(size_t index, Stage& stage, const RunShared& shared, Stop stop, Inbox& inbox)
      : index_(index), stage_(stage), shared_(shared), stop_(std::move(stop)), inbox_(inbox) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stage_stack_bytes);
    int error = pthread_create(&thread_, &attributes, &StageThread::main, this);
    pthread_attr_destroy(&attributes);
    if (error != 0) {
      errno = error;
      throw_errno("starting a build's thread");
    }
  }
  ~StageThread() { pthread_join(thread_, nullptr); }
  StageThread(const StageThread&) = delete;

 private:
  static void* main(void* self) {
    auto& me = *static_cast<StageThread*>(self);
    me.inbox_.put({me.index_, run_stage(me.stage_, me.shared_, me.stop_)});
    return nullptr;
  }
  size_t index_;
  Stage& stage_;
  const RunShared& shared_;
  Stop stop_;
  Inbox& inbox_;
  pthread_t thread_{};
};

/// Every running stage holds a few descriptors: lets this process have as many as it may.
void allow_descriptors(size_t stages) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  if (stages * 16 + 64 <= limit.rlim_cur) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

StageResult never_started(const Stage& stage, std::string error, bool cancelled) {
  StageResult result;
  result.stage = stage.info.display_name;
  result.error = std::move(error);
  result.cancelled = cancelled;
  return result;
}

/// The scheduler: starts stages as slots allow, collects their ends.
class Scheduler {
 public:
  Scheduler(Plan& plan, const RunShared& shared, const Stop& stop, int64_t parallel)
      : plan_(plan), shared_(shared), stop_(stop), threads_(plan.stages.size()), leases_(plan.stages.size()), results_(plan.stages.size()) {
    slots_.limit(builds_slot, parallel);
  }

  std::vector<StageResult> run() {
    for (;;) {
      start_what_may_start();
      if (running_ == 0) return std::move(results_);
      StageEnded ended = inbox_.take();
      threads_[ended.index].reset();
      leases_[ended.index].release();
      results_[ended.index] = std::move(ended.result);
      --running_;
    }
  }

 private:
  void start_what_may_start() {
    while (next_ < plan_.stages.size()) {
      Stage& stage = plan_.stages[next_];
      if (stop_.requested()) {
        results_[next_++] = never_started(stage, "context canceled", true);
        continue;
      }
      auto lease = slots_.try_acquire(builds_slot);
      if (!lease) return;
      leases_[next_] = std::move(*lease);
      try {
        threads_[next_] = std::make_unique<StageThread>(next_, stage, shared_, stop_.child(), inbox_);
        ++running_;
      } catch (const Error& error) {
        if (running_ > 0) {  // no thread to be had: go on when another build has ended
          leases_[next_].release();
          return;
        }
        results_[next_] = never_started(stage, error.message(), false);
        leases_[next_].release();
      }
      ++next_;
    }
  }

  Plan& plan_;
  const RunShared& shared_;
  const Stop& stop_;
  Slots slots_;
  Inbox inbox_;
  std::vector<std::unique_ptr<StageThread>> threads_;
  std::vector<Slots::Lease> leases_;
  std::vector<StageResult> results_;
  size_t next_ = 0;
  size_t running_ = 0;
};

}  // namespace

std::vector<StageResult> run_plan(Plan& plan, const RunOptions& options, EventSink& sink, Journal& journal,
                                  const Log& log, const Stop& stop) {
  if (plan.stages.empty()) return {};
  allow_descriptors(plan.stages.size());
  Redactor own;
  for (const auto& secret : plan.secrets) own.add(secret);
  EvidenceRoom evidence(options.evidence_root, plan.stages.front().info.run_id, journal);
  RunShared shared{options, sink, journal, log, options.redactor != nullptr ? *options.redactor : own, evidence};
  bool serial = false;
  for (const auto& stage : plan.stages) serial |= stage.info.debug;
  return Scheduler(plan, shared, stop, serial ? 1 : options.parallel_builds).run();
}

}  // namespace kiln
