// lines_of(cluster.read_all(0)) == lines_of(cluster.read_all(1))
//
// Batches for tests, and looking into logs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/model/producer_state.h"
#include "common/bytes.h"

namespace millrace::replica::testing {

using common::Bytes;

/// A batch as a client sends it.
struct Sent {
  std::int32_t count = 1;
  model::ProducerId producer = model::kNoProducerId;
  std::int32_t sequence = 0;
  /// The first record's value is this text, the others' are empty.
  std::string text = "v";
  std::optional<std::string> key;
  std::size_t padding = 0;
};
Bytes batch(const Sent& sent);
/// The text of the first record; empty where the batch has none.
std::string text_of(const Bytes& batch);

/// "offset: text of term" of each batch.
std::vector<std::string> lines_of(const std::vector<Bytes>& batches);
/// What a log with these batches makes of the producers, without the times of their last appends.
std::vector<model::ProducerEntry> replayed(const std::vector<Bytes>& batches);
/// One line: each producer with the base offsets of its batches.
std::string text_of(const std::vector<model::ProducerEntry>& entries);
std::vector<model::ProducerEntry> without_times(std::vector<model::ProducerEntry> entries);

/// Where a table of producers differs from what a log tells of them, which has these batches and
/// begins at `start`; nullopt: nowhere. It may know more, of what lay in front of the start. Not
/// for logs that were compacted, and where producers were forgotten.
std::optional<std::string> producers_fault(const std::vector<model::ProducerEntry>& table,
                                           const std::vector<Bytes>& batches, model::Offset start);

}  // namespace millrace::replica::testing
