"""Three brokers become five and three again, under load: replicas move by themselves, evenly; clients notice nothing (A19)."""
import json
import subprocess
import time

import pytest
from confluent_kafka import Producer

from cluster_load import ClusterLoad
from harness.broker import ENVIRONMENT, binary
from harness.cluster import peer_is_kafka
from harness.waiting import eventually

TOPICS, PARTITIONS = 4, 6
MOVE_SECONDS = 240
FILL_BYTES_CI, FILL_BYTES_FULL = 64 << 20, 1 << 30
MOVED_PER_SECOND = 4 << 20


def millctl(cluster, *arguments, seconds=MOVE_SECONDS, check=True):
    done = subprocess.run([binary("millctl"), "--broker", cluster.grpc, *arguments], capture_output=True, text=True, timeout=seconds,
                          env=ENVIRONMENT)
    assert not check or done.returncode == 0, "millctl %s: %s%s" % (" ".join(arguments), done.stdout, done.stderr)
    return done.stdout


def replicas_by_broker(cluster):
    """{node: replicas}, those of the offsets of groups too."""
    counts = {broker.node: 0 for broker in cluster.brokers}
    for one in (cluster.partitions() or {}).values():
        for node in one.replicas:
            counts[node] = counts.get(node, 0) + 1
    return counts


def await_even(cluster, nodes, seconds=MOVE_SECONDS):
    """Every one of these brokers has its share, give or take one in ten and one; all replicas are in sync."""
    seen = {}

    def even():
        seen.clear()
        seen.update(replicas_by_broker(cluster))
        share = sum(seen.values()) / len(nodes)
        return all(abs(seen[node] - share) <= share / 10 + 1 for node in nodes) and sum(seen[n] for n in nodes) == sum(seen.values())

    try:
        eventually(even, "replicas are even", seconds, pause=0.2)
    except AssertionError as late:
        raise AssertionError("%s; replicas by broker: %s" % (late, seen)) from None
    cluster.await_whole(copies=None, seconds=seconds)


def fill(cluster, topic, partitions, volume):
    """So many bytes, evenly over the partitions, by a client of its own."""
    failed = []
    producer = Producer({"bootstrap.servers": cluster.kafka, "linger.ms": 5, "message.timeout.ms": 60000, "log_level": 0,
                         "queue.buffering.max.kbytes": 65536})
    record = bytes(64 << 10)
    for n in range(volume // len(record)):
        while len(producer) > 500:
            producer.poll(0.05)
        producer.produce(topic, record, partition=n % partitions, on_delivery=lambda error, _: failed.append(error) if error else None)
        producer.poll(0)
    assert producer.flush(120) == 0 and not failed, failed[:3]


def test_grow_to_five_and_back(make_cluster, full):
    if peer_is_kafka():
        pytest.skip("Apache Kafka moves nothing by itself")
    volume = FILL_BYTES_FULL if full else FILL_BYTES_CI
    cluster = make_cluster(3).start()
    for n in range(TOPICS):
        cluster.create("topic-%d" % n, PARTITIONS)
    fill(cluster, "topic-0", PARTITIONS, volume)
    load = ClusterLoad(cluster)
    load.start()
    started = time.monotonic()
    for _ in range(2):
        cluster.add().start()
        await_even(cluster, [broker.node for broker in cluster.brokers])
        load.each_moves()
    grown = time.monotonic() - started
    started = time.monotonic()
    for broker in cluster.brokers[3:]:
        millctl(cluster, "broker", "drain", str(broker.node), "--wait", "--wait-max", str(MOVE_SECONDS - 20))
        assert replicas_by_broker(cluster)[broker.node] == 0
        receipt = json.loads(millctl(cluster, "-o", "json", "broker", "decommission", str(broker.node)))
        assert receipt["broker"] == broker.node and receipt["directory_id"]
        assert broker.stop(60) == 0
        load.each_moves()
    shrunk = time.monotonic() - started
    del cluster.brokers[3:]
    await_even(cluster, [1, 2, 3])
    load.stop()
    records = load.verify()
    print("%d records; 3 to 5 in %.1f s, 5 to 3 in %.1f s" % (records, grown, shrunk))
    load.verify_disks()


def test_moves_keep_to_what_they_may_copy(make_cluster):
    """A fourth broker gets its share no faster than replica.move.bytes.per.second.max says, and not much slower."""
    if peer_is_kafka():
        pytest.skip("Apache Kafka moves nothing by itself")
    cluster = make_cluster(3, replica__move__bytes__per__second__max=MOVED_PER_SECOND).start()
    cluster.create("big", 4)
    fill(cluster, "big", 4, FILL_BYTES_CI)
    started = time.monotonic()
    fourth = cluster.add()
    fourth.start()
    await_even(cluster, [broker.node for broker in cluster.brokers])
    taken = time.monotonic() - started
    big = sum(fourth.node in one.replicas for (topic, _), one in cluster.partitions().items() if topic == "big")
    moved = big * FILL_BYTES_CI // 4
    print("%d MiB moved in %.1f s" % (moved >> 20, taken))
    # What a second may carry is there at the start, for each shard that reads.
    assert MOVED_PER_SECOND / 3 < moved / taken <= MOVED_PER_SECOND * 1.2
