// Which settings of a cluster are not safe: the rules of `millctl doctor`, without the asking.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/findings.h"

namespace millrace::cli {

struct TopicSettingsSeen {
  std::string name;
  std::int32_t replicas = 1;
  std::map<std::string, std::string> configs;  // in force, wherever they come from
};

struct ClusterSeen {
  std::size_t brokers = 1;
  std::int64_t disk_free_bytes = 0;
  std::int64_t disk_total_bytes = 0;
  std::map<std::string, std::string> configs;  // of the broker, in force
  std::vector<TopicSettingsSeen> topics;       // of users
};

/// Findings whose code is in `ignored` are left out. The worst first.
Report diagnose(const ClusterSeen& cluster, const std::vector<std::string>& ignored);

}  // namespace millrace::cli
