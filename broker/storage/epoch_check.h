// EpochCheck epochs(log.term_starts(), Offset{40});   if (!epochs.passes(batch)) ...
//
// Whether batches say of themselves that they are of the term that wrote them.
#pragma once

#include <optional>
#include <span>

#include "broker/model/batch.h"
#include "broker/storage/log.h"

namespace millrace::storage {

/// A batch's leader epoch lies outside its checksum: the log's term starts alone tell that it has
/// rotted. Batches are asked about in the order of their offsets, and each costs one comparison.
class EpochCheck {
 public:
  /// `starts` as Log::term_starts(), and they outlive this. No batch begins in front of `from`.
  EpochCheck(std::span<const TermStart> starts, Offset from);
  /// True also where nothing is known: in front of the first start.
  bool passes(const model::BatchView& batch);

 private:
  std::span<const TermStart> ahead_;
  std::optional<Term> term_;  // of the batch asked about last
};

}  // namespace millrace::storage
