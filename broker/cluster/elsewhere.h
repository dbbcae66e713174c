// Elsewhere<Mesh> other;   other.post([](Mesh& mesh) { ... });
//
// Something that lives on another loop.
#pragma once

#include <memory>
#include <utility>

#include "broker/env/loop.h"

namespace millrace::cluster {

/// A way to hand tasks to it; they run in order, as long as it is there. Its `here` lives as long
/// as it does and is looked at on its loop only, which is also where it is destroyed, unless no
/// loop runs.
template <typename T>
class Elsewhere {
 public:
  Elsewhere() = default;
  Elsewhere(T& thing, env::Loop& loop, const std::shared_ptr<bool>& here)
      : thing_(&thing), loop_(&loop), here_(here) {}

  template <typename Task>
  void post(Task task) const {
    if (loop_ == nullptr) return;
    loop_->post([thing = thing_, here = here_, task = std::move(task)]() mutable {
      if (!here.expired()) task(*thing);
    });
  }
  /// On its own loop: the thing itself; nullptr: gone.
  T* get() const { return here_.expired() ? nullptr : thing_; }

 private:
  T* thing_ = nullptr;
  env::Loop* loop_ = nullptr;
  std::weak_ptr<bool> here_;
};

}  // namespace millrace::cluster
