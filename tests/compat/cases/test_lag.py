"""Lag is told by the broker itself, without an exporter (A27, C55), and so is who holds partitions and reads nothing (C50)."""
import json
import subprocess
import time

import confluent_kafka
import pytest

from harness.broker import Broker, binary
from harness.drivers import Driver, record
from harness.grpc_client import GrpcClient
from harness.waiting import eventually

SILENCE_MS = 1000
GROUPS = 300
SECONDS_FOR_ALL = 2


@pytest.fixture
def own_broker(ours):
    """Lag by partition is shown where it is asked for; a second of silence is long."""
    with Broker(metrics__group__partitions="true", group__fetch__silence__ms=SILENCE_MS,
                group__initial__rebalance__delay__ms=100) as broker:
        yield broker


@pytest.fixture
def java(own_broker):
    driver = Driver("java", own_broker.kafka)
    yield driver
    driver.close()


def metric(broker, name, **labels):
    """The value of one series of the metrics page; None: it is not there."""
    series = "%s{%s} " % (name, ",".join('%s="%s"' % label for label in labels.items()))
    for line in broker.metrics():
        if line.startswith(series):
            return float(line[len(series):])
    return None


def millctl(broker, *arguments):
    done = subprocess.run([binary("millctl"), "--broker", broker.grpc, *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def make_topic_with_records(java, topic, counts):
    java.create_topic(topic=topic, partitions=len(counts), replication=1)
    if any(counts):
        java.produce(topic=topic, records=[record("n", partition=p) for p, count in enumerate(counts) for _ in range(count)])


def test_lag_by_group_topic_and_partition(own_broker, java, topic):
    """One partition has most of the records, and the group is behind in it: seen in metrics and on the command line."""
    make_topic_with_records(java, topic, [9, 1])
    java.alter_offsets(group="app", topic=topic, offsets={"0": 2, "1": 1})
    assert metric(own_broker, "millrace_group_lag", group="app", topic=topic) == 7
    assert metric(own_broker, "millrace_group_partition_lag", group="app", topic=topic, partition=0) == 7
    assert metric(own_broker, "millrace_group_partition_lag", group="app", topic=topic, partition=1) == 0
    assert metric(own_broker, "millrace_groups", state="Empty", type="Classic") == 1
    code, out = millctl(own_broker, "group", "describe", "app", "-o", "json")
    assert code == 0
    assert [(row["partition"], row["end_offset"], row["lag"]) for row in json.loads(out)["partitions"]] == [(0, 9, 7), (1, 1, 0)]


def test_assigned_and_not_fetching(own_broker, java, topic):
    """A consumer that paused everything sends heartbeats and looks well to any other tool."""
    make_topic_with_records(java, topic, [0])
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": own_broker.kafka, "group.id": "stuck", "client.id": "the-stuck-one", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "fetch.wait.max.ms": 100})

    def polled(condition):
        """Only who polls stays in its group and hears of it."""
        consumer.poll(0.1)
        return condition()

    def not_fetched():
        return metric(own_broker, "millrace_group_partitions_not_fetched", group="stuck")

    try:
        consumer.subscribe([topic])
        eventually(lambda: polled(consumer.assignment), "it has its partition", 60)
        assert not_fetched() == 0
        consumer.pause(consumer.assignment())
        java.produce(topic=topic, records=[record("waits", partition=0)])
        eventually(lambda: polled(lambda: not_fetched() == 1), "it is noticed", 60)
        code, out = millctl(own_broker, "why", "stuck")
        assert code == 5 and "[not-fetching]" in out and "the-stuck-one" in out
        assert "event=assigned-not-fetching group=stuck" in own_broker.log_end(1 << 20)
        consumer.resume(consumer.assignment())
        eventually(lambda: polled(lambda: not_fetched() == 0), "it fetches again", 60)
    finally:
        consumer.close()


def test_lag_of_hundreds_of_groups_in_one_call(own_broker, java, topic):
    """What an interface needs for its list of groups is one answer, not one for each group."""
    make_topic_with_records(java, topic, [5] * 10)
    for n in range(GROUPS):
        java.alter_offsets(group="app-%03d" % n, topic=topic, offsets={str(p): n % 6 for p in range(10)})
    client = GrpcClient(own_broker.grpc)
    try:
        started = time.monotonic()
        found = client.call(client.admin.ListGroups, client.api.admin.ListGroupsRequest(with_lag=True)).groups
        seconds = time.monotonic() - started
    finally:
        client.close()
    assert [(one.name, one.lag) for one in found] == [("app-%03d" % n, 10 * (5 - n % 6)) for n in range(GROUPS)]
    assert seconds < SECONDS_FOR_ALL
