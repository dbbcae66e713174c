// auto feed = Feed::make(shard, unpacked, settings, events);
// feed->add(assigned);   feed->want(bytes);   feed->take(portion, records);   feed->drop(keys);
//
// The records of a set of partitions that changes while it is read: what a Subscribe call delivers.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/grpc/record_decoder.h"
#include "broker/service/fetch_anywhere.h"
#include "broker/service/group_member.h"
#include "broker/service/offsets_anywhere.h"

namespace millrace::grpc {

/// Where a partition of a feed begins, or goes on.
struct Position {
  model::PartitionKey key;
  std::string topic;
  model::Offset offset;
  /// It is the group's committed offset.
  bool committed = false;
};

/// What a feed tells its owner, on the shard's loop.
class FeedEvents {
 public:
  virtual ~FeedEvents() = default;
  /// It may be worth calling take() or want() again.
  virtual void on_ready() = 0;
  /// These partitions are found and will be read.
  virtual void on_positions(const std::vector<Position>& positions) = 0;
  /// The offset at `from` is not in the log; the partition goes on as `to` says.
  virtual void on_repositioned(model::Offset from, const Position& to) = 0;
  /// Nothing more comes.
  virtual void on_feed_failed(const common::Error& error) = 0;
};

/// Holds one fetch's worth of batches at most, and fetches again only when they are used up.
/// Shard thread only.
class Feed : public std::enable_shared_from_this<Feed> {
 public:
  /// Where a partition begins without a usable offset.
  enum class Without : std::uint8_t { kLatest, kEarliest, kNone };
  struct Settings {
    Without without_offset = Without::kLatest;
    std::size_t bytes_max = 1 << 20;  // of one fetch, as stored
  };

  /// `events` and `unpacked` must stay until close().
  static std::shared_ptr<Feed> make(service::Shard& shard, UnpackedBytes& unpacked,
                                    Settings settings, FeedEvents& events);

  /// Begins to find where to read them; on_positions() follows. None of them may be here already.
  void add(const std::vector<service::AssignedPartition>& partitions);
  /// They are gone at once, with what was fetched of them.
  void drop(const std::vector<model::PartitionKey>& keys);
  /// What is undelivered of them stays in the log until they are resumed. Unknown keys are ignored.
  void pause(const model::PartitionKey& key);
  void resume(const model::PartitionKey& key);

  /// Nothing to take now.
  bool empty() const;
  /// Fetches, unless there is something to take or on its way; on_ready() follows.
  void want();
  /// Records of one topic, which is the answer; none, when only control records were there.
  /// Requires !empty(). Errors as RecordDecoder::take, but for a lack of memory, which is waited
  /// for.
  common::Result<model::TopicId> take(RecordDecoder::Portion portion, RecordDecoder::Records& out);
  /// No event comes any more, nothing is held.
  void close();

 private:
  struct Place {
    std::string topic;
    model::Offset next;
    bool finding = false;  // the offset is being looked up
    bool found = false;    // on_positions() told of it
    bool paused = false;
    bool resting = false;  // it could not be read a moment ago
    std::uint64_t life = 0;
  };
  struct Asked {
    model::PartitionKey key;
    model::Offset from;
    std::uint64_t life;
  };

  Feed(service::Shard& shard, UnpackedBytes& unpacked, Settings settings, FeedEvents& events)
      : shard_(shard), unpacked_(unpacked), settings_(settings), events_(&events) {}
  void find(const std::vector<model::PartitionKey>& keys);
  void take_positions(const std::vector<Asked>& asked,
                      const std::vector<service::OffsetAnswer>& answers);
  void take_outcomes(const std::vector<Asked>& asked, std::vector<service::FetchOutcome>& outcomes);
  void rest();
  void fail(const common::Error& error);
  RecordDecoder& decoder(const model::PartitionKey& key, const std::string& topic);
  Place* same(const Asked& asked);
  void interrupt();

  service::Shard& shard_;
  UnpackedBytes& unpacked_;
  const Settings settings_;
  FeedEvents* events_;  // null once closed
  std::map<model::PartitionKey, Place> places_;
  std::map<model::TopicId, std::unique_ptr<RecordDecoder>> decoders_;
  model::TopicId last_topic_;  // whose turn it was
  bool fetching_ = false;
  std::shared_ptr<service::FetchHandle> fetch_;
  bool short_of_memory_ = false;
  env::TimerId rest_timer_ = env::TimerId::kNone;
  std::size_t turns_ = 0;
  std::uint64_t lives_ = 0;
};

}  // namespace millrace::grpc
