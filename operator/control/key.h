// What a worker works on.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "operator/kube/api.h"

namespace millrace::control {

enum class Work : std::uint8_t {
  kCluster,  ///< a MillraceCluster
  kTopics,   ///< all MillraceTopics of one cluster, by the cluster's name
};

constexpr std::string_view name(Work work) {
  return work == Work::kCluster ? "cluster" : "topics";
}

struct Key {
  Work work = Work::kCluster;
  kube::ObjectKey cluster;

  /// "cluster shop/events".
  std::string text() const { return std::string(name(work)) + " " + cluster.text(); }
  auto operator<=>(const Key&) const = default;
};

}  // namespace millrace::control
