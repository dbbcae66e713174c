// AdminLinks fleet({...}, faults);   fleet.admin(cluster, {"10.1.0.3:9094"})->drain(3)
//
// A simulated operator's way to the brokers: their services below the gRPC door, which is not in
// the simulation, with that door's errors and the client's rules of whom to ask next.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/service/shard.h"
#include "common/random.h"
#include "operator/brokers/tries.h"
#include "operator/control/fleet.h"
#include "tests/sim/machine.h"
#include "tests/sim/operator/life.h"
#include "tests/sim/operator/rules.h"

namespace millrace::sim {

/// Finds the machine behind a pod's address.
class AddressBook {
 public:
  virtual ~AddressBook() = default;
  /// "10.1.0.3:9094"; nullptr: nobody has it (any more).
  virtual Machine* machine_at(const std::string& address) = 0;
  /// Its broker is to leave: the process may be told so, and end.
  virtual void retires(std::int32_t broker) = 0;
};

/// What goes wrong between an operator and the brokers, in so many of 1000 calls each.
struct AdminFaults {
  int lose = 0;  ///< it is done, or goes on, and no answer comes
  int slow = 0;  ///< the call is under way for seconds before it arrives
  bool cut = false;
};

struct AdminParts {
  Agenda& agenda;
  common::Random random;
  Life& life;
  Rules& rules;
  AddressBook& book;
  Trace& trace;
  std::string name;
};

class AdminLink final : public brokers::Admin {
 public:
  AdminLink(AdminParts parts, const AdminFaults& faults)
      : parts_(std::move(parts)), faults_(faults) {}
  void set_addresses(std::vector<std::string> addresses) { addresses_ = std::move(addresses); }

  brokers::Answer<brokers::Cluster> cluster() override;
  brokers::Answer<brokers::Configs> dynamic_defaults() override;
  brokers::Answer<void> alter_defaults(const brokers::Configs& set,
                                       const std::vector<std::string>& remove) override;
  brokers::Answer<brokers::PermitAnswer> acquire_permit(
      const brokers::PermitRequest& request) override;
  brokers::Answer<void> release_permit(std::int32_t broker) override;
  brokers::Answer<brokers::DrainAnswer> drain(std::int32_t broker) override;
  brokers::Answer<void> cancel_drain(std::int32_t broker) override;
  brokers::Answer<brokers::Receipt> decommission(std::int32_t broker,
                                                 const std::string& directory_id) override;
  brokers::Answer<std::vector<brokers::Topic>> topics() override;
  brokers::Answer<std::map<std::string, brokers::TopicTrouble>> unwell_topics() override;
  brokers::Answer<std::vector<brokers::Answer<brokers::Topic>>> create_topics(
      const std::vector<brokers::NewTopic>& topics) override;
  brokers::Answer<void> add_partitions(const std::string& topic, std::int32_t partitions) override;
  brokers::Answer<void> alter_topic(const std::string& topic, const brokers::Configs& set,
                                    const std::vector<std::string>& remove) override;
  brokers::Answer<void> delete_topic(const std::string& topic_id) override;

 private:
  struct Call {
    const char* name;
    common::Duration deadline;
    std::string about = {};
  };
  template <typename T>
  using Done = common::Reply<common::Result<T>>;
  /// Runs on a shard of whichever broker can do it.
  template <typename T>
  using Work = std::function<void(service::Shard& shard, Done<T> done)>;
  template <typename T>
  brokers::Answer<T> ask(const Call& call, const Work<T>& work);
  /// What came from one address: a broker's answer, or why there is none.
  template <typename T>
  struct Try {
    std::optional<common::Result<T>> answer;
    ::grpc::Status silence;
  };
  template <typename T>
  Try<T> ask_one(const Call& call, const std::string& address, const Work<T>& work);
  brokers::Answer<void> alter(bool topic, const std::string& name, const brokers::Configs& set,
                              const std::vector<std::string>& remove);
  std::vector<std::string> doors() const;

  AdminParts parts_;
  const AdminFaults& faults_;
  std::vector<std::string> addresses_;
  std::string answered_last_;
};

/// One per process of an operator.
class AdminLinks final : public control::Fleet {
 public:
  AdminLinks(AdminParts parts, const AdminFaults& faults)
      : parts_(std::move(parts)), faults_(faults) {}
  std::shared_ptr<brokers::Admin> admin(const kube::ObjectKey& cluster,
                                        std::vector<std::string> addresses) override;
  void forget(const kube::ObjectKey& cluster) override { links_.erase(cluster); }

 private:
  AdminParts parts_;
  const AdminFaults& faults_;
  std::map<kube::ObjectKey, std::shared_ptr<AdminLink>> links_;
};

}  // namespace millrace::sim
