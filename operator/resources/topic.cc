#include "operator/resources/topic.h"

#include <algorithm>

#include "operator/resources/reader.h"

namespace millrace::resources {
namespace {

/// Kafka's rule for names of topics.
bool is_topic_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= 249 && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), allowed);
}

}  // namespace

Parsed<TopicSpec> parse_topic_spec(const Json& object) {
  Parsed<TopicSpec> parsed;
  TopicSpec& spec = parsed.value;
  Reader reader(at(object, "spec"), "spec", parsed.problems);
  spec.topic = text_of(at(object, "metadata", "name"));
  reader.text("cluster", spec.cluster);
  reader.text("topicName", spec.topic);
  reader.integer("partitions", spec.partitions, {1, 100000});
  reader.integer("replicationFactor", spec.replication_factor, {1, 32767});
  reader.settings("config", spec.config);
  std::string deletion = "Retain";
  reader.text("deletionPolicy", deletion);
  if (deletion == "Delete") {
    spec.deletion = DeletionPolicy::kDelete;
  } else if (deletion != "Retain") {
    reader.problem("deletionPolicy", "must be Retain or Delete");
  }
  if (spec.cluster.empty()) reader.problem("cluster", "is missing");
  if (!is_topic_name(spec.topic)) {
    reader.problem("topicName", "must be of at most 249 letters, digits, '.', '_' and '-'");
  } else if (spec.topic.starts_with("__")) {
    reader.problem("topicName", "begins with __: such topics are the brokers' own");
  }
  return parsed;
}

}  // namespace millrace::resources
