// Answer<Cluster> cluster = admin.cluster();
//
// The brokers of one cluster, asked through any of them: by gRPC (brokers/grpc_admin.h) in
// production, a model (brokers/testing/model_brokers.h) in tests and simulation.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "operator/brokers/answer.h"
#include "operator/brokers/views.h"

namespace millrace::brokers {

/// A process that asks to stop.
struct PermitRequest {
  std::int32_t broker = -1;
  std::string incarnation;  ///< another one is refused
  std::int64_t lasts_ms = 0;
};

/// Every call blocks until there is an answer or its time is up, and may be made from any thread.
/// Each of them may be repeated: what is done already is answered as done, as kExists or as
/// kNotFound.
class Admin {
 public:
  virtual ~Admin() = default;

  virtual Answer<Cluster> cluster() = 0;

  /// The defaults of all brokers that were set at run time.
  virtual Answer<Configs> dynamic_defaults() = 0;
  /// Sets some, and gives `remove` their defaults back; all or nothing.
  virtual Answer<void> alter_defaults(const Configs& set,
                                      const std::vector<std::string>& remove) = 0;

  /// Not granted is no error.
  virtual Answer<PermitAnswer> acquire_permit(const PermitRequest& request) = 0;
  /// Gives it back; nothing happens if there was none.
  virtual Answer<void> release_permit(std::int32_t broker) = 0;
  /// Asked again it tells how far it is.
  virtual Answer<DrainAnswer> drain(std::int32_t broker) = 0;
  virtual Answer<void> cancel_drain(std::int32_t broker) = 0;
  /// The same receipt if it is asked for again.
  virtual Answer<Receipt> decommission(std::int32_t broker, const std::string& directory_id) = 0;

  /// All topics of clients with their settings, in order of name. One call, however many there are.
  virtual Answer<std::vector<Topic>> topics() = 0;
  /// By topic, those only that have partitions that are not well. One call.
  virtual Answer<std::map<std::string, TopicTrouble>> unwell_topics() = 0;
  /// One answer per topic, in their order. At most kTopicsMax at once. kExists where there is one.
  virtual Answer<std::vector<Answer<Topic>>> create_topics(const std::vector<NewTopic>& topics) = 0;
  /// `partitions` is the new total.
  virtual Answer<void> add_partitions(const std::string& topic, std::int32_t partitions) = 0;
  virtual Answer<void> alter_topic(const std::string& topic, const Configs& set,
                                   const std::vector<std::string>& remove) = 0;
  /// By id, so that a topic made later under the same name is left alone.
  virtual Answer<void> delete_topic(const std::string& topic_id) = 0;

  static constexpr std::size_t kTopicsMax = 1000;
};

}  // namespace millrace::brokers
