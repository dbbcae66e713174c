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
  FileTable::Key key;
  std::uint64_t cuts = 0;
  std::uint64_t position = 0;         // in the file, aligned
  std::size_t missing = 0;            // bytes at the front that must be read from the file first
  std::vector<common::Bytes> pieces;  // back to back from position on, each aligned
  std::uint64_t length = 0;           // of all pieces
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
  log.leave_old_folders();
  const bool nothing_to_do =
      log.log_state() == LogState::kRemoved || log.cut_under_way() || shard_.failed();
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
    return !segment.compacted() && segment.stream_end() > begin;
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
  write->key = log.file_key(range.segment);
  write->cuts = log.cuts();
  const Segment& segment = range.segment;
  const std::uint64_t begin = range.begin - segment.stream;
  const std::uint64_t end = range.end - segment.stream;
  write->position = round_down(begin, kBlock);
  write->length = round_up(end, kBlock) - write->position;
  CHECK(!log.tail().empty() && log.tail().stream_start() <= range.begin,
        "unwritten bytes left memory");
  gather(log.tail(), *write);
  FileTable::Spec spec{.folder = log.folder(),
                       .name = segment_name(segment.base),
                       .create = true,
                       .size_min = begin,
                       .expected = segment.file_expected};
  shard_.files.acquire(write->key, std::move(spec),
                       lifeline_.guard([this, write](Result<FileTable::Opened> opened) {
                         got_file(write, std::move(opened));
                       }));
}

// Large batches lie in memory as they lie in the segment: their whole blocks are sent from there.
// What is between them is copied: small batches, and the blocks that two batches share.
void Flusher::gather(const Tail& tail, Write& write) {
  const Range& range = write.range;
  const std::uint64_t origin = range.segment.stream;
  const std::uint64_t file_end = write.position + write.length;
  common::Bytes copies;
  std::size_t copied = 0;
  std::uint64_t at = write.position;
  const auto copy_until = [&](std::uint64_t until) {
    if (at == until) return;
    if (copies.empty()) copies = shard_.passing_pool.take(file_end - at);
    const common::Bytes piece = copies.slice(copied, until - at);
    write.missing += copy(tail, range, at, piece);
    copied += piece.size();
    shard_.stats.segment_bytes_copied += piece.size();
    write.pieces.push_back(piece);
    at = until;
  };
  for (std::uint64_t stream = range.begin; stream < range.end;) {
    const Piece& piece = tail.at(stream);
    const std::uint64_t piece_at = piece.stream - origin;
    const std::uint64_t first = round_up(std::max(piece_at, range.begin - origin), kBlock);
    const std::uint64_t last =
        round_down(std::min(piece_at + piece.bytes.size(), range.end - origin), kBlock);
    const bool alike =
        (reinterpret_cast<std::uintptr_t>(piece.bytes.data()) - piece_at) % kBlock == 0;
    // Fewer bytes than this are copied sooner than they are described.
    if (alike && last >= first + 2 * kBlock) {
      copy_until(first);
      write.pieces.push_back(piece.bytes.slice(first - piece_at, last - first));
      at = last;
    }
    stream = piece.stream_end();
  }
  copy_until(file_end);
}

// Lays out whole blocks from `position` in the file on. Answers how many bytes at the front only
// the file has.
std::size_t Flusher::copy(const Tail& tail, const Range& range, std::uint64_t position,
                          common::Bytes out) {
  const std::uint64_t origin = range.segment.stream;
  std::uint64_t begin = origin + position;
  const std::uint64_t end = std::min(begin + out.size(), range.end);
  const std::size_t front = begin < range.begin ? range.begin - begin : 0;
  const std::size_t missing = front > 0 && tail.stream_start() > begin ? front : 0;
  begin += missing;
  std::uint8_t* const to = out.mutable_data() + missing;
  tail.copy(begin, {to, end - begin});
  std::memset(to + (end - begin), 0, out.size() - missing - (end - begin));
  return missing;
}

void Flusher::got_file(std::shared_ptr<Write> write, Result<FileTable::Opened> opened) {
  PartitionLog& log = *write->log;
  if (!opened.ok()) return failed(log, opened.error());
  const Offset base = write->range.segment.base;
  if (write->key.folder != log.folder_suffix()) {
    // A reset left the whole folder meanwhile.
    shard_.files.drop(write->key);
    return step(log);
  }
  if (!log.holds_segment(base)) {
    // Retention or a truncation took the segment meanwhile. A truncated one may begin again.
    shard_.files.drop(write->key);
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
    std::memcpy(write->pieces.front().mutable_data(), block.data(), write->missing);
    send(write);
  }));
}

void Flusher::send(std::shared_ptr<Write> write) {
  env::File& file = *write->file;
  const std::uint64_t position = write->position;
  file.write(
      position, write->pieces, env::Durable::kNo,
      lifeline_.guard([this, write](Result<void> result) { wrote(*write, std::move(result)); }));
}

void Flusher::wrote(const Write& write, Result<void> result) {
  PartitionLog& log = *write.log;
  if (!result.ok()) return failed(log, result.error());
  shard_.stats.segment_bytes_written += write.length;
  log.written(write.range.end, write.cuts);
  if (on_progress_) on_progress_(log);
  step(log);
}

void Flusher::failed(PartitionLog& log, const Error& error) {
  if (error.code == ErrorCode::kNoSpace) {
    shard_.space.report_full();
    if (log.log_state() == LogState::kRemoved) return end(log);
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
