#include "broker/storage/index.h"

#include <algorithm>

#include "broker/storage/codec.h"
#include "common/crc32c.h"

namespace millrace::storage {
namespace {

constexpr std::uint64_t kIndexMagic = 0x315844494c524d4dULL;
constexpr std::size_t kIndexHeaderBytes = 40;

}  // namespace

void SegmentIndex::add(std::uint64_t position, model::Offset base, model::Offset segment_base,
                       common::Timestamp max_timestamp_before, std::uint32_t interval_bytes) {
  const std::uint64_t latest = entries_.empty() ? 0 : entries_.back().position;
  if (position < latest + interval_bytes) return;
  const std::int64_t relative = base - segment_base;
  // A position or offset that does not fit is found from the latest entry that does, by reading on.
  if (relative > UINT32_MAX || position > UINT32_MAX) return;
  CHECK(relative > 0);
  entries_.push_back({.relative_offset = static_cast<std::uint32_t>(relative),
                      .position = static_cast<std::uint32_t>(position),
                      .max_timestamp_before = max_timestamp_before.value()});
}

IndexEntry SegmentIndex::find(model::Offset offset, model::Offset segment_base) const {
  const std::int64_t relative = offset - segment_base;
  CHECK(relative >= 0);
  auto found = std::upper_bound(
      entries_.begin(), entries_.end(), relative,
      [](std::int64_t wanted, const IndexEntry& entry) { return wanted < entry.relative_offset; });
  return found == entries_.begin() ? IndexEntry{} : *--found;
}

IndexEntry SegmentIndex::find_time(common::Timestamp target) const {
  auto found = std::lower_bound(entries_.begin(), entries_.end(), target.value(),
                                [](const IndexEntry& entry, std::int64_t wanted) {
                                  return entry.max_timestamp_before < wanted;
                                });
  return found == entries_.begin() ? IndexEntry{} : *--found;
}

void SegmentIndex::cut(std::uint64_t position) {
  while (!entries_.empty() && entries_.back().position >= position) entries_.pop_back();
}

void SegmentIndex::append(const SegmentIndex& behind) {
  entries_.insert(entries_.end(), behind.entries_.begin(), behind.entries_.end());
}

std::vector<std::uint8_t> SegmentIndex::encode(const Segment& segment) const {
  ByteWriter body;
  for (const IndexEntry& entry : entries_) {
    body.put(entry.relative_offset);
    body.put(entry.position);
    body.put(entry.max_timestamp_before);
  }
  ByteWriter out;
  out.put(kIndexMagic);
  out.put(segment.base.value());
  out.put(segment.size);
  out.put(static_cast<std::uint64_t>(entries_.size()));
  out.put(common::crc32c(body.view()));
  out.put(common::crc32c(out.view()));
  CHECK(out.size() == kIndexHeaderBytes);
  out.raw(body.view());
  return {out.view().begin(), out.view().end()};
}

std::optional<SegmentIndex> SegmentIndex::decode(common::ByteView bytes, const Segment& segment) {
  if (bytes.size() < kIndexHeaderBytes) return std::nullopt;
  ByteReader in(bytes);
  const bool ours = in.get<std::uint64_t>() == kIndexMagic;
  const bool same_base = in.get<std::int64_t>() == segment.base.value();
  const bool same_size = in.get<std::uint64_t>() == segment.size;
  const auto count = in.get<std::uint64_t>();
  const auto body_crc = in.get<std::uint32_t>();
  const bool header_whole =
      in.get<std::uint32_t>() == common::crc32c(bytes.first(kIndexHeaderBytes - 4));
  if (!ours || !same_base || !same_size || !header_whole) return std::nullopt;
  if (in.left() % sizeof(IndexEntry) != 0 || count != in.left() / sizeof(IndexEntry))
    return std::nullopt;
  if (common::crc32c(bytes.subspan(kIndexHeaderBytes)) != body_crc) return std::nullopt;
  SegmentIndex index;
  index.entries_.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    IndexEntry entry;
    entry.relative_offset = in.get<std::uint32_t>();
    entry.position = in.get<std::uint32_t>();
    entry.max_timestamp_before = in.get<std::int64_t>();
    const bool grows =
        index.entries_.empty() || (index.entries_.back().position < entry.position &&
                                   index.entries_.back().relative_offset < entry.relative_offset);
    if (!grows || entry.position >= segment.size) return std::nullopt;
    index.entries_.push_back(entry);
  }
  return index;
}

}  // namespace millrace::storage
