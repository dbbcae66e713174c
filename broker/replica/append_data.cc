#include "broker/replica/append_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "common/check.h"

namespace millrace::replica {
namespace {

using model::BatchView;

// More than anybody writes between two records that stay; bounds what filling takes.
constexpr std::int64_t kHoleMax = std::int64_t{1} << 41;

/// Walks over the whole batches of all pieces; they were parsed before.
template <typename Visit>
void for_each_batch(const std::vector<Bytes>& data, Visit visit) {
  for (const Bytes& piece : data) {
    for (std::size_t at = 0; at < piece.size();) {
      const auto batch = BatchView::parse(piece.view().subspan(at));
      CHECK(batch.ok(), "data that was checked: {}", batch.error().detail);
      visit(piece, at, *batch);
      at += batch->size();
    }
  }
}

/// Adds batches without records for [from, to).
void fill(std::vector<Bytes>& pieces, OffsetRange hole, model::Term term) {
  constexpr std::int64_t kOffsetsMax = std::numeric_limits<std::int32_t>::max();
  while (hole.from < hole.to) {
    const std::int64_t count = std::min(hole.to - hole.from, kOffsetsMax);
    Bytes batch = Bytes::allocate(model::kBatchHeaderBytes);
    model::seal_batch(batch.mutable_view(),
                      {.base_offset = hole.from,
                       .leader_epoch = term,
                       .last_offset_delta = static_cast<std::int32_t>(count - 1),
                       .base_timestamp = common::Timestamp{-1},
                       .max_timestamp = common::Timestamp{-1}});
    pieces.push_back(std::move(batch));
    hole.from = hole.from + count;
  }
}

/// The same batches, of this term.
Bytes of_term(const Bytes& batches, model::Term term) {
  Bytes copy = Bytes::copy_of(batches.view());
  for (std::size_t at = 0; at < copy.size();) {
    const common::MutableByteView rest = copy.mutable_view().subspan(at);
    const auto batch = BatchView::parse(rest);
    CHECK(batch.ok(), "data that was checked: {}", batch.error().detail);
    model::set_position(rest, batch->base_offset(), term);
    at += batch->size();
  }
  return copy;
}

std::optional<std::string> fault_of_hole(const raft::Append& append, OffsetRange hole) {
  if (hole.from == hole.to) return std::nullopt;
  if (hole.to <= append.commit && hole.to - hole.from <= kHoleMax) return std::nullopt;
  return fmt::format("nothing lies in [{}, {}), committed is {}", hole.from, hole.to,
                     append.commit);
}

/// `next`: where it was to begin.
std::optional<std::string> fault_of_batch(const raft::Append& append, const BatchView& batch,
                                          Offset next, Place place) {
  // Written by a version before groups: replica.cc.
  const bool of_old = batch.leader_epoch() == model::Term{0} && append.term == model::Term{1};
  if (batch.leader_epoch() != append.term && !of_old)
    return fmt::format("a batch at {} is of term {}, announced was {}", batch.base_offset(),
                       batch.leader_epoch(), append.term);
  if (batch.base_offset() < Offset{0} || batch.base_offset() > append.to ||
      batch.next_offset() > append.to || batch.next_offset() <= next)
    return fmt::format("a batch [{}, {}] where [{}, {}) was to follow", batch.base_offset(),
                       batch.last_offset(), next, append.to);
  const bool inside = next == append.prev.offset && next == place.log_start;
  if (batch.base_offset() < next && !inside)
    return fmt::format("a batch at {} where {} was to follow", batch.base_offset(), next);
  if (auto fault = fault_of_hole(append, {next, std::max(next, batch.base_offset())})) return fault;
  const bool begins_there = inside && place.from == place.log_start;
  if (batch.base_offset() < place.from && place.from < batch.next_offset() && !begins_there)
    return fmt::format("{} lies inside a batch that begins at {}", place.from, batch.base_offset());
  if (batch.next_offset() > place.from && !batch.crc_matches())
    return fmt::format("the checksum of the batch at {} does not match", batch.base_offset());
  return std::nullopt;
}

}  // namespace

std::optional<std::string> fault_of(const raft::Append& append, const std::vector<Bytes>& data,
                                    Place place) {
  CHECK(append.prev.offset <= place.from && place.from <= append.to);
  std::size_t bytes = 0;
  Offset next = append.prev.offset;
  for (const Bytes& piece : data) {
    bytes += piece.size();
    if (piece.empty()) return "an empty piece";
    for (std::size_t at = 0; at < piece.size();) {
      const auto batch = BatchView::parse(piece.view().subspan(at));
      if (!batch.ok()) return batch.error().detail;
      if (auto fault = fault_of_batch(append, *batch, next, place)) return fault;
      next = batch->next_offset();
      at += batch->size();
    }
  }
  if (bytes != append.bytes)
    return fmt::format("{} bytes came, announced were {}", bytes, append.bytes);
  return fault_of_hole(append, {next, append.to});
}

std::size_t largest_batch(const std::vector<Bytes>& data) {
  std::size_t largest = 0;
  for (const Bytes& piece : data) {
    for (std::size_t at = 0; at < piece.size();) {
      const std::size_t size = BatchView::announced_size(piece.view().subspan(at));
      if (size == 0) break;
      largest = std::max(largest, size);
      at += size;
    }
  }
  return largest;
}

std::vector<Bytes> pieces_of(const std::vector<Bytes>& data, OffsetRange range, model::Term term) {
  std::vector<Bytes> pieces;
  Offset next = range.from;
  // What of the piece being walked over is to be written and not added yet.
  const Bytes* current = nullptr;
  std::size_t begin = 0;
  std::size_t end = 0;
  bool of_old = false;
  const auto add = [&] {
    if (end > begin) pieces.push_back(current->slice(begin, end - begin));
    begin = end;
  };
  for_each_batch(data, [&](const Bytes& piece, std::size_t at, const BatchView& batch) {
    if (batch.next_offset() <= range.from || batch.base_offset() >= range.to) return;
    if (&piece != current || at != end || next < batch.base_offset()) {
      add();
      fill(pieces, {next, batch.base_offset()}, term);
      current = &piece;
      begin = at;
    }
    end = at + batch.size();
    next = batch.next_offset();
    of_old = of_old || batch.leader_epoch() != term;
  });
  add();
  if (of_old) {
    for (Bytes& piece : pieces) piece = of_term(piece, term);
  }
  fill(pieces, {next, range.to}, term);
  return pieces;
}

}  // namespace millrace::replica
