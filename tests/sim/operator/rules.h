// Rules rules({...}, pods);   rules.wrote({.verb = "delete", .resource = kube::kPods, ...});
//
// What no operator may ever do, whatever it believes. Compared with what is true: the brokers'
// newest metadata, and what runs.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "broker/metadata/image.h"
#include "operator/kube/api.h"
#include "operator/kube/testing/model_api.h"
#include "tests/sim/fleet.h"
#include "tests/sim/trace.h"

namespace millrace::sim {

/// What is known of the machine behind a pod or a volume.
class Ground {
 public:
  virtual ~Ground() = default;
  /// Of the pod of this uid; nullptr: nothing of it was ever started.
  virtual Machine* machine_of_pod(const std::string& uid) = 0;
  /// The directory on the volume of the claim of this uid; zero: none.
  virtual common::Uuid directory_on(const std::string& claim_uid) = 0;
  /// The claim on whose volume this broker runs; empty: none.
  virtual std::string claim_of(std::int32_t broker) = 0;
};

/// - A pod whose broker runs and is one of the cluster, and has not only just become that in a
///   pod that is not ready, is deleted only while that broker has a permit; never one that is held.
/// - No two brokers of one partition are away at once by the operator's doing.
/// - The StatefulSet loses one pod at a time, and only one whose broker has left, or has never
///   joined, or has only just in a pod that is not ready.
/// - A volume with data is deleted only against a receipt that the cluster gave; one without under
///   no process.
/// - A status says why it is as it is, and that something is going on while it is not as asked; it
///   is written only over the version that was read.
class Rules {
 public:
  struct Parts {
    Fleet& fleet;
    Trace& trace;
    kube::testing::ModelApi& model;
    Ground& ground;
    const common::Clock& clock;
  };
  explicit Rules(Parts parts) : parts_(parts) {}

  /// One write of an operator that changed something.
  struct Written {
    const std::string& by;
    std::string verb;
    const kube::Resource& resource;
    kube::ObjectKey key;
    const kube::Json* before = nullptr;  ///< nullptr: it was not there
    const kube::Json* after = nullptr;   ///< nullptr: a delete
  };
  /// What will be true no more afterwards is looked at.
  void before_write(std::string_view verb, const kube::Resource& resource,
                    const kube::Json& object);
  void wrote(const Written& write);
  /// A broker said that this directory has left for good.
  void gave_receipt(std::int32_t broker, const std::string& directory_id);

  /// Learns who belongs to the cluster. To be called every now and then.
  void look();
  /// Which broker is emptied although nobody asks for fewer any more; empty: none.
  std::string drained() const;
  /// Which setting of a topic is not what its resource asks for: a call that an operator gave up
  /// may be done late, over what came after it, until the operator looks again. Empty: none.
  std::string strayed() const;
  /// Writes of operators so far, but for leases.
  std::uint64_t writes() const { return writes_; }
  const std::string& last_write() const { return last_write_; }

 private:
  using Member = std::pair<std::int32_t, common::Uuid>;
  /// The newest metadata that a running broker has; nullptr: none runs.
  const metadata::Image* truth() const;
  bool has_left(const common::Uuid& directory) const;
  /// Whether an operator may not have heard yet of the broker in this pod, that joined then.
  bool is_news(common::Instant joined, const kube::Json& pod) const;
  void fail(const Written& write, const std::string& what);

  void pod_deleted(const Written& write);
  void check_partitions(const Written& write, const metadata::Image& image, std::int32_t broker);
  void claim_deleted(const Written& write);
  void replicas_changed(const Written& write);
  void status_written(const Written& write);

  const Parts parts_;
  std::map<Member, common::Instant> joined_;  // since when
  std::set<common::Uuid> receipts_;
  /// What an operator's deletion ends.
  struct Away {
    std::uint64_t process = 0;
    std::string pod;  // its uid
  };
  /// Brokers whose pods an operator deleted while they ran, and that do not serve in another pod
  /// yet. A process of the same pod, which crashed meanwhile, is told to stop as well.
  std::map<std::int32_t, Away> away_;
  /// Whether the pod that is about to be deleted runs a broker that counts.
  struct Stopping {
    std::int32_t broker = -1;
    Away how;
    bool permitted = false;
  };
  std::optional<Stopping> stopping_;
  std::uint64_t writes_ = 0;
  std::string last_write_;
};

}  // namespace millrace::sim
