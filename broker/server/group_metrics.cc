#include "broker/server/group_metrics.h"

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "broker/model/broker_settings.h"
#include "broker/service/shard.h"

namespace millrace::server {

GroupCounts count_groups(const service::Shard& shard) {
  GroupCounts counts;
  counts.counters = shard.coordinators().counters();
  for (const auto& [index, coordinator] : shard.coordinators().all()) {
    if (coordinator->loading()) ++counts.loading;
    if (coordinator->failed()) ++counts.failed;
  }
  return counts;
}

void add_group_counts(Exposition& out, std::uint32_t shard, const GroupCounts& counts) {
  const Labels labels{{"shard", std::to_string(shard)}};
  const service::GroupCounters& counters = counts.counters;
  const auto with_type = [&](coordinator::GroupType type) {
    Labels both = labels;
    both.push_back({"type", std::string(coordinator::name_of(type))});
    return both;
  };
  out.counter("millrace_group_offsets_committed_total", "Offsets that groups committed.",
              static_cast<double>(counters.offsets_committed), labels);
  out.counter("millrace_group_rebalances_total", "Times that groups shared out partitions anew.",
              static_cast<double>(counters.rebalances_classic),
              with_type(coordinator::GroupType::kClassic));
  out.counter("millrace_group_rebalances_total", "Times that groups shared out partitions anew.",
              static_cast<double>(counters.rebalances_consumer),
              with_type(coordinator::GroupType::kConsumer));
  out.counter("millrace_group_appends_total", "Batches appended to __consumer_offsets.",
              static_cast<double>(counters.appends), labels);
  out.counter("millrace_group_rewrites_total",
              "Times that a partition of __consumer_offsets was cut down to its state.",
              static_cast<double>(counters.rewrites), labels);
  out.counter("millrace_group_records_skipped_total",
              "Records of __consumer_offsets that could not be read and were left out.",
              static_cast<double>(counters.records_skipped), labels);
  out.gauge("millrace_group_coordinators_loading",
            "Partitions of __consumer_offsets that are being read.",
            static_cast<double>(counts.loading), labels);
  out.gauge("millrace_group_coordinators_failed",
            "Partitions of __consumer_offsets that cannot be read: their groups are not served.",
            static_cast<double>(counts.failed), labels);
}

std::future<GroupLags> begin_group_lags(service::Shard& first) {
  auto promise = std::make_shared<std::promise<GroupLags>>();
  auto answer = promise->get_future();
  first.loop().post([promise, &first] {
    const auto wanted = model::broker_value("metrics.group.partitions", first.layers());
    const bool partitions = wanted && model::parse_boolean(*wanted).value_or(false);
    service::group_lags(first, [promise, partitions](std::vector<service::GroupLagSummary> groups) {
      promise->set_value({std::move(groups), partitions});
    });
  });
  return answer;
}

namespace {

void add_states(Exposition& out, const std::vector<service::GroupLagSummary>& groups) {
  std::map<std::pair<std::string_view, std::string_view>, std::int64_t> states;
  for (const service::GroupLagSummary& group : groups)
    ++states[{coordinator::name_of(group.group.state), coordinator::name_of(group.group.type)}];
  for (const auto& [name, count] : states) {
    out.gauge("millrace_groups", "Groups of a state and type.", static_cast<double>(count),
              {{"state", std::string(name.first)}, {"type", std::string(name.second)}});
  }
}

void add_topic(Exposition& out, const std::string& group, const service::TopicLag& topic,
               bool partitions) {
  const Labels labels{{"group", group}, {"topic", topic.topic}};
  out.gauge("millrace_group_lag",
            "Records between what the group committed and the end of the topic.",
            static_cast<double>(topic.lag), labels);
  if (!partitions) return;
  for (const auto& partition : topic.partitions) {
    Labels all = labels;
    all.push_back({"partition", std::to_string(partition.partition)});
    out.gauge("millrace_group_partition_lag", "As millrace_group_lag, of one partition.",
              static_cast<double>(partition.lag), all);
  }
}

}  // namespace

void add_group_lags(Exposition& out, const GroupLags& lags) {
  add_states(out, lags.groups);
  std::size_t series = 0;
  std::size_t dropped = 0;
  for (const service::GroupLagSummary& group : lags.groups) {
    const std::size_t wanted = 1 + group.topics.size();
    if (series + wanted > kGroupSeriesMax) {
      dropped += wanted;
      continue;
    }
    series += wanted;
    const Labels labels{{"group", group.group.group}};
    out.gauge("millrace_group_members", "Members of the group.", static_cast<double>(group.members),
              labels);
    out.gauge("millrace_group_partitions_not_fetched",
              "Partitions that a member holds and whose records nobody fetches.",
              static_cast<double>(group.not_fetching), labels);
    for (const service::TopicLag& topic : group.topics)
      add_topic(out, group.group.group, topic, lags.partitions);
  }
  out.gauge("millrace_group_lag_series_dropped",
            "Groups and topics of groups that are too many to be shown.",
            static_cast<double>(dropped));
}

}  // namespace millrace::server
