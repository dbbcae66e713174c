#include "broker/service/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "broker/model/topic_settings.h"
#include "broker/service/broker_states.h"
#include "broker/service/log_dirs.h"
#include "broker/service/neighbours.h"
#include "broker/service/partition_facts.h"

namespace millrace::service {
namespace {

using model::ErrorCode;

/// What one shard knows of what is asked for; copied on its loop.
struct ShardView {
  bool out_of_space = false;
  std::vector<PartitionState> partitions;  // of the topic that is asked for
  std::vector<std::string> damages;        // of any
  std::size_t partition_count = 0;
  std::int32_t replicas_min = 1;
};

ShardView look(Shard& shard, const std::string& topic) {
  ShardView view;
  view.out_of_space = shard.store().out_of_space();
  view.partition_count = shard.partitions().size();
  for (const auto& [key, partition] : shard.partitions()) {
    const auto damage = partition->log().damage();
    const std::string& name = partition->log().topic_name();
    if (damage) view.damages.push_back(fmt::format("{}-{}: {}", name, key.index, damage->detail));
    if (name != topic) continue;
    PartitionState& facts = view.partitions.emplace_back();
    facts.partition = key.index.value();
    if (damage) facts.damage = damage->detail;
    const replica::Bounds bounds = partition->bounds();
    facts.log_start = bounds.log_start;
    facts.end = bounds.high_watermark;
    view.replicas_min = partition->settings().min_insync_replicas;
  }
  return view;
}

/// Looks at every shard. Lives on the asking shard's loop.
void look_everywhere(Shard& here, const std::string& topic,
                     common::Reply<std::vector<ShardView>> done) {
  struct Gathering {
    std::vector<ShardView> views;
    std::size_t missing = 0;
    common::Reply<std::vector<ShardView>> done;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->missing = here.peers().size();
  gathering->done = std::move(done);
  for (Shard* shard : here.peers()) {
    // The gathering belongs to `here`: it travels unopened.
    shard->loop().post([&here, shard, topic, gathering] {
      here.loop().post([gathering, view = look(*shard, topic)]() mutable {
        gathering->views.push_back(std::move(view));
        if (--gathering->missing == 0) gathering->done(std::move(gathering->views));
      });
    });
  }
}

bool reads(const GroupLagSummary& group, const std::string& topic) {
  return std::any_of(group.topics.begin(), group.topics.end(),
                     [&](const TopicLag& row) { return row.topic == topic; });
}

TopicFacts topic_facts(const metadata::Topic& topic, std::vector<ShardView> views) {
  TopicFacts facts;
  facts.topic = topic.name;
  if (!topic.partitions.empty())
    facts.replicas = static_cast<std::int32_t>(topic.partitions.front().size());
  for (std::int32_t i = 0; i < topic.partition_count(); ++i) {
    PartitionState& partition = facts.partitions.emplace_back();
    partition.partition = i;
    partition.served = false;
  }
  for (ShardView& view : views) {
    facts.out_of_space = facts.out_of_space || view.out_of_space;
    facts.replicas_min = std::max(facts.replicas_min, view.replicas_min);
    for (PartitionState& partition : view.partitions) {
      if (partition.partition < topic.partition_count())
        facts.partitions[static_cast<std::size_t>(partition.partition)] = std::move(partition);
    }
  }
  return facts;
}

/// Partitions that other brokers lead are served by them.
void look_elsewhere(Shard& here, const metadata::Topic& topic, TopicFacts facts,
                    common::Reply<TopicFacts> done) {
  if (here.neighbours() == nullptr) return done(std::move(facts));
  std::vector<model::PartitionKey> keys;
  for (std::int32_t i = 0; i < topic.partition_count(); ++i)
    keys.push_back({topic.id, model::PartitionIndex{i}});
  partition_facts(here, std::move(keys),
                  [facts = std::move(facts),
                   done = std::move(done)](std::vector<std::optional<PartitionFacts>> led) mutable {
                    for (std::size_t i = 0; i < led.size(); ++i) {
                      PartitionState& partition = facts.partitions[i];
                      partition.served = led[i].has_value();
                      if (!led[i]) continue;
                      partition.log_start = led[i]->log_start;
                      partition.end = led[i]->end;
                    }
                    done(std::move(facts));
                  });
}

/// nullopt: nobody knows the broker.
void find_standing(Shard& here, model::BrokerId broker,
                   common::Reply<std::optional<BrokerStanding>> done) {
  report_cluster(here, [&here, broker, done = std::move(done)](ClusterReport report) mutable {
    const auto found = std::find_if(report.brokers.begin(), report.brokers.end(),
                                    [&](const BrokerReport& one) { return one.id == broker; });
    if (found == report.brokers.end()) return done(std::nullopt);
    BrokerStanding standing{.report = std::move(*found),
                            .metadata_leader = report.metadata_leader,
                            .blockers = {},
                            .now = here.clock().wall()};
    ask_move_blockers(here, [standing = std::move(standing), broker, done = std::move(done)](
                                common::Result<std::vector<metadata::MoveBlocker>> all) mutable {
      // Without the answer there is no leader of the metadata, which is a finding of its own.
      if (all.ok()) {
        std::erase_if(*all, [&](const auto& blocker) { return blocker.broker != broker; });
        standing.blockers = *std::move(all);
      }
      done(std::move(standing));
    });
  });
}

/// This broker, as it sees itself.
void explain_own(Shard& here, BrokerStanding standing,
                 common::Reply<common::Result<Explanation>> done) {
  auto facts = std::make_shared<BrokerFacts>();
  facts->broker = here.identity().node;
  facts->standing = std::move(standing);
  facts->reserve_bytes = static_cast<std::uint64_t>(here.settings().disk_reserve_bytes);
  facts->records_rejected = here.image().rejected();
  facts->last_rejection = here.image().last_rejection();
  auto judged = [&here, facts, done = std::move(done)](common::Result<LogDirs> dirs) mutable {
    if (!dirs.ok()) return done(dirs.error());
    facts->free_bytes = dirs->space.free;
    facts->total_bytes = dirs->space.total;
    group_lags(here, [facts, done = std::move(done)](std::vector<GroupLagSummary> groups) mutable {
      facts->groups = std::move(groups);
      done(judge_broker(*facts));
    });
  };
  look_everywhere(
      here, "", [&here, facts, judged = std::move(judged)](std::vector<ShardView> views) mutable {
        for (ShardView& view : views) {
          facts->out_of_space = facts->out_of_space || view.out_of_space;
          facts->partitions += view.partition_count;
          std::move(view.damages.begin(), view.damages.end(), std::back_inserter(facts->damages));
        }
        describe_log_dirs(here, std::move(judged));
      });
}

/// Who leads the topic's partitions, and where their replicas are.
void look_at_replicas(Shard& here, TopicFacts facts, common::Reply<TopicFacts> done) {
  report_cluster(here,
                 [facts = std::move(facts), done = std::move(done)](ClusterReport report) mutable {
                   for (PartitionReport& partition : report.partitions) {
                     if (partition.topic == facts.topic)
                       facts.replication.push_back(std::move(partition));
                   }
                   done(std::move(facts));
                 });
}

/// The groups that read the topic.
void look_at_readers(Shard& here, TopicFacts facts, common::Reply<TopicFacts> done) {
  group_lags(here, [facts = std::move(facts),
                    done = std::move(done)](std::vector<GroupLagSummary> groups) mutable {
    for (GroupLagSummary& group : groups) {
      if (reads(group, facts.topic)) facts.readers.push_back(std::move(group));
    }
    done(std::move(facts));
  });
}

}  // namespace

void explain_group(Shard& here, std::string group,
                   common::Reply<common::Result<Explanation>> done) {
  describe_group_lag(here, std::move(group), [&here, done = std::move(done)](GroupLag lag) mutable {
    if (!lag.group.status.ok()) {
      return done(common::Error{lag.group.status.code, lag.group.status.detail});
    }
    std::set<std::string> missing;
    for (const auto& member : lag.group.members) {
      for (const std::string& topic : member.topics) {
        if (here.image().topic(topic) == nullptr) missing.insert(topic);
      }
    }
    const GroupFacts facts{.now = here.clock().now(),
                           .missing_topics = {missing.begin(), missing.end()}};
    done(judge_group(lag, facts));
  });
}

void explain_topic(Shard& here, std::string topic, std::optional<std::int32_t> partition,
                   common::Reply<common::Result<Explanation>> done) {
  const auto found = here.image().topic(topic);
  if (found == nullptr) {
    return done(common::Error{ErrorCode::kUnknownTopicOrPartition,
                              fmt::format("Topic {} does not exist", topic)});
  }
  if (partition && (*partition < 0 || *partition >= found->partition_count())) {
    return done(common::Error{ErrorCode::kUnknownTopicOrPartition,
                              fmt::format("Topic {} has no partition {}: it has {}", topic,
                                          *partition, found->partition_count())});
  }
  auto judge = [partition, done = std::move(done)](const TopicFacts& facts) mutable {
    done(judge_topic(facts, partition));
  };
  auto with_leaders = [&here, judge = std::move(judge)](TopicFacts facts) mutable {
    look_at_readers(here, std::move(facts), std::move(judge));
  };
  auto with_offsets = [&here, next = std::move(with_leaders)](TopicFacts facts) mutable {
    look_at_replicas(here, std::move(facts), std::move(next));
  };
  look_everywhere(
      here, topic,
      [&here, found, next = std::move(with_offsets)](std::vector<ShardView> views) mutable {
        look_elsewhere(here, *found, topic_facts(*found, std::move(views)), std::move(next));
      });
}

void explain_broker(Shard& here, model::BrokerId broker,
                    common::Reply<common::Result<Explanation>> done) {
  find_standing(
      here, broker,
      [&here, broker, done = std::move(done)](std::optional<BrokerStanding> standing) mutable {
        if (broker == here.identity().node)
          return explain_own(here, *std::move(standing), std::move(done));
        if (standing) return done(judge_absent_broker(*standing));
        done(common::Error{ErrorCode::kBrokerIdNotRegistered,
                           fmt::format("No broker has the id {}", broker)});
      });
}

}  // namespace millrace::service
