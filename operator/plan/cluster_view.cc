#include "operator/plan/cluster_view.h"

#include <algorithm>

namespace millrace::plan {

const BrokerView* ClusterView::find(std::int32_t id) const {
  const auto found = std::find_if(brokers.begin(), brokers.end(),
                                  [&](const BrokerView& broker) { return broker.id == id; });
  return found == brokers.end() ? nullptr : &*found;
}

}  // namespace millrace::plan
