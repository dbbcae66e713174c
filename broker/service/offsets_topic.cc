#include "broker/service/offsets_topic.h"

#include <string>
#include <utility>

#include "broker/service/group_settings.h"
#include "broker/service/topics.h"

namespace millrace::service {

using coordinator::Status;
using model::ErrorCode;

namespace {

NewTopic offsets_topic(const Shard& here) {
  const OffsetsTopicSettings settings = offsets_topic_settings(here.layers());
  NewTopic topic{.name = std::string(kOffsetsTopic), .partitions = settings.partitions};
  topic.replicas_max = settings.replication_factor;
  topic.configs = {{"cleanup.policy", "compact"},
                   {"compression.type", "producer"},
                   {"segment.bytes", std::to_string(settings.segment_bytes)}};
  return topic;
}

}  // namespace

void ensure_offsets_topic(Shard& here, common::Reply<Status> done) {
  if (here.image().topic(kOffsetsTopic) != nullptr) return done({});
  std::vector<NewTopic> topics;
  topics.push_back(offsets_topic(here));
  create_topics(
      here, std::move(topics), false,
      [done = std::move(done)](std::vector<TopicOutcome> outcomes) mutable {
        TopicOutcome& made = outcomes.front();
        // Many may find it missing at once; all but one find it there.
        if (made.code == ErrorCode::kNone || made.code == ErrorCode::kTopicAlreadyExists) {
          return done({});
        }
        done({ErrorCode::kCoordinatorNotAvailable,
              "__consumer_offsets cannot be made: " + made.detail});
      });
}

}  // namespace millrace::service
