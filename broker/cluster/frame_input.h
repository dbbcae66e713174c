// const auto space = input.space(scratch);
// TRY(input.take(read_into(space), sink));
//
// Cuts what arrives on one connection into frames, and the data of each into the pieces that its
// reader asks for.
#pragma once

#include <array>
#include <cstddef>

#include "broker/cluster/frames.h"

namespace millrace::cluster {

/// What frames are for.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  /// A frame has come as far as its body. Answers how large the first piece of its data is; 0: none
  /// is left. An error ends the connection; kCorruptMessage says that the peer is to blame.
  virtual Result<std::size_t> on_body(const FrameHead& head, Bytes body) = 0;
  /// The piece asked for, in memory of its own. Answers how large the next one is.
  virtual Result<std::size_t> on_piece(Bytes piece) = 0;
};

/// Small things come out of a scratch buffer that all connections of a shard share; the bytes of a
/// large piece are read straight to where they stay. Memory follows the bytes that really arrive,
/// so that a length which is a lie costs nothing.
class FrameInput {
 public:
  /// A piece of which at least so much is missing is read straight into its place.
  static constexpr std::size_t kDirectBytesMin = std::size_t{16} << 10;
  /// A larger piece begins with this much memory, and gets twice as much whenever that is full.
  static constexpr std::size_t kFirstBytes = std::size_t{1} << 20;

  explicit FrameInput(std::size_t data_bytes_max) : data_bytes_max_(data_bytes_max) {}

  /// Where the next bytes go: in `scratch`, or in the piece that is on its way. Never empty. take()
  /// must follow. Requires room for a head in `scratch`.
  common::MutableByteView space(common::MutableByteView scratch);
  /// Takes the first `count` bytes of the last space(). kCorruptMessage, or the sink's error: the
  /// connection is of no more use.
  Result<void> take(std::size_t count, FrameSink& sink);

  /// Memory held now.
  std::size_t held_bytes() const { return block_.size(); }
  /// Whether nothing of a frame is here.
  bool between_frames() const { return phase_ == Phase::kHead && filled_ == 0; }

 private:
  enum class Phase : std::uint8_t { kHead, kBody, kPiece };

  Result<void> take_from_scratch(ByteView bytes, FrameSink& sink);
  Result<void> end_phase(ByteView whole, FrameSink& sink);
  Result<void> on_head(ByteView head);
  Result<void> begin_piece(Result<std::size_t> wanted);
  void begin(Phase phase, std::size_t wanted);
  void make_room(std::size_t more);
  Bytes take_block(ByteView whole);

  std::size_t data_bytes_max_;
  Phase phase_ = Phase::kHead;
  std::size_t wanted_ = kHeadBytes;  // of this phase
  std::size_t filled_ = 0;           // of them here already
  FrameHead head_;
  std::size_t data_left_ = 0;  // of the frame, behind the piece that is on its way
  Bytes block_;                // what is here of a body or piece, where not all of it is
  std::array<std::uint8_t, kHeadBytes> head_bytes_{};
  bool direct_ = false;  // the last space() was in block_, not in scratch_
  ByteView scratch_;
  bool expects_large_ = false;  // as the last frame was
};

}  // namespace millrace::cluster
