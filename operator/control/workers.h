// Workers workers(queue, metrics, clock, reconcile);   workers.start(4);   ...   workers.stop();
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "operator/control/metrics.h"
#include "operator/control/queue.h"

namespace millrace::control {

/// Threads that take keys from the queue. All must outlive them.
class Workers {
 public:
  using Reconcile = std::function<Ending(const Key&)>;
  Workers(Queue& queue, Metrics& metrics, const common::Clock& clock, Reconcile reconcile)
      : queue_(queue), metrics_(metrics), clock_(clock), reconcile_(std::move(reconcile)) {}
  ~Workers() { stop(); }

  void start(int threads) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this](const std::stop_token& stop) {
        while (const auto key = queue_.take(stop)) work(*key);
      });
    }
  }
  /// Lets each end what it does now.
  void stop() {
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();
  }
  /// One key if there is one whose time has come: for tests and simulation.
  bool work_once() {
    const auto key = queue_.try_take();
    if (key) work(*key);
    return key.has_value();
  }

 private:
  void work(const Key& key) {
    const common::Instant began = clock_.now();
    const Ending ending = reconcile_(key);
    metrics_.reconciled(key.work, ending.kind, clock_.now() - began);
    queue_.done(key, ending);
  }

  Queue& queue_;
  Metrics& metrics_;
  const common::Clock& clock_;
  const Reconcile reconcile_;
  std::vector<std::jthread> threads_;
};

}  // namespace millrace::control
