#include "operator/control/deeds.h"

#include <fmt/format.h>

#include <array>
#include <type_traits>
#include <utility>
#include <variant>

#include "operator/kube/kinds.h"
#include "operator/resources/names.h"
#include "operator/resources/receipt.h"

namespace millrace::control {
namespace {

using brokers::Trouble;
using kube::Cause;
using plan::Answer;

constexpr std::array kKinds = {
    kube::kClusters,        kube::kTopics,
    kube::kStatefulSets,    kube::kPods,
    kube::kServices,        kube::kConfigMaps,
    kube::kServiceAccounts, kube::kVolumeClaims,
    kube::kNodes,           kube::kDisruptionBudgets,
    kube::kNetworkPolicies, kube::kPodMonitors,
};

Done failed(Answer answer) {
  return {.ok = false, .answer = std::move(answer)};
}
Done failed(const kube::ApiError& error) {
  return failed(answer_of(error));
}
Done failed(const brokers::BrokerError& error) {
  return failed(answer_of(error));
}

ObjectKey key_of(const plan::ObjectRef& target) {
  return {target.space, target.name};
}

template <typename T>
Done plain(const brokers::Answer<T>& answer) {
  return answer.ok() ? Done{} : failed(answer.error());
}

/// What is there already, or gone already, is as it should be.
template <typename T>
Done unless(Trouble fine, const brokers::Answer<T>& answer) {
  if (!answer.ok() && answer.error().trouble == fine) return {};
  return plain(answer);
}

/// Done, and yet there is something to say.
Done but(std::string sentence) {
  return {.ok = true, .answer = Answer{Answer::Kind::kRefused, std::move(sentence)}};
}

Done ask(const plan::AcquirePermit& deed, brokers::Admin& admin) {
  const auto answer = admin.acquire_permit({deed.broker, deed.incarnation, deed.lasts_ms});
  if (!answer.ok()) return failed(answer.error());
  return answer->granted ? Done{} : but(answer->why);
}
Done ask(const plan::Drain& deed, brokers::Admin& admin) {
  const auto answer = admin.drain(deed.broker);
  if (!answer.ok()) return failed(answer.error());
  return answer->blockers.empty() ? Done{} : but(answer->blockers);
}
Done ask(const plan::CancelDrain& deed, brokers::Admin& admin) {
  return plain(admin.cancel_drain(deed.broker));
}
Done ask(const plan::AlterBrokerConfig& deed, brokers::Admin& admin) {
  if (!deed.value) return plain(admin.alter_defaults({}, {deed.name}));
  return plain(admin.alter_defaults({{deed.name, *deed.value}}, {}));
}
Done ask(const plan::CreateTopic& deed, brokers::Admin& admin) {
  const auto answers =
      admin.create_topics({{deed.topic, deed.partitions, deed.replication_factor, deed.config}});
  if (!answers.ok()) return failed(answers.error());
  return unless(Trouble::kExists, answers->front());
}
Done ask(const plan::AddPartitions& deed, brokers::Admin& admin) {
  return plain(admin.add_partitions(deed.topic, deed.partitions));
}
Done ask(const plan::AlterTopicConfigs& deed, brokers::Admin& admin) {
  return plain(admin.alter_topic(deed.topic, deed.set, deed.remove));
}
Done ask(const plan::DeleteTopic& deed, brokers::Admin& admin) {
  CHECK(!deed.topic_id.empty(), "topic {} is to be deleted and has no id", deed.topic);
  return unless(Trouble::kNotFound, admin.delete_topic(deed.topic_id));
}

}  // namespace

const Resource& resource_of(const plan::ObjectRef& target) {
  for (const Resource& resource : kKinds) {
    if (resource.kind == target.kind) return resource;
  }
  CHECK(false, "a plan names the kind {}", target.kind);
  return kKinds[0];
}

Answer answer_of(const kube::ApiError& error) {
  const bool refused = error.cause == Cause::kInvalid || error.cause == Cause::kForbidden;
  return {refused ? Answer::Kind::kRefused : Answer::Kind::kFailed, error.detail};
}

Answer answer_of(const brokers::BrokerError& error) {
  // Brokers that are too old say no until somebody gives them another image.
  const bool refused = error.trouble == Trouble::kRefused || error.trouble == Trouble::kExists ||
                       error.trouble == Trouble::kNotFound || error.trouble == Trouble::kTooOld;
  return {refused ? Answer::Kind::kRefused : Answer::Kind::kFailed, error.detail};
}

Done Deeds::perform(const plan::Action& action, brokers::Admin* admin,
                    Expectations& expectations) const {
  return std::visit(
      [&](const auto& deed) -> Done {
        using Deed = std::decay_t<decltype(deed)>;
        constexpr bool kOfObject =
            std::is_same_v<Deed, plan::Create> || std::is_same_v<Deed, plan::Apply> ||
            std::is_same_v<Deed, plan::Patch> || std::is_same_v<Deed, plan::Delete>;
        if constexpr (kOfObject) {
          return object_deed(deed, expectations);
        } else {
          CHECK(admin != nullptr, "{} without brokers to ask", plan::verb(action));
          if constexpr (std::is_same_v<Deed, plan::Decommission>)
            return decommission(deed, *admin, expectations);
          else
            return ask(deed, *admin);
        }
      },
      action.deed);
}

// A create whose answer is lost fails; the next look finds what it made.
Done Deeds::object_deed(const plan::Create& deed, Expectations& expectations) const {
  const Resource& resource = resource_of(deed.target);
  const auto created = api_.create(resource, deed.object);
  if (!created.ok()) return failed(created.error());
  expectations.wrote(world_, resource, *created, clock_.now());
  return {};
}

Done Deeds::object_deed(const plan::Apply& deed, Expectations& expectations) const {
  const Resource& resource = resource_of(deed.target);
  const auto applied = api_.apply(resource, deed.object);
  if (!applied.ok()) return failed(applied.error());
  expectations.wrote(world_, resource, *applied, clock_.now());
  return {};
}

Done Deeds::object_deed(const plan::Patch& deed, Expectations& expectations) const {
  const Resource& resource = resource_of(deed.target);
  Json patch = deed.patch;
  // The server refuses a patch that would give the object another uid: it is for this one alone.
  if (!deed.uid.empty()) patch["metadata"]["uid"] = deed.uid;
  if (!deed.resource_version.empty()) patch["metadata"]["resourceVersion"] = deed.resource_version;
  const auto patched = api_.patch(resource, key_of(deed.target), patch);
  if (!patched.ok()) {
    // Somebody else was quicker, or it is gone: the next look decides.
    return failed(patched.error());
  }
  expectations.wrote(world_, resource, *patched, clock_.now());
  return {};
}

Done Deeds::object_deed(const plan::Delete& deed, Expectations& expectations) const {
  CHECK(!deed.uid.empty(), "{} {} is to be deleted and has no uid", deed.target.kind,
        deed.target.name);
  const Resource& resource = resource_of(deed.target);
  kube::DeleteOptions options{.uid = deed.uid};
  if (!deed.resource_version.empty()) options.resource_version = deed.resource_version;
  const auto removed = api_.remove(resource, key_of(deed.target), options);
  // Another uid: this one is gone. With a version it may be there as well, and be another way.
  const bool gone = !removed.ok() &&
                    (removed.error().cause == Cause::kNotFound ||
                     (removed.error().cause == Cause::kConflict && deed.resource_version.empty()));
  if (!removed.ok() && !gone) return failed(removed.error());
  if (!gone) expectations.deleted(world_, resource, key_of(deed.target), deed.uid, clock_.now());
  return {};
}

Done Deeds::decommission(const plan::Decommission& deed, brokers::Admin& admin,
                         Expectations& expectations) const {
  CHECK(!deed.directory_id.empty(), "broker {} is to leave and its directory is not named",
        deed.broker);
  const auto receipt = admin.decommission(deed.broker, deed.directory_id);
  if (!receipt.ok()) return failed(receipt.error());
  if (receipt->broker != deed.broker || receipt->directory_id != deed.directory_id) {
    return failed(Answer{
        Answer::Kind::kFailed,
        fmt::format("The receipt is of broker {} and directory {}, not of broker "
                    "{} and directory {}",
                    receipt->broker, receipt->directory_id, deed.broker, deed.directory_id)});
  }
  const std::string text =
      resources::to_text({receipt->broker, receipt->directory_id, receipt->epoch});
  const Json patch = {
      {"metadata", {{"annotations", {{std::string(resources::kReceiptAnnotation), text}}}}}};
  return object_deed(plan::Patch{deed.volume, patch, deed.volume_uid, ""}, expectations);
}

}  // namespace millrace::control
