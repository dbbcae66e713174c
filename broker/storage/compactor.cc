#include "broker/storage/compactor.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/storage/shard.h"

namespace millrace::storage {
namespace {

using common::Duration;
using common::Error;
using model::ErrorCode;

// While appends come, the work rests after each step for this many times as long as the step took:
// it then has a sixth of a core and little of the disk.
constexpr int kCourtesyFactor = 5;
// Of what is kept free on the disk: below this a run ends, so that it does not make the disk full.
constexpr std::uint64_t kFreeFactor = 2;
// A log whose run failed would often be the most dirty one again.
constexpr std::chrono::minutes kPutOff{1};

double seconds_of(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

struct Compactor::Run {
  PartitionLog* log = nullptr;  // pinned
  LogNumber folder;             // suffix of the log's folder
  std::unique_ptr<CompactionJob> job;
  std::uint64_t bytes_before = 0;  // of all its segments
  std::uint64_t replaced_bytes = 0;
  std::uint64_t output_bytes = 0;
  Offset dirty_from;
  common::Instant began;
  /// Announced, not in place.
  std::vector<std::string> output_files;
  /// Rounds of the journal when the latest step ended.
  std::uint64_t rounds = 0;
};

/// The log that is most in need.
struct Compactor::Choice {
  PartitionLog* log = nullptr;
  CompactionPlan plan;
  CompactionLimits limits;
  bool checkpoint_wanted = false;

  bool beaten_by(const CompactionPlan& other) const {
    if (log == nullptr || plan.overdue != other.overdue) return log == nullptr || other.overdue;
    return other.dirty_ratio() > plan.dirty_ratio();
  }
};

/// One step of the job, and what follows.
struct Compactor::Step {
  std::shared_ptr<Run> run;  // the step may outlive the compactor
  StepWork work;
  common::Function<void(bool)> done;
  Result<bool> result = false;
  Duration took{};
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
};

Compactor::Compactor(Shard& shard) : shard_(shard) {}
Compactor::~Compactor() = default;

void Compactor::start() {
  CHECK(!started_);
  started_ = true;
  if (shard_.options.compaction.enabled) look_later();
}

void Compactor::look_later() {
  shard_.loop.after(std::chrono::milliseconds(shard_.options.compaction.check_interval_ms),
                    lifeline_.guard([this] {
                      look();
                      look_later();
                    }));
}

bool Compactor::works_on(const PartitionLog& log) const {
  return run_ != nullptr && run_->log == &log;
}

void Compactor::look() {
  if (run_ != nullptr || !shard_.options.compaction.enabled) return;
  if (shard_.refusal().has_value() || shard_.space.full()) return;
  shard_.stats.compaction.dirty_bytes = 0;
  shard_.stats.compaction.logs_due = 0;
  std::erase_if(put_off_, [now = shard_.loop.clock().now()](const auto& entry) {
    return entry.second <= now;
  });
  Choice choice;
  for (const auto& [key, log] : shard_.serving()) consider(*log, choice);
  if (choice.checkpoint_wanted && on_checkpoint_wanted_) on_checkpoint_wanted_();
  if (choice.log != nullptr) begin(choice);
}

void Compactor::consider(PartitionLog& log, Choice& choice) {
  // Before a log was told its settings nobody knows whether it is to be compacted.
  if (!log.settings_known() || !log.settings().compact || log.damage().has_value()) return;
  const LogSettings& settings = log.settings();
  const common::Timestamp now = shard_.loop.clock().wall();
  if (must_roll_for_compaction(log.active(), settings, now)) {
    log.roll();
    log.flush_if_due();
  }
  const auto plan_to = [&](Offset recovery_point, Offset up_to) {
    return plan_compaction({.segments = log.segments(),
                            .settings = settings,
                            .compacted_to = log.compacted_to(),
                            .recovery_point = recovery_point,
                            .up_to = up_to,
                            .now = now});
  };
  CompactionPlan plan = plan_to(log.recovery_point(), log.durable_offset());
  shard_.stats.compaction.dirty_bytes += plan.dirty_bytes;
  if (!plan.due(settings)) {
    const bool later = plan_to(log.finished_to(), log.durable_offset()).due(settings);
    choice.checkpoint_wanted = choice.checkpoint_wanted || later;
    return;
  }
  ++shard_.stats.compaction.logs_due;
  if (put_off_.contains(log.number()) || !choice.beaten_by(plan)) return;
  auto limits = log.compaction_limits();
  if (!limits.has_value()) return;
  plan = plan_to(log.recovery_point(), limits->up_to);
  if (!plan.due(settings) || !choice.beaten_by(plan)) return;
  choice.log = &log;
  choice.plan = plan;
  choice.limits = std::move(*limits);
}

void Compactor::begin(const Choice& choice) {
  PartitionLog& log = *choice.log;
  const LogSettings& settings = log.settings();
  const CompactionOptions& options = shard_.options.compaction;
  const auto sources = log.segments().begin();
  ++runs_begun_;
  // Nobody outside knows the salt, nor when a run begins.
  const auto ticks =
      static_cast<std::uint64_t>(shard_.loop.clock().now().time_since_epoch().count());
  CompactionTask task{
      .folder = log.folder(),
      .sources = {sources, sources + static_cast<std::ptrdiff_t>(choice.plan.segments)},
      .terms = log.term_starts(),
      .dirty_from = std::max(log.compacted_to(), log.segments().front().base),
      .limits = choice.limits,
      .now = shard_.loop.clock().wall(),
      .delete_retention_ms = settings.delete_retention_ms,
      .segment_bytes = settings.segment_bytes,
      .index_interval_bytes = shard_.options.index_interval_bytes,
      .map_bytes_max = options.map_bytes_max,
      .secret = {.first = shard_.salt, .second = ticks * 0x9e3779b97f4a7c15ULL + runs_begun_},
      .step_bytes = options.step_bytes,
      .free_bytes_min = shard_.options.free_bytes_min * kFreeFactor};
  run_ = std::make_shared<Run>();
  run_->log = &log;
  run_->folder = log.folder_suffix();
  run_->bytes_before = log.size_bytes();
  run_->dirty_from = task.dirty_from;
  run_->began = shard_.loop.clock().now();
  run_->rounds = shard_.journal.rounds();
  run_->job = std::make_unique<CompactionJob>(shard_.disk, std::move(task));
  log.pin();
  map();
}

void Compactor::work(StepWork step, common::Function<void(bool)> done) {
  auto next = std::make_shared<Step>();
  next->run = run_;
  next->work = std::move(step);
  next->done = std::move(done);
  stepping_ = true;
  shard_.disk.offload(
      [next, &clock = shard_.loop.clock()] {
        CompactionJob& job = *next->run->job;
        const common::Instant began = clock.now();
        next->bytes_read = job.bytes_read();
        next->bytes_written = job.bytes_written();
        next->result = next->work(job);
        next->bytes_read = job.bytes_read() - next->bytes_read;
        next->bytes_written = job.bytes_written() - next->bytes_written;
        next->took = clock.now() - began;
      },
      lifeline_.guard([this, next] { stepped(next); }));
}

void Compactor::when_still(common::Function<void()> still) {
  CHECK(shard_.refusal().has_value());
  if (!stepping_) return still();
  on_still_ = std::move(still);
}

void Compactor::stepped(std::shared_ptr<Step> step) {
  stepping_ = false;
  follow(std::move(step));
  if (!stepping_ && on_still_) std::exchange(on_still_, {})();
}

void Compactor::follow(std::shared_ptr<Step> step) {
  CompactionStats& stats = shard_.stats.compaction;
  stats.bytes_read += step->bytes_read;
  stats.bytes_written += step->bytes_written;
  stats.map_bytes = run_->job->map_bytes();
  if (!step->result.ok()) return failed(step->result.error());
  if (!goes_on()) return give_up();
  const Duration pause = pause_after(*step);
  run_->rounds = shard_.journal.rounds();
  if (pause <= Duration{0}) return step->done(*step->result);
  shard_.loop.after(pause, lifeline_.guard([this, step] {
    if (!goes_on()) return give_up();
    step->done(*step->result);
  }));
}

common::Duration Compactor::pause_after(const Step& step) {
  const bool busy = shard_.journal.rounds() != run_->rounds;
  Duration pause = busy ? step.took * kCourtesyFactor : Duration{0};
  const std::uint64_t rate = shard_.options.compaction.bytes_per_second_max;
  if (rate > 0) {
    const double bytes = static_cast<double>(step.bytes_read + step.bytes_written);
    const std::chrono::duration<double> least(bytes / static_cast<double>(rate));
    pause = std::max(pause, std::chrono::duration_cast<Duration>(least) - step.took);
  }
  return pause;
}

bool Compactor::goes_on() const {
  const PartitionLog& log = *run_->log;
  return log.log_state() == LogState::kServing && log.folder_suffix() == run_->folder &&
         log.settings().compact && !shard_.refusal().has_value() && !shard_.space.full();
}

void Compactor::map() {
  work([](CompactionJob& job) { return job.map_some(); },
       [this](bool complete) {
         if (!complete) return map();
         announce();
       });
}

void Compactor::announce() {
  PartitionLog& log = *run_->log;
  const Offset base = run_->job->group_base();
  const std::uint32_t generation = log.announce_compaction(base);
  run_->output_files = log.files_of({.base = base, .generation = generation});
  log.complete(lifeline_.guard([this, generation](Result<void> durable) {
    if (!durable.ok() || !goes_on()) return give_up();
    make_output(generation);
  }));
}

void Compactor::make_output(std::uint32_t generation) {
  work(
      [generation](CompactionJob& job) -> Result<bool> {
        TRY(job.begin_output(generation));
        return true;
      },
      [this](bool) { copy(); });
}

void Compactor::copy() {
  work(
      [](CompactionJob& job) -> Result<bool> {
        TRY_ASSIGN(const bool complete, job.copy_some());
        if (complete) TRY(job.finish_output());
        return complete;
      },
      [this](bool complete) {
        if (!complete) return copy();
        replace();
      });
}

void Compactor::replace() {
  PartitionLog& log = *run_->log;
  const CompactionJob& job = *run_->job;
  const PartitionLog::Replacement replacement{
      .sources = job.group().sources,
      .output = job.group().output,
      .compacted_to = job.more_groups() ? log.compacted_to() : job.end()};
  // Retention may have taken some of them meanwhile.
  if (!log.can_replace(replacement)) return give_up();
  std::vector<std::string> old_files;
  for (const Segment& source : replacement.sources) {
    run_->replaced_bytes += source.size;
    for (std::string& path : log.files_of(source)) old_files.push_back(std::move(path));
  }
  run_->output_bytes += replacement.output.size;
  log.replace(replacement);
  shard_.stats.compaction.segments_replaced += replacement.sources.size();
  run_->output_files.clear();
  doomed_.insert(doomed_.end(), old_files.begin(), old_files.end());
  log.complete(lifeline_.guard(
      [this, old_files, delay_ms = log.settings().file_delete_delay_ms](Result<void> durable) {
        std::erase_if(doomed_, [&](const std::string& path) {
          return std::ranges::find(old_files, path) != old_files.end();
        });
        // If not, the next start finds out whether they are still needed.
        if (durable.ok()) shard_.removals.add(old_files, delay_ms);
      }));
  if (job.more_groups()) return announce();
  finish();
}

void Compactor::finish() {
  const PartitionLog& log = *run_->log;
  const CompactionJob& job = *run_->job;
  CompactionStats& stats = shard_.stats.compaction;
  const double seconds = seconds_of(shard_.loop.clock().now() - run_->began);
  ++stats.runs;
  stats.seconds += seconds;
  stats.records_removed += job.records_removed();
  shard_.notice(fmt::format(
      "event=compacted topic={} partition={} dirty_from={} to={} keys={} records_removed={} "
      "bytes_before={} bytes_after={} log_bytes={} seconds={:.3f}",
      log.topic_name(), log.key().index, run_->dirty_from, job.end(), job.keys(),
      job.records_removed(), run_->replaced_bytes, run_->output_bytes, log.size_bytes(), seconds));
  end();
  // The same log may need another pass, or another log waits.
  shard_.loop.post(lifeline_.guard([this] { look(); }));
}

void Compactor::failed(const Error& error) {
  PartitionLog& log = *run_->log;
  const bool writing = run_->job->write_failed();
  if (writing && error.code == ErrorCode::kNoSpace) shard_.space.report_full();
  if (writing && error.code == ErrorCode::kIo) shard_.fail(error);
  // A file may be missing because retention took its segment: then nothing is damaged.
  const bool damaged = !writing && error.code == ErrorCode::kCorruptLog &&
                       log.folder_suffix() == run_->folder && log.holds(run_->job->reading());
  if (damaged) log.set_damage(error);
  put_off_[log.number()] = shard_.loop.clock().now() + kPutOff;
  shard_.notice(fmt::format("event=compaction-failed topic={} partition={} detail=\"{}\"",
                            log.topic_name(), log.key().index, error.detail));
  give_up();
}

void Compactor::give_up() {
  ++shard_.stats.compaction.runs_given_up;
  if (!run_->output_files.empty()) shard_.removals.add(std::move(run_->output_files), 0);
  end();
}

void Compactor::end() {
  PartitionLog& log = *run_->log;
  shard_.stats.compaction.map_bytes = 0;
  run_.reset();
  if (!log.flush_state().running) log.leave_old_folders();
  log.unpin();
}

std::vector<std::string> Compactor::unsettled_files() const {
  std::vector<std::string> files = doomed_;
  if (run_ != nullptr)
    files.insert(files.end(), run_->output_files.begin(), run_->output_files.end());
  return files;
}

}  // namespace millrace::storage
