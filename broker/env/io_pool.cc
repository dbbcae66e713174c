#include "broker/env/io_pool.h"

#include <pthread.h>

#include "common/reply.h"

namespace millrace::env {

IoPool::~IoPool() {
  std::deque<Task> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(queue_);
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  const common::RepliesMayDrop nobody_listens;
  dropped.clear();
}

void IoPool::run(Task task) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(task));
    if (idle_ < queue_.size() && threads_.size() < threads_max_) {
      threads_.emplace_back([this] { serve(); });
      ::pthread_setname_np(threads_.back().native_handle(), name_.substr(0, 15).c_str());
    }
  }
  changed_.notify_one();
}

void IoPool::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    --idle_;
    if (queue_.empty()) return;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    task();
    {
      const common::RepliesMayDrop nobody_listens;  // only a loop that has stopped leaves one in it
      task.reset();
    }
    lock.lock();
  }
}

}  // namespace millrace::env
