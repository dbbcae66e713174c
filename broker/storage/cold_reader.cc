#include "broker/storage/cold_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/storage/shard.h"

namespace millrace::storage {
namespace {

using common::Error;
using model::ErrorCode;

constexpr std::uint64_t kBlock = common::kDiskAlignment;
// A reader that has shown no direction gets this part of a full window.
constexpr std::size_t kRandomReadShare = 4;
// What readers went past gets this part of the cache.
constexpr std::uint64_t kPassedShare = 4;

Error gone() {
  return model::error(ErrorCode::kOffsetOutOfRange);
}

}  // namespace

/// One answer being put together.
struct ColdReader::Read {
  PartitionLog* log = nullptr;
  ReadLimits limits;
  BatchCutter cutter;
  bool loaded = false;
  Reply<Result<ReadResult>> done;
};

/// One window being read.
struct ColdReader::Load {
  PartitionLog* log = nullptr;
  Offset offset;
  Segment segment;
  FileTable::Key key;
  std::uint64_t layout = 0;
  Offset expected;             // of the batch at `position`; compacted: its base or one in front
  std::uint64_t position = 0;  // in the segment
  std::uint64_t until = 0;     // bytes of the segment that are in the file
  bool sequential = false;
  std::string path;
  std::shared_ptr<env::File> file;
  Bytes buffer;
  std::vector<Loaded> waiters;
};

ColdReader::~ColdReader() = default;

void ColdReader::abandon() {
  const Result<void> why = model::error(ErrorCode::kShuttingDown);
  for (auto& [key, load] : std::exchange(loads_, {})) {
    for (Loaded& waiter : std::exchange(load->waiters, {})) waiter(why);
  }
  for (auto& [key, waiters] : std::exchange(index_loads_, {})) {
    for (Loaded& waiter : waiters) waiter(why);
  }
}

void ColdReader::read(PartitionLog& log, Offset from, const ReadLimits& limits,
                      Reply<Result<ReadResult>> done) {
  auto read = std::make_shared<Read>(Read{
      .log = &log, .limits = limits, .cutter = BatchCutter(from, limits), .done = std::move(done)});
  log.pin();
  if (shard_.cache.holds(log.number(), from)) {
    ++shard_.stats.cache_hits;
  } else {
    ++shard_.stats.cache_misses;
  }
  go_on(std::move(read));
}

// Serves what is there. Only when no record is, it waits for the disk, so that an answer is not
// held up for more.
void ColdReader::go_on(std::shared_ptr<Read> read) {
  PartitionLog& log = *read->log;
  Result<ReadResult> answer = ReadResult{};
  for (;;) {
    const Offset next = read->cutter.next();
    if (next >= read->limits.up_to) break;
    if (!log.tail().empty() && log.tail().start() <= next) {
      log.tail().read(read->cutter);
      break;
    }
    if (const Run* run = shard_.cache.find(log.number(), next)) {
      const Offset base = run->base;
      const Offset end = run->end;
      const bool more = read->cutter.take(run->bytes, base);
      if (read->cutter.next() >= end) {
        shard_.cache.pass(log.number(), base, shard_.options.cache_bytes / kPassedShare);
      }
      if (!more) break;
      continue;
    }
    if (read->cutter.has_records()) break;
    if (next < log.start_offset() || next >= log.end_offset()) {
      answer = gone();
      break;
    }
    return load(log, next, lifeline_.guard([this, read](Result<void> loaded) {
      if (loaded.ok()) return go_on(read);
      read->done(std::move(loaded).error());
      read->log->unpin();
    }));
  }
  if (answer.ok()) answer = read->cutter.result();
  if (answer.ok()) read_ahead(log, answer->next_offset);
  read->done(std::move(answer));
  log.unpin();
}

void ColdReader::read_ahead(PartitionLog& log, Offset next) {
  if (shard_.cache.bytes() > shard_.options.cache_bytes / 2) return;
  const Run* here = shard_.cache.find(log.number(), next);
  const Offset wanted = here == nullptr ? next : here->end;
  const bool in_memory = !log.tail().empty() && log.tail().start() <= wanted;
  if (in_memory || wanted >= log.end_offset() || shard_.cache.holds(log.number(), wanted)) return;
  // Only for those who read on: a first read from somewhere says nothing.
  if (here == nullptr && shard_.cache.find_before(log.number(), wanted) == nullptr) return;
  if (here != nullptr && shard_.cache.find_before(log.number(), here->base) == nullptr) return;
  load(log, wanted, [](Result<void>) {});
}

void ColdReader::load(PartitionLog& log, Offset offset, Loaded done) {
  const LoadKey key{log.number(), offset};
  if (const auto under_way = loads_.find(key); under_way != loads_.end()) {
    under_way->second->waiters.push_back(std::move(done));
    return;
  }
  auto load = std::make_shared<Load>();
  load->log = &log;
  load->offset = offset;
  load->waiters.push_back(std::move(done));
  loads_.emplace(key, load);
  log.pin();
  locate(std::move(load));
}

void ColdReader::locate(std::shared_ptr<Load> load) {
  PartitionLog& log = *load->log;
  load->layout = log.layout();
  // What a removed log had in memory alone is nowhere any more.
  const bool removed = log.log_state() == LogState::kRemoved;
  if (removed || load->offset < log.start_offset() || load->offset >= log.end_offset())
    return finish(load, gone());
  // Appended anew behind a truncation: whoever waits finds it there.
  if (!log.tail().empty() && log.tail().start() <= load->offset) return finish(load, common::ok());
  load->segment = log.segment_of(load->offset);
  const Segment& segment = load->segment;
  const Run* before = shard_.cache.find_before(log.number(), load->offset);
  if (segment.base == load->offset) {
    load->sequential = before != nullptr;
    load->expected = segment.base;
    load->position = 0;
    return begin(load);
  }
  if (before != nullptr && before->segment_base == segment.base) {
    load->sequential = true;
    load->expected = load->offset;
    load->position = before->position + before->bytes.size();
    return begin(load);
  }
  if (const SegmentIndex* index = find_index(log, segment)) {
    const IndexEntry entry = index->find(load->offset, segment.base);
    load->expected = segment.base + entry.relative_offset;
    load->position = entry.position;
    return begin(load);
  }
  load_index(log, segment.base, lifeline_.guard([this, load](Result<void> loaded) {
    if (!loaded.ok()) return finish(load, std::move(loaded));
    locate(load);
  }));
}

const SegmentIndex* ColdReader::find_index(PartitionLog& log, const Segment& segment) {
  if (segment.base == log.active().base)
    return log.index_from() == 0 ? &log.active_index() : nullptr;
  return shard_.indexes.find(log.number(), segment.base);
}

void ColdReader::begin(std::shared_ptr<Load> load) {
  PartitionLog& log = *load->log;
  load->until = log.written_bytes(load->segment);
  CHECK(load->until > 0, "offset {} is neither in memory nor on disk", load->offset);
  CHECK(load->position < load->until);
  load->key = log.file_key(load->segment);
  load->path = log.folder() + "/" + segment_name(load->segment);
  FileTable::Spec spec{
      .folder = log.folder(), .name = segment_name(load->segment), .size_min = load->until};
  shard_.files.acquire(load->key, std::move(spec),
                       lifeline_.guard([this, load](Result<FileTable::Opened> opened) {
                         got_file(load, std::move(opened));
                       }));
}

void ColdReader::got_file(std::shared_ptr<Load> load, Result<FileTable::Opened> opened) {
  if (!opened.ok()) return finish(load, std::move(opened).error());
  const bool current = load->layout == load->log->layout();
  if (!opened->damage.empty() && current)
    load->log->set_damage({ErrorCode::kCorruptLog, opened->damage});
  load->file = opened->file;
  const std::size_t window = shard_.pool.buffer_bytes();
  read_window(load,
              load->sequential ? window : std::max<std::size_t>(window / kRandomReadShare, kBlock));
}

void ColdReader::read_window(std::shared_ptr<Load> load, std::size_t wanted) {
  const std::uint64_t start = round_down(load->position, kBlock);
  const std::uint64_t length =
      std::min(round_up(wanted, kBlock), round_up(load->until - start, kBlock));
  // A full window comes from the pool; a small one is made to measure, so that it does not keep a
  // large buffer busy.
  load->buffer = length * 2 > shard_.pool.buffer_bytes() ? shard_.pool.take(length).slice(0, length)
                                                         : Bytes::allocate(length, kBlock);
  env::File& file = *load->file;
  file.read(start, load->buffer, lifeline_.guard([this, load](Result<std::size_t> got) {
    got_window(load, std::move(got));
  }));
}

void ColdReader::got_window(std::shared_ptr<Load> load, Result<std::size_t> got) {
  if (!got.ok()) return finish(load, std::move(got).error());
  const std::uint64_t start = round_down(load->position, kBlock);
  const std::size_t skip = load->position - start;
  const std::uint64_t expected = std::min<std::uint64_t>(load->buffer.size(), load->until - start);
  if (*got < expected) {
    return finish(
        load, Error{ErrorCode::kCorruptLog, fmt::format("{} ends at byte {}, {} belong to it",
                                                        load->path, start + *got, load->until)});
  }
  const std::size_t length = expected - skip;
  auto run = verify_batches(load->buffer.view().subspan(skip, length),
                            {.segment = load->segment,
                             .position = load->position,
                             .expected = load->expected,
                             .path = load->path,
                             .terms = load->log->term_starts()});
  if (!run.ok()) return finish(load, std::move(run).error());
  if (run->end <= load->offset) {
    // The wanted batch does not lie in the window as a whole: begin at the first one that does not.
    load->position += run->bytes;
    load->expected = run->end;
    const std::size_t rest = load->position % kBlock;
    const std::size_t wanted = rest + std::max(run->next_batch_bytes, load->buffer.size() + kBlock);
    // A size that rotted may fit into the segment, and reach beyond what of it is in the file.
    if (load->position + run->next_batch_bytes > load->until || start + expected == load->until) {
      return finish(load,
                    Error{ErrorCode::kCorruptLog,
                          fmt::format("{} is damaged at byte {}: no batch for offset {} ends "
                                      "within the {} bytes that were written",
                                      load->path, load->position, load->offset, load->until)});
    }
    return read_window(load, wanted);
  }
  if (load->layout == load->log->layout() && load->log->log_state() != LogState::kRemoved) {
    shard_.cache.insert(load->log->number(), {.bytes = load->buffer.slice(skip, run->bytes),
                                              .base = load->expected,
                                              .end = run->end,
                                              .segment_base = load->segment.base,
                                              .position = load->position});
  }
  finish(load, common::ok());
}

void ColdReader::finish(std::shared_ptr<Load> load, Result<void> result) {
  PartitionLog& log = *load->log;
  // Opened after the segment was let go of, it would stay open and keep its space.
  const bool held = load->key.folder == log.folder_suffix() && log.holds(load->segment);
  if (!held) shard_.files.drop(load->key);
  // A truncation or compaction moved what was being read; some who wait came after it.
  if (!result.ok() && load->layout != log.layout()) return locate(load);
  loads_.erase(LoadKey{log.number(), load->offset});
  if (!result.ok() && result.error().code == ErrorCode::kCorruptLog) {
    // Retention may have taken the file away: then nothing is damaged.
    const bool still_there =
        log.start_offset() <= load->offset && log.log_state() != LogState::kRemoved;
    if (still_there) {
      log.set_damage(result.error());
    } else {
      result = gone();
    }
  }
  for (Loaded& waiter : load->waiters) waiter(result);
  log.unpin();
  shard_.reclaim();
}

void ColdReader::load_index(PartitionLog& log, Offset segment_base, Loaded done) {
  auto& waiters = index_loads_[{log.number(), segment_base}];
  waiters.push_back(std::move(done));
  if (waiters.size() > 1) return;
  log.pin();
  struct Job {
    SegmentFile file;
    std::vector<TermStart> terms;
    bool active = false;
    std::uint32_t interval = 0;
    Result<SegmentIndex> index = SegmentIndex();
  };
  auto job = std::make_shared<Job>();
  const Segment& segment = log.segment_of(segment_base);
  job->active = log.active().base == segment_base;
  job->terms = log.term_starts();
  job->file = {
      .folder = log.folder(),
      .segment = segment,
      .until = std::min(job->active ? log.index_from() : segment.size, log.written_bytes(segment)),
      .terms = job->terms};
  job->interval = shard_.options.index_interval_bytes;
  const auto run = [&disk = shard_.disk, job]() -> Result<SegmentIndex> {
    const Segment& read = job->file.segment;
    const std::string path = job->file.folder + "/" + index_name(read);
    if (!job->active) {
      const Result<Bytes> bytes = env::read_file(disk, path);
      if (bytes.ok()) {
        if (auto index = SegmentIndex::decode(*bytes, read)) return std::move(*index);
      }
    }
    TRY_ASSIGN(SegmentIndex index, build_index(disk, job->file, job->interval));
    if (!job->active) {
      const auto file =
          disk.open(path, {.create = true, .caching = env::OpenOptions::Caching::kYes});
      const auto encoded = index.encode(read);
      // Best effort: the next reader builds it again.
      if (file.ok() && (*file)->write_now(0, encoded).ok())
        (void)(*file)->resize(encoded.size()).ok();
    }
    return index;
  };
  shard_.disk.offload([job, run] { job->index = run(); },
                      lifeline_.guard([this, job, &log, segment_base, cuts = log.cuts()] {
                        Result<void> result;
                        if (cuts != log.cuts() || !log.holds(job->file.segment)) {
                          // Cut, compacted or removed meanwhile: whoever waits for it looks again.
                        } else if (!job->index.ok()) {
                          result = job->index.error();
                        } else if (job->active && log.active().base == segment_base) {
                          log.complete_index(segment_base, *job->index);
                        } else if (!job->active) {
                          shard_.indexes.insert(log.number(), segment_base,
                                                std::move(job->index).value());
                        }
                        auto node = index_loads_.extract({log.number(), segment_base});
                        for (Loaded& waiter : node.mapped()) waiter(result);
                        log.unpin();
                      }));
}

}  // namespace millrace::storage
