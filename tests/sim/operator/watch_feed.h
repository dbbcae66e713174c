// WatchFeed feed({...}, informer);   feed.go_on();   ...   feed.break_off(false);
//
// Brings an informer what it would hear on its watches.
#pragma once

#include <optional>
#include <string>

#include "common/random.h"
#include "operator/kube/informer.h"
#include "operator/kube/testing/model_api.h"
#include "tests/sim/operator/kube_link.h"

namespace millrace::sim {

/// In order and late by a moment; a watch ends now and then, breaks, or is too old.
class WatchFeed {
 public:
  struct Parts {
    kube::testing::ModelApi& model;
    const common::Clock& clock;
    common::Random random;
  };
  /// All outlive it.
  WatchFeed(Parts parts, kube::Informer& informer, const KubeFaults& faults)
      : parts_(std::move(parts)), informer_(informer), faults_(faults) {}

  /// Does what is due: lists, opens a watch, delivers.
  void go_on();
  /// The stream breaks. `forgotten`: what came since is not known any more (kGone).
  void break_off(bool forgotten);

 private:
  void take(const kube::Informer::Then& then);
  void deliver();
  common::Instant now() const { return parts_.clock.now(); }

  Parts parts_;
  kube::Informer& informer_;
  const KubeFaults& faults_;
  kube::Informer::Next next_ = kube::Informer::Next::kList;
  common::Instant due_{};
  bool busy_ = false;                        // a list is under way
  std::optional<kube::WatchOptions> watch_;  // the one that is open
  common::Instant watch_ends_{};
  std::string heard_;  // the server's version of all that was delivered
};

}  // namespace millrace::sim
