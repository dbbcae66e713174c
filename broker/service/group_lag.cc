#include "broker/service/group_lag.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "broker/service/group_positions.h"
#include "broker/service/group_routing.h"

namespace millrace::service {

using coordinator::GroupDescription;

namespace {

PartitionLag lag_of(const Shard& owner, const std::string& group, GroupPosition position) {
  PartitionLag lag{.topic = std::move(position.topic), .partition = position.partition};
  lag.lag = position.lag();
  lag.committed = std::move(position.committed);
  lag.member = std::move(position.member);
  if (position.facts) {
    lag.log_start = position.facts->log_start;
    lag.end = position.facts->end;
    lag.unfetched = position.facts->unfetched;
  }
  lag.not_fetching = owner.coordinators().silence().silent(group, lag.topic, lag.partition);
  return lag;
}

GroupLag group_lag_of(const Shard& owner, GroupPositions group) {
  GroupLag out;
  out.group = std::move(group.group);
  out.partitions.reserve(group.positions.size());
  for (GroupPosition& position : group.positions) {
    out.partitions.push_back(lag_of(owner, out.group.summary.group, std::move(position)));
    out.lag += std::max<std::int64_t>(0, out.partitions.back().lag);
  }
  return out;
}

/// Positions are in order of topic, and so are the rows.
GroupLagSummary summary_of(const Shard& owner, const GroupPositions& group) {
  GroupLagSummary out;
  out.group = group.group.summary;
  out.members = static_cast<std::int32_t>(group.group.members.size());
  for (const GroupPosition& position : group.positions) {
    const std::int64_t lag = position.lag();
    if (lag < 0) continue;
    if (out.topics.empty() || out.topics.back().topic != position.topic)
      out.topics.push_back({.topic = position.topic, .partitions = {}});
    TopicLag& topic = out.topics.back();
    const bool silent =
        owner.coordinators().silence().silent(out.group.group, position.topic, position.partition);
    topic.partitions.push_back({position.partition, lag});
    topic.lag += lag;
    topic.not_fetching += silent ? 1 : 0;
    out.lag += lag;
    out.not_fetching += silent ? 1 : 0;
  }
  return out;
}

/// The groups of one shard, one coordinator after the other.
class ShardLags : public std::enable_shared_from_this<ShardLags> {
 public:
  ShardLags(Shard& owner, common::Reply<std::vector<GroupLagSummary>> done)
      : owner_(owner), done_(std::move(done)) {
    for (const auto& [index, coordinator] : owner.coordinators().all()) left_.push_back(index);
  }

  void next() {
    GroupCoordinator* coordinator = nullptr;
    while (coordinator == nullptr) {
      if (left_.empty()) return done_(std::move(summaries_));
      coordinator = owner_.coordinators().find(left_.back());
      left_.pop_back();
    }
    locate_groups(owner_, *coordinator, {},
                  [self = shared_from_this()](const std::vector<GroupPositions>& groups) {
                    for (const GroupPositions& group : groups) {
                      if (group.group.status.ok())
                        self->summaries_.push_back(summary_of(self->owner_, group));
                    }
                    self->owner_.loop().post([self] { self->next(); });
                  });
  }

 private:
  Shard& owner_;
  common::Reply<std::vector<GroupLagSummary>> done_;
  std::vector<model::PartitionIndex> left_;
  std::vector<GroupLagSummary> summaries_;
};

}  // namespace

void describe_group_lag(Shard& here, std::string group, common::Reply<GroupLag> done) {
  if (!group_place(here, group)) {
    GroupLag none;
    none.group = coordinator::Machine(here.coordinators().settings()).describe(group);
    return done(std::move(none));
  }
  // The description carries the status that routing needs.
  struct Outcome {
    coordinator::Status status;
    GroupLag lag;
  };
  at_coordinator<Outcome>(
      here, group, NoTopic::kRefuse,
      [group](Shard& owner, GroupCoordinator& coordinator, common::Reply<Outcome> reply) {
        if (auto why = coordinator.refusal()) return reply({.status = *std::move(why), .lag = {}});
        locate_groups(
            owner, coordinator, {.name = group},
            [&owner, reply = std::move(reply)](std::vector<GroupPositions> found) mutable {
              // One was asked for, of a coordinator that serves.
              CHECK(found.size() == 1);
              reply({.status = {}, .lag = group_lag_of(owner, std::move(found.front()))});
            });
      },
      [group, done = std::move(done)](Outcome outcome) mutable {
        if (!outcome.status.ok()) outcome.lag.group.status = std::move(outcome.status);
        outcome.lag.group.summary.group = group;
        done(std::move(outcome.lag));
      });
}

void group_lags(Shard& here, common::Reply<std::vector<GroupLagSummary>> done) {
  using Summaries = std::vector<GroupLagSummary>;
  on_every_shard<Summaries>(
      here,
      [](Shard& shard, common::Reply<Summaries> reply) {
        std::make_shared<ShardLags>(shard, std::move(reply))->next();
      },
      [done = std::move(done)](std::vector<Summaries> shards) mutable {
        Summaries all;
        for (Summaries& some : shards) std::move(some.begin(), some.end(), std::back_inserter(all));
        std::sort(all.begin(), all.end(),
                  [](const auto& a, const auto& b) { return a.group.group < b.group.group; });
        done(std::move(all));
      });
}

}  // namespace millrace::service
