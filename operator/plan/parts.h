// Draft draft{picture}; plan_scale(draft); plan_children(draft); ...
//
// The parts of a cluster's plan, in the order in which plan_cluster calls them. Each looks at the
// picture, and adds actions, findings and events to the draft. Internal to plan.
#pragma once

#include "operator/plan/picture.h"

namespace millrace::plan {

/// How many replicas there are to be; drains and decommissions what is to leave. Rules S1 to S8,
/// CANCEL and SCALE UP of cluster_plan.h. scale.cc.
void plan_scale(Draft& draft);
/// Makes and corrects the objects that a cluster becomes, and removes what is no longer asked for.
/// children.cc.
void plan_children(Draft& draft);
/// Applies `object` where it is not there or not as asked for; false: it belongs to somebody else.
/// children.cc.
bool apply_child(Draft& draft, Step step, Json object);
/// Volumes that are there: grown, marked with their brokers' directories, deleted against receipts.
/// volumes.cc.
void plan_volumes(Draft& draft);
/// Tells brokers their racks and outside addresses. places.cc.
void plan_places(Draft& draft);
/// Settings that change while brokers run. live_config.cc.
void plan_live_config(Draft& draft);
/// Restarts pods that do not run what is asked for. Rules R1 to R8 of cluster_plan.h. roll.cc.
void plan_roll(Draft& draft);
/// Findings about brokers and pods as they are. health.cc.
void look_at_health(Draft& draft);
/// Settings that put records at risk, a sentence each. safety.cc.
std::vector<std::string> unsafe_settings(const resources::ClusterSpec& spec);
/// Conditions, events and the status, out of everything above. cluster_status.cc.
void conclude(Draft& draft);

/// The addresses of an outside listener. places.cc.
struct OutsideAddresses {
  /// "HOST:PORT" of each broker, where it is known.
  std::map<std::int32_t, std::string> brokers;
  std::optional<std::string> bootstrap;
};
OutsideAddresses outside_addresses(const Picture& picture, const resources::Listener& listener);

}  // namespace millrace::plan
