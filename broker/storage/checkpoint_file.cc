#include "broker/storage/checkpoint_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/crc32c.h"

namespace millrace::storage {
namespace {

using common::ByteView;
using model::ErrorCode;
using model::Term;

constexpr std::uint64_t kCheckpointMagic = 0x315450435f524c4dULL;  // "MLR_CPT1"
// From this version on logs may be compacted.
constexpr std::uint32_t kVersionOfCompaction = 2;
// From this version on logs have what replicas need.
constexpr std::uint32_t kVersionOfReplicas = 3;

constexpr std::uint32_t kSegmentsMax = 1 << 20;

constexpr std::uint8_t kFinished = 1;
constexpr std::uint8_t kChecksumKnown = 2;

constexpr std::uint8_t kLostSuffix = 1;

Error corrupt(std::string_view what) {
  return {ErrorCode::kCorruptLog, fmt::format("the checkpoint is damaged: {}", what)};
}

Result<Segment> read_segment(ByteReader& in, std::uint32_t version) {
  Segment segment;
  segment.base = Offset{in.get<std::int64_t>()};
  segment.end = Offset{in.get<std::int64_t>()};
  segment.size = in.get<std::uint64_t>();
  segment.max_timestamp = common::Timestamp{in.get<std::int64_t>()};
  segment.created = common::Timestamp{in.get<std::int64_t>()};
  segment.checksum = in.get<std::uint32_t>();
  const auto flags = in.get<std::uint8_t>();
  segment.finished = (flags & kFinished) != 0;
  segment.checksum_known = (flags & kChecksumKnown) != 0;
  if (version >= kVersionOfCompaction) segment.generation = in.get<std::uint32_t>();
  const bool sound = segment.base >= Offset{0} && segment.base <= segment.end &&
                     segment.end <= kOffsetMax && segment.size <= kSegmentBytesMax &&
                     (segment.size == 0) == (segment.base == segment.end) &&
                     (!segment.compacted() || segment.finished);
  if (!sound) return corrupt("a segment makes no sense");
  return segment;
}

Result<void> read_segments(ByteReader& in, std::uint32_t version, PartitionLog::Restored& state) {
  const auto count = in.get<std::uint32_t>();
  if (count > kSegmentsMax) return corrupt("a log has too many segments");
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    TRY_ASSIGN(Segment segment, read_segment(in, version));
    if (i > 0 && state.segments.back().end != segment.base) return corrupt("segments do not join");
    if (i + 1 < count && segment.size == 0) return corrupt("a sealed segment is empty");
    state.segments.push_back(segment);
  }
  if (state.segments.empty()) return corrupt("a log has no segment");
  if (state.segments.back().finished) return corrupt("the active segment is finished");
  return common::ok();
}

Result<void> read_replica(ByteReader& in, std::uint32_t version, PartitionLog::Restored& state) {
  const Offset end = state.segments.back().end;
  if (version < kVersionOfReplicas) {
    state.producers.at = std::min(state.producers.at, end);
    return common::ok();
  }
  state.producers_place.relative_offset = in.get<std::uint32_t>();
  state.producers_place.position = in.get<std::uint32_t>();
  state.lost_suffix = (in.get<std::uint8_t>() & kLostSuffix) != 0;
  const ByteView replica = in.sized();
  if (replica.size() > kStateBytesMax) return corrupt("a replica's state is too large");
  state.replica_state = Bytes::copy_of(replica);
  const bool inside = Offset{0} <= state.producers.at && state.producers.at <= end;
  if (!inside) return corrupt("producers are known outside their log");
  return common::ok();
}

Result<CheckpointLog> read_log(ByteReader& in, std::uint32_t version) {
  CheckpointLog log;
  log.number = LogNumber{in.get<std::uint32_t>()};
  log.key = in.key();
  log.topic = in.text();
  log.folder_suffix = LogNumber{in.get<std::uint32_t>()};
  const auto state = in.get<std::uint8_t>();
  const bool known = state == static_cast<std::uint8_t>(LogState::kServing) ||
                     state == static_cast<std::uint8_t>(LogState::kQuarantining);
  if (!known) return corrupt("a log's state is unknown");
  log.state.state = static_cast<LogState>(state);
  log.state.start = Offset{in.get<std::int64_t>()};
  TRY(read_segments(in, version, log.state));
  const auto terms = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < terms && !in.failed(); ++i) {
    const Term term{in.get<std::int32_t>()};
    log.state.terms.push_back({.term = term, .offset = Offset{in.get<std::int64_t>()}});
  }
  const auto leftovers = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < leftovers && !in.failed(); ++i) {
    log.state.leftovers.push_back(Offset{in.get<std::int64_t>()});
  }
  log.state.producers.at = Offset{in.get<std::int64_t>()};
  log.state.producers.bytes = Bytes::copy_of(in.sized());
  log.state.compactable = version >= kVersionOfCompaction;
  if (log.state.compactable) {
    log.state.compacted_to = Offset{in.get<std::int64_t>()};
    log.state.last_generation = in.get<std::uint32_t>();
  }
  TRY(read_replica(in, version, log.state));
  if (in.failed()) return corrupt("it ends early");
  if (log.number.value() == 0) return corrupt("a log has no number");
  const bool inside = log.state.segments.front().base <= log.state.start &&
                      log.state.start <= log.state.segments.back().end;
  if (!inside) return corrupt("a log starts outside its segments");
  if (log.state.compacted_to > log.state.segments.back().base)
    return corrupt("a log is compacted behind its sealed segments");
  return log;
}

}  // namespace

CheckpointWriter::CheckpointWriter(std::uint32_t shard, std::uint64_t salt,
                                   std::uint32_t last_number,
                                   const std::vector<Removal>& removals) {
  out_.put(kCheckpointMagic);
  out_.put(kCheckpointVersion);
  out_.put(shard);
  out_.put(salt);
  position_at_ = out_.size();
  set_position({});
  out_.put(last_number);
  out_.put(static_cast<std::uint32_t>(removals.size()));
  for (const Removal& removal : removals) {
    out_.put(static_cast<std::uint8_t>(removal.kind));
    out_.text(removal.path);
  }
  count_at_ = out_.size();
  out_.put(count_);
}

void CheckpointWriter::set_position(const JournalPosition& position) {
  if (out_.size() == position_at_) {
    for (int i = 0; i < 3; ++i) out_.put(std::uint64_t{0});
  }
  out_.set(position_at_, position.file_sequence);
  out_.set(position_at_ + 8, position.offset);
  out_.set(position_at_ + 16, position.round);
}

void CheckpointWriter::add_segment(const Segment& segment) {
  out_.put(segment.base.value());
  out_.put(segment.end.value());
  out_.put(segment.size);
  out_.put(segment.max_timestamp.value());
  out_.put(segment.created.value());
  out_.put(segment.checksum);
  out_.put(static_cast<std::uint8_t>((segment.finished ? kFinished : 0) |
                                     (segment.checksum_known ? kChecksumKnown : 0)));
  out_.put(segment.generation);
}

void CheckpointWriter::add(PartitionLog& log) {
  CHECK(log.log_state() != LogState::kRemoved);
  ++count_;
  out_.put(log.number().value());
  out_.key(log.key());
  out_.text(log.topic_name());
  out_.put(log.folder_suffix().value());
  out_.put(static_cast<std::uint8_t>(log.log_state()));
  out_.put(log.start_offset().value());
  out_.put(static_cast<std::uint32_t>(log.segments().size()));
  for (const Segment& segment : log.segments()) add_segment(segment);
  out_.put(static_cast<std::uint32_t>(log.term_starts().size()));
  for (const TermStart& start : log.term_starts()) {
    out_.put(start.term.value());
    out_.put(start.offset.value());
  }
  out_.put(static_cast<std::uint32_t>(log.leftovers().size()));
  for (const Offset base : log.leftovers()) out_.put(base.value());
  const PartitionLog::ProducersForCheckpoint kept = log.producers_for_checkpoint();
  out_.put(kept.producers.at.value());
  out_.sized(kept.producers.bytes);
  out_.put(log.compacted_to().value());
  out_.put(log.last_generation());
  out_.put(kept.place.relative_offset);
  out_.put(kept.place.position);
  out_.put(static_cast<std::uint8_t>(log.lost_suffix() ? kLostSuffix : 0));
  out_.sized(log.state());
}

common::Bytes CheckpointWriter::finish() {
  out_.set(count_at_, count_);
  out_.put(common::crc32c(out_.view()));
  return Bytes::copy_of(out_.view());
}

Result<Checkpoint> read_checkpoint(ByteView bytes, std::uint32_t shard) {
  ByteReader in(bytes);
  if (in.get<std::uint64_t>() != kCheckpointMagic) return corrupt("it does not begin as one");
  const auto version = in.get<std::uint32_t>();
  if (version > kCheckpointVersion) {
    return {ErrorCode::kForeignData,
            fmt::format("the checkpoint has version {}, this program knows {}: a newer "
                        "version wrote it",
                        version, kCheckpointVersion)};
  }
  if (bytes.size() < 4 || common::load_little<std::uint32_t>(bytes.data() + bytes.size() - 4) !=
                              common::crc32c(bytes.first(bytes.size() - 4))) {
    return corrupt("its checksum is wrong");
  }
  Checkpoint checkpoint;
  checkpoint.version = version;
  checkpoint.shard = in.get<std::uint32_t>();
  if (checkpoint.shard != shard) {
    return {ErrorCode::kForeignData,
            fmt::format("the checkpoint is of shard {}, not {}", checkpoint.shard, shard)};
  }
  checkpoint.salt = in.get<std::uint64_t>();
  checkpoint.position.file_sequence = in.get<std::uint64_t>();
  checkpoint.position.offset = in.get<std::uint64_t>();
  checkpoint.position.round = in.get<std::uint64_t>();
  checkpoint.last_number = in.get<std::uint32_t>();
  const auto removals = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < removals && !in.failed(); ++i) {
    const auto kind = in.get<std::uint8_t>();
    if (kind > static_cast<std::uint8_t>(Removal::Kind::kFolderAlone))
      return corrupt("what is to be removed makes no sense");
    checkpoint.removals.push_back({.path = in.text(), .kind = static_cast<Removal::Kind>(kind)});
  }
  const auto logs = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < logs && !in.failed(); ++i) {
    TRY_ASSIGN(CheckpointLog log, read_log(in, version));
    if (log.number.value() > checkpoint.last_number) return corrupt("a log's number is too high");
    checkpoint.logs.push_back(std::move(log));
  }
  if (in.failed() || in.left() != 4) return corrupt("its length is wrong");
  const bool aligned = checkpoint.position.offset % common::kDiskAlignment == 0;
  if (!aligned || checkpoint.position.file_sequence == 0)
    return corrupt("its place in the journal makes no sense");
  return checkpoint;
}

}  // namespace millrace::storage
