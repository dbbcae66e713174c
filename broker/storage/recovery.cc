#include "broker/storage/recovery.h"

#include <fmt/format.h>

#include "broker/storage/checkpoint_file.h"
#include "broker/storage/clean_mark.h"
#include "broker/storage/codec.h"
#include "broker/storage/journal_reader.h"
#include "common/reply.h"

namespace millrace::storage {
namespace {

using common::Error;
using model::BatchView;
using model::ErrorCode;

Error corrupt(std::string detail) {
  return {ErrorCode::kCorruptLog, std::move(detail)};
}

// A shard that was never used: makes its folders and an empty checkpoint, which is there from then
// on.
Result<Checkpoint> first_checkpoint(env::Disk& disk, env::Loop& loop, std::uint32_t shard,
                                    const std::string& folder) {
  TRY(disk.make_directories(folder));
  TRY(disk.make_directories("topics"));
  TRY_ASSIGN(const auto wals, disk.list(folder));
  const Bytes block = Bytes::zeros(common::kDiskAlignment, common::kDiskAlignment);
  for (const env::DirectoryEntry& entry : wals) {
    if (entry.name.find(".wal") == std::string::npos) continue;
    TRY_ASSIGN(const auto file, disk.open(folder + "/" + entry.name, {}));
    Bytes front = block;
    TRY_ASSIGN(const std::size_t got, file->read_now(0, front.mutable_view()));
    if (got >= 8 && common::load_little<std::uint64_t>(front.data()) == kRoundMagic) {
      return corrupt(
          fmt::format("{}/checkpoint is missing, but {} holds entries", folder, entry.name));
    }
  }
  if (shard == 0) {
    TRY_ASSIGN(const auto topics, disk.list("topics"));
    if (!topics.empty())
      return corrupt(fmt::format("{}/checkpoint is missing, but topics/ holds data", folder));
  }
  // Nanoseconds since the machine's start and the wall clock: nobody outside can know them.
  const auto ticks = static_cast<std::uint64_t>(loop.clock().now().time_since_epoch().count());
  const std::uint64_t salt =
      ticks * 0x9e3779b97f4a7c15ULL ^ static_cast<std::uint64_t>(loop.clock().wall().value());
  CheckpointWriter writer(shard, salt, 0, {});
  writer.set_position({});
  const Bytes content = writer.finish();
  TRY(disk.sync_all());
  TRY(env::replace_file(disk, folder + "/checkpoint", content));
  auto checkpoint = read_checkpoint(content, shard);
  if (checkpoint.ok()) checkpoint->fresh = true;
  return checkpoint;
}

Result<Checkpoint> load_checkpoint(env::Disk& disk, env::Loop& loop, std::uint32_t shard,
                                   const std::string& folder) {
  const std::string path = folder + "/checkpoint";
  TRY_ASSIGN(const bool there, disk.exists(path));
  if (!there) return first_checkpoint(disk, loop, shard, folder);
  TRY_ASSIGN(const Bytes bytes, env::read_file(disk, path));
  auto checkpoint = read_checkpoint(bytes, shard);
  if (checkpoint.ok()) return checkpoint;
  return Error{checkpoint.error().code, fmt::format("{}: {}", path, checkpoint.error().detail)};
}

/// Applies the checkpoint and the journal's entries to a new shard.
class Replay {
 public:
  explicit Replay(Shard& shard) : shard_(shard) {}

  Result<void> restore(Checkpoint checkpoint) {
    shard_.set_last_number(checkpoint.last_number);
    for (Removal& removal : checkpoint.removals) {
      add_removal(std::move(removal));
    }
    for (CheckpointLog& stored : checkpoint.logs) {
      TRY(check_new(stored.number, stored.key));
      PartitionLog& log = shard_.add(stored.number, stored.key, stored.topic, stored.folder_suffix);
      log.restore(std::move(stored.state));
      if (log.log_state() == LogState::kQuarantining) shard_.unlist(log);
    }
    return common::ok();
  }

  Result<void> apply(const JournalEntry& entry) {
    const EntryHeader& header = entry.header;
    if (header.type == EntryType::kLogCreated) return create(entry);
    PartitionLog* log = shard_.find(header.log);
    if (log == nullptr || log->log_state() != LogState::kServing) {
      return corrupt(fmt::format("the journal speaks of log {}, which is not there", header.log));
    }
    ByteReader in(entry.payload);
    switch (header.type) {
      case EntryType::kAppended: {
        const Result<BatchView> batch = BatchView::parse(entry.payload);
        CHECK(batch.ok(), "the journal's reader let a bad batch pass");
        return log->replay_batch(entry.payload, *batch, *entry.arena);
      }
      case EntryType::kTruncated: {
        PartitionLog::CutPlace place{.offset = header.offset};
        place.segment_base = Offset{in.get<std::int64_t>()};
        place.position = in.get<std::uint64_t>();
        place.damage = in.left() > 0 && in.get<std::uint8_t>() != 0;
        return log->replay_truncation(place);
      }
      case EntryType::kStartMoved:
        return log->replay_start(header.offset, entry.payload);
      case EntryType::kTermStarted:
        return log->replay_term({.term = header.term, .offset = header.offset});
      case EntryType::kSegmentStarted:
        return log->replay_segment(header.offset, common::Timestamp{in.get<std::int64_t>()});
      case EntryType::kState:
        return log->replay_state(entry.payload);
      case EntryType::kLogReset:
        return reset(*log, header, in);
      case EntryType::kCompactionBegan:
        // The files are made, in the simplest case, for nothing.
        shard_.removals.add(log->replay_announcement(header.offset, in.get<std::uint32_t>()), 0);
        return common::ok();
      case EntryType::kSegmentsReplaced:
        return replace(*log, header.offset, in);
      case EntryType::kLogRemoved:
        shard_.unlist(*log);
        log->set_log_state(LogState::kRemoved);
        shard_.removals.add_folder(log->folder(), 0);
        shard_.retire(*log);
        return common::ok();
      case EntryType::kLogQuarantined:
        shard_.unlist(*log);
        log->set_log_state(LogState::kQuarantining);
        return common::ok();
      default:
        return corrupt(
            fmt::format("the journal holds an entry of type {}, which this program does not know",
                        static_cast<unsigned>(header.type)));
    }
  }

 private:
  Result<void> check_new(LogNumber number, const PartitionKey& key) {
    if (shard_.find(number) != nullptr || shard_.find(key) != nullptr) {
      return corrupt(fmt::format("log {} of {} [{}] is there twice", number, key.topic, key.index));
    }
    return common::ok();
  }

  Result<void> create(const JournalEntry& entry) {
    ByteReader in(entry.payload);
    const PartitionKey key = in.key();
    const LogNumber suffix{in.get<std::uint32_t>()};
    const std::string topic = in.text();
    if (in.failed()) return corrupt("the journal makes a log without a name");
    TRY(check_new(entry.header.log, key));
    shard_.set_last_number(std::max(shard_.last_number(), entry.header.log.value()));
    const PartitionLog& log = shard_.add(entry.header.log, key, topic, suffix);
    shard_.removals.cancel(log.folder());
    forget_quarantined(log.folder());
    return common::ok();
  }

  void add_removal(Removal removal) {
    switch (removal.kind) {
      case Removal::Kind::kFile:
        return shard_.removals.add({std::move(removal.path)}, 0);
      case Removal::Kind::kFolder:
        return shard_.removals.add_folder(std::move(removal.path), 0);
      case Removal::Kind::kFolderAlone:
        return shard_.removals.add_folder_alone(std::move(removal.path), 0);
    }
  }

  Result<void> reset(PartitionLog& log, const EntryHeader& header, ByteReader& in) {
    PartitionLog::Anew anew{.at = header.offset};
    anew.folder_suffix = LogNumber{in.get<std::uint32_t>()};
    anew.created = common::Timestamp{in.get<std::int64_t>()};
    const Offset first{in.get<std::int64_t>()};
    if (first >= Offset{0}) anew.first = TermStart{.term = header.term, .offset = first};
    Bytes producers = Bytes::copy_of(in.sized());
    if (in.failed()) return corrupt("the journal resets a log and does not say to what");
    shard_.set_last_number(std::max(shard_.last_number(), anew.folder_suffix.value()));
    TRY_ASSIGN(std::string left, log.replay_reset(anew, std::move(producers)));
    shard_.removals.add_folder_alone(std::move(left), 0);
    return common::ok();
  }

  Result<void> replace(PartitionLog& log, Offset base, ByteReader& in) {
    Segment output{.base = base};
    output.end = Offset{in.get<std::int64_t>()};
    output.size = in.get<std::uint64_t>();
    output.max_timestamp = common::Timestamp{in.get<std::int64_t>()};
    output.created = common::Timestamp{in.get<std::int64_t>()};
    output.checksum = in.get<std::uint32_t>();
    output.generation = in.get<std::uint32_t>();
    const Offset compacted_to{in.get<std::int64_t>()};
    TRY_ASSIGN(const std::vector<Segment> sources, log.replay_replacement(output, compacted_to));
    for (const std::string& path : log.files_of(output)) shard_.removals.cancel(path);
    for (const Segment& source : sources) shard_.removals.add(log.files_of(source), 0);
    return common::ok();
  }

  // A new log uses a quarantined one's folder only after that was set aside.
  void forget_quarantined(const std::string& folder) {
    PartitionLog* done = nullptr;
    for (const auto& [number, log] : shard_.logs()) {
      if (log->log_state() == LogState::kQuarantining && log->folder() == folder) done = log.get();
    }
    if (done != nullptr) shard_.retire(*done);
  }

  Shard& shard_;
};

// Older programs take entries that they do not know for the journal's torn end: they must not get
// past the checkpoint any more.
Result<void> renew(Shard& shard, const JournalPosition& position) {
  CheckpointWriter writer(shard.number, shard.salt, shard.last_number(), shard.removals.pending());
  for (const auto& [number, log] : shard.logs()) writer.add(*log);
  writer.set_position(position);
  return env::replace_file(shard.disk, shard.journal_folder + "/checkpoint", writer.finish());
}

Result<JournalPosition> replay_journal(Shard& shard, const FoundJournal& found,
                                       JournalPosition from, Replay& replay,
                                       RecoveryReport& report) {
  JournalReader reader(shard.arenas, found, shard.salt, from);
  for (;;) {
    TRY_ASSIGN(const auto entries, reader.next());
    if (entries.empty()) break;
    for (const JournalEntry& entry : entries) TRY(replay.apply(entry));
    report.entries_replayed += entries.size();
  }
  report.journal_bytes_read = reader.bytes_read();
  report.batches_cut = reader.torn_entries();
  const JournalReader::LastRound& last = reader.last_round();
  for (const JournalFile& file : found.files) {
    const bool holds_last = !last.bytes.empty() && file.sequence == last.file_sequence;
    if (holds_last) TRY(file.file->write_now(last.offset, last.bytes));
  }
  return reader.position();
}

// Which files hold something that a later recovery may need, and which are free.
Result<void> take_over_files(Shard& shard, FoundJournal found, const JournalPosition& from,
                             const JournalPosition& end) {
  std::vector<JournalFile> live;
  std::vector<JournalFile> free;
  for (JournalFile& file : found.files) {
    const bool needed = from.file_sequence <= file.sequence && file.sequence <= end.file_sequence;
    if (!needed) file.sequence = 0;
    (needed ? live : free).push_back(std::move(file));
  }
  // If just the process died, files may be there whose names or sizes would not survive a loss of
  // power.
  for (const auto* group : {&live, &free}) {
    for (const JournalFile& file : *group) TRY(file.file->sync_now());
  }
  TRY(shard.disk.sync_directory(shard.journal_folder));
  return shard.journal_files.start(std::move(live), std::move(free), end.offset, end.file_sequence);
}

Result<void> recover_into(RecoveredShard& recovered, StoreWorld world,
                          const StoreOptions& options) {
  env::Disk& disk = world.disk;
  env::Loop& loop = world.loop;
  const std::uint32_t number = world.shard;
  const std::string folder = fmt::format("journal/{}", number);
  TRY_ASSIGN(Checkpoint checkpoint, load_checkpoint(disk, loop, number, folder));
  const JournalPosition from = checkpoint.position;
  const bool fresh = checkpoint.fresh;

  recovered.checkpoint = from;
  recovered.shard = std::make_unique<Shard>(std::move(world), options, checkpoint.salt);
  Shard& shard = *recovered.shard;
  Replay replay(shard);
  const std::uint32_t version = checkpoint.version;
  TRY(replay.restore(std::move(checkpoint)));
  if (version < kCheckpointVersion) TRY(renew(shard, from));
  TRY_ASSIGN(FoundJournal found,
             find_journal(disk, folder, shard.journal_files.file_bytes(), shard.salt));
  TRY_ASSIGN(JournalPosition end, replay_journal(shard, found, from, replay, recovered.report));
  const bool nothing_behind = end.round == from.round && recovered.report.batches_cut == 0;
  TRY(take_over_files(shard, std::move(found), from, end));
  end.file_sequence = shard.journal_files.current_sequence();
  end.offset = shard.journal_files.offset();
  shard.journal.start(end);
  RecoveryReport& report = recovered.report;
  for (const auto& [log_number, log] : shard.logs()) {
    log->replayed();
    TRY(log->recover_producers(report.damages));
  }
  const CleanMark mark{.salt = shard.salt, .round = from.round};
  TRY_ASSIGN(const bool closed, take_clean_mark(disk, folder, mark));
  report.closed_cleanly = fresh || (closed && nothing_behind);
  return common::ok();
}

}  // namespace

Result<RecoveredShard> recover(StoreWorld world, const StoreOptions& options) {
  RecoveredShard recovered;
  Result<void> done = recover_into(recovered, std::move(world), options);
  if (done.ok()) return recovered;
  // What it has begun to write by itself ends with it.
  const common::RepliesMayDrop nobody_listens;
  recovered.shard.reset();
  return std::move(done).error();
}

}  // namespace millrace::storage
