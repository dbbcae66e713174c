// CrashRun run(seed, {});   const auto wrong = run.go();
//
// Random work on a store on a simulated machine that loses power, dies and fails, checked against
// the model after every restart.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "broker/storage/testing/log_model.h"
#include "broker/storage/testing/store_machine.h"

namespace millrace::storage::testing {

struct CrashRunOptions {
  /// Restarts, each after one crash point.
  int cycles = 10;
  int operations_max = 40;
  bool truncations = true;
  /// Also failing syncs and writes, which end the process.
  bool failures = false;
  /// Records have keys and logs are compacted.
  bool compaction = false;
  /// Also what only replicas of a group do: states are put, logs reset, and what is committed
  /// trails behind the end, which may be cut off.
  bool replica = false;
  /// A disk that breaks promises, to prove that the checks notice.
  FlawedDisk::Flaw flaw = FlawedDisk::Flaw::kNone;
};

class CrashRun {
 public:
  CrashRun(std::uint64_t seed, CrashRunOptions options);
  ~CrashRun();
  /// Nullopt: all was well. Otherwise the first thing that was wrong.
  std::optional<std::string> go();
  /// Segments that compactions replaced in all cycles.
  std::uint64_t segments_replaced() const { return segments_replaced_; }

 private:
  struct Partition;
  static StoreOptions draw_options(std::uint64_t seed, bool compaction);

  std::optional<std::string> start_and_check();
  std::optional<std::string> check(Partition& partition);
  void work();
  void operate(Partition& partition);
  void append(Partition& partition);
  void truncate(Partition& partition);
  void delete_before(Partition& partition);
  void start_term(Partition& partition);
  void replicate(Partition& partition);
  void put_state(Partition& partition);
  void reset(Partition& partition);
  void remove(Partition& partition);
  void retention();
  void read(Partition& partition);
  void compact();
  void allow_compaction(Partition& partition);
  void attach(Partition& partition);
  std::optional<std::string> check_producers(Partition& partition,
                                             PartitionModel::Observed& observed);
  Bytes draw_batch(const BatchSpec& spec);
  void end_machine();
  /// Runs some events of the world.
  void pass();
  auto acknowledge(Partition& partition, std::size_t number);
  LogSettings draw_settings();
  void found(std::string what);
  bool dead() const;

  const CrashRunOptions options_;
  StoreMachine machine_;
  common::Random random_;
  std::vector<std::unique_ptr<Partition>> partitions_;
  std::optional<std::string> wrong_;
  std::uint64_t boot_ = 0;
  /// The last process closed the store, or there was none.
  bool may_be_clean_ = true;
  std::uint64_t segments_replaced_ = 0;
};

}  // namespace millrace::storage::testing
