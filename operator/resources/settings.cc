// Settings of brokers: which of them go into the file, which are changed while brokers run, and
// which are not the user's to give.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "operator/resources/fields.h"
#include "operator/resources/hash.h"
#include "operator/resources/manifests.h"
#include "operator/resources/names.h"

namespace millrace::resources {
namespace {

// Those with update mode "cluster-wide" in the brokers' own table; settings_test compares the two.
constexpr std::array<std::string_view, 38> kDynamic = {
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "flush.mode",
    "group.consumer.assignment.interval.ms",
    "group.fetch.silence.ms",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleaner.min.compaction.lag.ms",
    "log.cleanup.policy",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "log.index.interval.bytes",
    "log.index.size.max.bytes",
    "log.local.retention.bytes",
    "log.local.retention.ms",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.type",
    "log.preallocate",
    "log.retention.bytes",
    "log.retention.ms",
    "log.roll.jitter.ms",
    "log.roll.ms",
    "log.segment.bytes",
    "log.segment.delete.delay.ms",
    "max.connections",
    "max.connections.per.ip",
    "message.max.bytes",
    "metrics.group.partitions",
    "min.insync.replicas",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "producer.id.expiration.ms",
    "unclean.leader.election.enable",
};
static_assert(std::is_sorted(kDynamic.begin(), kDynamic.end()));

constexpr std::array<std::string_view, 20> kReserved = {
    "advertised.listeners",
    "broker.id",
    "broker.rack",
    "broker.rack.file",
    "cluster.id",
    "data.dir",
    "grpc.advertised",
    "grpc.listen",
    "http.listen",
    "internal.advertised",
    "internal.listen",
    "kafka.advertised",
    "kafka.listen",
    "kafka.outside.addresses",
    "kafka.outside.listen",
    "listeners",
    "log.dirs",
    "metadata.voters",
    "node.id",
    "process.roles",
};
static_assert(std::is_sorted(kReserved.begin(), kReserved.end()));

std::string voters(const ManifestRequest& request) {
  std::string text;
  for (std::int32_t i = 0; i < request.voters; ++i) {
    text += fmt::format("{}{}@{}:{}", i == 0 ? "" : ",", i,
                        names::host(request.cluster.space, request.cluster.name, i), kInternalPort);
  }
  return text;
}

}  // namespace

bool is_dynamic_setting(std::string_view name) {
  return std::binary_search(kDynamic.begin(), kDynamic.end(), name);
}

bool is_reserved_setting(std::string_view name) {
  return std::binary_search(kReserved.begin(), kReserved.end(), name);
}

std::map<std::string, std::string> dynamic_config(const ClusterSpec& spec) {
  std::map<std::string, std::string> config;
  for (const auto& [name, value] : spec.config) {
    if (is_dynamic_setting(name)) config.emplace(name, value);
  }
  return config;
}

std::string settings_file(const ManifestRequest& request) {
  std::map<std::string, std::string> settings = {
      {"cluster.id", request.cluster_id},
      {"data.dir", "/data"},
      {"grpc.listen", fmt::format("0.0.0.0:{}", kGrpcPort)},
      {"http.listen", fmt::format("0.0.0.0:{}", kHttpPort)},
      {"internal.listen", fmt::format("0.0.0.0:{}", kInternalPort)},
      {"kafka.listen", fmt::format("0.0.0.0:{}", internal_listener(request.spec).port)},
      {"metadata.voters", voters(request)},
  };
  // What begins with three brokers can lose one: then no write should be on one disk only. It
  // depends on what never changes, so that it restarts nobody; spec.config overrides it.
  if (request.voters == kVotersMax) settings.emplace("min.insync.replicas", "2");
  for (const auto& [name, value] : request.spec.config) {
    if (!is_dynamic_setting(name)) settings[name] = value;
  }
  // A JSON string is a YAML string, whatever is in it.
  std::string file;
  for (const auto& [name, value] : settings) {
    file += fmt::format("{}: {}\n", name,
                        Json(value).dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return file;
}

std::string settings_revision(const ManifestRequest& request) {
  return hash_of(settings_file(request));
}

std::string settings_revision_of(const Json& pod) {
  constexpr std::string_view kSuffix = ".yaml";
  const Json& volumes = at(pod, "spec", "volumes");
  if (!volumes.is_array()) return {};
  for (const Json& volume : volumes) {
    if (text_of(at(volume, "name")) != "config") continue;
    const Json& items = at(volume, "configMap", "items");
    if (!items.is_array() || items.empty()) continue;
    const std::string file = text_of(at(items[0], "key"));
    if (file.ends_with(kSuffix)) return file.substr(0, file.size() - kSuffix.size());
  }
  return {};
}

std::string bootstrap_address(const Identity& cluster, const ClusterSpec& spec) {
  return fmt::format("{}.{}.svc:{}", names::bootstrap(cluster.name), cluster.space,
                     internal_listener(spec).port);
}

}  // namespace millrace::resources
