// TopicsView view = read_topics(admin, now);   view.at_brokers("orders")   changed(before, view)
//
// All topics of a cluster as its brokers told them at one time.
#pragma once

#include <map>
#include <set>
#include <string>

#include "common/clock.h"
#include "operator/brokers/admin.h"
#include "operator/plan/topic_plan.h"

namespace millrace::control {

struct TopicsView {
  bool reachable = false;
  std::string why_not;  ///< a sentence, if not reachable
  std::map<std::string, plan::TopicView> topics;
  std::int32_t brokers = -1;  ///< registered; -1: not known
  common::Instant read_at;

  plan::TopicAtBrokers at_brokers(const std::string& topic) const;
  /// Every partition has a leader, as far as is known.
  bool all_led() const;
};

/// Three calls, however many topics there are.
TopicsView read_topics(brokers::Admin& admin, common::Instant now);

/// Topics that are another way in `after`, come or gone. Both must be reachable, with the same
/// number of brokers; otherwise all topics are concerned.
std::set<std::string> changed(const TopicsView& before, const TopicsView& after);

}  // namespace millrace::control
