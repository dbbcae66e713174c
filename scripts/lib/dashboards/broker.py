"""The inside of brokers: doors, storage, connections to other brokers, replication."""

from panels import cluster_variables, dashboard, panel, row, variable

_LABELS = 'namespace="$namespace",millrace_cluster="$cluster",pod=~"$pod"'


def _by_pod(metric, per_second=True):
    if per_second:
        return {"{{pod}}": "sum by (pod) (rate(%s{cluster}[rate]))" % metric}
    return {"{{pod}}": "sum by (pod) (%s{cluster})" % metric}


_DOORS = [
    row("Kafka protocol"),
    panel("Requests", "Requests per second, by API.", "reqps",
          {"{{api}}": "sum by (api) (rate(millrace_kafka_requests_total{cluster}[rate]))"}, stack=True),
    panel("Latency, median", "Time from a whole request being there to its answer.", "s",
          {"{{api}}": "histogram_quantile(0.5, sum by (le, api) (rate(millrace_kafka_request_seconds_bucket{cluster}[rate])))"}),
    panel("Latency, 99th percentile", "As the median, of the slowest hundredth.", "s",
          {"{{api}}": "histogram_quantile(0.99, sum by (le, api) (rate(millrace_kafka_request_seconds_bucket{cluster}[rate])))"}),
    panel("Latency, mean", "As the median, on average.", "s",
          {"{{api}}": "sum by (api) (rate(millrace_kafka_request_seconds_sum{cluster}[rate])) "
                      "/ sum by (api) (rate(millrace_kafka_request_seconds_count{cluster}[rate]))"}),
    panel("Bytes of requests", "Bytes of requests per second, by API.", "Bps",
          {"{{api}}": "sum by (api) (rate(millrace_kafka_request_bytes_total{cluster}[rate]))"}, stack=True),
    panel("Bytes of answers", "Bytes of answers per second, by API.", "Bps",
          {"{{api}}": "sum by (api) (rate(millrace_kafka_response_bytes_total{cluster}[rate]))"}, stack=True),
    panel("Connections", "Open connections by shard: they should be spread.", "none",
          {"{{pod}} shard {{shard}}": "sum by (pod, shard) (millrace_kafka_connections{cluster})"}, stack=True),
    panel("Opened and closed", "Connections that were accepted, and those that the broker closed by reason, per second.", "cps",
          {"opened": "sum(rate(millrace_kafka_connections_opened_total{cluster}[rate]))",
           "closed: {{reason}}": "sum by (reason) (rate(millrace_kafka_connections_closed_total{cluster}[rate]))"}),
    panel("Moved to another shard", "Connections that moved to the shard of the partition they write to, per second.", "cps",
          _by_pod("millrace_kafka_connections_moved_total")),
    panel("Requests in memory", "Bytes of requests and answers in memory.", "bytes", _by_pod("millrace_kafka_memory_bytes", False)),
    panel("Fetch sessions", "Incremental fetch sessions that are remembered.", "none",
          _by_pod("millrace_kafka_fetch_sessions", False)),
    panel("Fetch sessions evicted", "Fetch sessions that made room for others, per second.", "cps",
          _by_pod("millrace_kafka_fetch_sessions_evicted_total")),
]

_STORAGE = [
    row("Storage"),
    panel("Journal, rounds", "Durable writes of the journal per second; one of them carries many requests.", "ops",
          _by_pod("millrace_journal_rounds_total")),
    panel("Journal, bytes", "Bytes written to the journal per second.", "Bps", _by_pod("millrace_journal_bytes_total")),
    panel("Journal to be read", "Bytes of the journal that a start after a crash would read.", "bytes",
          _by_pod("millrace_journal_live_bytes", False)),
    panel("Segments", "Bytes written to segments per second.", "Bps", _by_pod("millrace_segment_bytes_total")),
    panel("Reads from memory", "Share of reads that were served from memory.", "percentunit",
          {"{{pod}}": "sum by (pod) (rate(millrace_cache_hits_total{cluster}[rate])) / (sum by (pod) "
                      "(rate(millrace_cache_hits_total{cluster}[rate])) + sum by (pod) (rate(millrace_cache_misses_total{cluster}[rate])))"}),
    panel("Records in memory", "Bytes of records held in memory.", "bytes", _by_pod("millrace_cache_bytes", False)),
    panel("Open files", "Segment files held open.", "none", _by_pod("millrace_open_files", False)),
    panel("Checkpoints", "Checkpoints made per minute.", "opm",
          {"{{pod}}": "sum by (pod) (rate(millrace_checkpoints_total{cluster}[rate])) * 60"}),
    panel("Writes refused", "1 while a shard refuses writes for lack of space.", "none",
          {"{{pod}}": "max by (pod) (millrace_disk_out_of_space{cluster})"}, alarm=1),
    panel("Compaction, bytes", "Bytes that compaction reads and writes per second.", "Bps",
          {"read": "sum(rate(millrace_storage_compaction_read_bytes_total{cluster}[rate]))",
           "written": "sum(rate(millrace_storage_compaction_written_bytes_total{cluster}[rate]))"}),
    panel("Compaction, waiting", "Logs that waited for compaction when it was last looked.", "none",
          _by_pod("millrace_storage_compaction_logs_due", False)),
    panel("Compaction, not compacted", "Bytes of sealed segments that were not compacted when it was last looked.", "bytes",
          _by_pod("millrace_storage_compaction_dirty_bytes", False)),
]

_MESH = [
    row("Between brokers (a broker that is alone has none of these)"),
    panel("Sent", "Bytes per second sent to other brokers.", "Bps", _by_pod("millrace_mesh_sent_bytes_total")),
    panel("Received", "Bytes per second received from other brokers.", "Bps", _by_pod("millrace_mesh_received_bytes_total")),
    panel("Waiting to be sent", "Bytes that wait to be sent to other brokers.", "bytes", _by_pod("millrace_mesh_queued_bytes", False)),
    panel("Connections", "Connections to other brokers that were made and lost, per minute.", "opm",
          {"made": "sum(rate(millrace_mesh_connections_made_total{cluster}[rate])) * 60",
           "lost": "sum(rate(millrace_mesh_connections_lost_total{cluster}[rate])) * 60"}),
    panel("Dropped messages", "Raft messages per second that were not sent or not taken, by reason. Raft sends again.", "cps",
          {"{{reason}}": "sum by (reason) (rate(millrace_mesh_dropped_messages_total{cluster}[rate]))"}),
    panel("Failed calls", "Calls per second that the other broker did not answer.", "cps", _by_pod("millrace_mesh_failed_calls_total")),
    panel("Late heartbeats", "Heartbeats per second that came later than twice their interval.", "cps",
          _by_pod("millrace_heartbeats_late_total")),
    panel("Metadata not applied", "Records of the metadata log that another broker has applied and this one has not.", "none",
          _by_pod("millrace_metadata_lag_records", False)),
    row("Replication"),
    panel("Leads", "Partitions that a broker leads, by shard.", "none",
          {"{{pod}} shard {{shard}}": "sum by (pod, shard) (millrace_partitions_led{cluster})"}, stack=True),
    panel("Leaderships lost", "Times per minute that a replica ended to lead.", "opm",
          {"{{pod}}": "sum by (pod) (rate(millrace_leaderships_lost_total{cluster}[rate])) * 60"}),
    panel("Changes of replicas", "Changes of the replicas of partitions per minute, by kind.", "opm",
          {"{{change}}": "sum by (change) (rate(millrace_replica_changes_total{cluster}[rate])) * 60"}),
    panel("Not yet where they should be", "Partitions whose replicas are not yet where they should be.", "none",
          _by_pod("millrace_replica_changes_under_way", False)),
]

_PROCESS = [
    row("Process"),
    panel("Memory", "Resident memory.", "bytes", {"{{pod}}": "max by (pod) (process_resident_memory_bytes{cluster})"}),
    panel("Shared buffers", "Bytes of all shared buffers.", "bytes", {"{{pod}}": "max by (pod) (millrace_buffer_bytes{cluster})"}),
    panel("Shards that did not answer", "Shards that were too busy to answer a scrape within two seconds.", "none",
          {"{{pod}}": "max by (pod) (millrace_scrape_shards_missing{cluster})"}),
    panel("Clients' own metrics", "Clients that push their metrics (KIP-714), and pushes per second.", "none",
          {"clients": "sum(millrace_telemetry_clients{cluster})",
           "pushes": "sum(rate(millrace_telemetry_pushes_total{cluster}[rate]))"}),
]


def text():
    pod = variable("pod", 'label_values(millrace_build_info{namespace="$namespace",millrace_cluster="$cluster"}, pod)', "Broker",
                   many=True, everything=True)
    return dashboard("millrace-broker", "Millrace / Broker internals", "The inside of brokers: doors, storage, connections, replication.",
                     _DOORS + _STORAGE + _MESH + _PROCESS, [*cluster_variables(), pod], labels=_LABELS)
