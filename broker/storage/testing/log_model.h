// What a store must hold, told by the operations that were asked of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/storage/store.h"

namespace millrace::storage::testing {

/// One partition as plain values.
struct ModelState {
  struct Batch {
    Offset base;
    Offset next;
    Bytes bytes;
  };
  bool exists = false;
  Offset start;
  std::vector<Batch> batches;
  std::vector<TermStart> terms;

  Offset end() const { return batches.empty() ? floor : batches.back().next; }
  /// The bytes of the batches that hold [from, to).
  std::vector<std::uint8_t> content(Offset from, Offset to) const;
  /// End of an empty log.
  Offset floor;
  /// Compaction was told that it may go up to here.
  Offset compactable_to;
  /// What the replica put last.
  std::string replica_state;
  /// Says what the producers were when the log began: 0 for a new one, else what a reset told.
  std::uint64_t producers_base = 0;
  /// Says what the producers are at this offset, a batch boundary: of all that was appended in
  /// front of it.
  std::uint64_t producers_at(Offset at) const;
  /// The end of the first batch that ends at or behind this offset, or the end of all.
  Offset boundary(Offset at) const;
  /// Nullopt: these bytes are what a read of [from, to) may bring. `whole`: it is all that the log
  /// holds.
  std::optional<std::string> mismatch(Offset from, Offset to,
                                      const std::vector<std::uint8_t>& bytes, bool whole) const;
};

/// One change of a partition.
struct ModelOperation {
  enum class Kind : std::uint8_t {
    kCreate,
    kRemove,
    kAppend,
    kTruncate,
    kStart,
    kTerm,
    kState,
    kReset,
    kCompactable,  // nothing that anybody waits for: from then on some records may be gone
  };
  Kind kind = Kind::kCreate;
  Offset offset;
  model::Term term;
  std::vector<ModelState::Batch> batches;
  std::string replica_state;
  /// Of kReset; no term: none.
  std::optional<TermStart> first;
  std::uint64_t producers = 0;

  void apply(ModelState& state) const;
  std::string text() const;
};

/// A partition's key with all that was asked of it since it was last known for sure. The journal
/// keeps the order of what it is told, so after a crash the store must hold what some first part of
/// the operations leads to, and that part has everything in it that was acknowledged.
class PartitionModel {
 public:
  explicit PartitionModel(const PartitionKey& key) : key_(key) {}
  const PartitionKey& key() const { return key_; }
  /// With all operations, acknowledged or not.
  const ModelState& now() const { return now_; }
  /// Notes an operation. Answers its number for acknowledged().
  std::size_t add(ModelOperation operation);
  /// The latest operation was refused and did nothing.
  void take_back();
  void acknowledged(std::size_t number);
  /// Counts truncations and removals: what a read that began earlier may bring is then open.
  std::uint64_t breaks() const { return breaks_; }

  /// What a store holds after a restart.
  struct Observed {
    bool exists = false;
    Offset start;
    Offset end;
    std::vector<TermStart> terms;
    std::vector<std::uint8_t> content;  // from the batch that holds start
    std::string replica_state;
    /// What was handed over of the producers.
    struct Producers {
      Offset at;
      /// Nullopt: they need not be checked.
      std::optional<std::uint64_t> known;
    };
    Producers producers;
  };
  /// Nullopt: as it must be; from then on that is what is known for sure. Otherwise what is wrong.
  std::optional<std::string> settle(const Observed& observed);

 private:
  const PartitionKey key_;
  ModelState sure_;
  std::vector<ModelOperation> operations_;  // since sure_
  std::size_t acknowledged_ = 0;            // so many of them
  std::uint64_t numbers_before_ = 0;        // operations that sure_ has in it
  ModelState now_;
  ModelState before_last_;
  std::uint64_t breaks_ = 0;
};

}  // namespace millrace::storage::testing
