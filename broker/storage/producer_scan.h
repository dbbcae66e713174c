// Batches of producers that are in segments only, looked for at start-up.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "broker/model/errors.h"
#include "broker/storage/segment_scan.h"

namespace millrace::storage {

/// Where to look: in [from, end of the segments), of which the last one is to be read up to
/// `until`.
struct ProducerSearch {
  std::string folder;
  std::vector<Segment> segments;
  /// Of the log; they outlive the search.
  std::span<const TermStart> terms;
  std::uint64_t until = 0;
  model::Offset from;
  /// Of a batch in front of `from` or there, in the first segment. Where it is 0 and the segment
  /// has an index file, that is asked.
  IndexEntry place;
  /// No more than this of the newest batches; the first one of them moves `from`.
  std::uint64_t bytes_max = UINT64_MAX;
};

/// What was found.
struct ProducersInFiles {
  std::vector<Bytes> batches;  // oldest first
  model::Offset from;
  /// The first place that cannot be read: nothing behind it was looked at.
  struct Damage {
    model::Offset offset;  // of the batch that belongs there
    model::Offset segment_base;
    std::uint64_t position = 0;
    common::Error error;
  };
  std::optional<Damage> damage;
};

/// Blocking. Errors are the disk's.
Result<ProducersInFiles> find_producers(env::Disk& disk, const ProducerSearch& search);

}  // namespace millrace::storage
