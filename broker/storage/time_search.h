// Finding records by their time (KIP-79, KIP-734).
#pragma once

#include <memory>
#include <optional>

#include "broker/storage/log.h"

namespace millrace::storage {

class PartitionLog;
class Shard;

/// Walks the batches of a log that may hold the answer, in memory and on disk, and looks into the
/// records of those that do. Lives until it has answered. Shard thread only.
class TimeSearch : public std::enable_shared_from_this<TimeSearch> {
 public:
  using Found = std::optional<TimedOffset>;
  using Done = Reply<Result<Found>>;

  /// The first record below `up_to` that is not older than `target`.
  static void first_at(Shard& shard, PartitionLog& log, common::Timestamp target, Offset up_to,
                       Done done);
  /// The earliest of the newest records below `up_to`.
  static void newest(Shard& shard, PartitionLog& log, Offset up_to, Done done);

 private:
  enum class Want : std::uint8_t { kFirst, kNewest };
  struct Private {};

 public:
  TimeSearch(Private, Shard& shard, PartitionLog& log, Want want, common::Timestamp target,
             Offset from, Offset up_to, Done done);
  ~TimeSearch();

 private:
  static void search(Shard& shard, PartitionLog& log, Want want, common::Timestamp target,
                     Offset from, Offset up_to, Done done);
  void go_on();
  bool walk(const Bytes& bytes, Offset base);
  void finish(Result<Found> answer);

  Shard& shard_;
  PartitionLog& log_;
  const Want want_;
  const common::Timestamp target_;
  const Offset up_to_;
  Offset next_;
  Offset sought_in_{-1};  // base of the segment whose index was asked
  Found best_;
  Done done_;
};

}  // namespace millrace::storage
