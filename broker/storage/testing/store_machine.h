// StoreMachine machine(seed);   machine.start();   machine.append(log, 3);   machine.crash();
// machine.start();
//
// A machine that runs nothing but one store, on the simulated disk.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/env/testing/sim_disk.h"
#include "broker/env/testing/sim_world.h"
#include "broker/storage/store.h"
#include "broker/storage/testing/flawed_disk.h"

namespace millrace::storage::testing {

/// Sizes so small that every mechanism works all the time.
StoreOptions tiny_options();

/// A batch of `count` records with values of `value_bytes` random bytes.
struct BatchSpec {
  Offset base;
  std::int32_t count = 1;
  std::size_t value_bytes = 20;
  Term term{0};
  common::Timestamp timestamp{1000};
  model::ProducerId producer = model::kNoProducerId;
  std::int32_t sequence = -1;
};
Bytes make_batch(common::Random& random, const BatchSpec& spec);

class StoreMachine {
 public:
  explicit StoreMachine(std::uint64_t seed, StoreOptions options = tiny_options(),
                        env::testing::SimDiskOptions disk_options = {});
  ~StoreMachine();

  /// Opens the store. Requires that none is open.
  Result<void> try_start();
  void start();
  /// Power off, at once.
  void crash();
  void crash(env::testing::Survival how);
  /// The process dies, the machine goes on.
  void kill();
  /// Clean shutdown.
  void stop();
  /// From the next start on the disk has this flaw.
  void set_flaw(FlawedDisk::Flaw flaw) { flaw_ = flaw; }
  bool running() const { return store_ != nullptr; }

  Store& store() { return *store_; }
  Log& create(const PartitionKey& key, const LogSettings& settings = {});
  /// Appends `count` records as one batch and waits until they are durable.
  Result<void> append(Log& log, std::int32_t count = 1, std::size_t value_bytes = 20);
  /// Reads until `up_to`; the bytes of all pieces, joined.
  Result<std::vector<std::uint8_t>> read_all(Log& log, Offset from, Offset up_to,
                                             std::size_t bytes_max = 1 << 20);
  Result<ReadResult> read(Log& log, Offset from, ReadLimits limits);
  Result<void> checkpoint();
  /// Waits for an answer that a function given a Reply brings.
  template <typename T, typename Ask>
  Result<T> wait(Ask ask) {
    auto answer = std::make_shared<std::optional<Result<T>>>();
    ask([answer](Result<T> result) { *answer = std::move(result); });
    const bool came = world.run_until([answer] { return answer->has_value(); });
    CHECK(came, "no answer came");
    return std::move(**answer);
  }

  env::testing::SimWorld world;
  env::testing::SimDisk hardware;
  common::Random random;
  /// What on_fatal was told.
  std::optional<common::Error> fatal;
  /// Lines for the log.
  std::vector<std::string> notices;

 private:
  void stop_loop();
  void end();

  const StoreOptions options_;
  FlawedDisk::Flaw flaw_ = FlawedDisk::Flaw::kNone;
  env::testing::SimLoop* loop_ = nullptr;
  std::unique_ptr<env::Disk> disk_;
  std::unique_ptr<Store> store_;
};

/// Key of the partition with this number of a fixed topic.
PartitionKey key_of(std::int32_t partition, std::uint8_t topic = 1);

}  // namespace millrace::storage::testing
