// SimDisk hardware(world);   auto disk = hardware.mount(loop);   ...   hardware.crash();   auto
// again = hardware.mount(loop);
//
// A disk that keeps only what it promised to keep.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "broker/env/disk.h"
#include "broker/env/testing/sim_names.h"
#include "broker/env/testing/sim_world.h"

namespace millrace::env::testing {

struct SimDiskOptions {
  std::uint64_t capacity = std::uint64_t{1} << 40;
  common::Duration delay_min = std::chrono::microseconds(20);
  common::Duration delay_max = std::chrono::microseconds(400);
  /// One asynchronous call in so many takes ten times as long. 0: none.
  std::uint32_t slow_one_in = 40;
  bool direct = true;
};

/// Chances in a million that a call fails with kIo. They hold until they are changed.
struct SimDiskFaults {
  std::uint32_t read = 0;
  std::uint32_t write = 0;
  std::uint32_t sync = 0;
};

/// One machine's disk with its page cache, shared by all that mount it. What is not synced may be
/// lost by crash(), sector by sector; names made or removed may be lost until their folder is
/// synced; asynchronous calls end in any order. Without faults switched on and without a crash it
/// does what a good disk does.
class SimDisk {
 public:
  explicit SimDisk(SimWorld& world, SimDiskOptions options = {});
  ~SimDisk();
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  /// A Disk whose answers come on `loop`. It and its files work until the next crash; after that
  /// every call of theirs fails with kIo or stays unanswered, and they need only be destroyed.
  std::unique_ptr<Disk> mount(SimLoop& loop);

  /// The machine loses its power: calls under way are done, half done or not done, nothing unsynced
  /// is sure to survive, and no call is ever answered. Stop the loops of the machine too
  /// (SimLoop::stop), and destroy what ran on them under common::RepliesMayDrop. The disk can be
  /// mounted again at once. Without `how`, chance decides per file.
  void crash();
  void crash(Survival how);
  /// The process dies and the machine does not: all that was written stays, calls under way are
  /// done or not done.
  void kill();
  /// The next `operations` calls that change the disk go through; at the one after them the machine
  /// is dead: it and all later calls fail with kIo (blocking) or stay unanswered. crash() then
  /// decides what survived. `then` is called, once, when that happens, from inside the call: what
  /// else the machine consists of can end with it.
  void cut_power_after(std::uint64_t operations, Task then = {});
  bool power_is_cut() const { return power_cut_; }

  /// The next call of this kind fails with kIo. A failed write may have written any part; after a
  /// failed sync any unsynced sector may never become durable.
  void fail_next_read() { ++failing_reads_; }
  void fail_next_write() { ++failing_writes_; }
  void fail_next_sync() { ++failing_syncs_; }
  SimDiskFaults& faults() { return faults_; }
  /// Every asynchronous call takes so much longer, until it is changed again.
  void slow_down(common::Duration extra) { extra_delay_ = extra; }
  /// Changes how much the disk holds; less than used means full.
  void set_capacity(std::uint64_t bytes) { options_.capacity = bytes; }
  std::uint64_t used() const;

  /// Damage to what was synced. The file must be there.
  void flip_bit(std::string_view path, std::uint64_t position, unsigned bit = 0);
  void overwrite(std::string_view path, std::uint64_t position, common::ByteView bytes);
  void zero(std::string_view path, std::uint64_t position, std::uint64_t length);
  void truncate(std::string_view path, std::uint64_t size);
  /// Everything is gone: a new, empty disk. Implies crash().
  void lose_everything();

  /// What programs see of a file now. Ends the process if it is not there.
  std::vector<std::uint8_t> content(std::string_view path) const;
  /// Calls that changed the disk so far, and asynchronous calls under way.
  std::uint64_t operations() const { return operations_; }
  std::size_t pending() const { return pending_.size(); }

 private:
  friend class SimMount;
  friend class SimHandle;
  enum class Kind : std::uint8_t { kRead, kWrite, kSync };
  struct Pending {
    std::uint64_t id;
    Kind kind;
    std::shared_ptr<SimFile> file;
    std::uint64_t position;
    std::vector<Bytes> pieces;
    Durable durable;
    std::uint32_t epoch;
    std::uint64_t size_then;
    SimLoop* loop;
    std::shared_ptr<std::uint64_t> handle_pending;
    Reply<Result<void>> done;
    Reply<Result<std::size_t>> done_reading;
  };

  common::Duration delay();
  void start(Pending call);
  void finish(std::uint64_t id);
  void answer(Pending call);
  /// False: the machine is dead. Counts a change of the disk.
  bool change_goes_on();
  bool fails(std::uint32_t& scripted, std::uint32_t per_million);
  Result<void> allocate(SimFile& file, std::uint64_t end);
  Result<void> write(SimFile& file, std::uint64_t position,
                     const std::vector<common::ByteView>& pieces, Durable durable);
  void write_some_sectors(SimFile& file, std::uint64_t position,
                          const std::vector<common::ByteView>& pieces, Survival how);
  Result<void> sync(SimFile& file, std::uint32_t epoch, std::uint64_t size_then);
  void end_of_machine(bool power_lost, const Survival* how);
  SimFile& file(std::string_view path) const;
  Survival draw_survival();

  SimWorld& world_;
  SimDiskOptions options_;
  SimDiskFaults faults_;
  common::Duration extra_delay_{0};
  common::Random random_;
  SimTree tree_;
  std::vector<Pending> pending_;
  std::vector<std::weak_ptr<SimFile>> opened_;  // may hold space without a name
  std::uint64_t boot_ = 1;                      // mounts of an earlier one are dead
  std::uint64_t last_id_ = 0;
  std::uint64_t operations_ = 0;
  std::uint64_t power_left_ = UINT64_MAX;
  bool power_cut_ = false;
  Task on_power_cut_;
  std::uint32_t failing_reads_ = 0;
  std::uint32_t failing_writes_ = 0;
  std::uint32_t failing_syncs_ = 0;
};

}  // namespace millrace::env::testing
