#include "broker/coordinator/reconciliation.h"

#include <algorithm>
#include <utility>

#include "broker/model/mutation.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

// A member that does not say what it owns is taken to own all.
bool owns(const std::optional<PartitionList>& owned, const Holding& holding) {
  return !owned.has_value() || intersects(*owned, holding);
}

// Nobody holds it, or the member itself does because it was to give it up: it may have it back.
bool is_free(const model::PartitionKey& key, Holders::Token self, const Holders& holders) {
  const Holders::Token holder = holders.of(key);
  return holder == Holders::kNobody || holder == self;
}

Standing moved(const Standing& now, MemberState state, Epoch epoch) {
  Standing next;
  next.state = state;
  next.previous_epoch = now.epoch;
  next.epoch = epoch;
  return next;
}

// The full step: what is no longer in the target is revoked first; only then is anything added.
Standing towards_target(const Standing& now, Epoch epoch, const Orders& orders, Holders::Token self,
                        const Holders& holders) {
  Holding retained;
  Holding revoked;
  for (const Held& held : now.assigned) {
    const bool wanted = std::binary_search(orders.target.begin(), orders.target.end(), held.key);
    (wanted ? retained : revoked).push_back(held);
  }
  if (!revoked.empty() && owns(orders.owned, revoked)) {
    Standing next = moved(now, MemberState::kUnrevokedPartitions, epoch);
    next.assigned = std::move(retained);
    next.pending = std::move(revoked);
    return next;
  }
  bool all_free = true;
  Holding assigned;
  assigned.reserve(orders.target.size());
  for (const model::PartitionKey& key : orders.target) {
    if (const Held* held = find(retained, key)) {
      assigned.push_back(*held);
    } else if (is_free(key, self, holders) ||
               model::mutated(model::Mutation::kAssignBeforeRevoked)) {
      assigned.push_back({key, orders.target_epoch});
    } else {
      all_free = false;
    }
  }
  CHECK(assigned.size() <= orders.target.size());
  Standing next = moved(now, all_free ? MemberState::kStable : MemberState::kUnreleasedPartitions,
                        orders.target_epoch);
  CHECK(!all_free || assigned.size() == orders.target.size());
  next.assigned = std::move(assigned);
  return next;
}

// Takes away what the member is no longer subscribed to, and leaves everything else as it is.
Standing without_unsubscribed(const Standing& now, const Orders& orders) {
  Standing next = now;
  next.assigned.clear();
  for (const Held& held : now.assigned) {
    const bool subscribed =
        std::binary_search(orders.topics.begin(), orders.topics.end(), held.key.topic);
    (subscribed ? next.assigned : next.pending).push_back(held);
  }
  if (next.assigned.size() == now.assigned.size()) return now;
  std::sort(next.pending.begin(), next.pending.end(),
            [](const Held& a, const Held& b) { return a.key < b.key; });
  next.previous_epoch = now.epoch;
  if (owns(orders.owned, next.pending)) {
    next.state = MemberState::kUnrevokedPartitions;
  } else {
    // It gave them up before we asked. Whoever was Unrevoked and owns nothing of that is moved by
    // the full step, so the state is Stable here.
    CHECK(now.state == MemberState::kStable);
    next.pending.clear();
  }
  return next;
}

}  // namespace

std::optional<Standing> reconcile(const Standing& now, const Orders& orders, Holders::Token self,
                                  const Holders& holders) {
  CHECK(self != Holders::kNobody);
  CHECK(std::is_sorted(orders.target.begin(), orders.target.end()));
  const bool changed = orders.subscribed == Subscribed::kChanged;
  switch (now.state) {
    case MemberState::kStable:
      if (now.epoch != orders.target_epoch)
        return towards_target(now, now.epoch, orders, self, holders);
      return changed ? without_unsubscribed(now, orders) : now;
    case MemberState::kUnrevokedPartitions:
      if (owns(orders.owned, now.pending)) return changed ? without_unsubscribed(now, orders) : now;
      return towards_target(now, now.epoch, orders, self, holders);
    case MemberState::kUnreleasedPartitions: {
      Standing next = towards_target(now, now.epoch, orders, self, holders);
      // Still waiting for the same: no step, no record.
      if (next.state == now.state && next.epoch == now.epoch && next.assigned == now.assigned)
        return now;
      return next;
    }
    case MemberState::kUnknown:
      break;
  }
  if (!orders.owned.has_value() || !orders.owned->empty()) return std::nullopt;
  return towards_target(now, orders.target_epoch, orders, self, holders);
}

bool waits_for_others(const Standing& now, const PartitionList& target, Holders::Token self,
                      const Holders& holders) {
  return std::any_of(target.begin(), target.end(), [&](const model::PartitionKey& key) {
    return find(now.assigned, key) == nullptr && !is_free(key, self, holders);
  });
}

}  // namespace millrace::coordinator
