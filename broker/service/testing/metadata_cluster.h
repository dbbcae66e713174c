// MetadataCluster cluster(3);   auto made = cluster.create(cluster.at(1), "orders");
// cluster.leader = BrokerId{2};   cluster.at(0).crash();   cluster.at(0).start();
//
// Several brokers and one metadata log: whole writers over simulated disks, with calls between them
// that get lost. Who leads is said by the test, and followers copy what the leader has committed.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/env/testing/sim_disk.h"
#include "broker/env/testing/sim_world.h"
#include "broker/metadata/machine_cluster.h"
#include "broker/service/metadata_writer.h"
#include "common/check.h"

namespace millrace::service::testing {

class MetadataCluster;

/// One broker's shards (two), with a disk that remembers from one start to the next.
class MetadataBroker final : public ClusterCalls {
 public:
  MetadataBroker(MetadataCluster& cluster, model::BrokerId id);
  ~MetadataBroker() override { crash(); }

  void start();
  void crash();
  bool up() const { return writer_ != nullptr; }

  std::optional<model::BrokerId> metadata_leader() const override;
  void propose(model::BrokerId leader, common::Bytes proposal, common::Duration timeout,
               common::Reply<common::Result<common::Bytes>> done) override;

  Shard& shard(std::size_t i) { return *shards_[i]; }
  MetadataWriter& writer() { return *writer_; }
  env::testing::SimLoop& loop() { return *loops_[0]; }
  const metadata::Image& image(std::size_t i = 0) const { return shards_[i]->image(); }
  /// Of any partition of the topic.
  bool has_log(const model::TopicId& topic);

  const model::BrokerId id;
  std::vector<std::string> notes;

 private:
  MetadataCluster& cluster_;
  env::testing::SimDisk hardware_;
  std::shared_ptr<const Identity> identity_;
  std::vector<env::testing::SimLoop*> loops_;
  std::vector<std::unique_ptr<env::Disk>> disks_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::unique_ptr<MetadataWriter> writer_;
};

class MetadataCluster {
 public:
  /// All are up, registered, and at kClusterLevel. Broker 0 leads.
  explicit MetadataCluster(std::size_t brokers, std::uint64_t seed = 1);
  ~MetadataCluster();

  MetadataBroker& at(std::size_t i) { return *all[i]; }

  /// Calls ask(reply) and drives the world until the reply is used.
  template <typename T, typename Ask>
  T wait(Ask ask) {
    auto place = std::make_shared<std::optional<T>>();
    ask(common::Reply<T>([place](T answer) { *place = std::move(answer); }));
    CHECK(world.run_until([place] { return place->has_value(); }), "no answer came");
    return std::move(**place);
  }
  /// Has a shard of a broker decide on a command, and waits for what comes of it.
  template <typename Outcome, typename Decide>
  common::Result<Outcome> decide(Shard& here, Decide decide) {
    return wait<common::Result<Outcome>>([&](auto reply) {
      MetadataWriter::decide_on<Outcome>(here, std::move(decide), std::move(reply));
    });
  }

  void ask_topic(Shard& here, const std::string& name,
                 common::Reply<common::Result<metadata::TopicOutcome>> done,
                 std::int16_t replication_factor = 1);
  /// With two partitions.
  common::Result<metadata::TopicOutcome> create(MetadataBroker& broker, const std::string& name,
                                                std::int16_t replication_factor = 1);
  common::Result<metadata::DeletedTopic> remove(MetadataBroker& broker, const std::string& name);

  /// The broker's replica of the metadata log hears that there is a later term.
  void hear_of(MetadataBroker& broker, model::Term term);
  /// Until all that are up hold the same, on every shard.
  void settle();

  env::testing::SimWorld world;
  /// For those that start from now on.
  MetadataWriterSettings settings;
  std::optional<model::BrokerId> leader = model::BrokerId{0};
  /// Of calls and of answers.
  std::uint64_t loss_percent = 0;
  /// Followers that get nothing.
  std::set<model::BrokerId> cut_off;
  /// The leader leads in the newest term that anybody has heard of.
  bool leads_in_newest_term = true;
  std::vector<std::unique_ptr<MetadataBroker>> all;

 private:
  friend class MetadataBroker;
  bool lost() { return world.random().chance(loss_percent, 100); }
  void join(MetadataBroker& broker);
  bool equal() const;
  void replicate();
  void follow_terms();
  void copy_to_all();
  void watch_leader();
  void copy_to(MetadataBroker& follower);

  bool stopped_ = false;
  const MetadataWriter* watched_ = nullptr;
};

}  // namespace millrace::service::testing
