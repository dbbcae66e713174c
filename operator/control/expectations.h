// expectations.wrote(kPods, object);  ...  if (!expectations.met(world, now)) return
// look_again_soon;
//
// What this process has written and not yet heard of: a plan made on older objects would do it all
// again.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "common/clock.h"
#include "operator/control/world.h"

namespace millrace::control {

/// Of one cluster or topic; not thread-safe. Only saves work: every act is safe on stale objects,
/// too, so what does not come true within `patience` is forgotten.
class Expectations {
 public:
  static constexpr std::chrono::seconds kPatience{3};

  /// `object` is what the server answered to a write. Kinds that nobody watches are left out.
  void wrote(const World& world, const Resource& resource, const Json& object, common::Instant now);
  /// The object of this uid was deleted: it must go, or be marked as going.
  void deleted(const World& world, const Resource& resource, const ObjectKey& key,
               const std::string& uid, common::Instant now);
  /// Also what the other one waits for.
  void absorb(Expectations&& other) { expected_.merge(other.expected_); }
  /// The caches hold all of it, or have had their time.
  bool met(const World& world, common::Instant now);

 private:
  struct Expected {
    Resource resource;
    std::string uid;               // of a deletion
    std::string resource_version;  // of a write
    common::Instant since;
  };
  static bool is_met(const World& world, const ObjectKey& key, const Expected& expected);

  std::multimap<ObjectKey, Expected> expected_;
};

}  // namespace millrace::control
