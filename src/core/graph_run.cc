#include "core/graph_run.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <deque>
#include <memory>
#include <mutex>
#include <set>

#include "base/error.h"
#include "base/fd.h"
#include "core/slots.h"

namespace kiln {

namespace {

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || \
    __has_feature(thread_sanitizer)
constexpr size_t node_stack_bytes = 4 << 20;
#else
constexpr size_t node_stack_bytes = 512 << 10;
#endif

/// A message of a node's thread to the scheduler: it has ended.
struct NodeEnded {
  size_t node;
  bool well;
};

/// Where nodes leave their messages; its descriptor is readable while there are any. Thread-safe.
class Inbox {
 public:
  Inbox() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!event_.is_open()) throw_errno("eventfd");
  }
  void put(NodeEnded message) {
    std::lock_guard lock(mutex_);
    messages_.push_back(message);
    uint64_t one = 1;
    [[maybe_unused]] auto written = ::write(event_.get(), &one, sizeof one);
  }
  NodeEnded take() {
    wait(event_.get(), POLLIN, Deadline::never(), Stop());
    std::lock_guard lock(mutex_);
    NodeEnded message = messages_.front();
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
  std::deque<NodeEnded> messages_;
};

/// A thread with a small stack.
class NodeThread {
 public:
  NodeThread(size_t node, const GraphWork& work, Stop stop, Inbox& inbox)
      : node_(node), work_(work), stop_(std::move(stop)), inbox_(inbox) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, node_stack_bytes);
    int error = pthread_create(&thread_, &attributes, &NodeThread::main, this);
    pthread_attr_destroy(&attributes);
    if (error != 0) {
      errno = error;
      throw_errno("starting a build's thread");
    }
  }
  ~NodeThread() { pthread_join(thread_, nullptr); }
  NodeThread(const NodeThread&) = delete;

 private:
  static void* main(void* self) {
    auto& me = *static_cast<NodeThread*>(self);
    me.inbox_.put({me.node_, me.work_.run(me.node_, me.stop_)});
    return nullptr;
  }
  size_t node_;
  const GraphWork& work_;
  Stop stop_;
  Inbox& inbox_;
  pthread_t thread_{};
};

/// The scheduler: starts what may start, collects the ends.
class GraphScheduler {
 public:
  GraphScheduler(const std::vector<GraphNode>& nodes, Slots& slots, const GraphWork& work, bool fail_fast,
                 const Stop& stop)
      : nodes_(nodes),
        slots_(slots),
        work_(work),
        fail_fast_(fail_fast),
        stop_(stop),
        missing_(nodes.size()),
        needed_by_(nodes.size()) {
    for (size_t i = 0; i < nodes.size(); ++i) {
      missing_[i] = nodes[i].needs.size();
      for (size_t need : nodes[i].needs) needed_by_[need].push_back(i);
    }
  }

  void run() {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].needs.empty()) make_ready(i);
    }
    for (;;) {
      settle();
      start_what_may_start();
      if (running_.empty()) {
        if (settled_.empty()) return;
        continue;
      }
      NodeEnded ended = inbox_.take();
      running_.erase(ended.node);
      settled_.push_back(ended);
    }
  }

 private:
  struct Running {
    std::vector<Slots::Lease> leases;
    std::unique_ptr<NodeThread> thread;  ///< joined before the leases are given back
  };

  bool halted() const { return stop_.requested() || (fail_fast_ && failed_); }

  void make_ready(size_t node) {
    if (nodes_[node].passive) settled_.push_back({node, true});
    else ready_[nodes_[node].slots].insert(node);
  }

  /// What follows from nodes that have ended.
  void settle() {
    while (!settled_.empty()) {
      NodeEnded ended = settled_.front();
      settled_.pop_front();
      if (!ended.well) failed_ = true;
      for (size_t next : needed_by_[ended.node]) {
        if (!ended.well) skip(next, ended.node);
        else if (!skipped(next) && --missing_[next] == 0) make_ready(next);
      }
    }
  }

  static constexpr size_t never = SIZE_MAX;
  bool skipped(size_t node) const { return missing_[node] == never; }

  void skip(size_t node, std::optional<size_t> needed) {
    if (skipped(node)) return;
    missing_[node] = never;
    if (!nodes_[node].passive) work_.skip(node, needed);
    settled_.push_back({node, false});
  }

  void start_what_may_start() {
    if (halted()) return skip_ready();
    // Nodes that ask for the same are alike: when one of them must wait, all must.
    for (auto group = ready_.begin(); group != ready_.end();) {
      auto& waiting = group->second;
      while (!waiting.empty() && start(*waiting.begin())) waiting.erase(waiting.begin());
      group = waiting.empty() ? ready_.erase(group) : std::next(group);
    }
  }

  void skip_ready() {
    auto ready = std::move(ready_);
    ready_.clear();
    for (const auto& [slots, waiting] : ready) {
      for (size_t node : waiting) skip(node, std::nullopt);
    }
  }

  bool refuse(size_t node, const Error& error) {
    work_.refuse(node, error.message());
    settled_.push_back({node, false});
    return true;
  }

  /// False: it has to wait.
  bool start(size_t node) {
    Running running;
    try {
      for (const auto& [name, units] : nodes_[node].slots) {
        auto lease = slots_.try_acquire(name, units);
        if (!lease) return false;
        running.leases.push_back(std::move(*lease));
      }
    } catch (const Error& error) {  // more than there is
      return refuse(node, error);
    }
    try {
      running.thread = std::make_unique<NodeThread>(node, work_, stop_.child(), inbox_);
    } catch (const Error& error) {
      if (!running_.empty()) return false;  // no thread to be had: go on when another node has ended
      return refuse(node, error);
    }
    running_.emplace(node, std::move(running));
    return true;
  }

  const std::vector<GraphNode>& nodes_;
  Slots& slots_;
  const GraphWork& work_;
  bool fail_fast_;
  const Stop& stop_;
  std::vector<size_t> missing_;
  std::vector<std::vector<size_t>> needed_by_;
  Inbox inbox_;
  std::map<std::map<std::string, int64_t>, std::set<size_t>> ready_;
  std::map<size_t, Running> running_;
  std::deque<NodeEnded> settled_;
  bool failed_ = false;
};

}  // namespace

void run_graph(const std::vector<GraphNode>& nodes, Slots& slots, const GraphWork& work, bool fail_fast,
               const Stop& stop) {
  GraphScheduler(nodes, slots, work, fail_fast, stop).run();
}

}  // namespace kiln
