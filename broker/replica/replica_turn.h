// How a call of the group is made and its effects are carried out. Only for the replica's own
// files.
#pragma once

#include <chrono>
#include <utility>

#include "broker/replica/replica.h"

namespace millrace::replica {

/// A replica that takes no part because of damage asks its leader for a message that often, and a
/// leader with damage looks for an heir.
inline constexpr auto kAskAgain = std::chrono::seconds(1);

/// Makes one call of the group, which fills the turn it is given, and carries its effects out: now,
/// or when those of the call that this one came out of are.
template <typename Call>
void Replica::run(Call&& call) {
  note_trim();
  Turn turn;
  call(turn);
  if (!group_.has_value()) return;
  if (carrying_out_) {
    later_.push_back(std::move(turn));
    return;
  }
  carrying_out_ = true;
  carry_out(turn);
  // More may come while these are at it.
  for (std::size_t i = 0; i < later_.size(); ++i) {
    Turn next = std::move(later_[i]);
    carry_out(next);
  }
  later_.clear();
  carrying_out_ = false;
  if (group_.has_value() && !closed_) host_.ticker.wake(*this, group_->next_deadline());
}

}  // namespace millrace::replica
