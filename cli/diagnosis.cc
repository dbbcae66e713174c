#include "cli/diagnosis.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/model/config_key.h"
#include "cli/table.h"

namespace millrace::cli {
namespace {

using Configs = std::map<std::string, std::string>;

constexpr std::size_t kNamedMax = 5;
constexpr std::int64_t kLowShare = 10;  // per cent of a disk
constexpr std::int64_t kDayMinutes = 24 * 60;

std::string value_of(const Configs& configs, const std::string& name) {
  const auto found = configs.find(name);
  return found == configs.end() ? std::string() : found->second;
}

/// -1: not there, or no number.
std::int64_t number_of(const Configs& configs, const std::string& name) {
  try {
    return std::stoll(value_of(configs, name));
  } catch (const std::exception&) {
    return -1;
  }
}

std::string joined(const std::vector<std::string>& names) {
  if (names.size() <= kNamedMax) return fmt::format("{}", fmt::join(names, ", "));
  const std::vector<std::string> first(names.begin(), names.begin() + kNamedMax);
  return fmt::format("{} and {} more", fmt::join(first, ", "), names.size() - kNamedMax);
}

/// Reached from this machine only.
bool on_loopback(const std::string& address) {
  return address.starts_with("127.") || address.starts_with("localhost:") ||
         address.starts_with("[::1]:");
}

void check_copies(const ClusterSeen& cluster, std::vector<Finding>& findings) {
  const std::string advice =
      cluster.brokers < 3
          ? "One broker cannot keep a second copy. Put the data on replicated storage, and do not "
            "keep here what exists nowhere else"
          : "Leave default.replication.factor at -1, and give such topics more copies: millctl "
            "partition move TOPIC/N --to 0,1,2 --change-replication-factor";
  const auto factor = number_of(cluster.configs, "default.replication.factor");
  if (factor == 1 || (factor < 0 && cluster.brokers == 1)) {
    findings.push_back(
        {Level::kWarning, "one-copy-default",
         fmt::format("default.replication.factor is {}: new topics have one copy", factor), "",
         advice});
  }
  std::vector<std::string> single;
  for (const TopicSettingsSeen& topic : cluster.topics) {
    if (topic.replicas == 1) single.push_back(topic.name);
  }
  if (!single.empty()) {
    findings.push_back({Level::kWarning, "one-copy",
                        fmt::format("{} topic(s) have one copy, which is lost with its disk: {}",
                                    single.size(), joined(single)),
                        "", advice});
  }
  std::vector<std::string> unguarded;
  for (const TopicSettingsSeen& topic : cluster.topics) {
    if (topic.replicas > 1 && number_of(topic.configs, "min.insync.replicas") <= 1)
      unguarded.push_back(topic.name);
  }
  if (!unguarded.empty() ||
      (cluster.brokers > 1 && number_of(cluster.configs, "min.insync.replicas") <= 1)) {
    findings.push_back({Level::kWarning, "min-insync-one",
                        unguarded.empty()
                            ? "min.insync.replicas is 1: one copy is enough to acknowledge a write"
                            : fmt::format("min.insync.replicas is 1 for {}: one of their copies is "
                                          "enough to acknowledge a write",
                                          joined(unguarded)),
                        "", "Set min.insync.replicas=2, and let producers use acks=all"});
  } else if (cluster.brokers == 1 && number_of(cluster.configs, "min.insync.replicas") == 1) {
    findings.push_back({Level::kNote, "min-insync-one",
                        "min.insync.replicas is 1: one copy is enough to acknowledge a write",
                        "There is one broker", ""});
  }
}

void check_listeners(const ClusterSeen& cluster, std::vector<Finding>& findings) {
  std::vector<std::string> open;
  for (const char* name : {"kafka.listen", "grpc.listen", "http.listen"}) {
    const std::string address = value_of(cluster.configs, name);
    if (!address.empty() && !on_loopback(address))
      open.push_back(fmt::format("{} {}", name, address));
  }
  const std::string outside = value_of(cluster.configs, "kafka.outside.listen");
  for (const std::string& listener : model::parse_list(outside)) {
    constexpr std::string_view kBehindName = "://";
    const std::size_t name_end = listener.find(kBehindName);
    if (name_end == std::string::npos) continue;
    if (!on_loopback(listener.substr(name_end + kBehindName.size())))
      open.push_back("kafka.outside.listen " + listener);
  }
  if (open.empty()) return;
  findings.push_back(
      {Level::kWarning, "plain-listeners",
       fmt::format("Listeners without encryption or login are reachable from other machines: {}",
                   joined(open)),
       "",
       "Let only those reach them whom you trust (a firewall, a network policy), or listen on "
       "127.0.0.1"});
}

void check_durability(const ClusterSeen& cluster, std::vector<Finding>& findings) {
  std::vector<std::string> relaxed;
  for (const TopicSettingsSeen& topic : cluster.topics) {
    if (value_of(topic.configs, "flush.mode") == "relaxed") relaxed.push_back(topic.name);
  }
  if (value_of(cluster.configs, "flush.mode") == "relaxed")
    relaxed.insert(relaxed.begin(), "the default of all topics");
  if (!relaxed.empty()) {
    findings.push_back({Level::kWarning, "relaxed-flush",
                        fmt::format("flush.mode=relaxed acknowledges writes that are not on a disk "
                                    "yet: {}",
                                    joined(relaxed)),
                        "", "Unset it where a power cut must not lose acknowledged records"});
  }
}

void check_disk(const ClusterSeen& cluster, std::vector<Finding>& findings) {
  if (number_of(cluster.configs, "disk.reserve.bytes") == 0) {
    findings.push_back({Level::kProblem, "no-reserve",
                        "disk.reserve.bytes is 0: a full disk is noticed when a write fails", "",
                        "Unset it: the default keeps enough to delete and trim with"});
  }
  if (cluster.disk_total_bytes > 0 &&
      cluster.disk_free_bytes < cluster.disk_total_bytes / 100 * kLowShare) {
    findings.push_back(
        {Level::kProblem, "disk-low",
         fmt::format("{} of {} of the disk are free", human_bytes(cluster.disk_free_bytes),
                     human_bytes(cluster.disk_total_bytes)),
         "", "Shorten retention.ms of large topics, or grow the volume"});
  }
  std::vector<std::string> endless;
  for (const TopicSettingsSeen& topic : cluster.topics) {
    const std::string policy = value_of(topic.configs, "cleanup.policy");
    if (policy == "delete" && number_of(topic.configs, "retention.ms") < 0 &&
        number_of(topic.configs, "retention.bytes") < 0) {
      endless.push_back(topic.name);
    }
  }
  if (!endless.empty()) {
    findings.push_back(
        {Level::kNote, "endless-retention",
         fmt::format("{} topic(s) keep everything for ever: {}", endless.size(), joined(endless)),
         "", "Set retention.ms or retention.bytes, unless that is what you want"});
  }
}

void check_habits(const ClusterSeen& cluster, std::vector<Finding>& findings) {
  if (value_of(cluster.configs, "auto.create.topics.enable") == "true") {
    findings.push_back({Level::kWarning, "auto-create",
                        "auto.create.topics.enable is true: a misspelt name makes a topic", "",
                        "Set it to false, and create topics on purpose: millctl topic create"});
  }
  const std::int64_t offsets_minutes = number_of(cluster.configs, "offsets.retention.minutes");
  if (offsets_minutes >= 0 && offsets_minutes < kDayMinutes) {
    findings.push_back({Level::kWarning, "short-offset-retention",
                        fmt::format("offsets.retention.minutes is {}: a group that is stopped for "
                                    "longer forgets its place",
                                    offsets_minutes),
                        "", "Raise it beyond the longest pause of your consumers"});
  }
}

}  // namespace

Report diagnose(const ClusterSeen& cluster, const std::vector<std::string>& ignored) {
  Report report;
  check_copies(cluster, report.findings);
  check_listeners(cluster, report.findings);
  check_durability(cluster, report.findings);
  check_disk(cluster, report.findings);
  check_habits(cluster, report.findings);
  const std::size_t before = report.findings.size();
  std::erase_if(report.findings, [&](const Finding& finding) {
    return std::find(ignored.begin(), ignored.end(), finding.code) != ignored.end();
  });
  std::stable_sort(report.findings.begin(), report.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.level > b.level; });
  report.summary =
      fmt::format("{} broker(s), {} topic(s): {} finding(s), {} ignored", cluster.brokers,
                  cluster.topics.size(), report.findings.size(), before - report.findings.size());
  return report;
}

}  // namespace millrace::cli
