// What the controllers of a real cluster do with the objects of a modelled one.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "operator/kube/testing/model_api.h"
#include "operator/kube/testing/model_store.h"

namespace millrace::kube::testing {

/// One step each, so that whoever watches sees every state in between. All return true if they
/// changed something.

/// Creates missing pods and claims, deletes pods above the number of replicas (all at once with
/// podManagementPolicy Parallel, else from the highest), replaces failed ones, adopts orphans,
/// writes the status. Pods are made of the template as it is now and never rolled: OnDelete.
bool step_stateful_sets(ModelStore& store);

/// Gives a pod its node, then its address and containers, then readiness; deletes what was told to.
/// `broken`: why a pod does not become ready; nullopt: it does.
using Broken = std::function<std::optional<std::string>(const ObjectKey& key, const Json& pod)>;
bool step_pods(ModelStore& store, const Broken& broken);

/// Binds claims, lets them grow, and releases those that wait for deletion and that no pod uses.
/// Gives load balancers an address.
bool step_volumes(ModelStore& store);

/// Deletes what is owned by nothing that is left, finishes foreground deletions, empties
/// terminating namespaces.
bool step_garbage(ModelStore& store);

}  // namespace millrace::kube::testing
