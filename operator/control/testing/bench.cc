#include "operator/control/testing/bench.h"

#include <algorithm>
#include <set>
#include <utility>

#include "operator/kube/fields.h"

namespace millrace::control::testing {

using kube::Json;

namespace {

constexpr std::chrono::milliseconds kQuiet{10'000};

std::vector<Resource> watched() {
  std::vector<Resource> kinds = {kube::kClusters, kube::kTopics, kube::kNodes};
  for (const Resource& child : child_kinds()) kinds.push_back(child);
  return kinds;
}

}  // namespace

Station::Station(kube::testing::ModelApi& api, const common::Clock& clock, Fleet& fleet,
                 TopicSettings topics)
    : clock_(clock),
      model_(api),
      metrics_(clock),
      api_(api, metrics_, clock),
      fleet_(fleet),
      queue_(clock),
      kinds_(watched()),
      sender_(api_, clock, {.instance = "bench"}),
      clusters_(tools(), {.image = "localhost/millrace:0.1.0"}),
      topics_(tools(), index_, topics),
      workers_(queue_, metrics_, clock, [this](const Key& key) {
        if (!leads_) return Ending{};
        return key.work == Work::kCluster ? clusters_.reconcile(key.cluster)
                                          : topics_.reconcile(key.cluster);
      }) {
  for (const Resource& resource : kinds_) {
    const bool child =
        std::find(child_kinds().begin(), child_kinds().end(), resource) != child_kinds().end();
    const std::string plural(resource.plural);
    caches_[plural] = std::make_unique<kube::Cache>(
        nullptr,
        child ? std::vector<std::string>{std::string(kClusterLabel)} : std::vector<std::string>{});
    world_.add(resource, "", *caches_[plural]);
    handlers_[plural] = handler_for(resource, world_, queue_, index_, metrics_);
  }
  world_.on_synced([] { return true; });
}

Tools Station::tools() {
  return {.world = world_,
          .api = api_,
          .fleet = fleet_,
          .metrics = metrics_,
          .clock = clock_,
          .may_act = [this] { return leads_; },
          .tell =
              [this](kube::Event event) {
                events_.push_back(event);
                sender_.record(std::move(event));
              },
          .log = [](const std::string&) {}};
}

void Station::sync(const Resource& resource) {
  const std::string plural(resource.plural);
  kube::Cache& cache = *caches_[plural];
  const kube::ChangeHandler& handler = handlers_[plural];
  std::set<kube::ObjectKey> kept;
  kube::ListOptions options;
  options.limit = 0;
  auto page = model_.list(resource, options);
  if (!page.ok()) return;
  for (Json& object : page->items) {
    kept.insert(kube::key_of(object));
    cache.put(std::move(object), handler);
  }
  cache.retain(kept, handler);
}

void Station::sync() {
  const std::string version = model_.resource_version();
  if (version == heard_) return;
  for (const Resource& resource : kinds_) sync(resource);
  heard_ = version;
}

bool Station::work(int most) {
  bool any = false;
  for (int i = 0; i < most && workers_.work_once(); ++i) any = true;
  sender_.flush();
  return any;
}

std::vector<std::string> told(const std::vector<kube::testing::Written>& writes) {
  std::vector<std::string> lines;
  for (const auto& one : writes)
    lines.push_back(one.verb + " " + one.plural + " " + one.key.text());
  return lines;
}

const kube::ObjectKey Bench::kKey{"shop", "events"};

Bench::Bench(std::uint64_t seed, TopicSettings topics)
    : api(seed),
      clock(api.now()),
      brokers(std::make_shared<ModelBrokers>(api, kKey, clock)),
      fleet_({{kKey, brokers}}),
      topic_settings_(topics) {
  arm();
  add_operator();
}

// What the operator calls is counted, and fails once it has ended: nothing it does then leaves it.
void Bench::arm() {
  const auto ends = [this] {
    if (!operator_works_) return false;
    if (end_after_ == 0) return true;
    ++calls_made_;
    if (end_after_ > 0) --end_after_;
    return false;
  };
  api.set_gate([ends](const std::string&, const Resource&,
                      const kube::ObjectKey&) -> std::optional<kube::ApiError> {
    if (!ends()) return std::nullopt;
    return kube::ApiError{.cause = kube::Cause::kCancelled, .detail = "the operator has ended"};
  });
  brokers->set_gate([ends](const std::string&) -> std::optional<brokers::BrokerError> {
    if (!ends()) return std::nullopt;
    return brokers::BrokerError{.trouble = brokers::Trouble::kUnreachable,
                                .detail = "the operator has ended"};
  });
}

void Bench::end_after(int calls) {
  end_after_ = calls;
  calls_made_ = 0;
}

Station& Bench::add_operator() {
  stations_.push_back(std::make_unique<Station>(api, clock, fleet_, topic_settings_));
  return *stations_.back();
}

void Bench::restart_operator() {
  end_after_ = -1;
  stations_.front() = std::make_unique<Station>(api, clock, fleet_, topic_settings_);
}

void Bench::make_cluster(int brokers_wanted, const Json& more) {
  Json object = {{"apiVersion", "millrace.dev/v1alpha1"},
                 {"kind", "MillraceCluster"},
                 {"metadata", {{"namespace", kKey.space}, {"name", kKey.name}}},
                 {"spec", {{"brokers", brokers_wanted}, {"rollout", {{"pauseSeconds", 1}}}}}};
  object["spec"].merge_patch(more);
  const auto made = api.create(kube::kClusters, object);
  CHECK(made.ok(), "{}", made.error().detail);
}

void Bench::make_topic(const std::string& name, const Json& spec) {
  Json object = {{"apiVersion", "millrace.dev/v1alpha1"},
                 {"kind", "MillraceTopic"},
                 {"metadata", {{"namespace", kKey.space}, {"name", name}}},
                 {"spec", {{"cluster", kKey.name}, {"partitions", 3}, {"replicationFactor", 3}}}};
  object["spec"].merge_patch(spec);
  const auto made = api.create(kube::kTopics, object);
  CHECK(made.ok(), "{}", made.error().detail);
}

void Bench::edit_cluster(const Json& spec) {
  CHECK(api.patch(kube::kClusters, kKey, {{"spec", spec}}).ok());
}

void Bench::edit_topic(const std::string& name, const Json& spec) {
  CHECK(api.patch(kube::kTopics, {kKey.space, name}, {{"spec", spec}}).ok());
}

void Bench::round(common::Duration step) {
  if (api.resource_version() != controlled_) api.run_controllers();
  controlled_ = api.resource_version();
  brokers->tick();
  for (const auto& station : stations_) {
    station->sync();
    operator_works_ = true;
    station->work();
    operator_works_ = false;
  }
  clock.advance(step);
  api.advance(step);
}

bool Bench::settle(int rounds_most) {
  common::Duration quiet{0};
  for (int i = 0; i < rounds_most; ++i) {
    const std::string before = api.resource_version();
    constexpr std::chrono::milliseconds kStep{500};
    round(kStep);
    if (ended()) return true;
    quiet = api.resource_version() == before ? quiet + kStep : common::Duration(0);
    if (quiet >= kQuiet) return true;
  }
  return false;
}

std::vector<kube::testing::Written> Bench::written_in(common::Duration time) {
  api.clear_writes();
  constexpr std::chrono::seconds kStep{5};
  for (common::Duration passed{0}; passed < time; passed += kStep) round(kStep);
  return api.writes();
}

Json Bench::cluster() {
  auto object = api.get(kube::kClusters, kKey);
  return object.ok() ? *std::move(object) : Json();
}

Json Bench::topic(const std::string& name) {
  auto object = api.get(kube::kTopics, {kKey.space, name});
  return object.ok() ? *std::move(object) : Json();
}

std::string Bench::condition(const Json& object, const std::string& type) {
  for (const ConditionValue& one :
       standing_of(object.value("status", Json::object()), {}).conditions)
    if (one.type == type) return one.status;
  return "";
}

std::string Bench::reason(const Json& object, const std::string& type) {
  for (const ConditionValue& one :
       standing_of(object.value("status", Json::object()), {}).conditions)
    if (one.type == type) return one.reason;
  return "";
}

std::map<std::string, std::string> Bench::pods(const std::string& annotation) {
  std::map<std::string, std::string> values;
  kube::ListOptions options;
  options.space = kKey.space;
  const auto page = api.list(kube::kPods, options);
  CHECK(page.ok());
  for (const Json& pod : page->items)
    values[kube::key_of(pod).name] = kube::text_at(pod, {"metadata", "annotations", annotation});
  return values;
}

}  // namespace millrace::control::testing
