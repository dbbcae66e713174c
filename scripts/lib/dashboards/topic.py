"""One topic, or several: what comes in, how safe it is, who has not read it."""

from panels import cluster_variables, dashboard, panel, row, stat, variable

_TOPIC = 'topic=~"$topic"'

_PANELS = [
    row("How safe it is"),
    stat("Partitions", "Partitions of the topics that are chosen.", "none",
         "sum(millrace_topic_partitions_led{cluster,%s})" % _TOPIC),
    stat("Replicas of each", "Replication factor; the lowest of the topics that are chosen.", "none",
         "min(millrace_topic_replication_factor{cluster,%s})" % _TOPIC, low_alarm=2),
    stat("Under-replicated", "Partitions with a replica that is not in sync.", "none",
         "sum(millrace_topic_under_replicated{cluster,%s})" % _TOPIC, alarm=1),
    stat("At min ISR", "Partitions that would refuse acks=all with one replica less.", "none",
         "sum(millrace_topic_at_min_in_sync{cluster,%s})" % _TOPIC),
    stat("Under min ISR", "Partitions that refuse acks=all.", "none",
         "sum(millrace_topic_under_min_in_sync{cluster,%s})" % _TOPIC, alarm=1),
    stat("Bytes", "Bytes of the logs, all replicas together.", "bytes", "sum(millrace_topic_log_bytes{cluster,%s})" % _TOPIC),
    row("What comes in"),
    panel("Records in", "Records committed per second, each counted once however many replicas it has.", "cps",
          {"{{topic}}": "sum by (topic) (rate(millrace_topic_records_total{cluster,%s}[rate])) "
                        "/ on (topic) max by (topic) (millrace_topic_replication_factor{cluster,%s})" % (_TOPIC, _TOPIC)},
          width=12, stack=True),
    panel("Bytes on disk", "Bytes of the logs of all replicas; they fall when retention or compaction removes something.", "bytes",
          {"{{topic}}": "sum by (topic) (millrace_topic_log_bytes{cluster,%s})" % _TOPIC}, width=12, stack=True),
    row("Where it is"),
    panel("Leaders", "Partitions that each broker leads.", "none",
          {"{{pod}}": "sum by (pod) (millrace_topic_partitions_led{cluster,%s})" % _TOPIC}, stack=True, width=8),
    panel("Replicas", "Replicas that are on each broker.", "none",
          {"{{pod}}": "sum by (pod) (millrace_topic_partitions{cluster,%s})" % _TOPIC}, stack=True, width=8),
    panel("Bytes by broker", "Bytes of the topic's logs on each broker.", "bytes",
          {"{{pod}}": "sum by (pod) (millrace_topic_log_bytes{cluster,%s})" % _TOPIC}, stack=True, width=8),
    row("Replicas that are behind"),
    panel("Records behind", "Records that the replica which is furthest behind lacks.", "none",
          {"{{topic}}": "max by (topic) (millrace_topic_replica_lag_records{cluster,%s})" % _TOPIC}, width=8),
    panel("Bytes behind", "About how many bytes that replica lacks.", "bytes",
          {"{{topic}}": "max by (topic) (millrace_topic_replica_lag_bytes{cluster,%s})" % _TOPIC}, width=8),
    panel("Time behind", "Since when that replica has lacked something.", "s",
          {"{{topic}}": "max by (topic) (millrace_topic_replica_lag_seconds{cluster,%s})" % _TOPIC}, width=8),
    row("Who reads it"),
    panel("Lag of groups", "Records between what a group committed and the end of the topic.", "none",
          {"{{group}} {{topic}}": "max by (group, topic) (millrace_group_lag{cluster,%s})" % _TOPIC}, width=24),
]


def text():
    topic = variable("topic", 'label_values(millrace_topic_partitions{namespace="$namespace",millrace_cluster="$cluster"}, topic)',
                     "Topic", many=True, everything=True)
    return dashboard("millrace-topic", "Millrace / Topic", "Topics: what comes in, how safe it is, who has not read it.", _PANELS,
                     [*cluster_variables(), topic])
