// How a consumer group decides about one member, step by step. Only consumer_group*.cc include
// this.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/coordinator/consumer_group.h"

namespace millrace::coordinator {

/// What members send as their epoch to leave, and what the stored epoch of a static member is that
/// left for a while.
inline constexpr Epoch kJoinEpoch{0};
inline constexpr Epoch kLeaveEpoch{-1};
inline constexpr Epoch kLeftForAWhile{-2};

/// A member as it will be, and the records that make it so. The steps:
///   1. draft_dynamic(), draft_static()  who it is: a newcomer, a member, or one that takes the
///                                       place of a static member
///   2. change()                         what it says of itself
///   3. refresh()                        the group epoch, if subscriptions or their topics changed
///   4. aim()                            its target, computed anew if the group epoch is ahead
///   5. step()                           one step towards it
/// The group itself changes only when the records are applied.
struct ConsumerGroup::Draft {
  std::string name;
  /// The member as it is: of this name, or the static one that it replaces; nullptr: a newcomer.
  const Member* before = nullptr;
  std::string replaced;  // name of the static member that it replaces; empty: none
  About about;
  Standing standing;
  bool subscription_changed = false;
  Epoch group_epoch{0};
  Epoch target_epoch{0};
  PartitionList target;
  std::int64_t delay_ms = 0;  // until an assignment that is due may be computed
  std::map<std::string, std::vector<std::string>> regexes;  // resolved just now
  common::Timestamp wall{-1};                               // of the input
  std::vector<Record> records;

  /// Whose partitions count as its own.
  Holders::Token token() const { return before == nullptr ? kNewcomer : before->token; }
  static constexpr Holders::Token kNewcomer = 0xffffffff;
};

}  // namespace millrace::coordinator
