// disk.offload(job, lifeline.guard([this] { ... }));   // nothing happens if the lifeline's owner
// is gone by then
#pragma once

#include <memory>
#include <utility>

namespace millrace::storage {

/// Lets callbacks outlive the object they call: those it guarded do nothing once it is destroyed.
/// One thread.
class Lifeline {
 public:
  template <typename F>
  auto guard(F callback) const {
    return [alive = std::weak_ptr<int>(token_),
            callback = std::move(callback)](auto&&... args) mutable {
      if (!alive.expired()) callback(std::forward<decltype(args)>(args)...);
    };
  }

 private:
  std::shared_ptr<int> token_ = std::make_shared<int>(0);
};

}  // namespace millrace::storage
