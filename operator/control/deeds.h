// const Deeds deeds(world, api, clock);
// const Done done = deeds.perform(action, *admin, expectations);
//
// Does what plans say, one action at a time, and decides nothing.
#pragma once

#include <optional>
#include <string>

#include "common/clock.h"
#include "operator/brokers/admin.h"
#include "operator/control/expectations.h"
#include "operator/kube/api.h"
#include "operator/plan/action.h"

namespace millrace::control {

/// How an action ended.
struct Done {
  /// False: the rest of its step is left out.
  bool ok = true;
  /// What was said to it, where that was not a plain yes. A permit that is not granted and a drain
  /// that is blocked are ok and have one.
  std::optional<plan::Answer> answer = std::nullopt;
};

/// The kind that an object reference names. Requires one of operator/kube/kinds.h: plans name no
/// others.
const Resource& resource_of(const plan::ObjectRef& target);

/// How plans see these.
plan::Answer answer_of(const kube::ApiError& error);
plan::Answer answer_of(const brokers::BrokerError& error);

/// Thread-safe; all that is referred to must outlive it.
class Deeds {
 public:
  Deeds(const World& world, kube::Api& api, const common::Clock& clock)
      : world_(world), api_(api), clock_(clock) {}

  /// Requires `admin` for whatever is asked of brokers.
  Done perform(const plan::Action& action, brokers::Admin* admin, Expectations& expectations) const;

 private:
  Done object_deed(const plan::Create& deed, Expectations& expectations) const;
  Done object_deed(const plan::Apply& deed, Expectations& expectations) const;
  Done object_deed(const plan::Patch& deed, Expectations& expectations) const;
  Done object_deed(const plan::Delete& deed, Expectations& expectations) const;
  Done decommission(const plan::Decommission& deed, brokers::Admin& admin,
                    Expectations& expectations) const;

  const World& world_;
  kube::Api& api_;
  const common::Clock& clock_;
};

}  // namespace millrace::control
