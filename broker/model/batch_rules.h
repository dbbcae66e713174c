// What a client's batch must be before it is appended. Codes and wording as Kafka's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/model/batch.h"
#include "broker/model/topic_settings.h"

namespace millrace::model {

/// A record of a refused batch, for the produce response (KIP-467).
struct RecordError {
  std::int32_t index = 0;
  std::string message;
};

/// Why a batch is refused: one error for the batch, and perhaps the records at fault.
struct BatchRefusal {
  Error error;
  std::vector<RecordError> records;
};

/// A batch that may be appended.
struct AcceptedBatch {
  /// The bytes to append: the client's own, or a new batch if it was compressed anew.
  common::Bytes bytes;
  /// Set when the topic stamps records: what LogAppendTime wrote into the batch.
  std::optional<common::Timestamp> append_time;
  BatchView view() const { return BatchView::parse(bytes).value(); }
};

/// No batch may decompress to more than this.
inline constexpr std::size_t kRecordsBytesMax = 256 << 20;

/// Everything the rules look at beside the bytes. `partition` is "TOPIC-N", for messages.
struct BatchRules {
  const TopicSettings& settings;
  std::string_view partition;
  common::Timestamp now;
  /// False: batches of transactions are refused.
  bool transactions = false;
};

/// The result of accept_batch: exactly one of the two is set.
struct BatchVerdict {
  std::optional<AcceptedBatch> accepted;
  std::optional<BatchRefusal> refused;
};

/// Checks what a client sent for one partition and makes it ready for the log. `records` must hold
/// exactly one v2 batch with base offset 0, a right checksum and matching counts. May write append
/// time into the bytes in place. Without re-compression, append time, time limits into the past and
/// compaction no record is looked at: the cost is the checksum. kCorruptMessage, kInvalidRecord,
/// kMessageTooLarge, kRecordListTooLarge, kInvalidTimestamp, kInvalidTxnState.
BatchVerdict accept_batch(common::Bytes records, const BatchRules& rules);

}  // namespace millrace::model
