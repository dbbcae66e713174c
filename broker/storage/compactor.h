// Compaction of the logs of a shard: which one is next, and the run that rewrites it.
//
// A run takes the sealed segments in front of a log (compaction_plan.h). Its work on files happens
// in steps on the I/O pool (compaction_job.h) with pauses between them; in between the run is here:
//
//   map       read the dirty segments into a key map, step by step
//   announce  an entry in the journal names the file that will be made; wait until it is durable
//   copy      write what stays of some segments into that file, step by step; sync it
//   replace   an entry in the journal puts it in their place, and the log reads from it at once;
//             once that is durable the old files are removed. Then announce for the next segments,
//             or the end.
//
// A loss of power finds the old segments or the new one, whatever the moment: the entry decides.
// Files that were announced and not put in place, or replaced, are removed at the next start.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/storage/compaction_job.h"
#include "broker/storage/compaction_plan.h"
#include "broker/storage/lifeline.h"
#include "broker/storage/partition_log.h"
#include "common/clock.h"

namespace millrace::storage {

class Shard;

/// One run at a time. Shard thread only.
class Compactor {
 public:
  explicit Compactor(Shard& shard);
  ~Compactor();

  /// Begins to look for logs that are due.
  void start();
  /// Begins a run if none is under way and a log is due.
  void look();
  bool running() const { return run_ != nullptr; }
  /// It may be at files of this log, old or new ones.
  bool works_on(const PartitionLog& log) const;
  /// Called when a log would be due if the checkpoint knew of all its segments.
  void set_on_checkpoint_wanted(common::Function<void()> callback) {
    on_checkpoint_wanted_ = std::move(callback);
  }
  /// Calls back as soon as no step is on the I/O pool. Requires that the shard refuses work: then
  /// no other one begins.
  void when_still(common::Function<void()> still);
  /// Files that no log has, or will have once the journal is durable: a checkpoint made now must
  /// see to their removal.
  std::vector<std::string> unsettled_files() const;

 private:
  struct Run;
  struct Choice;
  /// Part of the job's work; true: that part is complete.
  using StepWork = common::Function<Result<bool>(CompactionJob&)>;
  struct Step;

  void look_later();
  void consider(PartitionLog& log, Choice& choice);
  void begin(const Choice& choice);
  void work(StepWork step, common::Function<void(bool)> done);
  void stepped(std::shared_ptr<Step> step);
  void follow(std::shared_ptr<Step> step);
  common::Duration pause_after(const Step& step);
  bool goes_on() const;
  void map();
  void announce();
  void make_output(std::uint32_t generation);
  void copy();
  void replace();
  void failed(const common::Error& error);
  void give_up();
  void finish();
  void end();

  Shard& shard_;
  Lifeline lifeline_;
  common::Function<void()> on_checkpoint_wanted_;
  std::shared_ptr<Run> run_;
  /// Replaced, and the entry that tells so is not durable yet.
  std::vector<std::string> doomed_;
  /// Their latest run failed: others come first until then.
  std::map<LogNumber, common::Instant> put_off_;
  std::uint64_t runs_begun_ = 0;
  bool started_ = false;
  bool stepping_ = false;
  common::Function<void()> on_still_;
};

}  // namespace millrace::storage
