// const Parsed<TopicSpec> parsed = parse_topic_spec(cr);
//
// A MillraceTopic as a value: spec.* of the custom resource with the defaults of its schema
// (charts/millrace/crds/millracetopics.yaml; a test compares the two).
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "operator/resources/cluster.h"
#include "operator/resources/parsed.h"

namespace millrace::resources {

/// What becomes of the topic when its resource is deleted.
enum class DeletionPolicy {
  /// It stays. The resource has no finalizer.
  kRetain,
  /// It goes with all its records. The resource has a finalizer until that is done.
  kDelete,
};

struct TopicSpec {
  /// Name of the MillraceCluster, in the same namespace.
  std::string cluster;
  /// Name of the topic among the brokers: topicName, or else the name of the resource.
  std::string topic;
  std::int32_t partitions = 1;
  std::int32_t replication_factor = 3;
  /// Settings of the topic by name (docs/settings.md), as text. What is not named here has the
  /// brokers' default; what was set by other means is taken back.
  std::map<std::string, std::string> config;
  DeletionPolicy deletion = DeletionPolicy::kRetain;
  bool operator==(const TopicSpec&) const = default;
};

/// `object` is the whole custom resource. Never throws, whatever the JSON is.
Parsed<TopicSpec> parse_topic_spec(const Json& object);

}  // namespace millrace::resources
