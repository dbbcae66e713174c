// removals.begin();   ...   removals.look();
//
// What a broker does about deleted topics: its shards remove their logs, and then it says so.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "broker/metadata/records.h"
#include "broker/service/shard.h"
#include "broker/storage/lifeline.h"

namespace millrace::service {

/// First shard's loop. A topic that is being removed goes: files there -> files gone -> confirmed
/// in the metadata. A confirmation that does not get through is sent again; a removal that fails is
/// tried at the next start.
class TopicRemovals {
 public:
  /// confirm(topics, done): commits that this broker holds nothing of them any more.
  using Confirm =
      common::Function<void(std::vector<model::TopicId>, common::Reply<common::Result<void>>)>;
  TopicRemovals(Shard& first, Confirm confirm);
  ~TopicRemovals();

  /// From now on: partitions are open.
  void begin();
  /// After every change of the image, when all shards have it.
  void look();
  void close();

 private:
  enum class State : std::uint8_t { kRemoving, kFailed, kGone };

  void remove(const model::TopicId& topic);
  void confirm_gone();
  void try_later();

  Shard& first_;
  Confirm confirm_;
  std::map<model::TopicId, State> topics_;
  bool begun_ = false;
  bool closed_ = false;
  bool confirming_ = false;
  env::TimerId timer_ = env::TimerId::kNone;
  common::Duration delay_;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
