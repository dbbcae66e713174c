// view.heard(broker, partitions);   const metadata::View now = view.view(image, health);
//
// What the leaders of all partitions reported, put together for the planners. Pure; kept by the
// leader of the metadata log.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "broker/metadata/image.h"
#include "broker/metadata/view.h"
#include "broker/service/led_partitions.h"

namespace millrace::service {

/// Of each partition the report of the newest term counts. What its broker does not report any
/// more, or a broker that is silent reported last, has no leader until another one reports it; its
/// voters are still known.
class ClusterView {
 public:
  /// The whole of what a broker leads now.
  void heard(model::BrokerId broker, const std::vector<LedPartition>& partitions);
  /// Nothing is known any more: this broker does not lead the metadata log.
  void clear() { partitions_.clear(); }

  /// What is known of the partitions that the image has, the metadata log's own included.
  metadata::View view(const metadata::Image& image,
                      std::map<model::BrokerId, metadata::BrokerHealth> brokers) const;
  /// Drops what the image does not have, or does not have yet. Answers who reported it, and has to
  /// report it again, in case it is new.
  std::set<model::BrokerId> forget_gone(const metadata::Image& image);
  std::size_t size() const { return partitions_.size(); }

 private:
  struct Known {
    model::BrokerId reporter{-1};
    /// The reporter still leads it, as of its last report.
    bool led = false;
    LedPartition partition;
  };
  std::map<model::PartitionKey, Known> partitions_;
};

}  // namespace millrace::service
