// What begins and ends every call of a Group's methods. Only for the group's own files.
#pragma once

#include <algorithm>
#include <iterator>
#include <memory>
#include <vector>

#include "broker/raft/group.h"
#include "common/check.h"

namespace millrace::raft {

/// One call from outside: what it emits behind these marks is held back if the hard state it rests
/// on is not durable.
class Group::Turn {
 public:
  Turn(Group& group, Instant now, Ready& ready)
      : group_(group),
        messages_(ready.messages.size()),
        fetches_(ready.fetches.size()),
        notices_(ready.notices.size()) {
    CHECK(group.out_ == nullptr, "a group is called from within a call");
    group.out_ = &ready;
    group.now_ = now;
  }
  ~Turn() {
    Ready& ready = *group_.out_;
    group_.finish_turn();
    if (group_.holding() && !mutated(Mutation::kSkipHardStateSync)) {
      if (group_.held_ == nullptr) group_.held_ = std::make_unique<Held>();
      move_tail(ready.messages, messages_, group_.held_->messages);
      move_tail(ready.fetches, fetches_, group_.held_->fetches);
      move_tail(ready.notices, notices_, group_.held_->notices);
    } else {
      group_.report(ready);
    }
    group_.out_ = nullptr;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  template <typename T>
  static void move_tail(std::vector<T>& from, std::size_t at, std::vector<T>& to) {
    const auto first = from.begin() + static_cast<std::ptrdiff_t>(at);
    std::move(first, from.end(), std::back_inserter(to));
    from.erase(first, from.end());
  }

  Group& group_;
  std::size_t messages_;
  std::size_t fetches_;
  std::size_t notices_;
};

}  // namespace millrace::raft
