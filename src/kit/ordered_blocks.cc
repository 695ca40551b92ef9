#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "kit/compressor.h"

namespace kiln {

struct OrderedBlocks::Pool {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::packaged_task<CompressedBlock()>> jobs;
  bool ending = false;
  std::vector<std::thread> threads;

  void work() {
    while (true) {
      std::packaged_task<CompressedBlock()> job;
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return ending || !jobs.empty(); });
        if (jobs.empty() || ending) return;
        job = std::move(jobs.front());
        jobs.pop_front();
      }
      job();
    }
  }
};

OrderedBlocks::OrderedBlocks(int threads, std::function<void(const CompressedBlock&)> emit)
    : limit_(static_cast<size_t>(threads) * 2), emit_(std::move(emit)), pool_(std::make_unique<Pool>()) {
  for (int i = 0; i < threads; ++i) pool_->threads.emplace_back([pool = pool_.get()] { pool->work(); });
}

OrderedBlocks::~OrderedBlocks() {
  {
    std::lock_guard lock(pool_->mutex);
    pool_->ending = true;
  }
  pool_->wake.notify_all();
  for (auto& thread : pool_->threads) thread.join();
}

void OrderedBlocks::emit_first() {
  CompressedBlock block = pending_.front().get();
  pending_.pop_front();
  emit_(block);
}

void OrderedBlocks::submit(Job job) {
  while (pending_.size() >= limit_) emit_first();
  std::packaged_task<CompressedBlock()> task(std::move(job));
  pending_.push_back(task.get_future());
  {
    std::lock_guard lock(pool_->mutex);
    pool_->jobs.push_back(std::move(task));
  }
  pool_->wake.notify_one();
}

void OrderedBlocks::drain() {
  while (!pending_.empty()) emit_first();
}

}  // namespace kiln
