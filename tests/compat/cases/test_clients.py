"""Every client produces and consumes; what one writes, every other reads the same (A01, A02, A04, A08, A21)."""
import os
import threading
import time
import uuid

import pytest

from harness.drivers import ClientError, record
from harness.kcat import Kcat
from harness.waiting import eventually

WRITERS = ["kafka_python_2", "kafka_python_3", "confluent", "aiokafka", "kafkajs", "kafka_go", "java", "kcat"]
READERS = ["kafka_python_2", "kafka_python_3", "confluent", "aiokafka", "kafka_go", "java", "kcat"]
REPLICATION = min(3, int(os.environ.get("MILLRACE_BROKERS", 1)))
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PER_WRITER = 20


def orders(writer, codec, at):
    """Records that compress, with keys and headers, in the partition of their writer."""
    return [
        record('{"order": %d, "from": "%s", "codec": "%s", "note": "%s"}' % (n, writer, codec, "again and " * 20),
               key="%s-%d" % (writer, n), partition=at, timestamp=1700000000000 + n, headers=[("trace", "t-" + writer)])
        for n in range(PER_WRITER)
    ]


def content(records):
    return [(r["key"], r["value"]) for r in records]

# Pairs (writer, reader, codec) that do not understand each other, whatever the broker; seen with Apache Kafka as well.
STRANGERS = {("aiokafka", "kafka_go", "lz4")}


class Written:
    """Per codec one topic, made when first asked for, into which each writer puts its records: one partition each."""

    # What a client cannot write, and why; not a matter of the broker.
    IMPOSSIBLE = {("kafkajs", "lz4"): "no lz4 plug-in of kafkajs without native code writes frames that Kafka accepts"}

    def __init__(self, clients):
        self.clients = clients
        self.topics = {}
        self.failures = {}

    def topic(self, codec):
        if codec not in self.topics:
            self.topics[codec] = "codec-%s-%s" % (codec, uuid.uuid4().hex[:8])
            self.clients("confluent").create_topic(topic=self.topics[codec], partitions=len(WRITERS), replication=REPLICATION)
            for at, writer in enumerate(WRITERS):
                self.failures[writer, codec] = self._write(writer, codec, at)
        return self.topics[codec]

    def _write(self, writer, codec, at):
        if (writer, codec) in self.IMPOSSIBLE:
            return "skip", self.IMPOSSIBLE[writer, codec]
        try:
            self.clients(writer).produce(
                topic=self.topics[codec], records=orders(writer, codec, at), codec=codec, acks="all")
        except pytest.skip.Exception as missing:
            return "skip", str(missing)
        except ClientError as failure:
            return "fail", str(failure)

    def writers(self, codec):
        return {at: writer for at, writer in enumerate(WRITERS) if not self.failures[writer, codec]}


@pytest.fixture(scope="module")
def written(clients):
    return Written(clients)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("writer", WRITERS)
def test_each_writes(written, writer, codec):
    written.topic(codec)
    kind, reason = written.failures[writer, codec] or (None, None)
    if kind == "skip":
        pytest.skip(reason)
    assert not reason


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("reader", READERS)
def test_each_reads_what_all_wrote(clients, written, reader, codec):
    consumer = clients(reader)
    name = written.topic(codec)
    writers = {at: writer for at, writer in written.writers(codec).items() if (writer, reader, codec) not in STRANGERS}
    found = consumer.consume(topic=name, count=PER_WRITER * len(writers), partitions=sorted(writers))["records"]
    assert len(found) == PER_WRITER * len(writers)
    for at, writer in writers.items():
        mine = [r for r in found if r["partition"] == at]
        assert [r["offset"] for r in mine] == list(range(PER_WRITER)), "%s read %s out of order" % (reader, writer)
        expected = orders(writer, codec, at)
        assert content(mine) == content(expected), "%s read %s differently" % (reader, writer)
        assert [r["headers"] for r in mine] == [r["headers"] for r in expected]
        if writer != "kcat":  # kcat cannot choose a timestamp
            assert [r["timestamp"] for r in mine] == [r["timestamp"] for r in expected]


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_acks(client, make_topic, acks):
    topic = make_topic()
    client.produce(topic=topic, records=[record("order %d" % n, partition=0) for n in range(5)], acks=acks,
                   idempotent=None if acks == "all" else False)
    assert content(_read(client, topic, 5)) == content([record("order %d" % n) for n in range(5)])


def _read(client, topic, count):
    """By the client itself, or by kcat where it has no consumer without a group; acks=0 may arrive a little later."""
    reader = Kcat(client.bootstrap) if client.name == "kafkajs" else client
    records = []

    def complete():
        records[:] = reader.consume(topic=topic, count=count, partitions=[0], timeout_ms=5000)["records"]
        return len(records) >= count

    eventually(complete, "%d records in %s" % (count, topic))
    return records


def test_null_key_empty_value_and_tombstone(client, make_topic):
    topic = make_topic()
    sent = [record("no key", partition=0), record(None, key="gone", partition=0), record("v", key="k", partition=0)]
    client.produce(topic=topic, records=sent)
    assert content(_read(client, topic, 3)) == content(sent)


def test_headers_and_bytes_survive(client, make_topic):
    if client.name == "kcat":
        pytest.skip("kcat splits its input into lines: it cannot send any byte")
    topic = make_topic()
    sent = [record(bytes(range(256)), key=b"\0\xff\n", partition=0, timestamp=1234567890123,
                   headers=[("one", b"\0\x01"), ("two", "zwei")])]
    client.produce(topic=topic, records=sent)
    found = _read(client, topic, 1)[0]
    assert (found["key"], found["value"]) == (sent[0]["key"], sent[0]["value"])
    assert found["timestamp"] == 1234567890123
    if client.name == "kafkajs":
        return  # read by kcat, which prints headers as text
    assert found["headers"] == sent[0]["headers"]


def test_header_order_and_empty_and_null_values(clients, make_topic):
    topic = make_topic()
    headers = [("hop", "a"), ("hop", "b"), ("hop", None), ("hop", "")]
    clients("java").produce(topic=topic, records=[record("v", headers=headers)])
    for reader in ("java", "confluent"):
        found = clients(reader).consume(topic=topic, count=1)["records"][0]
        assert found["headers"] == record("v", headers=headers)["headers"], reader


def test_pause_and_seek(client, make_topic):
    topic = make_topic()
    client.produce(topic=topic, records=[record("n%d" % n, partition=0) for n in range(10)])
    found = client.pause_seek(topic=topic, read_first=4, seek_to=2)
    assert found["first"][:4] == [0, 1, 2, 3]
    assert found["paused"] == []
    if client.name != "kafka_python_2":  # 2.0.2 forgets what it had fetched before the pause, against Kafka as well
        assert found["resumed"][0] == found["first"][-1] + 1
    assert found["after_seek"][0] == 2


def test_replay_from_offset_and_time(client, make_topic):
    """The second read returns the same; times lie a second apart (A21)."""
    topic = make_topic()
    first_ms = 1700000000000
    client.produce(topic=topic, records=[record("n%d" % n, partition=0, timestamp=first_ms + 1000 * n) for n in range(10)])
    if client.name in ("kcat", "kafkajs"):
        from_offset = _read_from(client, topic, {"offset": 4}, 6)
        assert [r["offset"] for r in from_offset] == [4, 5, 6, 7, 8, 9]
        return  # kcat sends no timestamps of the test's choice; kafkajs reads by group only
    once = client.consume(topic=topic, count=10)["records"]
    again = client.consume(topic=topic, count=10, start={"offset": 0})["records"]
    assert once == again and len(once) == 10
    from_offset = client.consume(topic=topic, count=6, start={"offset": 4})["records"]
    assert [r["offset"] for r in from_offset[:6]] == [4, 5, 6, 7, 8, 9]
    from_time = client.consume(topic=topic, count=4, start={"timestamp": first_ms + 5500})["records"]
    assert [r["offset"] for r in from_time[:4]] == [6, 7, 8, 9]


def _read_from(client, topic, start, count):
    reader = Kcat(client.bootstrap) if client.name == "kafkajs" else client
    return reader.consume(topic=topic, count=count, start=start, partitions=[0])["records"]


def test_offsets_earliest_latest_by_time(client, clients, make_topic):
    topic = make_topic()
    first_ms = 1700000000000
    clients("confluent").produce(
        topic=topic, records=[record("n%d" % n, partition=0, timestamp=first_ms + 1000 * n) for n in range(10)])
    found = client.offsets(topic=topic, timestamp=first_ms + 2500)
    assert (found["earliest"], found["latest"], found["by_time"]) == (0, 10, 3)


def test_offset_out_of_range_is_told(clients, make_topic):
    topic = make_topic()
    clients("confluent").produce(topic=topic, records=[record("only", partition=0)])
    with pytest.raises(ClientError) as failure:
        clients("confluent").consume(topic=topic, count=1, start={"offset": 1000}, partitions=[0],
                                     config={"auto.offset.reset": "error"})
    assert failure.value.code in (1, -140)  # OFFSET_OUT_OF_RANGE, or librdkafka's own code that wraps it


def test_kafkajs_reads_as_a_group_member(clients, make_topic):
    topic = make_topic()
    clients("kafkajs").produce(topic=topic, records=[record("n%d" % n, partition=0) for n in range(5)])
    found = clients("kafkajs").consume(topic=topic, count=5)["records"]
    assert content(found) == content([record("n%d" % n) for n in range(5)])


def test_fetch_sees_a_record_that_comes_later(clients, make_topic):
    """A consumer that waits at the end gets the record when it is written, not when its wait is over."""
    topic = make_topic()
    waiting, found = clients("java"), []

    def read():
        found.extend(waiting.consume(topic=topic, count=1, timeout_ms=15000)["records"])

    reader = threading.Thread(target=read)
    reader.start()
    clients("confluent").produce(topic=topic, records=[record("late", partition=0)])
    written = time.monotonic()
    reader.join(20)
    assert content(found) == content([record("late")])
    assert time.monotonic() - written < 10
