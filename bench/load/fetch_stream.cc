#include "bench/load/fetch_stream.h"

#include <algorithm>
#include <cstring>

#include "bench/load/basics.h"
#include "bench/load/wire.h"
#include "common/endian.h"

namespace millrace::bench {
namespace {

// size, correlation id, throttle, error, session, count of topics
constexpr std::size_t kFrontBytes = 4 + 4 + 4 + 2 + 4 + 4;
// length of the name, count of partitions, partition, error, high watermark, last stable offset,
// log start, count of aborted transactions, preferred replica, size of the records
constexpr std::size_t kPartitionBytes = 2 + 4 + 4 + 2 + 8 + 8 + 8 + 4 + 4 + 4;
constexpr std::int64_t kBatchFrontBytes = 61;
constexpr std::int64_t kLengthEnd = 12;
constexpr std::size_t kLastDeltaPosition = 23;

}  // namespace

FetchStream::FetchStream(std::size_t topic_bytes)
    : topic_bytes_(topic_bytes), wanted_(kFrontBytes) {
  if (kPartitionBytes + topic_bytes > kHeldMax) fail("too long a topic name");
}

void FetchStream::next() {
  step_ = Step::kFront;
  held_size_ = 0;
  wanted_ = kFrontBytes;
  answer_bytes_ = 0;
}

void FetchStream::take(common::ByteView bytes, const OnBatch& on_batch) {
  while (!bytes.empty()) {
    if (step_ == Step::kComplete) fail("bytes after the end of an answer");
    if (step_ == Step::kSkip) {
      const auto step = std::min<std::int64_t>(skip_left_, static_cast<std::int64_t>(bytes.size()));
      bytes = bytes.subspan(static_cast<std::size_t>(step));
      skip_left_ -= step;
      if (skip_left_ == 0) expect_batch();
      continue;
    }
    const std::size_t step = std::min(wanted_ - held_size_, bytes.size());
    std::memcpy(held_.data() + held_size_, bytes.data(), step);
    held_size_ += step;
    bytes = bytes.subspan(step);
    if (held_size_ == wanted_) on_held(on_batch);
  }
}

void FetchStream::on_held(const OnBatch& on_batch) {
  held_size_ = 0;
  if (step_ == Step::kFront) return read_front();
  if (step_ == Step::kPartition) return read_partition();
  read_batch(on_batch);
}

void FetchStream::read_front() {
  Reader reader({held_.data(), kFrontBytes});
  reader.take(12);
  if (const int error = reader.i16(); error != 0) fail("fetch error {}", error);
  reader.i32();
  if (const int topics = reader.i32(); topics != 1) fail("a fetch answer about {} topics", topics);
  step_ = Step::kPartition;
  wanted_ = kPartitionBytes + topic_bytes_;
}

void FetchStream::read_partition() {
  Reader reader({held_.data(), wanted_});
  reader.text();
  if (const int count = reader.i32(); count != 1) fail("a fetch answer about {} partitions", count);
  const int partition = reader.i32();
  if (const int error = reader.i16(); error != 0)
    fail("fetch error {} on partition {}", error, partition);
  high_watermark_ = reader.i64();
  reader.take(16);
  if (reader.i32() > 0) fail("aborted transactions, though uncommitted records were asked for");
  reader.i32();
  records_left_ = std::max(reader.i32(), 0);
  answer_bytes_ = records_left_;
  expect_batch();
}

void FetchStream::expect_batch() {
  held_size_ = 0;
  if (records_left_ == 0) {
    step_ = Step::kComplete;
  } else if (records_left_ < kBatchFrontBytes) {  // the cut-off front of one more
    step_ = Step::kSkip;
    skip_left_ = records_left_;
    records_left_ = 0;
  } else {
    step_ = Step::kBatch;
    wanted_ = kBatchFrontBytes;
  }
}

void FetchStream::read_batch(const OnBatch& on_batch) {
  const auto base = common::load_big<std::int64_t>(held_.data());
  const std::int64_t size = common::load_big<std::int32_t>(held_.data() + 8) + kLengthEnd;
  const std::int64_t last =
      base + common::load_big<std::int32_t>(held_.data() + kLastDeltaPosition);
  if (size < kBatchFrontBytes || last < base)
    fail("a batch of {} bytes with offsets {} to {}", size, base, last);
  const bool whole = size <= records_left_;
  if (whole) {
    // The first batch of an answer may begin before the offset that was asked for, never after it.
    if (base > offset_ || last < offset_)
      fail("offset {} was due, the batch has {} to {}", offset_, base, last);
    on_batch(base, last);
    offset_ = last + 1;
    batch_bytes_ += size;
  }
  skip_left_ = std::min(size, records_left_) - kBatchFrontBytes;
  records_left_ -= std::min(size, records_left_);
  step_ = Step::kSkip;
  if (skip_left_ == 0) expect_batch();
}

}  // namespace millrace::bench
