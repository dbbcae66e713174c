"""The same key lands in the same partition, whoever sends it (A03)."""
import pytest

from harness.drivers import ClientError, record

KEYS, PARTITIONS = 1000, 12
WRITERS = ["kafka_python_2", "kafka_python_3", "confluent", "aiokafka", "kafkajs", "kafka_go", "java", "kcat"]


def test_a_thousand_keys_agree(clients, make_topic):
    """librdkafka is told partitioner=murmur2_random: its own default is another hash."""
    topic = make_topic(partitions=PARTITIONS)
    absent = []
    for writer in WRITERS:
        try:
            clients(writer).produce(topic=topic, records=[record(writer, key="key-%d" % n) for n in range(KEYS)])
        except pytest.skip.Exception as reason:
            absent.append((writer, str(reason)))
    present = len(WRITERS) - len(absent)
    found = clients("confluent").consume(topic=topic, count=KEYS * present)["records"]
    assert len(found) == KEYS * present
    where = {}
    for r in found:
        where.setdefault(r["key"], {}).setdefault(r["partition"], set()).add(r["value"])
    apart = {key: places for key, places in where.items() if len(places) > 1}
    assert not apart
    assert len(where) == KEYS
    assert len({partition for places in where.values() for partition in places}) == PARTITIONS
    if absent:
        pytest.skip("agreed among the others, but not there: %s" % absent)


def test_order_within_a_partition(clients, make_topic):
    """What one producer sends to a partition is read in the order it was sent, over many batches (A06)."""
    topic = make_topic(partitions=3)
    records = [record("%d" % n, key="key-%d" % (n % 7), headers=[]) for n in range(5000)]
    clients("java").produce(topic=topic, records=records, config={"batch.size": "512", "linger.ms": "0"})
    found = clients("confluent").consume(topic=topic, count=5000)["records"]
    assert len(found) == 5000
    sent = {}
    for r in records:
        sent.setdefault(r["key"], []).append(r["value"])
    for key, values in sent.items():
        assert [r["value"] for r in found if r["key"] == key] == values
    for partition in range(3):
        offsets = [r["offset"] for r in found if r["partition"] == partition]
        assert offsets == list(range(len(offsets)))


def test_a_partition_that_does_not_exist(clients, make_topic):
    topic = make_topic(partitions=2)
    with pytest.raises((ClientError, AssertionError)) as failure:
        clients("confluent").produce(topic=topic, records=[record("x", partition=7)], config={"message.timeout.ms": 3000})
    assert failure.value
