#include "broker/cluster/frame_input.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace millrace::cluster {

using common::Error;
using common::MutableByteView;
using model::ErrorCode;

namespace {

// Where large frames are expected, only so much is read at first, so that their data need not be
// copied out of the scratch buffer: a head and the body of a frame with few messages.
constexpr std::size_t kCautiousBytes = 1024;

}  // namespace

MutableByteView FrameInput::space(MutableByteView scratch) {
  CHECK(scratch.size() >= kHeadBytes);
  direct_ = phase_ != Phase::kHead && wanted_ - filled_ >= kDirectBytesMin;
  if (direct_) {
    make_room(1);
    return block_.mutable_view().subspan(filled_);
  }
  if (expects_large_ && phase_ == Phase::kHead)
    scratch = scratch.first(std::min(scratch.size(), kCautiousBytes));
  scratch_ = scratch;
  return scratch;
}

Result<void> FrameInput::take(std::size_t count, FrameSink& sink) {
  if (!direct_) return take_from_scratch(scratch_.first(count), sink);
  CHECK(count <= block_.size() - filled_);
  filled_ += count;
  if (filled_ < wanted_) return {};
  return end_phase(block_, sink);
}

Result<void> FrameInput::take_from_scratch(ByteView bytes, FrameSink& sink) {
  // A phase that wants nothing ends at once.
  while (!bytes.empty() || wanted_ == 0) {
    const ByteView part = bytes.first(std::min(bytes.size(), wanted_ - filled_));
    bytes = bytes.subspan(part.size());
    if (filled_ == 0 && part.size() == wanted_) {
      TRY(end_phase(part, sink));
      continue;
    }
    if (phase_ == Phase::kHead) {
      std::ranges::copy(part, head_bytes_.begin() + static_cast<std::ptrdiff_t>(filled_));
    } else {
      make_room(part.size());
      std::memcpy(block_.mutable_data() + filled_, part.data(), part.size());
    }
    filled_ += part.size();
    if (filled_ == wanted_)
      TRY(end_phase(phase_ == Phase::kHead ? ByteView(head_bytes_) : ByteView(block_), sink));
  }
  return {};
}

// `whole`: what this phase wanted, in block_ or elsewhere.
Result<void> FrameInput::end_phase(ByteView whole, FrameSink& sink) {
  switch (phase_) {
    case Phase::kHead:
      return on_head(whole);
    case Phase::kBody:
      TRY(check_body(head_, whole));
      return begin_piece(sink.on_body(head_, take_block(whole)));
    case Phase::kPiece:
      return begin_piece(sink.on_piece(take_block(whole)));
  }
  return {};
}

Result<void> FrameInput::on_head(ByteView head) {
  TRY_ASSIGN(head_, read_head(head, data_bytes_max_));
  data_left_ = head_.data_bytes;
  begin(Phase::kBody, head_.body_bytes);
  return {};
}

Result<void> FrameInput::begin_piece(Result<std::size_t> wanted) {
  TRY_ASSIGN(const std::size_t size, std::move(wanted));
  if (size > data_left_ || (size == 0) != (data_left_ == 0))
    return Error{ErrorCode::kCorruptMessage, "the data of a frame is not what its body says"};
  data_left_ -= size;
  if (size > 0) {
    begin(Phase::kPiece, size);
  } else {
    expects_large_ = head_.data_bytes >= 2 * kDirectBytesMin;
    begin(Phase::kHead, kHeadBytes);
  }
  return {};
}

void FrameInput::begin(Phase phase, std::size_t wanted) {
  phase_ = phase;
  wanted_ = wanted;
  filled_ = 0;
}

// Room for `more` bytes behind those that are here, and never more in all than is wanted.
void FrameInput::make_room(std::size_t more) {
  CHECK(filled_ + more <= wanted_);
  if (filled_ + more <= block_.size()) return;
  const std::size_t room = std::max({filled_ + more, kFirstBytes, block_.size() * 2});
  Bytes larger = Bytes::allocate(std::min(room, wanted_));
  if (filled_ > 0) std::memcpy(larger.mutable_data(), block_.data(), filled_);
  block_ = std::move(larger);
}

Bytes FrameInput::take_block(ByteView whole) {
  if (whole.data() != block_.data()) return Bytes::copy_of(whole);
  CHECK(block_.size() == whole.size());
  return std::exchange(block_, Bytes());
}

}  // namespace millrace::cluster
