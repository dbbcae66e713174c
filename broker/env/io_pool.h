// Threads for what may block: extending writes, syncs, folder work and whatever storage offloads.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "broker/env/loop.h"

namespace millrace::env {

/// A queue served by a few threads. Threads start with the first task. Thread-safe.
class IoPool {
 public:
  /// Threads are called `name`.
  IoPool(std::string name, std::size_t threads) : name_(std::move(name)), threads_max_(threads) {}
  /// Waits for the running tasks and destroys the queued ones; their replies are dropped.
  ~IoPool();
  IoPool(const IoPool&) = delete;
  IoPool& operator=(const IoPool&) = delete;

  void run(Task task);

 private:
  void serve();

  const std::string name_;
  const std::size_t threads_max_;
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::deque<Task> queue_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

}  // namespace millrace::env
