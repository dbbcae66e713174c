// The topics that consumer groups assign: a plain copy of what the metadata image says.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/model/ids.h"

namespace millrace::coordinator {

struct Topic {
  model::TopicId id;
  std::string name;
  std::int32_t partitions = 0;
  /// Racks of each partition's replicas; empty where no broker has one.
  std::vector<std::vector<std::string>> racks;
};

/// Immutable once made. Made again by the shell when the image changes.
struct Topics {
  /// Grows with every change; Kafka's name for it is the metadata image's version.
  std::int64_t version = 0;
  std::map<std::string, Topic> by_name;
  std::unordered_map<model::TopicId, std::string> names;
};

}  // namespace millrace::coordinator
