#include "broker/storage/tail.h"

#include <algorithm>

#include "broker/model/batch.h"
#include "common/bulk_copy.h"
#include "common/endian.h"

namespace millrace::storage {
namespace {

using common::ByteView;
using common::load_big;
using model::BatchView;

// Small batches are joined up to this, so that finding one of them stays quick.
constexpr std::size_t kJoinedBytesMax = 32 << 10;

// The header fields that walking needs. The batches were checked when they came into memory.
std::size_t batch_size(const std::uint8_t* at) {
  return model::kBatchPrefixBytes + load_big<std::uint32_t>(at + 8);
}
Offset batch_end(const std::uint8_t* at) {
  return Offset{load_big<std::int64_t>(at) + load_big<std::int32_t>(at + 23) + 1};
}
bool holds_records(const std::uint8_t* at) {
  return load_big<std::int32_t>(at + 57) > 0;
}

}  // namespace

bool BatchCutter::take(const Bytes& bytes, Offset base) {
  CHECK(base <= next_, "a run at {} behind {}", base, next_);
  std::size_t begin = 0;
  // Skip the batches in front of the wanted one.
  while (begin < bytes.size() && batch_end(bytes.data() + begin) <= next_)
    begin += batch_size(bytes.data() + begin);
  std::size_t end = begin;
  bool more = true;
  while (end < bytes.size()) {
    const std::uint8_t* at = bytes.data() + end;
    const std::size_t size = batch_size(at);
    CHECK(size >= model::kBatchHeaderBytes && size <= bytes.size() - end, "a torn batch in memory");
    const Offset after = batch_end(at);
    const bool records = holds_records(at);
    const bool first = records ? !has_records_ : size_ == 0 && end == begin;
    const bool fits = size_ + (end - begin) + size <= limits_.bytes_max;
    if (after > limits_.up_to || !(fits || (first && limits_.at_least_one_batch))) {
      more = false;
      break;
    }
    end += size;
    next_ = after;
    has_records_ = has_records_ || records;
  }
  if (end > begin) {
    size_ += end - begin;
    pieces_.push_back(bytes.slice(begin, end - begin));
  }
  const bool wants = size_ < limits_.bytes_max || (limits_.at_least_one_batch && !has_records_);
  return more && wants;
}

void Tail::add(Bytes batch, Offset base, std::uint64_t stream, bool joinable) {
  if (!empty()) {
    Piece& last = pieces_.back();
    CHECK(last.stream_end() == stream, "the tail ends at {}, not {}", last.stream_end(), stream);
    if (joinable && last.bytes.data() + last.bytes.size() == batch.data() &&
        last.bytes.size() + batch.size() <= kJoinedBytesMax) {
      last.bytes = last.bytes.extended(batch.size());
      return;
    }
  }
  if (pieces_.size() == pieces_.capacity()) compact();
  pieces_.push_back({.bytes = std::move(batch), .base = base, .stream = stream});
}

void Tail::drop_front() {
  CHECK(!empty());
  pieces_[first_].bytes = {};
  ++first_;
  if (empty()) {
    pieces_ = {};  // an idle log keeps no memory
    first_ = 0;
  } else if (first_ >= 64 && first_ * 2 >= pieces_.size()) {
    compact();
  }
}

void Tail::compact() {
  if (first_ == 0) return;
  pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(first_));
  first_ = 0;
}

void Tail::cut(std::uint64_t stream_end) {
  while (!empty() && pieces_.back().stream >= stream_end) pieces_.pop_back();
  if (empty()) {
    pieces_ = {};
    first_ = 0;
    return;
  }
  Piece& last = pieces_.back();
  if (last.stream_end() > stream_end) last.bytes = last.bytes.slice(0, stream_end - last.stream);
}

const Piece& Tail::piece_of(Offset offset) const {
  CHECK(!empty() && start() <= offset, "{} is not in memory", offset);
  auto piece =
      std::upper_bound(pieces_.begin() + static_cast<std::ptrdiff_t>(first_), pieces_.end(), offset,
                       [](Offset wanted, const Piece& other) { return wanted < other.base; });
  return *--piece;
}

void Tail::read(BatchCutter& cutter) const {
  const Piece* const end = pieces_.data() + pieces_.size();
  for (const Piece* piece = &piece_of(cutter.next()); piece != end; ++piece) {
    if (!cutter.take(piece->bytes, piece->base)) return;
  }
}

std::optional<std::uint64_t> Tail::stream_of(Offset offset) const {
  const Piece& piece = piece_of(offset);
  std::size_t at = 0;
  Offset base = piece.base;
  while (at < piece.bytes.size() && base < offset) {
    base = batch_end(piece.bytes.data() + at);
    at += batch_size(piece.bytes.data() + at);
  }
  if (base != offset) return std::nullopt;
  return piece.stream + at;
}

const Piece& Tail::at(std::uint64_t stream) const {
  CHECK(!empty() && stream_start() <= stream && stream < pieces_.back().stream_end());
  auto piece = std::upper_bound(
      pieces_.begin() + static_cast<std::ptrdiff_t>(first_), pieces_.end(), stream,
      [](std::uint64_t position, const Piece& other) { return position < other.stream; });
  return *--piece;
}

void Tail::copy(std::uint64_t stream, common::MutableByteView out) const {
  if (out.empty()) return;
  const Piece* piece = &at(stream);
  std::size_t done = 0;
  while (done < out.size()) {
    CHECK(piece < pieces_.data() + pieces_.size(), "the tail ends before {}", stream + out.size());
    const std::size_t from = stream + done - piece->stream;
    const std::size_t size = std::min(piece->bytes.size() - from, out.size() - done);
    common::bulk_copy(out.data() + done, piece->bytes.view().subspan(from, size));
    done += size;
    ++piece;
  }
}

}  // namespace millrace::storage
