#include "operator/brokers/translate.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::brokers {
namespace {

/// More than that helps nobody who reads a condition.
constexpr int kBlockersShown = 3;
constexpr std::string_view kDynamicDefault = "dynamic-default";

Health health_of(v1::Health health) {
  switch (health) {
    case v1::HEALTH_GREEN:
      return Health::kGreen;
    case v1::HEALTH_YELLOW:
      return Health::kYellow;
    case v1::HEALTH_RED:
      return Health::kRed;
    default:
      return Health::kUnknown;
  }
}

Permit permit_of(const v1::RestartPermit& permit) {
  return {permit.incarnation(), permit.expires_at_ms()};
}

Broker broker_of(const v1::Broker& broker) {
  Broker out{.id = broker.id(),
             .state = translate(broker.state()),
             .alive = broker.alive(),
             .silent_ms = broker.silent_ms(),
             .recovered = broker.recovered(),
             .leaders = broker.leaders(),
             .replicas = broker.replicas(),
             .replicas_behind = broker.replicas_behind(),
             .directory_id = broker.directory_id(),
             .incarnation = broker.incarnation(),
             .endpoint = broker.internal_endpoint(),
             .rack = broker.rack(),
             .permit = std::nullopt,
             .metadata_voter = broker.metadata_voter()};
  if (broker.has_permit()) out.permit = permit_of(broker.permit());
  return out;
}

std::string text(const v1::PermitBlocker& blocker) {
  std::string missing;
  for (const std::int32_t broker : blocker.missing())
    missing += fmt::format("{}{}", missing.empty() ? "" : ", ", broker);
  return fmt::format("{}/{} would have {} of {} replicas in sync{}", blocker.topic(),
                     blocker.partition(), blocker.left(), blocker.needed(),
                     missing.empty() ? "" : fmt::format(" without broker {}", missing));
}

std::string text(const v1::Blocker& blocker) {
  if (blocker.partitions() == 0) return blocker.cause();
  return fmt::format("{} ({} partition(s), such as {}/{})", blocker.cause(), blocker.partitions(),
                     blocker.topic(), blocker.partition());
}

}  // namespace

BrokerState translate(v1::BrokerState state) {
  switch (state) {
    case v1::BROKER_STATE_ACTIVE:
      return BrokerState::kActive;
    case v1::BROKER_STATE_DRAINING:
      return BrokerState::kDraining;
    case v1::BROKER_STATE_DRAINED:
      return BrokerState::kDrained;
    default:
      // One that is not known here is taken for one that nothing may be concluded from.
      return BrokerState::kUnregistered;
  }
}

Cluster translate(const v1::ClusterHealthResponse& response) {
  Cluster out{.cluster_id = response.cluster_id(),
              .health = health_of(response.health()),
              .controller = response.controller(),
              .reasons = {response.reasons().begin(), response.reasons().end()},
              .brokers = {},
              .partitions = response.partitions(),
              .offline = response.offline(),
              .under_min_in_sync = response.under_min_in_sync(),
              .under_replicated = response.under_replicated(),
              .moving = response.moving(),
              .version = {}};
  for (const v1::Broker& broker : response.broker_states()) {
    out.brokers.push_back(broker_of(broker));
    if (broker.id() == response.answered_by()) out.version = broker.version();
  }
  std::sort(out.brokers.begin(), out.brokers.end(),
            [](const Broker& a, const Broker& b) { return a.id < b.id; });
  return out;
}

PermitAnswer translate(const v1::AcquireRestartPermitResponse& response) {
  PermitAnswer out{.granted = response.granted(), .permit = permit_of(response.permit())};
  if (out.granted) return out;
  out.why = response.reason().empty() ? "The brokers do not say why" : response.reason();
  const int shown = std::min(response.blockers_size(), kBlockersShown);
  for (int i = 0; i < shown; ++i)
    out.why += fmt::format("{} {}", i == 0 ? ":" : ";", text(response.blockers(i)));
  if (response.blocked_partitions() > shown)
    out.why += fmt::format(" ({} partitions in all)", response.blocked_partitions());
  return out;
}

DrainAnswer translate(const v1::DrainBrokerResponse& response) {
  DrainAnswer out{.state = translate(response.state()),
                  .replicas_left = response.replicas_left(),
                  .blockers = {}};
  const int shown = std::min(response.blockers_size(), kBlockersShown);
  for (int i = 0; i < shown; ++i)
    out.blockers += fmt::format("{}{}", i == 0 ? "" : "; ", text(response.blockers(i)));
  return out;
}

Topic translate(const v1::TopicSummary& summary) {
  return {.name = summary.name(),
          .id = summary.topic_id(),
          .partitions = summary.partitions(),
          .replication_factor = summary.replication_factor(),
          .configs = {summary.configs().begin(), summary.configs().end()}};
}

Answer<Topic> translate(const v1::NewTopicOutcome& outcome) {
  if (outcome.error().empty()) {
    return Topic{.name = outcome.name(),
                 .id = outcome.topic_id(),
                 .partitions = outcome.partitions(),
                 .replication_factor = outcome.replication_factor(),
                 .configs = {}};
  }
  const auto status = static_cast<::grpc::StatusCode>(outcome.status());
  return BrokerError{.trouble = trouble_of(status),
                     .detail = outcome.error_message(),
                     .code = outcome.error(),
                     .maybe_done = status == ::grpc::StatusCode::DEADLINE_EXCEEDED};
}

std::map<std::string, TopicTrouble> translate(const v1::ListPartitionsResponse& response) {
  std::map<std::string, TopicTrouble> out;
  for (const v1::PartitionHealth& partition : response.partitions()) {
    TopicTrouble& topic = out[partition.topic()];
    if (partition.trouble() == v1::PARTITION_TROUBLE_OFFLINE) ++topic.offline;
    if (partition.in_sync_size() < partition.replicas_size()) ++topic.under_replicated;
  }
  return out;
}

Configs translate(const v1::DescribeConfigsResponse& response) {
  Configs out;
  for (const v1::Config& config : response.configs()) {
    if (config.source() == kDynamicDefault && config.has_value())
      out[config.name()] = config.value();
  }
  return out;
}

Trouble trouble_of(::grpc::StatusCode status) {
  switch (status) {
    case ::grpc::StatusCode::UNAVAILABLE:
    case ::grpc::StatusCode::ABORTED:
    case ::grpc::StatusCode::RESOURCE_EXHAUSTED:
    case ::grpc::StatusCode::DEADLINE_EXCEEDED:
      return Trouble::kNotNow;
    case ::grpc::StatusCode::NOT_FOUND:
      return Trouble::kNotFound;
    case ::grpc::StatusCode::ALREADY_EXISTS:
      return Trouble::kExists;
    case ::grpc::StatusCode::INVALID_ARGUMENT:
    case ::grpc::StatusCode::FAILED_PRECONDITION:
    case ::grpc::StatusCode::OUT_OF_RANGE:
    case ::grpc::StatusCode::PERMISSION_DENIED:
    case ::grpc::StatusCode::UNAUTHENTICATED:
      return Trouble::kRefused;
    case ::grpc::StatusCode::UNIMPLEMENTED:
      return Trouble::kTooOld;
    default:
      return Trouble::kFailed;
  }
}

}  // namespace millrace::brokers
