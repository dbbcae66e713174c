"""Producers that remember what was acknowledged, and the check that the log holds exactly that."""
import collections
import os
import socket
import struct
import threading
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

from harness import wire

FATAL_SECONDS = 120
# LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT, KAFKA_STORAGE_ERROR: what every client retries.
RETRIED = {5, 6, 7, 56}
if os.environ.get("MILLRACE_FOREIGN"):
    RETRIED.add(3)  # Apache Kafka does not know its topics at once when it starts


class Producing(threading.Thread):
    """librdkafka, acks=all: numbers its records per partition and keeps the offset each was given.

    Idempotent, unless told otherwise: then one request at a time, so that its records still keep their order, and a
    record may be there twice.
    """

    OUTSTANDING_MAX = 300

    def __init__(self, name, bootstrap, topic, partitions, idempotent=True, pause=0, **config):
        super().__init__(name=name, daemon=True)
        self.idempotent = idempotent
        self.pause = pause  # seconds between two records
        self.topic = topic
        self.partitions = partitions
        self.sent = [0] * partitions
        self.acked = [{} for _ in range(partitions)]  # sequence -> offset
        self.errors = []
        self.done = threading.Event()
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": idempotent, "acks": "all", "linger.ms": 1,
            "max.in.flight.requests.per.connection": 5 if idempotent else 1,
            "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100, "retry.backoff.ms": 10, "retry.backoff.max.ms": 100,
            "message.timeout.ms": FATAL_SECONDS * 1000, "error_cb": self._error, "log_level": 0,
            **config,
        })

    def _error(self, error):
        if error.fatal():
            self.errors.append(str(error))

    def acks(self):
        return sum(len(acked) for acked in self.acked)

    def run(self):
        turn = 0
        while not self.done.is_set() and not self.errors:
            if len(self.producer) >= self.OUTSTANDING_MAX:
                self.producer.poll(0.01)
                continue
            self._send(turn % self.partitions)
            turn += 1
            self.producer.poll(self.pause)
        self.producer.flush(FATAL_SECONDS)

    def _send(self, partition):
        sequence = self.sent[partition]
        self.sent[partition] += 1

        def delivered(error, message):
            if error:
                self.errors.append("record %d of partition %d: %s" % (sequence, partition, error))
            else:
                self.acked[partition][sequence] = message.offset()

        self.producer.produce(self.topic, value=b"%s:%d" % (self.name.encode(), sequence), partition=partition, on_delivery=delivered)


class RawProducing(threading.Thread):
    """A producer id of its own over a bare socket, one batch at a time: what was not answered is sent again, byte for byte."""

    def __init__(self, name, bootstrap, topic, partition, producer_id):
        super().__init__(name=name, daemon=True)
        self.bootstrap, self.topic, self.partition, self.producer_id = bootstrap, topic, partition, producer_id
        self.sequence = 0
        self.batch = None  # the one of self.sequence, kept until it is answered
        self.offsets = {}
        self.errors = []
        self.done = threading.Event()

    def acks(self):
        return len(self.offsets)

    def run(self):
        end = None
        while self._goes_on():
            try:
                with wire.Connection(self.bootstrap, seconds=30) as connection:
                    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._send_on(connection)
                    end = None
            except OSError:
                end = end or time.monotonic() + FATAL_SECONDS
                if time.monotonic() > end:
                    self.errors.append("the broker did not come back")
                self.done.wait(0.02)

    def _goes_on(self):
        """A batch that is on its way is brought to its end first."""
        return not self.errors and (self.batch is not None or not self.done.is_set())

    def _send_on(self, connection):
        while self._goes_on():
            if self.batch is None:
                value = b"%s:%d" % (self.name.encode(), self.sequence)
                self.batch = wire.batch(value, producer_id=self.producer_id, epoch=0, sequence=self.sequence)
            answer = connection.ask(wire.produce(self.topic, self.batch, partition=self.partition))
            if answer is None:
                return
            error, offset = answer_of(answer)
            if error in RETRIED:
                self.done.wait(0.02)
            elif error:
                self.errors.append("batch %d was answered with error %d" % (self.sequence, error))
            else:
                self.offsets[self.sequence] = offset
                self.sequence += 1
                self.batch = None


def answer_of(answer):
    """(error code, base offset) of the only partition of a Produce v3 answer."""
    at = 8 + 2 + struct.unpack_from(">h", answer, 8)[0] + 8
    return struct.unpack_from(">hq", answer, at)


def ends_of(consumer, partition, end):
    """(first offset, high watermark). Asked again while leaders change: librdkafka does not do that by itself here."""
    while True:
        try:
            return consumer.get_watermark_offsets(partition, timeout=10)
        except KafkaException:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def read(bootstrap, topic, partition, start=OFFSET_BEGINNING, seconds=60):
    """[(offset, producer, sequence)] of all records from start to the end that the partition has now.

    Not to the end that it has when the reader gets there: producers in the same process may be faster than the reader.
    """
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, "enable.auto.offset.store": False,
        "fetch.wait.max.ms": 50, "log_level": 0, "reconnect.backoff.ms": 10,
        "auto.offset.reset": "error",
    })
    found, end = [], time.monotonic() + seconds
    try:
        low, high = ends_of(consumer, TopicPartition(topic, partition), end)
        consumer.assign([TopicPartition(topic, partition, start)])
        next_offset = low if start == OFFSET_BEGINNING else start
        while next_offset < high:
            for message in consumer.consume(5000, timeout=0.5):
                if message.error() is None:
                    next_offset = message.offset() + 1
                    if next_offset <= high:
                        producer, sequence = message.value().split(b":")
                        found.append((message.offset(), producer.decode(), int(sequence)))
                elif not message.error().retriable() and message.error().code() > 0:
                    raise KafkaException(message.error())
            assert time.monotonic() < end, "partition %d was read to %d of %d within %d s" % (
                partition, next_offset, high, seconds)
        return found
    finally:
        consumer.close()


def check(found, acked, sent, complete, repeating=()):
    """Every acknowledged record once, where it was told to be; each producer's records in order and without a gap; none invented.

    found: [(offset, producer, sequence)]; acked: {producer: {sequence: offset}}; sent: {producer: number of records}.
    complete: nothing is on its way any more, so every record that was sent is there.
    repeating: producers whose records may be there more than once.
    """
    assert [offset for offset, _, _ in found] == list(range(len(found))), "offsets are not dense"
    by_producer = collections.defaultdict(list)
    for offset, producer, sequence in found:
        by_producer[producer].append((sequence, offset))
    for producer in repeating:
        check_repeating(producer, by_producer.pop(producer, []), acked.get(producer, {}), sent[producer] if complete else None)
    for producer, records in by_producer.items():
        sequences = [sequence for sequence, _ in records]
        wrong = next((n for n, sequence in enumerate(sequences) if n != sequence), None)
        assert wrong is None, "%s: lost, repeated or out of order: (sequence, offset) %s; told: %s" % (
            producer, records[max(0, wrong - 3):wrong + 5], [(n, acked.get(producer, {}).get(n)) for n in range(wrong - 2, wrong + 4)])
        assert len(sequences) <= sent[producer], "%s: records that nobody sent" % producer
    for producer, offsets in acked.items():
        if producer in repeating:
            continue
        placed = dict(by_producer[producer])
        for sequence, offset in offsets.items():
            # A batch that came a second time may be answered without its offset: "I have it".
            assert sequence in placed and offset in (None, placed[sequence]), "%s: record %d, acknowledged at %s, is at %s" % (
                producer, sequence, offset, placed.get(sequence))
        if complete:
            assert len(by_producer[producer]) == sent[producer]


def check_repeating(producer, records, told, sent):
    """records: [(sequence, offset)]. Without idempotence a record may be there twice, and where its leader moved in between, behind
    later ones: librdkafka keeps one request under way per broker, not per partition. But it is there, where it was told to be."""
    places = collections.defaultdict(set)
    for sequence, offset in records:
        places[sequence].add(offset)
    lost = [(sequence, offset) for sequence, offset in told.items() if offset is not None and offset not in places[sequence]]
    assert not lost, "%s: records that are not where they were acknowledged: %s" % (producer, lost[:8])
    assert sent is None or set(places) == set(range(sent)), "%s: not exactly what was sent: %s" % (
        producer, sorted(set(places) ^ set(range(sent)))[:8])
