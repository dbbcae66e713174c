"""Producers and consumers of a cluster under faults, and the verdict over what they saw."""
import time

import replicas
from asking import Asking
from following import Following, Grouping
from harness.cluster import peer_is_kafka
from harness.waiting import eventually
from history import Producing, check, read

# A client that waits for a broker which does not answer tries again soon; how soon brokers answer is what is tested.
TIMES = {"socket.timeout.ms": 3000, "request.timeout.ms": 3000, "topic.metadata.refresh.fast.interval.ms": 50,
         "socket.connection.setup.timeout.ms": 1000}
MOVES_SECONDS = 60 if peer_is_kafka() else 20
PAUSE = 0.002


class ClusterLoad:
    """On a topic of its own: two idempotent producers and a plain one, a reader of everything, a group that commits, and
    somebody at every broker who asks where the partitions end."""

    def __init__(self, cluster, topic="orders", partitions=6, group="billing"):
        self.cluster, self.topic, self.partitions = cluster, topic, partitions
        cluster.create(topic, partitions)
        self.producers = [Producing("sure%d" % n, cluster.kafka, topic, partitions, pause=PAUSE, **TIMES) for n in range(2)]
        self.producers.append(Producing("plain", cluster.kafka, topic, partitions, idempotent=False, pause=PAUSE, **TIMES))
        ends = [0] * partitions
        self.following = Following(cluster.kafka, topic, partitions, ends=ends)
        # Leaders of Apache Kafka serve readers until they hear that they are none.
        self.asking = [] if peer_is_kafka() else [Asking(broker, topic, ends) for broker in cluster.brokers]
        self.group = Grouping(cluster.kafka, group, topic, partitions)
        self.parts = [*self.producers, self.following, self.group, *self.asking]

    def start(self):
        for part in self.parts:
            part.start()
        self.each_moves()
        return self

    def acks(self):
        errors = [error for part in self.parts for error in part.errors]
        assert not errors, errors[:5]
        return sum(producer.acks() for producer in self.producers)

    def each_moves(self, seconds=MOVES_SECONDS):
        """Every partition takes a new record of every producer. Answers how many seconds that took."""
        before = [[len(acked) for acked in producer.acked] for producer in self.producers]
        started = time.monotonic()

        def behind():
            self.acks()
            return [(producer.name, partition) for producer, counts in zip(self.producers, before)
                    for partition, was in enumerate(counts) if len(producer.acked[partition]) <= was]

        try:
            eventually(lambda: not behind(), "every producer goes on in every partition", seconds, pause=0.01)
        except AssertionError as late:
            raise AssertionError("%s: stuck %s; leaders of the partitions, by the broker that says so: %s" % (
                late, behind(), self.cluster.views(self.topic))) from None
        return time.monotonic() - started

    def each_is_read(self):
        """The reader has everything that is acknowledged by now."""
        acked = [sum(len(producer.acked[partition]) for producer in self.producers) for partition in range(self.partitions)]
        for partition, end in enumerate(acked):
            self._followed(partition, end)
        self.acks()

    def stop(self):
        """Lets everything that was sent come to an end."""
        for producer in self.producers:
            producer.done.set()
        for producer in self.producers:
            producer.join(150)
            assert not producer.is_alive(), producer.name
        self.acks()

    def _followed(self, partition, end):
        try:
            eventually(lambda: self.following.errors or len(self.following.seen[partition]) >= end,
                       "partition %d was followed to %d" % (partition, end), 60)
        except AssertionError as late:
            raise AssertionError("%s: %s" % (late, self.following.standing())) from None

    def verify(self):
        """stop() was called. Every partition against what each part knows; answers the number of records."""
        ends = []
        for partition in range(self.partitions):
            found = read(self.cluster.kafka, self.topic, partition)
            check(found, {p.name: p.acked[partition] for p in self.producers}, {p.name: p.sent[partition] for p in self.producers},
                  complete=True, repeating=[p.name for p in self.producers if not p.idempotent])
            self._followed(partition, len(found))
            self.following.check(partition, found)
            ends.append(len(found))
        eventually(lambda: self.group.errors or not any(self.group.missing(ends)), "the group has read everything", 60)
        for part in (self.following, self.group, *self.asking):
            part.stop()
        self.acks()
        assert not self.asking or sum(one.answers for one in self.asking) > 0
        assert self.group.commits > 0
        return sum(ends)

    def verify_disks(self):
        """Stops the cluster; all replicas are the same."""
        ends = [len(self.following.seen[partition]) for partition in range(self.partitions)]
        self.cluster.await_whole([self.topic])
        holders = {partition: [self.cluster.broker(node) for node in one.replicas]
                   for (_, partition), one in self.cluster.partitions([self.topic]).items()}
        self.cluster.stop()
        for partition, brokers in holders.items():
            replicas.compare(brokers, self.topic, partition, ends[partition])
