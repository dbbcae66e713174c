"""Consumers that read while things break, and remember what they saw."""
import collections
import threading
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

CLIENT = {"log_level": 0, "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100, "socket.timeout.ms": 3000,
          "topic.metadata.refresh.fast.interval.ms": 50, "enable.auto.commit": False}


class Following(threading.Thread):
    """Reads all partitions from their beginning on, each to wherever it grows; whatever it was shown must stay true.

    A record that comes out of order, a hole, or a position that is not there any more is an error. `ends`, if there is
    one, learns how far each partition was read.
    """

    def __init__(self, bootstrap, topic, partitions, ends=None, **config):
        super().__init__(name="following %s" % topic, daemon=True)
        self.topic = topic
        self.seen = [[] for _ in range(partitions)]  # (producer, sequence) by offset
        self.ends = ends
        self.errors = []
        self.troubles = collections.deque(maxlen=20)  # what the client told last, and went on from
        self.done = threading.Event()
        self.consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "auto.offset.reset": "error",
                                  "fetch.wait.max.ms": 100, **CLIENT, **config})

    def run(self):
        try:
            self.consumer.assign([TopicPartition(self.topic, p, OFFSET_BEGINNING) for p in range(len(self.seen))])
            while not self.done.is_set() and not self.errors:
                for message in self.consumer.consume(1000, timeout=0.1):
                    self._take(message)
        except Exception as failure:  # pylint: disable=broad-except  # a thread that ended says why
            self.errors.append("%s: %r" % (self.name, failure))
        finally:
            self.consumer.close()

    def standing(self):
        """How far it is, for people who look for what went wrong."""
        return "read %s, the client is at %s, its last troubles: %s" % (
            [len(seen) for seen in self.seen],
            [one.offset for one in self.consumer.position([TopicPartition(self.topic, p) for p in range(len(self.seen))])],
            list(self.troubles) or "none")

    def _take(self, message):
        error = message.error()
        if error is not None:
            self.troubles.append("%.3f: partition %s: %s" % (time.time(), message.partition(), error))
            # What the client goes on trying by itself is none of ours: it is there, or it is missed at the end.
            if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
                self.errors.append("%s: partition %d at %d: %s" % (
                    self.name, message.partition(), len(self.seen[message.partition()]), error))
            return
        seen = self.seen[message.partition()]
        if message.offset() != len(seen):
            self.errors.append("%s: partition %d: offset %d came after %d" % (
                self.name, message.partition(), message.offset(), len(seen) - 1))
            return
        producer, sequence = message.value().split(b":")
        seen.append((producer.decode(), int(sequence)))
        if self.ends is not None:
            self.ends[message.partition()] = max(self.ends[message.partition()], len(seen))

    def stop(self):
        self.done.set()
        self.join(30)
        assert not self.is_alive(), self.name

    def check(self, partition, found):
        """found: [(offset, producer, sequence)], the whole log. What was read has to be the beginning of it."""
        seen = self.seen[partition]
        whole = [(producer, sequence) for _, producer, sequence in found]
        assert len(seen) <= len(whole), "%s: partition %d: %d records were read, %d are left" % (
            self.name, partition, len(seen), len(whole))
        wrong = next((n for n, one in enumerate(seen) if one != whole[n]), None)
        assert wrong is None, "%s: partition %d: offset %d was %s and is %s" % (self.name, partition, wrong, seen[wrong], whole[wrong])


class Grouping(threading.Thread):
    """The member of a group of one that commits what it has read. What was committed once never goes back, and nothing is left out."""

    def __init__(self, bootstrap, group, topic, partitions, **config):
        super().__init__(name="group %s" % group, daemon=True)
        self.topic = topic
        self.read = [set() for _ in range(partitions)]
        self.committed = [0] * partitions  # what the coordinator has acknowledged
        self.errors = []
        self.commits = 0
        self.done = threading.Event()
        self.consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                                  "session.timeout.ms": 10000, "fetch.wait.max.ms": 100, **CLIENT, **config})

    def run(self):
        try:
            self.consumer.subscribe([self.topic], on_assign=self._assigned)
            while not self.done.is_set() and not self.errors:
                messages = self.consumer.consume(500, timeout=0.1)
                for message in messages:
                    if message.error() is None:
                        self.read[message.partition()].add(message.offset())
                if messages:
                    self._commit()
        except Exception as failure:  # pylint: disable=broad-except  # a thread that ended says why
            self.errors.append("%s: %r" % (self.name, failure))
        finally:
            self.consumer.close()

    def _assigned(self, consumer, partitions):
        """Begins where the group stands, which may not lie before what was acknowledged."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                standing = consumer.committed(partitions, timeout=5)
                break
            except KafkaException:
                continue
        else:
            self.errors.append("%s: its offsets could not be read for a minute" % self.name)
            return
        for one in standing:
            if max(one.offset, 0) < self.committed[one.partition]:
                self.errors.append("%s: partition %d was committed to %d and stands at %d" % (
                    self.name, one.partition, self.committed[one.partition], one.offset))

    def _commit(self):
        try:
            stored = self.consumer.commit(asynchronous=False)
        except KafkaException:
            return  # not acknowledged; what was read comes again, or the next commit covers it
        for one in stored or []:
            if one.error is None:
                self.committed[one.partition] = max(self.committed[one.partition], one.offset)
                self.commits += 1

    def stop(self):
        self.done.set()
        self.join(60)
        assert not self.is_alive(), self.name

    def missing(self, ends):
        """Of each partition, how many records it has not read yet, when they end there."""
        return [end - len(self.read[partition]) for partition, end in enumerate(ends)]
