#include "operator/main/process.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

#include "operator/kube/backoff.h"
#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/main/listen_address.h"
#include "operator/main/memory.h"

namespace millrace::operators {
namespace {

kube::ElectionSettings election_of(const Options& options) {
  kube::ElectionSettings settings;
  settings.lease = std::chrono::seconds(options.lease_seconds);
  // What is between is for an act that has begun.
  settings.renew_deadline = common::Duration(settings.lease) * 2 / 3;
  settings.retry =
      std::min<common::Duration>(std::chrono::seconds(2), common::Duration(settings.lease) / 6);
  return settings;
}

kube::ObjectKey lease_of(const Options& options, const std::string& own_space) {
  std::string space = options.lease_namespace.empty() ? own_space : options.lease_namespace;
  return {space.empty() ? "default" : std::move(space), options.lease_name};
}

}  // namespace

Process::Process(const Options& options, std::string own_space, const Servers& servers,
                 const common::Clock& clock, common::Random random)
    : options_(options),
      own_space_(std::move(own_space)),
      clock_(clock),
      metrics_(clock),
      api_(servers.api, metrics_, clock),
      lease_api_(servers.lease_api, metrics_, clock),
      queue_(clock),
      fleet_([this](std::string_view method, std::string_view outcome) {
        metrics_.broker_called(method, outcome);
      }),
      watching_(api_, clock, {.spaces = options.namespaces, .nodes = may_read_nodes(servers.api)},
                random.fork()),
      events_(api_, clock, {.instance = options.identity}),
      leadership_(lease_api_, lease_of(options, own_space_), options.identity, clock,
                  election_of(options)),
      clusters_(tools(), {.image = options.broker_image}),
      topics_(tools(), index_, {.resync = std::chrono::seconds(options.resync_seconds)}),
      workers_(queue_, metrics_, clock,
               [this](const control::Key& key) { return reconcile(key); }) {
  watching_.connect(queue_, index_, metrics_);
}

Process::~Process() {
  stop();
}

bool Process::may_read_nodes(kube::Api& api) {
  kube::ListOptions options;
  options.limit = 1;
  const auto nodes = api.list(kube::kNodes, options);
  if (nodes.ok() || nodes.error().cause != kube::Cause::kForbidden) return true;
  spdlog::warn("event=no-nodes detail=\"{}\" next=\"brokers are told no rack\"",
               nodes.error().detail);
  return false;
}

control::Tools Process::tools() {
  return {.world = watching_.world(),
          .api = api_,
          .fleet = fleet_,
          .metrics = metrics_,
          .clock = clock_,
          .may_act = [this] { return leadership_.leading(); },
          .tell = [this](kube::Event event) { events_.record(std::move(event)); },
          .log = [](const std::string& line) { spdlog::info("{}", line); }};
}

control::Ending Process::reconcile(const control::Key& key) {
  if (!leadership_.leading()) return {};
  return key.work == control::Work::kCluster ? clusters_.reconcile(key.cluster)
                                             : topics_.reconcile(key.cluster);
}

std::optional<std::string> Process::open_pages() {
  const auto address = parse_listen_address(options_.http_listen);
  if (!address) return fmt::format("{} is no address of the form HOST:PORT", options_.http_listen);
  pages_ = process::PageServer::start(address->host, address->port,
                                      {.program = "millrace-operator",
                                       .version = MILLRACE_VERSION,
                                       .not_ready = [this] { return not_ready(); },
                                       .metrics = [this] { return metrics_text(); }});
  if (pages_ != nullptr) return std::nullopt;
  return fmt::format("cannot listen on {}: it is in use or not of this machine",
                     options_.http_listen);
}

std::optional<std::string> Process::start(std::function<void()> ended) {
  if (auto problem = open_pages()) return problem;
  watching_.start();
  telling_ = std::jthread([this](std::stop_token stop) { events_.run(std::move(stop)); });
  leadership_.on_change([this, ended = std::move(ended)](bool leads) { led(leads, ended); });
  electing_ = std::jthread([this](std::stop_token stop) { leadership_.run(std::move(stop)); });
  return std::nullopt;
}

void Process::led(bool leads, const std::function<void()>& ended) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  if (leads) {
    spdlog::info("event=leading identity={}", options_.identity);
    // Once lost it is to end, even if it leads again for a moment before that.
    if (acting_.joinable()) return;
    acting_ = std::jthread([this](const std::stop_token& stop) { begin_to_act(stop); });
    return;
  }
  spdlog::warn("event=leadership-lost holder={} detail=\"{}\"", leadership_.holder(),
               leadership_.trouble());
  ended();
}

void Process::begin_to_act(const std::stop_token& stop) {
  if (!watching_.wait_synced(stop)) return;
  give_back_memory();
  spdlog::info("event=synced clusters={} topics={}", watching_.world().size(kube::kClusters),
               watching_.world().size(kube::kTopics));
  // Also what was there before anybody led.
  for (const auto& cluster : watching_.world().keys(kube::kClusters))
    queue_.add({control::Work::kCluster, cluster});
  for (const auto& cluster : index_.clusters()) queue_.add({control::Work::kTopics, cluster});
  workers_.start(options_.workers);
  // Bursts of work, the first of them that of starting, leave more behind than the next quiet
  // hours need.
  constexpr std::chrono::seconds kTidyEvery{60};
  while (kube::pause(kTidyEvery, stop)) give_back_memory();
}

void Process::stop_acting() {
  std::jthread acting;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    acting = std::move(acting_);
  }
  acting.request_stop();
  if (acting.joinable()) acting.join();
  workers_.stop();
}

void Process::stop() {
  if (!electing_.joinable()) return;
  stop_acting();
  if (leadership_.leading() && !own_space_.empty()) {
    const auto space = api_.get(kube::kNamespaces, {"", own_space_}, kube::Part::kObject);
    if (space.ok() && kube::find(*space, {"metadata", "deletionTimestamp"}) != nullptr)
      topics_.release_finalizers(own_space_);
  }
  telling_.request_stop();
  telling_.join();
  electing_.request_stop();
  electing_.join();
  watching_.stop();
  pages_.reset();
}

std::string Process::not_ready() const {
  return watching_.synced() ? "" : watching_.trouble();
}

std::string Process::metrics_text() const {
  control::Gauges now;
  now.leader = leadership_.leading();
  now.terms = leadership_.terms();
  now.version = MILLRACE_VERSION;
  now.queue = queue_.numbers();
  now.events_lost = events_.lost();
  watching_.fill(now);
  return metrics_.text(now);
}

}  // namespace millrace::operators
