// The kinds of objects the operator reads or writes.
#pragma once

#include "operator/kube/api.h"

namespace millrace::kube {

inline constexpr Resource kClusters{"millrace.dev", "v1alpha1", "MillraceCluster",
                                    "millraceclusters"};
inline constexpr Resource kTopics{"millrace.dev", "v1alpha1", "MillraceTopic", "millracetopics"};
inline constexpr Resource kStatefulSets{"apps", "v1", "StatefulSet", "statefulsets"};
inline constexpr Resource kPods{"", "v1", "Pod", "pods"};
inline constexpr Resource kServices{"", "v1", "Service", "services"};
inline constexpr Resource kConfigMaps{"", "v1", "ConfigMap", "configmaps"};
inline constexpr Resource kSecrets{"", "v1", "Secret", "secrets"};
inline constexpr Resource kServiceAccounts{"", "v1", "ServiceAccount", "serviceaccounts"};
inline constexpr Resource kVolumeClaims{"", "v1", "PersistentVolumeClaim",
                                        "persistentvolumeclaims"};
inline constexpr Resource kEvents{"", "v1", "Event", "events"};
inline constexpr Resource kNodes{"", "v1", "Node", "nodes", false};
inline constexpr Resource kNamespaces{"", "v1", "Namespace", "namespaces", false};
inline constexpr Resource kStorageClasses{"storage.k8s.io", "v1", "StorageClass", "storageclasses",
                                          false};
inline constexpr Resource kDisruptionBudgets{"policy", "v1", "PodDisruptionBudget",
                                             "poddisruptionbudgets"};
inline constexpr Resource kNetworkPolicies{"networking.k8s.io", "v1", "NetworkPolicy",
                                           "networkpolicies"};
inline constexpr Resource kLeases{"coordination.k8s.io", "v1", "Lease", "leases"};
/// Of the Prometheus operator; may not be installed (kNotFound).
inline constexpr Resource kPodMonitors{"monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"};
inline constexpr Resource kDefinitions{"apiextensions.k8s.io", "v1", "CustomResourceDefinition",
                                       "customresourcedefinitions", false};

}  // namespace millrace::kube
