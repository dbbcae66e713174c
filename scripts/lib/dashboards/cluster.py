"""The overview of one cluster: is it well, what does it do, who carries how much."""

from panels import cluster_variables, dashboard, panel, row, stat

_HEALTH = [
    row("Is it well?"),
    stat("Brokers alive", "Brokers that at least one other broker, or the broker itself, hears.", "none",
         "sum(max by (broker) (millrace_broker_alive{cluster})) or count(millrace_build_info{cluster})"),
    stat("Offline partitions", "Partitions without a leader: nobody can read or write them.", "none",
         "max(millrace_partitions_offline{cluster})", alarm=1),
    stat("Under min ISR", "Partitions that refuse acks=all, because too few replicas are in sync.", "none",
         "max(millrace_partitions_under_min_in_sync{cluster})", alarm=1),
    stat("Under-replicated", "Partitions with a replica that is not in sync. Normal for a while when a broker restarts.", "none",
         "max(millrace_partitions_under_replicated{cluster})", alarm=1),
    stat("Moving", "Partitions whose replicas are being moved: after scaling, draining, or the loss of a broker.", "none",
         "max(millrace_partitions_moving{cluster})"),
    stat("Disk free, fullest broker", "Free share of the fullest disk. Writes are refused below disk.reserve.bytes.", "percentunit",
         "min(millrace_disk_free_bytes{cluster} / millrace_disk_bytes{cluster})", low_alarm=0.15, decimals=0),
    stat("Topics", "Topics of the cluster.", "none", "max(millrace_topics{cluster})"),
    stat("Partitions", "Partitions of the cluster.", "none", "max(millrace_partitions{cluster})"),
    stat("Leads the metadata", "Brokers that lead the metadata log: exactly one, but for a moment after a change.", "none",
         "sum(millrace_metadata_leader{cluster})", low_alarm=1),
    stat("May be stopped now", "Restart permits that are in force.", "none", "max(millrace_restart_permits{cluster})"),
    stat("Topics with one replica", "Such a topic loses data with the disk of one broker, and pauses while that one restarts.",
         "none", 'count(max by (topic) (millrace_topic_replication_factor{cluster}) < 2) or vector(0)', alarm=1),
    stat("Damaged partitions", "Partitions that do not serve because what is stored is damaged.", "none",
         "sum(millrace_partitions_damaged{cluster})", alarm=1),
]

_TRAFFIC = [
    row("Traffic"),
    panel("Records in", "Records committed per second, each counted once however many replicas it has.", "cps",
          {"{{topic}}": "sum by (topic) (rate(millrace_topic_records_total{cluster}[rate])) "
                        "/ on (topic) max by (topic) (millrace_topic_replication_factor{cluster})"}, width=12, stack=True),
    panel("Bytes in and out", "Bytes of produce requests and of fetch answers of the Kafka protocol.", "Bps",
          {"in": 'sum(rate(millrace_kafka_request_bytes_total{cluster,api="Produce"}[rate]))',
           "out": 'sum(rate(millrace_kafka_response_bytes_total{cluster,api="Fetch"}[rate]))'}, width=12),
    panel("Requests", "Requests of the Kafka protocol per second, by API.", "reqps",
          {"{{api}}": "sum by (api) (rate(millrace_kafka_requests_total{cluster}[rate]))"}, width=12, stack=True),
    panel("Produce and fetch, 99th percentile",
          "Time from a whole request being there to its answer. Fetch includes the time for which a consumer agreed to wait.", "s",
          {"{{api}}": 'histogram_quantile(0.99, sum by (le, api) (rate(millrace_kafka_request_seconds_bucket'
                      '{cluster,api=~"Produce|Fetch"}[rate])))'}),
    panel("Connections", "Open connections of the Kafka protocol, by broker.", "none",
          {"{{pod}}": "sum by (pod) (millrace_kafka_connections{cluster})"}, stack=True),
]

_SHARES = [
    row("Who carries how much"),
    panel("Leaders", "Partitions that each broker leads. They are spread evenly unless a broker is away or draining.", "none",
          {"broker {{broker}}": "max by (broker) (millrace_broker_leaders{cluster})"}),
    panel("Replicas", "Replicas that each broker has, is to get, or is to give away.", "none",
          {"broker {{broker}}": "max by (broker) (millrace_broker_replicas{cluster})"}),
    panel("Replicas behind", "Replicas of each broker that are not in sync.", "none",
          {"broker {{broker}}": "max by (broker) (millrace_broker_replicas_behind{cluster})"}),
    panel("Furthest behind", "For how long the replica that is furthest behind on a broker has lacked something.", "s",
          {"broker {{broker}}": "max by (broker) (millrace_replica_lag_seconds{cluster})"}),
    panel("Disk free", "Free bytes of each broker's disk.", "bytes",
          {"{{pod}}": "min by (pod) (millrace_disk_free_bytes{cluster})"}),
    panel("Logs", "Bytes of all logs on each broker.", "bytes", {"{{pod}}": "sum by (pod) (millrace_topic_log_bytes{cluster})"}),
    panel("Memory", "Resident memory of each broker.", "bytes",
          {"{{pod}}": "max by (pod) (process_resident_memory_bytes{cluster})"}),
    panel("Leader changes", "How often a replica began to lead, per minute. Many of them without a restart are a bad sign.", "opm",
          {"{{pod}}": "sum by (pod) (rate(millrace_leader_changes_total{cluster}[rate])) * 60"}),
    panel("Catching up", "Bytes per second that go to new replicas, at most replica.move.bytes.per.second.max.", "Bps",
          {"from {{pod}}": "sum by (pod) (rate(millrace_catch_up_bytes_total{cluster}[rate]))"}),
    panel("Replicated", "Bytes of records per second that leaders send to other replicas.", "Bps",
          {"from {{pod}}": "sum by (pod) (rate(millrace_replicated_bytes_total{cluster}[rate]))"}),
    panel("Brokers missed", "Times that a broker did not hear another one any more, per minute.", "opm",
          {"by {{pod}}": "sum by (pod) (rate(millrace_brokers_suspected_total{cluster}[rate])) * 60"}),
    panel("Moves that cannot be done", "Partitions of a broker that cannot be moved or replaced: too few brokers, or racks.", "none",
          {"broker {{broker}}": "max by (broker) (millrace_moves_blocked{cluster}) or on() vector(0)"}),
]


def text():
    return dashboard("millrace-cluster", "Millrace / Cluster", "One cluster: health, traffic, and the share of each broker.",
                     _HEALTH + _TRAFFIC + _SHARES, cluster_variables())
