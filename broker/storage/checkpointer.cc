#include "broker/storage/checkpointer.h"

#include <algorithm>

#include "broker/storage/shard.h"

namespace millrace::storage {

using common::Reply;
using common::Result;
using model::ErrorCode;

Checkpointer::Checkpointer(Shard& shard, JournalPosition last) : shard_(shard), last_(last) {}

Checkpointer::~Checkpointer() {
  for (auto* group : {&now_, &later_}) {
    for (auto& reply : *group) reply(model::error(ErrorCode::kShuttingDown));
  }
}

std::uint64_t Checkpointer::live_bytes() const {
  return shard_.journal_files.live_bytes(last_.file_sequence, last_.offset);
}

void Checkpointer::check() {
  if (shard_.failed()) return;
  const std::uint64_t live = live_bytes();
  shard_.stats.journal_live_bytes = live;
  const std::uint64_t unwritten_max = shard_.options.cache_bytes + shard_.options.journal_bytes_max;
  const bool hold =
      live > 2 * shard_.options.journal_bytes_max || shard_.arenas.bytes() > unwritten_max;
  if (hold != shard_.journal.held()) shard_.journal.hold(hold);
  if (phase_ == Phase::kIdle && live > shard_.options.journal_bytes_max / 2) begin();
}

void Checkpointer::request(Reply<Result<void>> done) {
  if (shard_.failed()) return done(*shard_.refusal());
  if (phase_ == Phase::kIdle) {
    now_.push_back(std::move(done));
    begin();
  } else {
    later_.push_back(std::move(done));
  }
}

void Checkpointer::begin() {
  CHECK(phase_ == Phase::kIdle && waiting_.empty());
  phase_ = Phase::kMarking;
  std::vector<Removal> removals = shard_.removals.pending();
  for (const std::string& path : shard_.compactor.unsettled_files())
    removals.push_back({.path = path});
  for (const auto& [number, log] : shard_.logs()) {
    for (const std::string& path : log->old_folders())
      removals.push_back({.path = path, .kind = Removal::Kind::kFolderAlone});
    if (log->log_state() == LogState::kRemoved)
      removals.push_back({.path = log->folder(), .kind = Removal::Kind::kFolder});
  }
  writer_.emplace(shard_.number, shard_.salt, shard_.last_number(), removals);
  for (const auto& [number, log] : shard_.logs()) {
    if (log->log_state() == LogState::kRemoved) continue;
    writer_->add(*log);
    log->checkpoint_captured();
    log->set_checkpoint_target(log->stream_end());
    if (!written(*log)) waiting_.insert(number);
  }
  shard_.journal.mark(lifeline_.guard([this](JournalPosition position) { reached(position); }));
}

void Checkpointer::reached(JournalPosition position) {
  CHECK(phase_ == Phase::kMarking);
  CHECK(position.round >= last_.round);
  phase_ = Phase::kWriting;
  next_ = position;
  writer_->set_position(position);
  write_behind();
}

bool Checkpointer::written(const PartitionLog& log) const {
  return log.log_state() == LogState::kRemoved || log.written_stream() >= log.checkpoint_target();
}

void Checkpointer::write_behind() {
  std::vector<PartitionLog*> forced;
  std::erase_if(waiting_, [&](LogNumber number) {
    PartitionLog* log = shard_.find(number);
    const bool done = log == nullptr || written(*log);
    if (!done) forced.push_back(log);
    return done;
  });
  if (forced.empty()) return confirm();
  for (PartitionLog* log : forced) shard_.flusher.force(*log, log->checkpoint_target());
}

void Checkpointer::progressed(PartitionLog& log) {
  if (phase_ != Phase::kWriting || !written(log)) return;
  if (waiting_.erase(log.number()) > 0 && waiting_.empty()) confirm();
}

// A log that was cut or removed meanwhile was not written behind as the captured state says. The
// checkpoint may be there only together with the entry that tells so.
void Checkpointer::confirm() {
  CHECK(waiting_.empty() && phase_ == Phase::kWriting);
  phase_ = Phase::kConfirming;
  shard_.journal.mark(lifeline_.guard([this](JournalPosition) { store(); }));
}

void Checkpointer::store() {
  if (shard_.failed()) return;  // another sync may succeed and mean nothing
  phase_ = Phase::kStoring;
  struct Job {
    common::Bytes content;
    Result<void> result;
  };
  auto job = std::make_shared<Job>();
  CheckpointWriter copy = *writer_;
  job->content = copy.finish();
  const auto run = [&disk = shard_.disk, job,
                    path = shard_.journal_folder + "/checkpoint"]() -> Result<void> {
    TRY(disk.sync_all());
    return env::replace_file(disk, path, job->content);
  };
  shard_.disk.offload([job, run] { job->result = run(); },
                      lifeline_.guard([this, job] { stored(std::move(job->result)); }));
}

void Checkpointer::stored(Result<void> result) {
  CHECK(phase_ == Phase::kStoring);
  if (!result.ok() && result.error().code == ErrorCode::kNoSpace) {
    phase_ = Phase::kStalled;
    shard_.space.report_full();
    return;
  }
  if (!result.ok()) {
    shard_.fail(result.error());
    return finish(result);
  }
  last_ = next_;
  ++shard_.stats.checkpoints;
  for (const auto& [number, log] : shard_.logs()) log->checkpoint_stored();
  shard_.journal_files.release_before(last_.file_sequence);
  finish(common::ok());
}

void Checkpointer::resume() {
  if (phase_ == Phase::kStalled) store();
}

void Checkpointer::finish(const Result<void>& result) {
  phase_ = Phase::kIdle;
  writer_.reset();
  auto answered = std::exchange(now_, std::move(later_));
  later_.clear();
  for (auto& reply : answered) reply(result);
  if (phase_ != Phase::kIdle || shard_.failed()) return;
  if (!now_.empty()) return begin();
  if (result.ok()) check();
}

}  // namespace millrace::storage
