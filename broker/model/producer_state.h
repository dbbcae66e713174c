// const ProducerVerdict verdict = table.check(batch, now);
// if (append) { log.append(batch); table.apply(batch, now); }
//
// What a partition knows of its idempotent producers (KIP-98, KIP-360): enough to tell a retry from
// a new batch.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/model/batch.h"

namespace millrace::model {

/// One appended batch, as a retry would repeat it.
struct ProducedBatch {
  std::int32_t first_sequence = -1;
  std::int32_t last_sequence = -1;
  Offset base_offset{-1};
  Offset last_offset{-1};
  common::Timestamp timestamp{-1};
  bool operator==(const ProducedBatch&) const = default;
};

/// As many batches as a Java producer has in flight when it is idempotent.
inline constexpr std::size_t kProducedBatchesKept = 5;
/// Producers remembered per partition: some 4 MB. Beyond it those idle longest are forgotten.
inline constexpr std::size_t kProducersPerPartitionMax = 20'000;

/// One producer. Batches are oldest first.
struct ProducerEntry {
  ProducerId producer_id = kNoProducerId;
  std::int16_t epoch = -1;
  /// Wall time of its last append: the base of expiry.
  common::Timestamp last_seen{-1};
  std::uint8_t batch_count = 0;
  std::array<ProducedBatch, kProducedBatchesKept> batches;

  const ProducedBatch* newest() const {
    return batch_count == 0 ? nullptr : &batches[batch_count - 1];
  }
  std::int32_t last_sequence() const { return batch_count == 0 ? -1 : newest()->last_sequence; }
  bool operator==(const ProducerEntry&) const = default;
};

/// A producer as DescribeProducers shows it. -1: none.
struct ProducerView {
  ProducerId producer_id = kNoProducerId;
  std::int16_t epoch = -1;
  std::int32_t last_sequence = -1;
  common::Timestamp last_timestamp{-1};
  std::int32_t coordinator_epoch = -1;
  Offset transaction_start{-1};
};

/// What to do with a batch that was checked.
struct ProducerVerdict {
  enum class Action : std::uint8_t { kAppend, kDuplicate, kRefuse };
  Action action = Action::kAppend;
  /// kDuplicate: the batch as it was appended the first time; answer with its offset once that is
  /// committed.
  ProducedBatch original;
  /// kRefuse: kOutOfOrderSequenceNumber or kInvalidProducerEpoch.
  std::optional<Error> error;
};

/// The producers of one partition. Derived from the log alone: applying the same batches gives the
/// same table. Batches that are appended but not yet durable count too. Owned by the partition's
/// shard; not thread-safe.
class ProducerTable {
 public:
  /// Judges a client's batch; changes nothing. Batches without producer id are always appended.
  /// Rules, as Kafka's:
  /// - an epoch below the known one: kInvalidProducerEpoch;
  /// - sequences equal to one of the last five batches of the same epoch: a duplicate of that one;
  /// - a producer not known here: any sequence;
  /// - a newer epoch: must start at sequence 0;
  /// - same epoch: must follow the last sequence (2^31-1 is followed by 0), else
  /// kOutOfOrderSequenceNumber.
  ProducerVerdict check(const BatchView& batch, std::string_view partition) const;
  /// Takes note of an appended batch (offsets already set). Also used to rebuild from the log:
  /// never refuses. `now`: wall time, from which a producer's idle time counts; when rebuilding,
  /// the time of the start.
  void apply(const BatchView& batch, common::Timestamp now);

  /// Forgets producers idle for `idle_ms` or longer. Cost: one pass.
  void expire(common::Timestamp now, std::int64_t idle_ms);
  /// True if a batch at or above `end` is known.
  bool reaches(Offset end) const;
  /// Forgets batches at or above `end`, and producers of which no other is known: one that goes on
  /// is then taken as new, not as one that left a gap.
  void cut(Offset end);
  /// Puts a producer's entry in place of what is known of it: takes back an apply().
  void put(const ProducerEntry& entry) { producers_[entry.producer_id] = entry; }
  void forget(ProducerId id) { producers_.erase(id); }
  void clear();

  std::size_t size() const { return producers_.size(); }
  const ProducerEntry* find(ProducerId id) const;
  /// All producers in order of id.
  std::vector<ProducerEntry> entries() const;
  /// As DescribeProducers shows them, in order of id.
  std::vector<ProducerView> views() const;

  /// The table as bytes: versioned, with a checksum, in order of id.
  common::Bytes serialise() const;
  /// Replaces the contents. Safe on any bytes. kCorruptLog: nothing was changed; rebuild from the
  /// log.
  Result<void> restore(common::ByteView bytes);

 private:
  void forget_idlest(std::size_t count);

  std::unordered_map<ProducerId, ProducerEntry> producers_;
};

}  // namespace millrace::model
