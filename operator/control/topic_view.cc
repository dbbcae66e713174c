#include "operator/control/topic_view.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "common/check.h"

namespace millrace::control {
namespace {

bool same(const plan::TopicView& a, const plan::TopicView& b) {
  const auto fields = [](const plan::TopicView& view) {
    return std::tie(view.topic_id, view.partitions, view.replication_factor, view.config,
                    view.offline, view.under_replicated);
  };
  return fields(a) == fields(b);
}

std::int32_t registered(const brokers::Cluster& cluster) {
  return static_cast<std::int32_t>(std::count_if(
      cluster.brokers.begin(), cluster.brokers.end(),
      [](const auto& broker) { return broker.state != brokers::BrokerState::kUnregistered; }));
}

TopicsView unreachable(std::string why_not, common::Instant now) {
  TopicsView view;
  view.why_not = std::move(why_not);
  view.read_at = now;
  return view;
}

}  // namespace

plan::TopicAtBrokers TopicsView::at_brokers(const std::string& topic) const {
  plan::TopicAtBrokers at{
      .reachable = reachable, .why_not = why_not, .topic = std::nullopt, .brokers = brokers};
  const auto found = topics.find(topic);
  if (found != topics.end()) at.topic = found->second;
  return at;
}

bool TopicsView::all_led() const {
  return std::none_of(topics.begin(), topics.end(),
                      [](const auto& entry) { return entry.second.offline > 0; });
}

TopicsView read_topics(brokers::Admin& admin, common::Instant now) {
  const auto cluster = admin.cluster();
  if (!cluster.ok()) return unreachable(cluster.error().detail, now);
  auto topics = admin.topics();
  if (!topics.ok()) return unreachable(topics.error().detail, now);
  const auto unwell = admin.unwell_topics();
  TopicsView view;
  view.reachable = true;
  view.brokers = registered(*cluster);
  view.read_at = now;
  for (brokers::Topic& topic : *topics) {
    plan::TopicView one{.topic_id = std::move(topic.id),
                        .partitions = topic.partitions,
                        .replication_factor = topic.replication_factor,
                        .config = std::move(topic.configs)};
    if (unwell.ok()) {
      const auto trouble = unwell->find(topic.name);
      const bool well = trouble == unwell->end();
      one.offline = well ? 0 : trouble->second.offline;
      one.under_replicated = well ? 0 : trouble->second.under_replicated;
    }
    view.topics.emplace(std::move(topic.name), std::move(one));
  }
  return view;
}

std::set<std::string> changed(const TopicsView& before, const TopicsView& after) {
  CHECK(before.reachable && after.reachable);
  std::set<std::string> names;
  for (const auto& [name, view] : after.topics) {
    const auto known = before.topics.find(name);
    if (known == before.topics.end() || !same(known->second, view)) names.insert(name);
  }
  for (const auto& [name, view] : before.topics) {
    if (!after.topics.contains(name)) names.insert(name);
  }
  return names;
}

}  // namespace millrace::control
