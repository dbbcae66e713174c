#include "broker/server/metrics.h"

#include <unistd.h>

#include <chrono>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "broker/server/exposition.h"
#include "broker/server/group_metrics.h"
#include "broker/server/replication_metrics.h"
#include "broker/server/version.h"
#include "broker/wire/messages/apis.h"
#include "common/bytes.h"

namespace millrace::server {
namespace {

constexpr auto kShardWait = std::chrono::seconds(2);

/// Bytes and offsets of one topic on one shard.
struct TopicCounts {
  std::int64_t partitions = 0;
  std::uint64_t log_bytes = 0;
  std::int64_t records_end = 0;
};

/// What one shard says of itself, copied on its loop.
struct Snapshot {
  std::uint32_t shard = 0;
  kafka::Metrics kafka;
  bool has_kafka = false;
  storage::StoreStats store;
  bool out_of_space = false;
  std::map<std::string, TopicCounts> topics;
  std::uint64_t metadata_rejected = 0;
  std::vector<telemetry::Reading> client_readings;
  std::size_t telemetry_clients = 0;
  telemetry::Counts telemetry;
  std::size_t topic_count = 0;
  std::int64_t partition_count = 0;
  std::int64_t damaged = 0;
  GroupCounts groups;
  ReplicationCounts replication;
};

Snapshot take(const MetricSource& source) {
  Snapshot snapshot;
  snapshot.shard = source.shard->index();
  if (source.kafka != nullptr) {
    snapshot.kafka = source.kafka->metrics_now();
    snapshot.has_kafka = true;
  }
  snapshot.store = source.shard->store().stats();
  snapshot.out_of_space = source.shard->store().out_of_space();
  for (const auto& [key, partition] : source.shard->partitions()) {
    TopicCounts& counts = snapshot.topics[partition->log().topic_name()];
    ++counts.partitions;
    counts.log_bytes += partition->log().size_bytes();
    counts.records_end += partition->bounds().high_watermark.value();
    if (partition->log().damage()) ++snapshot.damaged;
  }
  snapshot.groups = count_groups(*source.shard);
  snapshot.replication = count_replication(*source.shard, source.mesh);
  telemetry::Clients& clients = source.shard->telemetry();
  snapshot.client_readings = clients.readings(source.shard->clock().now());
  snapshot.telemetry_clients = clients.size();
  snapshot.telemetry = clients.counts();
  snapshot.metadata_rejected = source.shard->image().rejected();
  snapshot.topic_count = source.shard->image().topics().size();
  snapshot.partition_count = source.shard->image().partition_total();
  return snapshot;
}

Labels shard_label(const Snapshot& snapshot) {
  return {{"shard", std::to_string(snapshot.shard)}};
}

void add_kafka(Exposition& out, const Snapshot& snapshot) {
  if (!snapshot.has_kafka) return;
  const kafka::Metrics& kafka = snapshot.kafka;
  for (std::size_t i = 0; i < kafka.apis.size(); ++i) {
    const kafka::ApiMetrics& api = kafka.apis[i];
    if (api.requests == 0) continue;
    Labels labels = shard_label(snapshot);
    labels.push_back({"api", std::string(wire::kApis[i].name)});
    out.counter("millrace_kafka_requests_total", "Requests of the Kafka protocol.",
                static_cast<double>(api.requests), labels);
    out.counter("millrace_kafka_request_bytes_total", "Bytes of requests.",
                static_cast<double>(api.bytes_in), labels);
    out.counter("millrace_kafka_response_bytes_total", "Bytes of responses.",
                static_cast<double>(api.bytes_out), labels);
    out.histogram("millrace_kafka_request_seconds",
                  "From a whole request being there to its answer.", api.latency, labels);
  }
  const Labels labels = shard_label(snapshot);
  out.gauge("millrace_kafka_connections", "Open Kafka connections.",
            static_cast<double>(kafka.connections_now), labels);
  out.counter("millrace_kafka_connections_opened_total", "Kafka connections accepted.",
              static_cast<double>(kafka.connections_opened), labels);
  out.counter("millrace_kafka_connections_moved_total",
              "Kafka connections that moved to the shard of the partition they write to.",
              static_cast<double>(kafka.connections_moved), labels);
  out.gauge("millrace_kafka_memory_bytes", "Requests and answers in memory.",
            static_cast<double>(kafka.memory_bytes), labels);
  out.gauge("millrace_kafka_fetch_sessions", "Incremental fetch sessions.",
            static_cast<double>(kafka.fetch_sessions), labels);
  out.counter("millrace_kafka_fetch_sessions_evicted_total",
              "Fetch sessions that made room for others.",
              static_cast<double>(kafka.fetch_sessions_evicted), labels);
  const std::pair<const char*, std::uint64_t> reasons[] = {
      {"malformed", kafka.closed.malformed},
      {"oversized", kafka.closed.oversized},
      {"unsupported", kafka.closed.unsupported},
      {"unanswerable", kafka.closed.unanswerable},
      {"idle", kafka.closed.idle},
      {"refused", kafka.closed.refused},
      {"stalled", kafka.closed.stalled}};
  for (const auto& [reason, count] : reasons) {
    Labels with_reason = labels;
    with_reason.push_back({"reason", reason});
    out.counter("millrace_kafka_connections_closed_total",
                "Connections that the broker closed, by reason.", static_cast<double>(count),
                with_reason);
  }
}

void add_compaction(Exposition& out, const storage::CompactionStats& compaction,
                    const Labels& labels) {
  out.counter("millrace_storage_compaction_runs_total", "Compactions of a log that were completed.",
              static_cast<double>(compaction.runs), labels);
  out.counter("millrace_storage_compaction_runs_given_up_total",
              "Compactions that ended early: the log was removed, its policy changed, the disk is "
              "full or a file cannot be read.",
              static_cast<double>(compaction.runs_given_up), labels);
  out.counter("millrace_storage_compaction_segments_replaced_total",
              "Segments that compaction put others in the place of.",
              static_cast<double>(compaction.segments_replaced), labels);
  out.counter("millrace_storage_compaction_read_bytes_total", "Bytes that compaction read.",
              static_cast<double>(compaction.bytes_read), labels);
  out.counter("millrace_storage_compaction_written_bytes_total", "Bytes that compaction wrote.",
              static_cast<double>(compaction.bytes_written), labels);
  out.counter("millrace_storage_compaction_records_removed_total",
              "Records that compaction left out.", static_cast<double>(compaction.records_removed),
              labels);
  out.counter("millrace_storage_compaction_seconds_total",
              "Time that completed compactions took, with their pauses.", compaction.seconds,
              labels);
  out.gauge("millrace_storage_compaction_dirty_bytes",
            "Bytes of sealed segments that were not compacted when it was last looked.",
            static_cast<double>(compaction.dirty_bytes), labels);
  out.gauge("millrace_storage_compaction_logs_due",
            "Logs that waited for compaction when it was last looked.",
            static_cast<double>(compaction.logs_due), labels);
  out.gauge("millrace_storage_compaction_map_bytes",
            "Memory for the keys of the compaction under way.",
            static_cast<double>(compaction.map_bytes), labels);
}

void add_storage(Exposition& out, const Snapshot& snapshot) {
  const storage::StoreStats& store = snapshot.store;
  const Labels labels = shard_label(snapshot);
  out.counter("millrace_journal_rounds_total", "Durable writes of the journal.",
              static_cast<double>(store.journal_rounds), labels);
  out.counter("millrace_journal_bytes_total", "Bytes written to the journal.",
              static_cast<double>(store.journal_bytes), labels);
  out.gauge("millrace_journal_live_bytes", "Journal that a start after a crash would read.",
            static_cast<double>(store.journal_live_bytes), labels);
  out.counter("millrace_segment_bytes_total", "Bytes written to segments.",
              static_cast<double>(store.segment_bytes_written), labels);
  out.counter("millrace_checkpoints_total", "Checkpoints made.",
              static_cast<double>(store.checkpoints), labels);
  add_compaction(out, store.compaction, labels);
  out.gauge("millrace_cache_bytes", "Records held in memory.",
            static_cast<double>(store.cache_bytes), labels);
  out.counter("millrace_cache_hits_total", "Reads served from memory.",
              static_cast<double>(store.cache_hits), labels);
  out.counter("millrace_cache_misses_total", "Reads that went to the disk.",
              static_cast<double>(store.cache_misses), labels);
  out.gauge("millrace_open_files", "Segment files held open.",
            static_cast<double>(store.open_files), labels);
  out.gauge("millrace_disk_out_of_space", "1 while writes are refused for lack of space.",
            snapshot.out_of_space ? 1 : 0, labels);
  out.gauge("millrace_partitions_damaged",
            "Partitions that do not serve because stored data is damaged.",
            static_cast<double>(snapshot.damaged), labels);
}

/// What clients pushed of their own metrics.
void add_telemetry(Exposition& out, const Snapshot& snapshot) {
  const Labels labels = shard_label(snapshot);
  out.gauge("millrace_telemetry_clients", "Clients that asked for a telemetry subscription.",
            static_cast<double>(snapshot.telemetry_clients), labels);
  out.counter("millrace_telemetry_pushes_total", "Pushes of clients' metrics that were taken.",
              static_cast<double>(snapshot.telemetry.pushes), labels);
  out.counter("millrace_telemetry_unreadable_total", "Pushes that could not be unpacked or read.",
              static_cast<double>(snapshot.telemetry.unreadable), labels);
  out.counter("millrace_telemetry_points_dropped_total",
              "Numbers of clients that were left out: histograms, or beyond the limits.",
              static_cast<double>(snapshot.telemetry.points_dropped), labels);
  for (const telemetry::Reading& reading : snapshot.client_readings) {
    Labels own;
    for (const auto& [name, value] : reading.name->labels) own.push_back({name, value});
    if (reading.is_total) {
      out.counter("millrace_client_metric_total", "What a client counts since it started.",
                  reading.value, std::move(own));
    } else {
      out.gauge("millrace_client_metric", "What a client told last of itself.", reading.value,
                std::move(own));
    }
  }
}

std::uint64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  in >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

/// Of the file system that the data directory is on. Blocking, thread-safe.
void add_disk(Exposition& out, env::Disk& disk) {
  const auto space = disk.space();
  if (!space.ok()) return;
  out.gauge("millrace_disk_bytes", "Size of the disk that the data directory is on.",
            static_cast<double>(space->total));
  out.gauge("millrace_disk_free_bytes", "Bytes of it that are free.",
            static_cast<double>(space->free));
}

void add_process(Exposition& out, const std::vector<Snapshot>& snapshots, std::size_t missing) {
  out.gauge("millrace_build_info", "1; the version is a label.", 1, {{"version", kVersion}});
  out.gauge("millrace_scrape_shards_missing", "Shards that did not answer this scrape in time.",
            static_cast<double>(missing));
  out.gauge("millrace_buffer_bytes", "Bytes of all shared buffers.",
            static_cast<double>(common::live_block_bytes()));
  out.gauge("process_resident_memory_bytes", "Resident memory of the process.",
            static_cast<double>(resident_bytes()));
  if (snapshots.empty()) return;
  const Snapshot& first = snapshots.front();
  out.gauge("millrace_topics", "Topics of the cluster.", static_cast<double>(first.topic_count));
  out.gauge("millrace_partitions", "Partitions of the cluster.",
            static_cast<double>(first.partition_count));
  out.counter("millrace_metadata_records_rejected_total",
              "Metadata records that made no sense and were skipped.",
              static_cast<double>(first.metadata_rejected));
  std::map<std::string, TopicCounts> topics;
  for (const Snapshot& snapshot : snapshots) {
    for (const auto& [name, counts] : snapshot.topics) {
      topics[name].partitions += counts.partitions;
      topics[name].log_bytes += counts.log_bytes;
      topics[name].records_end += counts.records_end;
    }
  }
  for (const auto& [name, counts] : topics) {
    const Labels labels{{"topic", name}};
    out.gauge("millrace_topic_partitions", "Replicas of the topic's partitions on this broker.",
              static_cast<double>(counts.partitions), labels);
    out.gauge("millrace_topic_log_bytes", "Bytes of the topic's logs on this broker.",
              static_cast<double>(counts.log_bytes), labels);
    out.counter("millrace_topic_records_total",
                "Records ever committed: the sum of the high watermarks of the replicas here. Each "
                "replica counts on its broker.",
                static_cast<double>(counts.records_end), labels);
  }
}

}  // namespace

std::string metrics_text(const std::vector<MetricSource>& sources, Membership* membership) {
  auto lags = begin_group_lags(*sources.front().shard);
  auto cluster = begin_cluster_counts(*sources.front().shard, membership);
  std::vector<std::future<Snapshot>> pending;
  for (const MetricSource& source : sources) {
    auto promise = std::make_shared<std::promise<Snapshot>>();
    pending.push_back(promise->get_future());
    source.shard->loop().post([promise, source] { promise->set_value(take(source)); });
  }
  const auto deadline = std::chrono::steady_clock::now() + kShardWait;
  std::vector<Snapshot> snapshots;
  for (auto& future : pending) {
    if (future.wait_until(deadline) == std::future_status::ready) snapshots.push_back(future.get());
  }
  Exposition out;
  add_process(out, snapshots, sources.size() - snapshots.size());
  add_disk(out, sources.front().shard->disk());
  std::vector<const ReplicationCounts*> replication;
  for (const Snapshot& snapshot : snapshots) {
    add_kafka(out, snapshot);
    add_storage(out, snapshot);
    add_group_counts(out, snapshot.shard, snapshot.groups);
    add_replication(out, snapshot.shard, snapshot.replication);
    add_telemetry(out, snapshot);
    replication.push_back(&snapshot.replication);
  }
  add_replication_totals(out, replication);
  if (cluster.wait_until(deadline) == std::future_status::ready)
    add_cluster_counts(out, cluster.get());
  if (lags.wait_until(deadline) == std::future_status::ready) add_group_lags(out, lags.get());
  return out.text();
}

}  // namespace millrace::server
