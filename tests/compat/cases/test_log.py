"""What a log promises: timestamps, compression, retention, deleting records, producer state (A02, A08, A20)."""
import time

import pytest

from harness import wire
from harness.drivers import ClientError, record
from harness.waiting import eventually

OFFSET_OUT_OF_RANGE, INVALID_TIMESTAMP = 1, 32


def test_create_time_is_the_producers(clients, make_topic):
    topic = make_topic()
    clients("java").produce(topic=topic, records=[record("v", timestamp=1600000000000)])
    found = clients("java").consume(topic=topic, count=1)["records"][0]
    assert (found["timestamp"], found["timestamp_type"]) == (1600000000000, 0)


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_log_append_time_is_the_brokers(clients, make_topic, codec):
    topic = make_topic(config={"message.timestamp.type": "LogAppendTime"})
    before_ms = time.time_ns() // 1000000
    told = clients("java").produce(topic=topic, codec=codec, records=[record("a", timestamp=1600000000000), record("b")])
    after_ms = time.time_ns() // 1000000
    assert before_ms <= told["results"][0]["timestamp"] <= after_ms
    for reader in ("java", "kafka_python_3", "confluent"):
        for r in clients(reader).consume(topic=topic, count=2)["records"]:
            assert r["timestamp_type"] == 1, reader
            assert before_ms <= r["timestamp"] <= after_ms, reader


def test_timestamp_type_changes_at_run_time(clients, make_topic):
    topic = make_topic()
    clients("java").set_config(topic=topic, config={"message.timestamp.type": "LogAppendTime"})

    def stamped():
        clients("java").produce(topic=topic, records=[record("v", timestamp=1600000000000)])
        return clients("java").consume(topic=topic, count=100, timeout_ms=1000)["records"][-1]["timestamp_type"] == 1

    eventually(stamped, "new records carry the broker's time")


def test_offset_of_the_newest_record(clients, make_topic):
    """max timestamp (KIP-734) is found though it is not the last."""
    topic = make_topic()
    times = [1600000000000, 1600000009000, 1600000004000]
    for at in times:
        clients("java").produce(topic=topic, records=[record("v", timestamp=at)])
    found = clients("java").list_offsets(topic=topic, timestamp=1600000004000)
    assert found == {"earliest": 0, "latest": 3, "max_timestamp": 1, "by_time": 1}
    assert clients("java").list_offsets(topic=topic, timestamp=1700000000000)["by_time"] == -1


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd", "uncompressed"])
@pytest.mark.parametrize("sent", ["none", "gzip"])
def test_topic_codec_recompresses(clients, make_topic, codec, sent):
    """compression.type of a topic wins over the producer's, and the offsets stay."""
    topic = make_topic(config={"compression.type": codec})
    values = ["%d " % n + "again and " * 100 for n in range(50)]
    clients("java").produce(topic=topic, codec=sent, records=[record(v, key="k%d" % n) for n, v in enumerate(values)])
    found = clients("java").consume(topic=topic, count=50)["records"]
    assert [r["offset"] for r in found] == list(range(50))
    assert [r["value"] for r in found] == [record(v)["value"] for v in values]
    size = clients("java").log_dirs()["sizes"][topic + "-0"]
    assert (size > 50000) == (codec == "uncompressed"), size


def test_idempotent_is_the_default_of_modern_clients(clients, make_topic):
    """The Java client asks for a producer id by itself; the broker tells its state."""
    topic = make_topic()
    clients("java").produce(topic=topic, records=[record("n%d" % n) for n in range(3)])
    state = clients("java").producers(topic=topic)["producers"]
    assert len(state) == 1 and state[0]["id"] >= 0 and state[0]["sequence"] == 2


@pytest.mark.parametrize("name", ["confluent", "aiokafka", "kafka_python_3", "kafkajs"])
def test_idempotent_producers(clients, make_topic, name):
    topic = make_topic()
    records = [record("n%d" % n, partition=0) for n in range(100)]
    clients(name).produce(topic=topic, records=records, idempotent=True, acks="all" if name != "kafkajs" else -1)
    found = clients("java").consume(topic=topic, count=100)["records"]
    assert [r["value"] for r in found] == [r["value"] for r in records]
    assert len(clients("java").producers(topic=topic)["producers"]) == 1


def test_a_repeated_batch_is_stored_once(bootstrap, clients, make_topic):
    """The exact bytes again: same answer, no second record. A gap is refused (OutOfOrderSequence)."""
    topic = make_topic()
    with wire.Connection(bootstrap) as connection:
        first = wire.batch(b"once", producer_id=4711, epoch=0, sequence=0)
        answers = [produce_answer(connection.ask(wire.produce(topic, first))) for _ in range(3)]
        assert [error for error, _ in answers] == [0, 0, 0]
        assert answers[0][1] == answers[1][1] == answers[2][1] == 0
        gap = wire.batch(b"gap", producer_id=4711, epoch=0, sequence=5)
        assert produce_answer(connection.ask(wire.produce(topic, gap)))[0] == 45
        assert produce_answer(connection.ask(wire.produce(topic, wire.batch(b"2", producer_id=4711, epoch=0, sequence=1)))) == (0, 1)
        old = wire.batch(b"old epoch", producer_id=4711, epoch=-1, sequence=2)
        assert produce_answer(connection.ask(wire.produce(topic, old)))[0] != 0
    assert clients("java").offsets(topic=topic)["latest"] == 2


def produce_answer(answer):
    """(error code, base offset) of the only partition of a Produce v3 answer."""
    import struct
    at = 4 + 4  # correlation id, topic count
    at += 2 + struct.unpack_from(">h", answer, at)[0] + 4 + 4  # name, partition count, partition
    return struct.unpack_from(">hq", answer, at)


def test_wrong_checksum_is_refused(bootstrap, make_topic, clients):
    topic = make_topic()
    with wire.Connection(bootstrap) as connection:
        assert produce_answer(connection.ask(wire.produce(topic, wire.batch(b"x", crc=12345))))[0] == 2  # CORRUPT_MESSAGE
        assert produce_answer(connection.ask(wire.produce(topic, wire.batch(b"x"))))[0] == 0
    assert clients("java").offsets(topic=topic)["latest"] == 1


def test_delete_records(clients, make_topic):
    topic = make_topic()
    clients("java").produce(topic=topic, records=[record("n%d" % n) for n in range(10)])
    assert clients("java").delete_records(topic=topic, offset=4)["low_watermark"] == 4
    assert clients("java").offsets(topic=topic) == {"earliest": 4, "latest": 10}
    assert [r["offset"] for r in clients("kafka_python_2").consume(topic=topic, count=6)["records"]] == [4, 5, 6, 7, 8, 9]
    with pytest.raises(ClientError) as failure:
        clients("java").delete_records(topic=topic, offset=11)
    assert failure.value.code == OFFSET_OUT_OF_RANGE
    clients("kafkajs").delete_records(topic=topic, offset=6)
    assert clients("java").offsets(topic=topic) == {"earliest": 6, "latest": 10}
    assert clients("java").delete_records(topic=topic, offset=-1)["low_watermark"] == 10  # -1: all there is
    clients("java").produce(topic=topic, records=[record("after")])
    assert [r["offset"] for r in clients("java").consume(topic=topic, count=1)["records"]] == [10]


@pytest.mark.parametrize("limit", [{"retention.ms": "1"}, {"retention.bytes": "1"}])
def test_retention_deletes_whole_old_segments(clients, make_topic, broker, limit):
    """By age and by size; what stays is in range and readable, offsets go on (A20)."""
    if broker.pid is None:
        pytest.skip("needs a broker of its own, with a short log.retention.check.interval.ms")
    from harness.broker import Broker
    from harness.drivers import Driver
    with Broker(**{"log.retention.check.interval.ms": 100}) as own:
        java = Driver("java", own.kafka)
        try:
            java.create_topic(topic="old", config={"segment.bytes": "1048576", **limit})
            java.create_topic(topic="forever", config={"segment.bytes": "1048576", "retention.ms": "-1"})
            for name in ("old", "forever"):
                for n in range(20):
                    java.produce(topic=name, records=[record("%d" % n + "x" * 200000, timestamp=1600000000000 + n)])
            eventually(lambda: java.offsets(topic="old")["earliest"] > 0, "old segments are deleted", seconds=30)
            assert java.offsets(topic="old")["latest"] == 20
            assert java.offsets(topic="forever") == {"earliest": 0, "latest": 20}
            # Of a later time: with the time of now it could be too old, and gone, before it is read.
            java.produce(topic="old", records=[record("new", timestamp=int(time.time() * 1000) + 600_000)])
            last = java.consume(topic="old", count=1, start={"offset": 20})["records"]
            assert [r["offset"] for r in last] == [20]
        finally:
            java.close()


def test_cluster_is_described(clients, bootstrap):
    found = clients("java").cluster()
    assert found["cluster_id"] and len(found["brokers"]) == 1
    assert found["brokers"][0]["port"] == int(bootstrap.rsplit(":", 1)[1])
    assert found["controller"] == found["brokers"][0]["id"]
    assert clients("kafkajs").cluster()["cluster_id"] == found["cluster_id"]


def test_log_dirs_tell_sizes(clients, make_topic):
    topic = make_topic(partitions=2)
    clients("java").produce(topic=topic, records=[record("x" * 10000, partition=0)])
    found = clients("java").log_dirs()
    assert found["path"].startswith("/")
    assert found["sizes"][topic + "-0"] >= 10000
    assert found["sizes"][topic + "-1"] < 10000
    assert found["total_bytes"] > 0


def test_broker_config_is_described(clients):
    broker = clients("java").cluster()["brokers"][0]["id"]
    config = clients("java").get_config(broker=str(broker))["config"]
    assert config["num.partitions"] == "1"
    assert config["auto.create.topics.enable"] == "true"
