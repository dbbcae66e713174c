// One partition's log: what it holds, where that lies, and the entries that its changes put into
// the journal.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/model/batch.h"
#include "broker/storage/file_table.h"
#include "broker/storage/index.h"
#include "broker/storage/journal_writer.h"
#include "broker/storage/log.h"
#include "broker/storage/producer_scan.h"
#include "broker/storage/segment.h"
#include "broker/storage/tail.h"

namespace millrace::storage {

class ByteWriter;
class Shard;

/// States of a log. Only kServing ones are to be found through the store.
enum class LogState : std::uint8_t {
  kServing,
  kRemoved,       // its files go once nothing is under way
  kQuarantining,  // its data is still written behind, then its folder is set aside
};

/// More is no log of ours; sums of such numbers do not overflow.
inline constexpr Offset kOffsetMax{std::int64_t{1} << 60};

/// Positions: besides offsets every byte of the log has a position in its stream, which counts the
/// bytes of all its segments from the oldest one that was there at start-up. written_stream() <=
/// durable_stream() <= stream_end(). Segments that compaction wrote have none: they lie in front of
/// written_stream() as a whole.
class PartitionLog final : public Log, public JournalClient {
 public:
  /// An empty log, or one that recovery fills through the restore functions.
  PartitionLog(Shard& shard, LogNumber number, const PartitionKey& key,
               std::shared_ptr<const std::string> topic, LogNumber folder_suffix);
  ~PartitionLog();

  const PartitionKey& key() const override { return key_; }
  const std::string& topic_name() const override { return *topic_; }
  Offset start_offset() const override { return start_; }
  Offset end_offset() const override { return end_; }
  Offset durable_offset() const override { return durable_; }
  std::uint64_t size_bytes() const override;
  void append(Bytes batches, Reply<Result<void>> durable) override;
  std::optional<common::Error> refusal(std::size_t batch_bytes) const override;
  void read(Offset from, ReadLimits limits, Reply<Result<ReadResult>> done) override;
  bool in_memory(Offset from) const override { return !tail_.empty() && tail_.start() <= from; }
  void find_time(common::Timestamp target, Offset up_to,
                 Reply<Result<std::optional<TimedOffset>>> done) override;
  void find_max_time(Offset up_to, Reply<Result<std::optional<TimedOffset>>> done) override;
  void delete_before(Offset offset, Reply<Result<void>> durable) override;
  void truncate(Offset offset, Reply<Result<void>> durable) override;
  void reset(Offset at, std::optional<TermStart> first, Bytes producers,
             Reply<Result<void>> durable) override;
  void start_term(TermStart start, Reply<Result<void>> durable) override;
  const std::vector<TermStart>& term_starts() const override { return terms_; }
  void put_state(Bytes state, Reply<Result<void>> durable) override;
  const Bytes& state() const override { return replica_state_; }
  void on_checkpoint(ProducerSnapshot snapshot) override { snapshot_ = std::move(snapshot); }
  void on_compaction(LimitsSource limits) override { limits_ = std::move(limits); }
  Offset compacted_to() const override { return compacted_to_; }
  void on_retention(RetentionLimit limit) override { retention_limit_ = std::move(limit); }
  RecoveredProducers take_recovered_producers() override;
  void set_settings(const LogSettings& settings) override;
  const LogSettings& settings() const override { return settings_; }
  std::optional<common::Error> damage() const override;
  void on_damage(common::Function<void()> found) override { damage_found_ = std::move(found); }
  bool lost_suffix() const override { return lost_suffix_; }

  void entries_durable(Offset end, std::uint64_t stream) override;

  // For the other parts of the store.
  LogNumber number() const { return number_; }
  /// Another one after each reset: no two states of the log share a folder.
  LogNumber folder_suffix() const { return folder_suffix_; }
  std::string folder() const { return log_folder(*topic_, key_, folder_suffix_); }
  FileTable::Key file_key(const Segment& segment) const;
  LogState log_state() const { return log_state_; }
  void set_log_state(LogState state) { log_state_ = state; }
  const std::shared_ptr<const std::string>& shared_topic() const { return topic_; }

  const std::vector<Segment>& segments() const { return segments_; }
  const Segment& active() const { return segments_.back(); }
  /// The segment that holds this offset. Requires segments().front().base <= offset.
  const Segment& segment_of(Offset offset) const;
  std::uint64_t stream_end() const { return segments_.back().stream_end(); }
  std::uint64_t durable_stream() const { return durable_stream_; }
  std::uint64_t written_stream() const { return written_stream_; }
  const Tail& tail() const { return tail_; }
  /// In-memory index of the active segment; it tells of the positions from index_from() on.
  const SegmentIndex& active_index() const { return index_; }
  std::uint64_t index_from() const { return index_from_; }
  /// Entries for what lies in front of index_from(), built by somebody who read the segment with
  /// this base.
  void complete_index(Offset segment_base, const SegmentIndex& front);
  const std::vector<Offset>& leftovers() const { return leftovers_; }
  bool settings_known() const { return settings_known_; }
  /// Retention removes nothing behind this.
  Offset removable_to();

  void set_damage(common::Error error);
  /// Begins a new segment at the end, so that the one before can be sealed or dropped. Requires
  /// that the active one is not empty.
  void roll();
  /// Removes segments that lie wholly in front of the start, as far as that is durable.
  void drop_dead_segments();
  /// Lets go of the tail's pieces up to this position as far as they are written behind. False:
  /// some are not.
  bool evict(std::uint64_t stream_end);
  /// Lets go of all memory of a log that is being removed.
  void drop_memory();

  /// A sealed segment that still has to be cut to its size; nullptr: none is written behind so far.
  const Segment* unfinished() const;
  void finished(Offset segment_base);
  /// What the write-behind has done so far; positions in front of a truncation are corrected by
  /// `cuts`.
  void written(std::uint64_t stream, std::uint64_t cuts);
  /// A truncation is not durable yet: files must stay as they are, for it may still be lost.
  bool cut_under_way() const { return cuts_under_way_ > 0; }
  /// Counts truncations and resets.
  std::uint64_t cuts() const { return cuts_; }
  /// Counts those and replacements: while it stays the same, so do positions in segments.
  std::uint64_t layout() const { return cuts_ + replacements_; }
  /// Folders from before a reset that were not handed over to removals.
  const std::vector<std::string>& old_folders() const { return old_folders_; }
  std::vector<std::string> take_old_folders() { return std::exchange(old_folders_, {}); }
  /// Hands them over as far as nothing needs them any more. Requires that the write-behind is at no
  /// file of the log.
  void leave_old_folders();
  void file_made(Offset segment_base);
  bool holds_segment(Offset base) const;
  /// This very segment, not another one in its place.
  bool holds(const Segment& segment) const;
  /// Bytes of the segment that are in its file.
  std::uint64_t written_bytes(const Segment& segment) const;
  struct FlushState {
    bool queued = false;
    bool running = false;
    /// Up to here the last partial block is written too.
    std::uint64_t forced_to = 0;
  };
  FlushState& flush_state() { return flush_; }
  /// A checkpoint that is being made needs everything in front of this position written behind; a
  /// truncation lowers it. 0: nothing.
  std::uint64_t checkpoint_target() const { return checkpoint_target_; }
  void set_checkpoint_target(std::uint64_t stream) { checkpoint_target_ = stream; }

  /// Writes behind what is due: whole chunks, and sealed segments to their end.
  void flush_if_due();
  /// Answers when the entries added so far are durable. Requires that one was added for this.
  void complete(Reply<Result<void>> durable);

  // Compaction (compactor.h).
  /// What may be compacted; nullopt: nobody said.
  std::optional<CompactionLimits> compaction_limits();
  /// In front of this, segments are complete, synced, finished, and known as such to the checkpoint
  /// that is on the disk.
  Offset recovery_point() const { return recovery_point_; }
  /// The end of the segments in front that are finished.
  Offset finished_to() const;
  /// A number that no file of this log has, with an entry in the journal: only when that is
  /// durable, which complete() tells, may there be a file.
  std::uint32_t announce_compaction(Offset base);
  std::uint32_t last_generation() const { return last_generation_; }
  /// What one compacted segment takes the place of.
  struct Replacement {
    std::vector<Segment> sources;
    Segment output;
    Offset compacted_to;
  };
  /// The sources are still there, one after the other.
  bool can_replace(const Replacement& replacement) const;
  /// Puts the output in the place of the sources, with an entry in the journal. Their files must
  /// stay until that is durable, which complete() tells.
  void replace(const Replacement& replacement);
  /// Paths of the segment's files.
  std::vector<std::string> files_of(const Segment& segment) const;
  /// The state that a checkpoint holds was captured just now; later: it is on the disk.
  void checkpoint_captured() { captured_to_ = finished_to(); }
  void checkpoint_stored() {
    recovery_point_ = std::max(recovery_point_, captured_to_);
    kept_at_ = captured_producers_at_;
  }

  /// Something asynchronous works on the log: it must not be destroyed.
  void pin() { ++pins_; }
  void unpin();
  bool busy() const { return pins_ > 0 || completions_ > 0 || flush_.running || flush_.queued; }

  // Recovery. The log must be as it was right before the entry when that was written.
  struct Restored {
    Offset start;
    std::vector<Segment> segments;
    std::vector<TermStart> terms;
    std::vector<Offset> leftovers;
    ProducersAt producers;
    /// Of producers.at in its segment, or in front of it.
    IndexEntry producers_place;
    LogState state = LogState::kServing;
    Bytes replica_state;
    bool lost_suffix = false;
    Offset compacted_to;
    std::uint32_t last_generation = 0;
    /// The checkpoint is of a version that knows of compaction.
    bool compactable = false;
  };
  void restore(Restored restored);
  Result<void> replay_batch(const Bytes& bytes, const model::BatchView& batch, Arena& arena);
  struct CutPlace {
    Offset offset;
    Offset segment_base;
    std::uint64_t position = 0;
    /// What is cut off was damaged.
    bool damage = false;
  };
  Result<void> replay_truncation(const CutPlace& place);
  /// `producers`: empty, or what producers_to_keep() wrote.
  Result<void> replay_start(Offset start, common::ByteView producers);
  Result<void> replay_term(TermStart start);
  Result<void> replay_segment(Offset base, common::Timestamp created);
  Result<void> replay_state(const Bytes& state);
  /// What a log is when it was reset.
  struct Anew {
    Offset at;
    std::optional<TermStart> first;
    LogNumber folder_suffix;
    common::Timestamp created;
  };
  /// Answers the folder that goes.
  Result<std::string> replay_reset(const Anew& anew, Bytes producers);
  /// Answers the files that may have been made.
  std::vector<std::string> replay_announcement(Offset base, std::uint32_t generation);
  /// Sources are known by where they begin and end. Answers them.
  Result<std::vector<Segment>> replay_replacement(const Segment& output, Offset compacted_to);
  /// All that was replayed is durable.
  void replayed();
  /// Reads what is to be handed over of the producers and is not in the journal any more, and cuts
  /// off damage that it finds, with one sentence for each. Comes last, when entries can be put into
  /// the journal again. Blocking.
  Result<void> recover_producers(std::vector<std::string>& damages);

  /// For a checkpoint.
  struct ProducersForCheckpoint {
    ProducersAt producers;
    IndexEntry place;
  };
  ProducersForCheckpoint producers_for_checkpoint();

 private:
  /// The producers as recovery found them, until the replica takes them.
  struct Recovered {
    RecoveredProducers producers;
    /// Batches between producers.at and this place are where the checkpoint knew them to be, in the
    /// segments' files. Those behind it are in batches_behind.
    CutPlace files_to;
    /// The log was cut back in front of what the snapshot had in it.
    bool forgotten = false;
  };
  /// Where the producers of the newest checkpoint are true.
  struct Placed {
    Offset at{-1};
    IndexEntry place;
  };
  struct Noted {
    std::uint64_t arena = 0;
    std::uint32_t use = 0;
  };
  std::optional<common::Error> refusal(const Bytes& batches) const;
  void append_batch(const model::BatchView& batch);
  void roll_if_due(std::size_t batch_bytes);
  void begin_segment(Offset base, common::Timestamp created, bool file_expected);
  void admit(Bytes placed, const model::BatchView& batch, bool joinable);
  void note(Arena& arena, bool small);
  void cut(Offset offset, std::size_t segment, std::uint64_t position);
  void cut_terms(Offset offset);
  void truncate_terms(Reply<Result<void>> durable);
  void log_truncation(const CutPlace& place);
  void complete_cut(Reply<Result<void>> durable);
  /// Answers the folder that is left.
  std::string begin_anew(const Anew& anew);
  /// As what recovery found, at the log's end.
  void keep_producers(Bytes producers);
  /// For the entry that tells of this new start; empty: the checkpoint knows enough.
  ByteWriter producers_to_keep(Offset start);
  Result<void> replay_kept_producers(common::ByteView payload);
  void forget_recovered(const CutPlace& place);
  ProducerSearch producer_search() const;
  std::string damaged_at_start(const ProducersInFiles::Damage& damage);
  IndexEntry place_of(Offset at) const;
  Result<std::uint64_t> place_of_cut(Offset offset) const;
  Result<std::uint64_t> stream_of(Offset offset) const;
  void add_term(TermStart start);
  void prune_terms();
  /// Answers once everything that was asked before is durable.
  void answer_in_order(Reply<Result<void>> durable);
  void remove_segment_files(const Segment& segment);
  std::optional<std::size_t> find_sources(const std::vector<Segment>& sources) const;
  void put_in_place(std::size_t first, std::size_t count, Segment output);

  Shard& shard_;
  const LogNumber number_;
  LogNumber folder_suffix_;
  LogState log_state_ = LogState::kServing;
  bool settings_known_ = false;
  bool lost_suffix_ = false;
  const PartitionKey key_;
  const std::shared_ptr<const std::string> topic_;
  LogSettings settings_;
  Bytes replica_state_;

  Offset start_;
  Offset end_;
  Offset durable_;
  Offset durable_start_;
  std::uint64_t durable_stream_ = 0;
  std::uint64_t written_stream_ = 0;
  std::vector<Segment> segments_;  // never empty; the last one is active
  std::vector<TermStart> terms_;
  /// Segments that a truncation removed; their files stay until the start has passed them, because
  /// a segment with the same base may begin again.
  std::vector<Offset> leftovers_;
  std::vector<std::string> old_folders_;
  Tail tail_;
  std::array<Noted, 2> noted_;
  SegmentIndex index_;
  std::uint64_t index_from_ = 0;
  std::uint64_t cuts_ = 0;
  std::uint64_t replacements_ = 0;
  std::uint32_t cuts_under_way_ = 0;
  std::uint32_t last_generation_ = 0;
  Offset compacted_to_;
  Offset recovery_point_;
  Offset captured_to_;  // the recovery point once the checkpoint that is being made is stored
  FlushState flush_;
  std::uint64_t checkpoint_target_ = 0;
  std::uint32_t completions_ = 0;        // under way in the journal
  std::uint32_t stale_completions_ = 0;  // of those, how many are from before a truncation
  std::uint32_t pins_ = 0;
  ProducerSnapshot snapshot_;
  LimitsSource limits_;
  RetentionLimit retention_limit_;
  std::unique_ptr<Recovered> recovered_;
  /// The producers' state that is on the disk is true here; and that of the checkpoint that is
  /// being made.
  Offset kept_at_;
  Offset captured_producers_at_;
  Placed placed_;
  std::unique_ptr<common::Error> damage_;
  common::Function<void()> damage_found_;
};

}  // namespace millrace::storage
