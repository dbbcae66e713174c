// The end of a log that is in memory: pieces of arenas that lie back to back in the log.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/model/ids.h"
#include "broker/storage/log.h"
#include "common/bytes.h"

namespace millrace::storage {

/// Whole batches that are neighbours in the log and in memory.
struct Piece {
  Bytes bytes;
  model::Offset base;
  /// Position of the first byte in the log's stream.
  std::uint64_t stream = 0;

  std::uint64_t stream_end() const { return stream + bytes.size(); }
};

/// Cuts whole batches out of a run of them, as one read wants it. Batches without records, which
/// compaction leaves, do not count as the one batch that a read gets at least: some clients
/// (kafkajs) ask for the same offset again when an answer has no record, and would never get on.
class BatchCutter {
 public:
  BatchCutter(Offset from, const ReadLimits& limits) : next_(from), limits_(limits) {}
  /// Takes what it may of `bytes`, a run of whole, verified batches that begins with offset `base`
  /// and in which or right behind which next() lies. False: the limits allow no more.
  bool take(const Bytes& bytes, Offset base);
  Offset next() const { return next_; }
  std::size_t size() const { return size_; }
  bool has_records() const { return has_records_; }
  ReadResult result() { return {.pieces = std::move(pieces_), .next_offset = next_}; }

 private:
  Offset next_;
  const ReadLimits limits_;
  std::size_t size_ = 0;
  bool has_records_ = false;
  std::vector<Bytes> pieces_;
};

/// Positions are checked by the owner: what is added follows what is there.
class Tail {
 public:
  bool empty() const { return first_ == pieces_.size(); }
  std::size_t pieces() const { return pieces_.size() - first_; }
  /// The oldest offset in memory. Requires !empty().
  Offset start() const { return pieces_[first_].base; }
  std::uint64_t stream_start() const { return pieces_[first_].stream; }
  const Piece& front() const { return pieces_[first_]; }

  /// Adds one batch. It joins the piece in front of it when `joinable` and their memory touches.
  void add(Bytes batch, Offset base, std::uint64_t stream, bool joinable);
  void drop_front();
  /// Forgets everything from this position on, which is a batch boundary.
  void cut(std::uint64_t stream_end);
  /// Hands the pieces from `cutter.next()` on to the cutter until it has enough. Requires start()
  /// <= cutter.next().
  void read(BatchCutter& cutter) const;
  /// Copies the bytes [stream, stream + out.size()) of the log. Requires them to be here.
  void copy(std::uint64_t stream, common::MutableByteView out) const;
  /// Position of the batch that begins with this offset. Requires the offset to be here or to be
  /// the end's; nullopt: no batch begins there.
  std::optional<std::uint64_t> stream_of(Offset offset) const;
  /// The piece that holds this offset. Requires it to be here.
  const Piece& piece_of(Offset offset) const;
  /// The piece that holds this position. Requires it to be here.
  const Piece& at(std::uint64_t stream) const;

 private:
  void compact();
  std::vector<Piece> pieces_;
  std::size_t first_ = 0;
};

}  // namespace millrace::storage
