// Node node({.shards = 2});   node.start();   auto made = node.create_topic("orders", 4);
// node.crash();   node.start();
//
// A whole broker below its doors, in simulated time on a simulated disk that remembers from one
// start to the next.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/env/testing/sim_disk.h"
#include "broker/env/testing/sim_world.h"
#include "broker/service/fetch.h"
#include "broker/service/metadata_writer.h"
#include "broker/service/produce.h"
#include "broker/service/topics.h"

namespace millrace::service::testing {

struct NodeOptions {
  std::uint32_t shards = 2;
  model::ConfigMap config;
  std::uint64_t seed = 1;
};

/// Small files, so that tests see many.
storage::StoreOptions small_store();

/// What a batch of a test holds.
struct BatchSpec {
  std::vector<std::string> values = {"value"};
  model::ProducerId producer = model::kNoProducerId;
  std::int32_t sequence = 0;
  common::Timestamp time{1'700'000'000'000};
};
common::Bytes make_batch(const BatchSpec& spec);
/// The values of all records in the pieces of one outcome.
std::vector<std::string> values_in(const FetchOutcome& outcome);

class Node {
 public:
  explicit Node(NodeOptions options = {});
  ~Node();

  /// Recovers and opens everything, as a broker does before its doors open. Requires that it is not
  /// running.
  void start();
  /// Clean stop.
  void stop();
  /// The power goes; nothing unsynced survives.
  void crash();

  Shard& shard(std::size_t i = 0) { return *shards_[i]; }
  MetadataWriter& writer() { return *writer_; }
  env::Disk& disk() { return *disks_[0]; }

  /// Calls ask(reply) and drives the world until the reply is used.
  template <typename T, typename Ask>
  T wait(Ask ask) {
    auto place = std::make_shared<std::optional<T>>();
    ask(common::Reply<T>([place](T answer) { *place = std::move(answer); }));
    CHECK(world.run_until([place] { return place->has_value(); }), "no answer came");
    return std::move(**place);
  }

  /// The id; the topic must be made.
  model::TopicId create_topic(const std::string& name, std::int32_t partitions = 1,
                              std::vector<ConfigOverride> configs = {});
  TopicOutcome delete_topic(const std::string& name);
  ProduceOutcome produce_one(const std::string& topic, std::int32_t partition,
                             const BatchSpec& spec = {}, std::size_t shard = 0);
  /// Everything committed in one partition, without waiting.
  FetchOutcome fetch_one(const std::string& topic, std::int32_t partition, model::Offset from = {},
                         std::size_t shard = 0);

  /// What the shards wrote to the broker's log, over all starts.
  std::vector<std::string> notes;

  env::testing::SimWorld world;
  env::testing::SimDisk hardware;

 private:
  void take_apart();

  const NodeOptions options_;
  std::shared_ptr<const Identity> identity_;
  std::vector<env::testing::SimLoop*> loops_;
  std::vector<std::unique_ptr<env::Disk>> disks_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::unique_ptr<MetadataWriter> writer_;
};

}  // namespace millrace::service::testing
