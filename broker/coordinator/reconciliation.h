// if (auto next = reconcile(member.standing, {.target = ..., ...})) store(*next);
//
// The steps of one member of a consumer group from what it holds to what it should hold (KIP-848,
// "Reconciliation of the group"). Pure.
//
// States of a member, and what moves it:
//   Stable                 holds exactly its target of its epoch
//     -> Unrevoked           a newer target lacks partitions that it holds
//     -> Unreleased          a newer target has partitions that others still hold
//     -> Stable              a newer target is at once its own
//   UnrevokedPartitions    keeps its epoch until it says that it gave up what was revoked
//     -> the three above     it did: towards the newest target, not that which began the revocation
//   UnreleasedPartitions   is at the target's epoch, and waits for others to give up the rest
//     -> the three above     at each heartbeat, with what is free by then
//   Unknown                read from a log of a newer broker
//     -> the three above     once it owns nothing; until then it is fenced
#pragma once

#include <optional>

#include "broker/coordinator/holding.h"
#include "broker/coordinator/records.h"

namespace millrace::coordinator {

/// Where a member stands: what its CurrentRecord says.
struct Standing {
  Epoch epoch{0};
  /// The epoch before its last step: what it comes with when the answer to that step was lost.
  Epoch previous_epoch{0};
  MemberState state = MemberState::kStable;
  Holding assigned;
  Holding pending;  // to be revoked by the member; nobody else may have it until then
  bool operator==(const Standing&) const = default;
};

/// A step without new orders: the member's subscription is as it was, or it changed, and what it is
/// no longer subscribed to is taken away even before there is a new target.
enum class Subscribed : std::uint8_t { kAsBefore, kChanged };

struct Orders {
  Epoch target_epoch{0};
  /// The member's target, without topics that it is no longer subscribed to.
  PartitionList target;
  /// What the member says that it owns; nullopt: it did not say.
  std::optional<PartitionList> owned;
  Subscribed subscribed = Subscribed::kAsBefore;
  /// The topics that it is subscribed to, ascending. Only looked at when that changed.
  std::vector<model::TopicId> topics;
};

/// The next standing; equal to `now` when nothing moves. nullopt: the member has to be fenced
/// (kFencedMemberEpoch), it is in a state that this broker does not know and owns partitions.
/// Promises: what is newly assigned is held by nobody else; what the member may still use
/// (assigned, pending) was its own or is newly assigned; the epoch moves only to the target's.
std::optional<Standing> reconcile(const Standing& now, const Orders& orders, Holders::Token self,
                                  const Holders& holders);

/// Does another member still hold one of the partitions that this one lacks? A classic member is
/// told to join again only when all are free: each join costs it a round.
bool waits_for_others(const Standing& now, const PartitionList& target, Holders::Token self,
                      const Holders& holders);

}  // namespace millrace::coordinator
