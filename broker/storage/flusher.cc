#include "broker/storage/flusher.h"

#include <algorithm>

#include "broker/storage/shard.h"

namespace millrace::storage {
namespace {

using common::Error;
using common::Result;
using model::ErrorCode;

constexpr std::size_t kLogsAtOnce = 8;
constexpr std::uint64_t kBlock = common::kDiskAlignment;

}  // namespace

/// One write under way.
struct Flusher::Write {
  PartitionLog* log = nullptr;
  Range range;
  std::uint64_t cuts = 0;
  std::uint64_t position = 0;  // in the file, aligned
  std::size_t missing = 0;     // bytes at the front that must be read from the file first
  common::Bytes bytes;         // aligned
  std::shared_ptr<env::File> file;
};

void Flusher::request(PartitionLog& log) {
  auto& state = log.flush_state();
  if (state.queued || state.running) return;
  state.queued = true;
  queue_.push_back(&log);
  pump();
}

void Flusher::force(PartitionLog& log, std::uint64_t stream) {
  auto& state = log.flush_state();
  state.forced_to = std::max(state.forced_to, std::min(stream, log.stream_end()));
  request(log);
}

void Flusher::forget(PartitionLog& log) {
  log.flush_state().queued = false;
  std::erase(queue_, &log);
  std::erase(stalled_, &log);
}

void Flusher::resume() {
  queue_.insert(queue_.end(), stalled_.begin(), stalled_.end());
  stalled_.clear();
  pump();
}

void Flusher::pump() {
  while (running_ < kLogsAtOnce && !queue_.empty() && !shard_.failed()) {
    PartitionLog& log = *queue_.front();
    queue_.pop_front();
    log.flush_state().queued = false;
    log.flush_state().running = true;
    ++running_;
    step(log);
  }
}

void Flusher::step(PartitionLog& log) {
  const bool nothing_to_do =
      log.state() == LogState::kRemoved || log.cut_under_way() || shard_.failed();
  if (nothing_to_do) return end(log);
  if (const Segment* sealed = log.unfinished()) return seal(log, *sealed);
  Range range;
  if (!next_range(log, range)) return end(log);
  write(log, range);
}

void Flusher::end(PartitionLog& log) {
  CHECK(log.flush_state().running && running_ > 0);
  log.pin();
  log.flush_state().running = false;
  --running_;
  if (on_progress_) on_progress_(log);
  log.unpin();
  pump();
}

void Flusher::stall(PartitionLog& log) {
  CHECK(log.flush_state().running && running_ > 0);
  log.flush_state().running = false;
  log.flush_state().queued = true;
  --running_;
  stalled_.push_back(&log);
  pump();
}

bool Flusher::next_range(PartitionLog& log, Range& range) const {
  const std::uint64_t begin = log.written_stream();
  const std::uint64_t durable = log.durable_stream();
  if (begin >= durable) return false;
  const auto& segments = log.segments();
  const auto found = std::find_if(segments.begin(), segments.end(), [&](const Segment& segment) {
    return segment.stream_end() > begin;
  });
  CHECK(found != segments.end());
  const bool sealed = &*found != &log.active();
  const std::uint64_t block = round_down(begin - found->stream, kBlock);
  const std::uint64_t end_max = found->stream + block + shard_.pool.buffer_bytes();
  std::uint64_t end = std::min({durable, found->stream_end(), end_max});
  const std::uint64_t forced = log.flush_state().forced_to;
  const bool to_the_end = sealed && end == found->stream_end();
  if (!to_the_end && forced <= begin && end - begin < shard_.options.chunk_bytes &&
      end != end_max && !sealed) {
    return false;
  }
  // A partial block at the end is written twice, so only when somebody needs it.
  const std::uint64_t whole = found->stream + round_down(end - found->stream, kBlock);
  if (!to_the_end && whole >= std::min(forced, end)) end = whole;
  if (end <= begin) return false;
  range = {.segment = *found, .begin = begin, .end = end};
  return true;
}

void Flusher::write(PartitionLog& log, const Range& range) {
  auto write = std::make_shared<Write>();
  write->log = &log;
  write->range = range;
  write->cuts = log.cuts();
  const Segment& segment = range.segment;
  const std::uint64_t begin = range.begin - segment.stream;
  const std::uint64_t end = range.end - segment.stream;
  write->position = round_down(begin, kBlock);
  const std::uint64_t length = round_up(end, kBlock) - write->position;
  write->bytes = shard_.passing_pool.take(length).slice(0, length);
  std::uint8_t* const out = write->bytes.mutable_data();
  const std::size_t front = begin - write->position;
  const std::uint64_t front_stream = range.begin - front;
  CHECK(!log.tail().empty() && log.tail().stream_start() <= range.begin,
        "unwritten bytes left memory");
  if (front > 0 && log.tail().stream_start() <= front_stream) {
    log.tail().copy(front_stream, {out, front});
  } else {
    write->missing = front;
  }
  log.tail().copy(range.begin, {out + front, range.end - range.begin});
  std::memset(out + front + (range.end - range.begin), 0,
              length - front - (range.end - range.begin));
  FileTable::Spec spec{.folder = log.folder(),
                       .name = segment_name(segment.base),
                       .create = true,
                       .size_min = begin,
                       .expected = segment.file_expected};
  shard_.files.acquire({.log = log.number(), .base = segment.base}, std::move(spec),
                       lifeline_.guard([this, write](Result<FileTable::Opened> opened) {
                         got_file(write, std::move(opened));
                       }));
}

void Flusher::got_file(std::shared_ptr<Write> write, Result<FileTable::Opened> opened) {
  PartitionLog& log = *write->log;
  if (!opened.ok()) return failed(log, opened.error());
  const Offset base = write->range.segment.base;
  if (!log.holds_segment(base)) {
    // Retention or a truncation took the segment meanwhile. A truncated one may begin again.
    shard_.files.drop({.log = log.number(), .base = base});
    const bool never_again = base < log.start_offset();
    if (never_again) shard_.removals.add({log.folder() + "/" + segment_name(base)}, 0);
    return step(log);
  }
  if (!opened->damage.empty()) log.set_damage({ErrorCode::kCorruptLog, opened->damage});
  log.file_made(write->range.segment.base);
  write->file = opened->file;
  if (write->missing == 0) return send(std::move(write));
  const common::Bytes block = common::Bytes::zeros(kBlock, kBlock);
  env::File& file = *write->file;
  file.read(write->position, block, lifeline_.guard([this, write, block](Result<std::size_t> got) {
    if (!got.ok()) return failed(*write->log, got.error());
    // A file that is too short was named as damage when it was opened; zeros then stand for what is
    // gone.
    std::memcpy(write->bytes.mutable_data(), block.data(), write->missing);
    send(write);
  }));
}

void Flusher::send(std::shared_ptr<Write> write) {
  env::File& file = *write->file;
  const std::uint64_t position = write->position;
  const common::Bytes bytes = write->bytes;
  file.write(
      position, {bytes}, env::Durable::kNo,
      lifeline_.guard([this, write](Result<void> result) { wrote(*write, std::move(result)); }));
}

void Flusher::wrote(const Write& write, Result<void> result) {
  PartitionLog& log = *write.log;
  if (!result.ok()) return failed(log, result.error());
  shard_.stats.segment_bytes_written += write.bytes.size();
  log.written(write.range.end, write.cuts);
  if (on_progress_) on_progress_(log);
  step(log);
}

void Flusher::failed(PartitionLog& log, const Error& error) {
  if (error.code == ErrorCode::kNoSpace) {
    shard_.space.report_full();
    if (log.state() == LogState::kRemoved) return end(log);
    return stall(log);
  }
  shard_.fail(error);
  end(log);
}

void Flusher::seal(PartitionLog& log, const Segment& segment) {
  struct Job {
    std::string log_path;
    std::string index_path;
    std::uint64_t size = 0;
    std::vector<std::uint8_t> index;
    Result<void> result;
  };
  auto job = std::make_shared<Job>();
  job->log_path = log.folder() + "/" + segment_name(segment.base);
  job->index_path = log.folder() + "/" + index_name(segment.base);
  job->size = segment.size;
  if (const SegmentIndex* index = shard_.indexes.kept(log.number(), segment.base))
    job->index = index->encode(segment);
  const auto run = [&disk = shard_.disk, job]() -> Result<void> {
    TRY_ASSIGN(const auto file, disk.open(job->log_path, {}));
    TRY(file->resize(job->size));
    if (job->index.empty()) {
      // Not known in memory; one that is there may be from before a truncation.
      const auto removed = disk.remove(job->index_path);
      return removed.ok() || removed.error().code == ErrorCode::kNotFound ? common::ok() : removed;
    }
    TRY_ASSIGN(
        const auto index,
        disk.open(job->index_path, {.create = true, .caching = env::OpenOptions::Caching::kYes}));
    TRY(index->write_now(0, job->index));
    return index->resize(job->index.size());
  };
  shard_.disk.offload([job, run] { job->result = run(); },
                      lifeline_.guard([this, job, &log, base = segment.base, cuts = log.cuts()] {
                        // Without room for its index a segment does: readers build it anew. A file
                        // that is missing is found by those who read it.
                        const bool fatal =
                            !job->result.ok() && job->result.error().code == ErrorCode::kIo;
                        if (fatal) return failed(log, job->result.error());
                        // After a truncation it is another segment with the same base.
                        if (cuts == log.cuts()) {
                          shard_.indexes.written(log.number(), base);
                          log.finished(base);
                        }
                        step(log);
                      }));
}

}  // namespace millrace::storage
