// Questions about the replicas of a partition.
#pragma once

#include <algorithm>

#include "broker/metadata/records.h"

namespace millrace::metadata {

inline bool holds(const ReplicaSet& replicas, model::BrokerId broker) {
  return std::any_of(replicas.begin(), replicas.end(),
                     [broker](const Replica& replica) { return replica.broker == broker; });
}

inline bool contains(const ReplicaSet& replicas, const Replica& wanted) {
  return std::find(replicas.begin(), replicas.end(), wanted) != replicas.end();
}

/// The same replicas, in any order. Neither has one twice.
inline bool same_members(const ReplicaSet& a, const ReplicaSet& b) {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&b](const Replica& replica) {
           return contains(b, replica);
         });
}

}  // namespace millrace::metadata
