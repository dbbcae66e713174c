// Kubelet kubelet({...}, cluster);   kubelet.start();   ...   kubelet.machine_at("10.1.0.3:9094")
//
// The rest of a Kubernetes cluster around one cluster of brokers: a scheduler, kubelets and the
// controllers of the model of an API server. Pods are processes on simulated machines, claims are
// their disks.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/random.h"
#include "operator/kube/testing/model_api.h"
#include "tests/sim/fleet.h"
#include "tests/sim/operator/admin_link.h"
#include "tests/sim/operator/container.h"
#include "tests/sim/operator/rules.h"
#include "tests/sim/witness.h"

namespace millrace::sim {

/// Pod N of the StatefulSet runs on machine N of the fleet, whose disk is the volume of claim N for
/// as long as that has the same uid: another claim is another, empty disk. Each step of a pod's
/// life takes a random time: to be placed, to pull its image, to become ready, to be noticed that
/// its process has ended, to be told to stop. Used between the world's events.
class Kubelet final : public Ground, public AddressBook {
 public:
  struct Parts {
    kube::testing::ModelApi& model;
    Agenda& agenda;
    Trace& trace;
    common::Random random;
    Fleet& fleet;
    Witness& witness;
    const common::Clock& clock;
  };
  Kubelet(Parts parts, kube::ObjectKey cluster);

  void start();
  /// No node can pull an image with this in its name. Empty: all images can be had.
  void lose_image(std::string part_of_name) { lost_image_ = std::move(part_of_name); }
  /// No pod waits any more for what only has to be tried again.
  void forget_back_offs();

  Machine* machine_at(const std::string& address) override;
  void retires(std::int32_t broker) override;
  Machine* machine_of_pod(const std::string& uid) override;
  common::Uuid directory_on(const std::string& claim_uid) override;
  std::string claim_of(std::int32_t broker) override;

 private:
  void tick();
  void run_controllers();
  void look_at_pods();
  void look_at(const kube::Json& pod);
  void place(const kube::Json& pod);
  /// The next step of the container of a pod that has a node.
  void go_on(const kube::Json& pod, Container& container);
  void try_to_start(const kube::Json& pod, Container& container);
  bool attach_disk(std::int32_t broker);
  void take_down(const kube::Json& pod, Container& container);
  void remove_pod(const kube::Json& pod);
  /// Those whose pods are gone.
  void bury(const std::set<std::string>& there);
  void learn_directories();
  std::string node_of(const kube::Json& pod);
  std::map<std::string, kube::Json> config_maps();
  Machine& machine(std::int32_t broker) {
    return *parts_.fleet.all()[static_cast<std::size_t>(broker)];
  }
  common::Duration between_ms(std::int64_t low, std::int64_t high);

  Parts parts_;
  const kube::ObjectKey cluster_;
  std::map<std::string, Container> containers_;  // by uid of the pod
  struct Disk {
    std::string claim_uid;
    bool retired = false;  // its broker was asked to leave
  };
  std::map<std::int32_t, Disk> disks_;               // by machine
  std::map<std::string, common::Uuid> directories_;  // by uid of the claim
  std::map<std::string, std::string> nodes_;         // by uid of the claim
  std::string lost_image_;
  std::vector<kube::Json> pods_;  // as they are at their version pods_of_
  std::string pods_of_;
  std::string controlled_;  // the version when the controllers had nothing to do
  std::string swept_;       // and when the garbage collector had not
  common::Instant controllers_at_{};
  std::uint32_t addresses_ = 0;
};

}  // namespace millrace::sim
