// Partition& partition = *shard.partition(key);
// partition.append(batch, {.acks = Acks::kAll, .origin = Origin::kClient}, [](AppendOutcome done) {
// ... });
//
// One replica of one partition on its shard: checks what producers send, appends it, says what
// readers may see. What is committed, and who leads, is decided by Raft behind this (replica.h).
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
#include "broker/replica/host.h"
#include "broker/replica/replica.h"
#include "broker/storage/log.h"
#include "common/clock.h"

namespace millrace::replica {

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

/// Shard thread only. The Log and the Host outlive it.
///
/// Any replica of a group can be asked anything. Producers are served by the leader, which refuses
/// when it is not (kNotLeaderOrFollower). Readers are served by any replica up to what it knows to
/// be committed, but not by a leader that is not confirmed, or has no lease: it may know less than
/// was shown before.
class Partition {
 public:
  /// Reads back what the log holds of this replica and takes its place in the group. The only
  /// member of a group leads at once.
  Partition(storage::Log& log, const model::TopicSettings& settings, Host& host,
            const Beginning& beginning);
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;
  ~Partition();

  /// Appends one batch (the whole of `batch`), patched in place: its bytes must be the caller's own
  /// until now. A batch that an idempotent producer sent before is answered with its first offset
  /// and not appended again. kNone acks are answered too, at once. Errors as Kafka's produce:
  /// kCorruptMessage, kInvalidRecord, kMessageTooLarge, kInvalidTimestamp,
  /// kOutOfOrderSequenceNumber, kInvalidProducerEpoch, kNoSpace, kCorruptLog, kShuttingDown ...
  /// kNotLeaderOrFollower: not appended, or appended and the leadership was lost before it was
  /// acknowledged: then the outcome is unknown, and a retry of an idempotent producer finds out.
  /// kNotEnoughReplicas: too few are in sync; acks=all only, and nothing was appended.
  void append(Bytes batch, AppendOptions options, Reply<AppendOutcome> done);

  /// Why append() with acks=all would refuse a batch of the broker's own of so many bytes if it
  /// were called now; nullopt: it would take it.
  std::optional<common::Error> refusal(std::size_t batch_bytes) const;

  /// Why this replica does not answer what only a leader can that knows all that is committed, such
  /// as where the log ends: kNotLeaderOrFollower, also from a leader that may be deposed and not
  /// know it; or kOffsetNotAvailable until it is confirmed. nullopt: it answers.
  std::optional<common::Error> leader_refusal() const;
  /// Why a reader is not given what this replica knows to be committed: it leads, and may be
  /// deposed and not know it. nullopt: it is; from one that follows it expects no more. To be asked
  /// after the reader has asked.
  std::optional<common::Error> reader_refusal() const;

  Bounds bounds() const;
  /// The end of what a reader of this isolation sees.
  Offset readable_end(Isolation isolation) const;

  /// Batches from `from` on, up to what the isolation may see (none, if that is all there is).
  /// kOffsetOutOfRange: outside [log_start, log_end]. kOffsetNotAvailable: behind what a replica
  /// that is not the leader may show; the leader may have it. kNotLeaderOrFollower: a leader that
  /// is not confirmed yet. Who reads for others asks reader_refusal() too.
  void read(Offset from, Isolation isolation, std::size_t bytes_max, bool at_least_one_batch,
            Reply<Result<storage::ReadResult>> done);

  /// Refuses a request whose leader epoch is another one: kFencedLeaderEpoch (older),
  /// kUnknownLeaderEpoch (newer). -1: no check.
  Result<void> check_leader_epoch(Term epoch) const;
  /// The end offset of the largest epoch <= `epoch`, with that epoch (KIP-320); {-1, -1} if
  /// `epoch` is newer than all known.
  storage::TermStart end_of_epoch(Term epoch) const;

  void find_time(common::Timestamp target, Isolation isolation,
                 Reply<Result<std::optional<storage::TimedOffset>>> done);
  void find_max_time(Reply<Result<std::optional<storage::TimedOffset>>> done);

  /// Moves the log start up to `offset` (-1: the high watermark); the other replicas follow. Done
  /// when it is durable here and a majority has heard of it: so the next leader knows it too.
  /// kOffsetOutOfRange: beyond the high watermark. kPolicyViolation: the topic's cleanup.policy has
  /// no "delete". kNotLeaderOrFollower.
  void delete_records(Offset offset, Reply<Result<Offset>> done);

  /// Moves the log start up to `offset`, whatever the topic's cleanup.policy: for topics whose
  /// beginning the broker itself makes superfluous. Requires log_start <= offset <= high watermark.
  /// kNotLeaderOrFollower.
  void trim(Offset offset, Reply<Result<void>> done);

  /// A consumer read here: remembered, so that partitions that nobody reads can be told.
  void note_fetch(common::Instant now) { last_fetch_ = now; }
  /// nullopt: nobody since this replica leads.
  std::optional<common::Instant> last_fetch() const { return last_fetch_; }
  /// When this replica began to lead; if it never did, when it was opened.
  common::Instant led_since() const { return led_since_; }

  /// Calls `advanced` once, as soon as readable_end(isolation) > `beyond`, or the partition closes,
  /// or this replica leads no more; never inside this call.
  WatchId watch(Offset beyond, Isolation isolation, common::Function<void()> advanced);
  void unwatch(WatchId id);

  /// Takes new topic settings; they hold for the next append.
  void set_settings(const model::TopicSettings& settings);
  const model::TopicSettings& settings() const { return settings_; }

  std::vector<model::ProducerEntry> producers() const;
  /// Producers idle for longer are forgotten at the next checkpoint (producer.id.expiration.ms).
  void set_producer_expiration_ms(std::int64_t idle_ms) {
    replica_.set_producer_expiration_ms(idle_ms);
  }
  storage::Log& log() { return log_; }
  const storage::Log& log() const { return log_; }

  // ---- The group. See raft::Group for what is not said here.

  /// nullptr: this replica takes no part in its group; replica().refusal() says why.
  const raft::Group* group() const { return replica_.group(); }
  const Replica& replica() const { return replica_; }
  raft::Role role() const;
  /// None: unknown.
  raft::ReplicaId leader() const;
  Term term() const;
  /// It leads, as far as it knows, and knows all that was committed before it did.
  bool is_leader() const { return replica_.confirmed(); }
  /// For a leader: the voters that are caught up. Empty otherwise.
  std::vector<raft::ReplicaId> in_sync() const { return replica_.in_sync(); }

  /// A message for this replica, with what came along (Peers::send).
  void step(const raft::Message& message, const std::vector<Bytes>& data, common::Instant now) {
    replica_.step(message, data, now);
  }
  void suspect(model::BrokerId node) { replica_.suspect(node); }
  void alive(model::BrokerId node) { replica_.alive(node); }
  void restarted(model::BrokerId node) { replica_.restarted(node); }
  void observe_term(Term term) { replica_.observe_term(term); }
  /// Stands for election without waiting, as the first leader of a new group does.
  void campaign() { replica_.campaign(); }
  raft::Refusal transfer(const raft::ReplicaId& to) { return replica_.transfer(to); }
  raft::Refusal reconfigure(raft::Change change, const raft::ReplicaId& replica) {
    return replica_.reconfigure(change, replica);
  }
  raft::Refusal recover_alone() { return replica_.recover_alone(); }

  /// Answers all waiters; later appends get kShuttingDown (also when the topic is deleted:
  /// kUnknownTopicOrPartition). Takes no part in the group any more.
  void close(model::ErrorCode reason);

 private:
  struct Watcher {
    WatchId id;
    Offset beyond;
    Isolation isolation;
    common::Function<void()> advanced;
  };
  struct Parked {
    Offset end;  // answered when everything in front is acknowledged
    Appended answer;
    Reply<AppendOutcome> done;
  };

  void heard(const News& news);
  void role_changed(const raft::RoleChange& change);
  void start_known(Offset start);
  void await_majority(Offset start, Reply<Result<Offset>> done);
  std::optional<common::Error> append_refusal(Acks acks) const;
  std::optional<common::Error> out_of_service() const;
  common::Error not_leader() const;
  common::Error not_sure() const;
  void append_accepted(Bytes batch, AppendOptions options, common::Timestamp append_time,
                       Reply<AppendOutcome> done);
  void answer_duplicate(const model::ProducedBatch& original, AppendOptions options,
                        Reply<AppendOutcome> done);
  void park(Offset end, Appended answer, Reply<AppendOutcome> done);
  void answer_acknowledged();
  void refuse_parked(const common::Error& error);
  enum class Fire : std::uint8_t { kAdvanced, kAll };
  void fire_watchers(Fire which);

  storage::Log& log_;
  model::TopicSettings settings_;
  const common::Clock& clock_;
  const std::string name_;  // "TOPIC-N", for messages
  Offset high_watermark_;
  Offset acknowledged_;
  /// What this replica leads in, as far as it was told; 0: nothing.
  Term leads_in_;
  std::optional<model::ErrorCode> closed_;
  common::Instant led_since_;
  std::optional<common::Instant> last_fetch_;
  std::vector<Watcher> watchers_;
  std::deque<Parked> parked_;  // in order of `end`
  /// As far as a majority has heard of where the log begins, while this replica leads.
  Offset start_known_;
  struct Deletion {
    Offset start;
    Reply<Result<Offset>> done;
  };
  std::vector<Deletion> deletions_;  // durable here
  /// When a batch was refused that may come again, or may have been, by one that does not lead.
  common::Instant refused_at_;
  /// Callbacks of the log may come after this object is gone (a deleted topic): they hold it
  /// weakly.
  std::shared_ptr<Partition*> self_;
  std::uint64_t next_watch_ = 1;
  Replica replica_;
};

}  // namespace millrace::replica
