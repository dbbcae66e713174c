// Credit credit({.records = 500, .bytes = 8 << 20});
// while (credit.open()) { ...send a record...; credit.delivered(key, offset, bytes); }
// credit.give(10, 0);   credit.take_done();
//
// What a subscriber lets come, and what it is done with. proto/millrace/v1/subscriber.proto
// (Credit) has the rules.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "broker/model/errors.h"
#include "broker/model/ids.h"

namespace millrace::grpc {

/// Most credit of one stream: that given and unused, and that used by records not done with.
inline constexpr std::int64_t kCreditRecordsMax = 100'000;
inline constexpr std::int64_t kCreditBytesMax = 1LL << 30;

/// The credit of one stream. Not thread-safe.
class Credit {
 public:
  struct Amount {
    std::int64_t records = 0;
    std::int64_t bytes = 0;
  };
  /// A partition and the offset after the last of its records that the client is done with.
  struct Done {
    model::PartitionKey key;
    model::Offset next;
    bool operator==(const Done&) const = default;
  };

  /// More credit, and that many of the oldest records are done with. kInvalidRequest: negative, or
  /// beyond the limits; then nothing changed.
  common::Result<void> give(Amount amount);
  /// Whether one more record may be sent. The last one may cost more bytes than are left.
  bool open() const { return left_.records > 0 && left_.bytes > 0; }
  const Amount& left() const { return left_; }
  /// A record was sent. Requires open(); of one partition in ascending order of offsets.
  void delivered(const model::PartitionKey& key, model::Offset offset, std::int64_t bytes);
  /// Records sent that are not done with.
  std::int64_t outstanding() const { return outstanding_; }

  /// The client begins to read a partition at `offset`; `moved`: and the group does not know that.
  void begin(const model::PartitionKey& key, model::Offset offset, bool moved);
  /// The partition is not this stream's any more: what was sent of it still uses up credit, and is
  /// never done.
  void forget(const model::PartitionKey& key);

  /// How far the client is in each partition, where that moved since it was taken last; in order of
  /// keys.
  std::vector<Done> take_done();
  /// The same, whether it moved or not.
  std::vector<Done> done() const;
  /// The client has the group's place stored itself: what is done goes on from there, and never
  /// back because of records that were sent before.
  void put(const model::PartitionKey& key, model::Offset next);
  /// What was taken of this partition did not arrive: it counts as moved again.
  void take_again(const model::PartitionKey& key);

 private:
  /// Records of one partition with dense offsets. Runs bound what is kept: at worst one for each
  /// outstanding record.
  struct Run {
    model::PartitionKey key;
    model::Offset first;
    std::int64_t records = 0;
    std::int64_t bytes = 0;
    bool forgotten = false;
  };
  struct Place {
    model::Offset next;
    bool moved = false;
  };

  void finish(std::int64_t records);

  Amount left_;
  Amount used_;  // by records that are not done with
  std::int64_t outstanding_ = 0;
  std::deque<Run> runs_;  // in the order in which they were sent
  std::map<model::PartitionKey, Place> places_;
};

}  // namespace millrace::grpc
