#include "operator/control/fleet.h"

#include <fmt/format.h>

#include <utility>

#include "operator/kube/fields.h"
#include "operator/resources/names.h"

namespace millrace::control {
namespace {

bool is_ready(const kube::Json& pod) {
  const auto* const conditions = kube::find(pod, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return false;
  for (const kube::Json& condition : *conditions) {
    if (kube::text_at(condition, {"type"}) == "Ready")
      return kube::text_at(condition, {"status"}) == "True";
  }
  return false;
}

std::string address_of(const std::string& ip) {
  const bool v6 = ip.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", ip, resources::kGrpcPort)
            : fmt::format("{}:{}", ip, resources::kGrpcPort);
}

}  // namespace

std::vector<std::string> addresses_of(const std::vector<kube::Json>& pods) {
  std::vector<std::string> ready;
  std::vector<std::string> others;
  for (const kube::Json& pod : pods) {
    const std::string ip = kube::text_at(pod, {"status", "podIP"});
    if (ip.empty() || kube::find(pod, {"metadata", "deletionTimestamp"}) != nullptr) continue;
    (is_ready(pod) ? ready : others).push_back(address_of(ip));
  }
  ready.insert(ready.end(), others.begin(), others.end());
  return ready;
}

std::shared_ptr<brokers::Admin> GrpcFleet::admin(const kube::ObjectKey& cluster,
                                                 std::vector<std::string> addresses) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<brokers::GrpcAdmin>& admin = admins_[cluster];
  if (admin == nullptr) {
    admin =
        std::make_shared<brokers::GrpcAdmin>(std::move(addresses), brokers::Patience{}, observer_);
  } else {
    admin->set_addresses(std::move(addresses));
  }
  return admin;
}

void GrpcFleet::forget(const kube::ObjectKey& cluster) {
  const std::lock_guard lock(mutex_);
  admins_.erase(cluster);
}

}  // namespace millrace::control
