#include "broker/storage/segment_writer.h"

#include <algorithm>
#include <cstring>

namespace millrace::storage {
namespace {

using common::Bytes;
using common::ByteView;
using common::Result;

constexpr std::size_t kBufferBytes = 1 << 20;

}  // namespace

Result<SegmentWriter> SegmentWriter::create(env::Disk& disk, const std::string& folder,
                                            const Segment& segment,
                                            std::uint32_t index_interval_bytes) {
  CHECK(segment.compacted());
  SegmentWriter writer;
  TRY_ASSIGN(writer.file_, disk.open(folder + "/" + segment_name(segment), {.create = true}));
  TRY(writer.file_->resize(0));
  writer.disk_ = &disk;
  writer.folder_ = folder;
  writer.index_interval_bytes_ = index_interval_bytes;
  writer.segment_ = {.base = segment.base,
                     .end = segment.base,
                     .created = segment.created,
                     .file_expected = true,
                     .finished = true,
                     .generation = segment.generation};
  writer.buffer_ = Bytes::allocate(kBufferBytes, common::kDiskAlignment);
  return writer;
}

Result<void> SegmentWriter::add(const model::BatchView& batch) {
  CHECK(batch.base_offset() >= segment_.end, "a batch at {} behind {}", batch.base_offset(),
        segment_.end);
  index_.add(segment_.size, batch.base_offset(), segment_.base, segment_.max_timestamp,
             index_interval_bytes_);
  for (ByteView rest = batch.bytes(); !rest.empty();) {
    const std::size_t taken = std::min(rest.size(), buffer_.size() - buffered_);
    std::memcpy(buffer_.mutable_data() + buffered_, rest.data(), taken);
    buffered_ += taken;
    rest = rest.subspan(taken);
    if (buffered_ == buffer_.size()) TRY(write_out(buffered_));
  }
  segment_.size += batch.size();
  segment_.end = batch.next_offset();
  segment_.max_timestamp = std::max(segment_.max_timestamp, batch.max_timestamp());
  // A batch's own checksum leaves out its base offset, and here it cannot be told from the one in
  // front.
  segment_.checksum = extend_checksum(segment_.checksum, batch.base_offset());
  segment_.checksum = extend_checksum(segment_.checksum, batch.crc());
  return common::ok();
}

Result<void> SegmentWriter::write_out(std::size_t bytes) {
  TRY(file_->write_now(written_, buffer_.view().first(bytes)));
  written_ += bytes;
  buffered_ = 0;
  return common::ok();
}

Result<Segment> SegmentWriter::finish(model::Offset end) {
  CHECK(segment_.size > 0 && segment_.end == end, "{} is not the end {}", segment_.end, end);
  if (buffered_ > 0) {
    const std::size_t whole = round_up(buffered_, common::kDiskAlignment);
    std::memset(buffer_.mutable_data() + buffered_, 0, whole - buffered_);
    TRY(write_out(whole));
  }
  TRY(file_->resize(segment_.size));
  TRY(file_->sync_now());
  TRY(write_index());
  TRY(disk_->sync_directory(folder_));
  return segment_;
}

// Not synced: an index that a loss of power damages is built anew.
Result<void> SegmentWriter::write_index() {
  const auto content = index_.encode(segment_);
  TRY_ASSIGN(const auto file,
             disk_->open(folder_ + "/" + index_name(segment_),
                         {.create = true, .caching = env::OpenOptions::Caching::kYes}));
  TRY(file->write_now(0, content));
  return file->resize(content.size());
}

}  // namespace millrace::storage
