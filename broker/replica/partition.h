// Partition& partition = *shard.partition(key);
// partition.append(batch, {.acks = Acks::kAll, .origin = Origin::kClient}, [](AppendOutcome done) {
// ... });
//
// One replica of one partition on its shard: checks what producers send, appends it, says what
// readers may see. With one broker a write is committed when it is durable here; with several, Raft
// decides behind this same interface.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/model/batch.h"
#include "broker/model/batch_rules.h"
#include "broker/model/producer_state.h"
#include "broker/model/topic_settings.h"
#include "broker/storage/log.h"
#include "common/clock.h"

namespace millrace::replica {

using common::Bytes;
using common::Reply;
using common::Result;
using model::Offset;
using model::Term;

/// When a producer wants its answer. All: when the write is committed. Leader: when it is in the
/// leader's log.
enum class Acks : std::int8_t { kNone = 0, kLeader = 1, kAll = -1 };

/// Who made the batch: a client's is checked against the topic's settings, the broker's own is
/// trusted.
enum class Origin : std::uint8_t { kClient, kBroker };

struct AppendOptions {
  Acks acks = Acks::kAll;
  Origin origin = Origin::kClient;
};

struct Appended {
  /// Of the batch's first record; for a repeated batch, where it was appended the first time.
  Offset base_offset;
  /// Set when the topic stamps batches itself (message.timestamp.type=LogAppendTime), else -1. Of a
  /// repeated batch: the stamp of the first time.
  common::Timestamp append_time{-1};
  Offset log_start;
};

/// The outcome of an append: `error` is set when it was refused or failed; then `records` may name
/// those at fault (KIP-467).
struct AppendOutcome {
  std::optional<common::Error> error;
  std::vector<model::RecordError> records;
  Appended appended;
};

/// Where a reader may go. LSO: last stable offset, the end of what read_committed sees.
struct Bounds {
  Offset log_start;
  Offset high_watermark;
  Offset last_stable;
  Offset log_end;
  Term leader_epoch;
};

enum class Isolation : std::uint8_t { kReadUncommitted = 0, kReadCommitted = 1 };

/// Names one waiter on one partition.
enum class WatchId : std::uint64_t { kNone = 0 };

/// What the log needs of a topic's settings.
storage::LogSettings log_settings(const model::TopicSettings& settings);

/// Shard thread only. The Log outlives it.
class Partition {
 public:
  /// Restores the producers' state from the log and begins a new term: from here on this replica
  /// leads. What the log holds at this moment is committed: it was read back from the disk.
  Partition(storage::Log& log, const model::TopicSettings& settings, const common::Clock& clock);
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;
  ~Partition();

  /// Appends one batch (the whole of `batch`), patched in place: its bytes must be the caller's own
  /// until now. A batch that an idempotent producer sent before is answered with its first offset
  /// and not appended again. kNone acks are answered too, at once. Errors as Kafka's produce:
  /// kCorruptMessage, kInvalidRecord, kMessageTooLarge, kInvalidTimestamp,
  /// kOutOfOrderSequenceNumber, kInvalidProducerEpoch, kNoSpace, kCorruptLog, kShuttingDown ...
  void append(Bytes batch, AppendOptions options, Reply<AppendOutcome> done);

  /// Why append() would refuse a batch of the broker's own of so many bytes if it were called now;
  /// nullopt: it would take it.
  std::optional<common::Error> refusal(std::size_t batch_bytes) const;

  Bounds bounds() const;
  /// The end of what a reader of this isolation sees.
  Offset readable_end(Isolation isolation) const;

  /// Batches from `from` on, up to what the isolation may see (none, if that is all there is).
  /// kOffsetOutOfRange: outside [log_start, log_end].
  void read(Offset from, Isolation isolation, std::size_t bytes_max, bool at_least_one_batch,
            Reply<Result<storage::ReadResult>> done);

  /// Refuses a request whose leader epoch is another one: kFencedLeaderEpoch (older),
  /// kUnknownLeaderEpoch (newer). -1: no check.
  Result<void> check_leader_epoch(Term epoch) const;
  /// The end offset of the largest epoch <= `epoch`, with that epoch (KIP-320); {-1, -1} if it is
  /// before all known.
  storage::TermStart end_of_epoch(Term epoch) const;

  void find_time(common::Timestamp target, Isolation isolation,
                 Reply<Result<std::optional<storage::TimedOffset>>> done);
  void find_max_time(Reply<Result<std::optional<storage::TimedOffset>>> done);

  /// Moves the log start up to `offset` (-1: the high watermark). kOffsetOutOfRange: beyond the
  /// high watermark. kPolicyViolation: the topic's cleanup.policy has no "delete".
  void delete_records(Offset offset, Reply<Result<Offset>> done);

  /// Moves the log start up to `offset`, whatever the topic's cleanup.policy: for topics whose
  /// beginning the broker itself makes superfluous. Requires log_start <= offset <= high watermark.
  void trim(Offset offset, Reply<Result<void>> done);

  /// A consumer read here: remembered, so that partitions that nobody reads can be told.
  void note_fetch(common::Instant now) { last_fetch_ = now; }
  /// nullopt: nobody since this replica leads.
  std::optional<common::Instant> last_fetch() const { return last_fetch_; }
  common::Instant led_since() const { return led_since_; }

  /// Calls `advanced` once, as soon as readable_end(isolation) > `beyond` or the partition closes;
  /// never inside this call.
  WatchId watch(Offset beyond, Isolation isolation, common::Function<void()> advanced);
  void unwatch(WatchId id);

  /// Takes new topic settings; they hold for the next append.
  void set_settings(const model::TopicSettings& settings);
  const model::TopicSettings& settings() const { return settings_; }

  std::vector<model::ProducerEntry> producers() const;
  /// Producers idle for longer are forgotten at the next checkpoint (producer.id.expiration.ms).
  void set_producer_expiration_ms(std::int64_t idle_ms) { producer_expiration_ms_ = idle_ms; }
  storage::Log& log() { return log_; }
  const storage::Log& log() const { return log_; }

  /// Answers all waiters; later appends get kShuttingDown (also when the topic is deleted:
  /// kUnknownTopicOrPartition).
  void close(model::ErrorCode reason);

 private:
  struct Watcher {
    WatchId id;
    Offset beyond;
    Isolation isolation;
    common::Function<void()> advanced;
  };
  struct Parked {
    Offset committed_at;  // answered when the high watermark reaches this
    Appended answer;
    Reply<AppendOutcome> done;
  };

  void restore_producers();
  Bytes producer_snapshot();
  storage::CompactionLimits compaction_limits() const;
  void append_accepted(Bytes batch, AppendOptions options, common::Timestamp append_time,
                       Reply<AppendOutcome> done);
  void answer_duplicate(const model::ProducedBatch& original, AppendOptions options,
                        Reply<AppendOutcome> done);
  void park(Offset committed_at, Appended answer, Reply<AppendOutcome> done);
  void set_high_watermark(Offset offset);
  void fire_watchers();
  bool relaxed() const { return settings_.flush_mode == model::FlushMode::kRelaxed; }

  storage::Log& log_;
  model::TopicSettings settings_;
  const common::Clock& clock_;
  model::ProducerTable producers_;
  Term term_;
  Offset high_watermark_;
  std::optional<model::ErrorCode> closed_;
  const common::Instant led_since_;
  std::optional<common::Instant> last_fetch_;
  std::vector<Watcher> watchers_;
  std::deque<Parked> parked_;  // in order of committed_at
  std::string name_;           // "TOPIC-N", for messages
  /// Callbacks of the log may come after this object is gone (a deleted topic): they hold it
  /// weakly.
  std::shared_ptr<Partition*> self_;
  // Why the log refused the append that is being made.
  std::optional<common::Error> refusal_;
  std::uint64_t next_watch_ = 1;
  std::int64_t producer_expiration_ms_ = 86'400'000;
};

}  // namespace millrace::replica
