// names::pod("events", 2) == "events-2"
//
// How everything is called that a cluster becomes: the one place for names, labels, annotations
// and ports.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "operator/resources/cluster.h"

namespace millrace::resources {

inline constexpr std::string_view kGroup = "millrace.dev";
inline constexpr std::string_view kApiVersion = "millrace.dev/v1alpha1";
inline constexpr std::string_view kClusterKind = "MillraceCluster";
inline constexpr std::string_view kTopicKind = "MillraceTopic";
/// Owner of the fields that the operator sets by server-side apply.
inline constexpr std::string_view kFieldManager = "millrace-operator";
/// On a MillraceTopic whose topic goes with it.
inline constexpr std::string_view kTopicFinalizer = "millrace.dev/topic";

inline constexpr std::int32_t kInternalPort = 9093;
inline constexpr std::int32_t kGrpcPort = 9094;
inline constexpr std::int32_t kHttpPort = 9644;
/// The ordinals by which a cluster is founded, at most: they stand in metadata.voters for ever.
inline constexpr std::int32_t kVotersMax = 3;

/// Label of everything that belongs to a cluster, with its name as value: the selector of
/// informers.
inline constexpr std::string_view kClusterLabel = "millrace.dev/cluster";

/// "true" on a MillraceCluster or MillraceTopic: nothing is done for it, nothing but its status is
/// written.
inline constexpr std::string_view kPausedAnnotation = "millrace.dev/paused";
/// "true" on a pod: it is neither restarted nor taken away.
inline constexpr std::string_view kHoldAnnotation = "millrace.dev/hold";
/// On the pod template and so on pods: hash of what the pod runs.
inline constexpr std::string_view kRevisionAnnotation = "millrace.dev/revision";
/// On volumes: the rack for which their broker was last restarted, so that one that does not take
/// it up is not restarted for it again and again.
inline constexpr std::string_view kRackAnnotation = "millrace.dev/rack";
/// On every child: hash of what was applied last, so that fields that are no longer asked for are
/// seen.
inline constexpr std::string_view kAppliedAnnotation = "millrace.dev/applied";
/// On volumes and the StatefulSet: cluster.id, so that a cluster made anew finds its data again.
inline constexpr std::string_view kClusterIdAnnotation = "millrace.dev/cluster-id";
/// On the StatefulSet and volumes: the ordinals that founded the cluster, "0,1,2".
inline constexpr std::string_view kVotersAnnotation = "millrace.dev/voters";
/// On volumes: the directory id that the broker on it reported while it was well.
inline constexpr std::string_view kDirectoryAnnotation = "millrace.dev/directory-id";
/// On volumes: "BROKER/DIRECTORY/EPOCH", the proof that nothing is left on it.
inline constexpr std::string_view kReceiptAnnotation = "millrace.dev/receipt";

namespace names {
std::string stateful_set(std::string_view cluster);
std::string pod(std::string_view cluster, std::int32_t broker);
std::string volume(std::string_view cluster, std::int32_t broker);
std::string headless(std::string_view cluster);
std::string bootstrap(std::string_view cluster);
std::string config(std::string_view cluster);
/// ConfigMap: name of a node -> its rack.
std::string racks(std::string_view cluster);
/// ConfigMap: what clients of outside listeners are told.
std::string outside_addresses(std::string_view cluster);
std::string budget(std::string_view cluster);
std::string service_account(std::string_view cluster);
std::string network_policy(std::string_view cluster);
std::string pod_monitor(std::string_view cluster);
/// Service of one broker for an outside listener.
std::string outside(std::string_view cluster, std::int32_t broker, std::string_view listener);
/// Service of all brokers for an outside listener.
std::string outside_bootstrap(std::string_view cluster, std::string_view listener);
/// "events-2.events-brokers.shop.svc", where others find a pod.
std::string host(std::string_view space, std::string_view cluster, std::int32_t broker);
}  // namespace names

/// The number at the end of "events-2" or "data-events-2"; nullopt if `name` is none of the
/// cluster's.
std::optional<std::int32_t> ordinal_of_pod(std::string_view cluster, std::string_view pod);
std::optional<std::int32_t> ordinal_of_volume(std::string_view cluster, std::string_view volume);

/// Labels of every child of a cluster.
Labels child_labels(std::string_view cluster);
/// Labels by which Services and the StatefulSet find the pods; a part of child_labels.
Labels selector_labels(std::string_view cluster);

}  // namespace millrace::resources
