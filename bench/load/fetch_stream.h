// The bytes of fetch answers as they arrive, followed without keeping them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "common/bytes.h"

namespace millrace::bench {

/// Walks answers (Fetch 11, one partition) piece by piece: reads the fields and the front of each
/// record batch and skips the records. Ends the program on an error number or a batch that does not
/// join the one before.
class FetchStream {
 public:
  /// topic_bytes: length of the topic's name, which the answer repeats.
  explicit FetchStream(std::size_t topic_bytes);

  /// Takes all of `bytes`. on_batch(first, last) is called with the offsets of each batch that is
  /// there entirely.
  using OnBatch = std::function<void(std::int64_t, std::int64_t)>;
  void take(common::ByteView bytes, const OnBatch& on_batch);
  /// Whether the answer is complete. Call next() before the bytes of another.
  bool complete() const { return step_ == Step::kComplete; }
  void next();

  /// First offset that the stream still expects.
  std::int64_t offset() const { return offset_; }
  void seek(std::int64_t offset) { offset_ = offset; }
  /// Bytes of batches that were there entirely, in all answers.
  std::int64_t batch_bytes() const { return batch_bytes_; }
  std::int64_t high_watermark() const { return high_watermark_; }
  /// Bytes of records in this answer.
  std::int64_t answer_bytes() const { return answer_bytes_; }

 private:
  enum class Step { kFront, kPartition, kBatch, kSkip, kComplete };
  static constexpr std::size_t kHeldMax = 512;

  void on_held(const OnBatch& on_batch);
  void read_front();
  void read_partition();
  void read_batch(const OnBatch& on_batch);
  void expect_batch();

  std::size_t topic_bytes_;
  Step step_ = Step::kFront;
  std::array<std::uint8_t, kHeldMax> held_{};  // the fields being collected
  std::size_t held_size_ = 0;
  std::size_t wanted_;             // of held_ in this step
  std::int64_t records_left_ = 0;  // of the answer's records
  std::int64_t skip_left_ = 0;     // of the batch being skipped
  std::int64_t offset_ = 0;
  std::int64_t batch_bytes_ = 0;
  std::int64_t answer_bytes_ = 0;
  std::int64_t high_watermark_ = -1;
};

}  // namespace millrace::bench
