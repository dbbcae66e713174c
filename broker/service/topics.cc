#include "broker/service/topics.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/model/topic_name.h"
#include "broker/service/in_turn.h"
#include "broker/service/leaders.h"
#include "broker/service/metadata_writer.h"

namespace millrace::service {
namespace {

constexpr std::int64_t kReplicasUsual = 3;
constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};

/// As many as there are brokers to take replicas. While a cluster forms its brokers come one after
/// the other: those that vote on the metadata log will all be there.
std::int64_t brokers_for_replicas(Shard& first) {
  const metadata::Image& image = first.image();
  const replica::Partition* const log = first.replicas().find_any(kMetadataKey);
  const std::size_t voters =
      log == nullptr || log->group() == nullptr ? 0 : log->group()->config().voters.size();
  if (image.brokers().size() < voters) return static_cast<std::int64_t>(voters);
  return std::count_if(image.brokers().begin(), image.brokers().end(), [&](const auto& broker) {
    return image.state(broker.first) == metadata::BrokerState::kActive;
  });
}

/// Three, if the settings say -1, or `wanted`: or as many as there are brokers, if these are fewer.
std::int16_t default_replicas(Shard& first, std::int16_t wanted) {
  const std::int16_t set = first.settings().default_replication_factor;
  if (wanted == 0 && set > 0) return set;
  const std::int64_t most = wanted == 0 ? kReplicasUsual : wanted;
  return static_cast<std::int16_t>(std::clamp<std::int64_t>(brokers_for_replicas(first), 1, most));
}

metadata::CreationRules creation_rules(Shard& first, std::int16_t replicas_max = 0) {
  const model::BrokerSettings& settings = first.settings();
  return {.default_partitions = settings.num_partitions,
          .default_replication_factor = default_replicas(first, replicas_max),
          .partitions_per_shard_max = settings.partitions_per_shard_max};
}

TopicOutcome outcome_of(const std::string& name,
                        const common::Result<metadata::TopicOutcome>& decided) {
  if (!decided.ok()) {
    return {.code = decided.error().code, .detail = decided.error().detail, .name = name};
  }
  return {.name = name,
          .id = decided->id,
          .partitions = decided->partitions,
          .replication_factor = decided->replication_factor};
}

/// A decision whose records are dropped when only its outcome is wanted.
template <typename Outcome>
common::Result<metadata::Decision<Outcome>> perhaps_only_validate(
    common::Result<metadata::Decision<Outcome>> decision, bool validate_only) {
  if (validate_only && decision.ok()) decision->records.clear();
  return decision;
}

common::Result<metadata::CreateTopic> command_of(const NewTopic& topic, common::Random& random) {
  metadata::CreateTopic command{.name = topic.name,
                                .id = model::TopicId::random(random),
                                .partitions = topic.partitions,
                                .replication_factor = topic.replication_factor};
  for (const auto& [index, brokers] : topic.assignments) {
    command.assignments.emplace_back(index.value(), brokers);
  }
  for (const auto& [name, value] : topic.configs) {
    if (!value) {
      return common::Error{model::ErrorCode::kInvalidConfig,
                           fmt::format("Null value not supported for topic configs: {}", name)};
    }
    command.configs[name] = *value;
  }
  return command;
}

void create_topic(Shard& here, NewTopic topic, bool validate_only,
                  common::Reply<TopicOutcome> done) {
  auto command = command_of(topic, here.random());
  if (!command.ok()) return done(outcome_of(topic.name, command.error()));
  MetadataWriter::decide_on<metadata::TopicOutcome>(
      here,
      [&here, command = std::move(*command), replicas_max = topic.replicas_max,
       validate_only](const metadata::Image& image) {
        return perhaps_only_validate(
            metadata::decide(image, command, creation_rules(here.first(), replicas_max)),
            validate_only);
      },
      [name = topic.name,
       done = std::move(done)](common::Result<metadata::TopicOutcome> decided) mutable {
        done(outcome_of(name, decided));
      });
}

/// The partitions of a topic that was made; none of one that was not.
std::vector<model::PartitionKey> keys_of(const TopicOutcome& made) {
  std::vector<model::PartitionKey> keys;
  if (made.code != model::ErrorCode::kNone) return keys;
  for (std::int32_t index = 0; index < made.partitions; ++index)
    keys.push_back({made.id, model::PartitionIndex{index}});
  return keys;
}

}  // namespace

void create_topics(Shard& here, std::vector<NewTopic> topics, bool validate_only,
                   common::Reply<std::vector<TopicOutcome>> done) {
  in_turn<TopicOutcome, NewTopic>(
      std::move(topics),
      [&here, validate_only](NewTopic topic, common::Reply<TopicOutcome> reply) {
        create_topic(here, std::move(topic), validate_only, std::move(reply));
      },
      [&here, validate_only, done = std::move(done)](std::vector<TopicOutcome> outcomes) mutable {
        if (validate_only) return done(std::move(outcomes));
        std::vector<model::PartitionKey> keys;
        for (const TopicOutcome& outcome : outcomes) {
          for (const model::PartitionKey& key : keys_of(outcome)) keys.push_back(key);
        }
        await_leaders(here, std::move(keys),
                      [outcomes = std::move(outcomes), done = std::move(done)]() mutable {
                        done(std::move(outcomes));
                      });
      });
}

void auto_create_topic(Shard& here, std::string name, common::Reply<TopicOutcome> done) {
  create_topic(here, NewTopic{.name = name}, false,
               [&here, name, done = std::move(done)](TopicOutcome outcome) mutable {
                 if (outcome.code != model::ErrorCode::kTopicAlreadyExists) {
                   auto keys = keys_of(outcome);
                   return await_leaders(
                       here, std::move(keys),
                       [outcome = std::move(outcome), done = std::move(done)]() mutable {
                         done(std::move(outcome));
                       });
                 }
                 // Someone else made it in the meantime. A collision with another name is reported
                 // as it is.
                 const auto topic = here.image().topic(name);
                 if (topic == nullptr) return done(std::move(outcome));
                 done({.name = name, .id = topic->id, .partitions = topic->partition_count()});
               });
}

void delete_topics(Shard& here, std::vector<TopicRef> topics,
                   common::Reply<std::vector<TopicOutcome>> done) {
  in_turn<TopicOutcome, TopicRef>(
      std::move(topics),
      [&here](TopicRef topic, common::Reply<TopicOutcome> reply) {
        if (!here.settings().delete_topics) {
          common::Error disabled = model::error(model::ErrorCode::kTopicDeletionDisabled);
          return reply({.code = disabled.code,
                        .detail = std::move(disabled.detail),
                        .name = topic.name,
                        .id = topic.id});
        }
        const auto found =
            topic.id.is_zero() ? here.image().topic(topic.name) : here.image().topic(topic.id);
        if (found != nullptr && model::is_internal_topic(found->name)) {
          return reply({.code = model::ErrorCode::kInvalidTopic,
                        .detail = fmt::format("{} belongs to the broker itself: without it every "
                                              "group would lose its place",
                                              found->name),
                        .name = topic.name,
                        .id = topic.id});
        }
        MetadataWriter::decide_on<metadata::DeletedTopic>(
            here,
            [topic](const metadata::Image& image) {
              return metadata::decide(image, metadata::DeleteTopic{topic.name, topic.id});
            },
            [topic,
             reply = std::move(reply)](common::Result<metadata::DeletedTopic> deleted) mutable {
              if (deleted.ok()) return reply({.name = deleted->name, .id = deleted->id});
              reply({.code = deleted.error().code,
                     .detail = deleted.error().detail,
                     .name = topic.name,
                     .id = topic.id});
            });
      },
      std::move(done));
}

void create_partitions(Shard& here, std::vector<MorePartitions> topics, bool validate_only,
                       common::Reply<std::vector<TopicOutcome>> done) {
  in_turn<TopicOutcome, MorePartitions>(
      std::move(topics),
      [&here, validate_only](MorePartitions more, common::Reply<TopicOutcome> reply) {
        if (model::is_internal_topic(more.name) && here.image().topic(more.name) != nullptr) {
          return reply({.code = model::ErrorCode::kInvalidTopic,
                        .detail = fmt::format("{} belongs to the broker itself: with another "
                                              "number of partitions groups would not find what "
                                              "they committed",
                                              more.name),
                        .name = more.name});
        }
        MetadataWriter::decide_on<metadata::TopicOutcome>(
            here,
            [&here, more, validate_only](const metadata::Image& image) {
              return perhaps_only_validate(
                  metadata::decide(
                      image, metadata::CreatePartitions{more.name, more.count, more.assignments},
                      creation_rules(here.first())),
                  validate_only);
            },
            [name = more.name,
             reply = std::move(reply)](common::Result<metadata::TopicOutcome> decided) mutable {
              reply(outcome_of(name, decided));
            });
      },
      std::move(done));
}

}  // namespace millrace::service
