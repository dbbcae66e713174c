"""Several brokers that are one cluster: each is started, ended, halted or wiped like a single one.

    with Cluster(3) as cluster:
        cluster.brokers[1].kill()
        cluster.brokers[1].start()
        cluster.await_whole()

A cluster on this machine has a loopback address of its own (127.x.y.z, drawn anew), so that its ports are fixed from the
beginning, survive restarts, and are nobody else's. MILLRACE_PEER=kafka makes the brokers those of Apache Kafka: what a test
says of a cluster can then be checked against another one.
"""
import os
import random
import shutil
import socket
import struct
import tempfile
import threading

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from harness import wire
from harness.broker import Broker
from harness.kafka_peer import KafkaBroker
from harness.waiting import eventually

# Below the ports that the kernel hands out by itself.
KAFKA_PORT, INTERNAL_PORT, GRPC_PORT, HTTP_PORT = 19092, 19093, 19094, 19644
PORTS_PER_BROKER = 10
WHOLE_SECONDS = 60
CLIENT = {"log_level": 0, "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100, "topic.metadata.refresh.fast.interval.ms": 50}


def peer_is_kafka():
    return os.environ.get("MILLRACE_PEER") == "kafka"


def loopback_address():
    """One on which nobody listens."""
    dice = random.SystemRandom()
    while True:
        address = "127.%d.%d.%d" % (dice.randrange(16, 250), dice.randrange(1, 250), dice.randrange(1, 250))
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((address, KAFKA_PORT)) != 0:
                return address


def named_leaders(address, topic):
    """Leader by partition, as exactly this broker says; or why it does not say."""
    try:
        with wire.Connection(address, seconds=2) as connection:
            return wire.leaders(connection.ask(wire.metadata([topic])))
    except (OSError, struct.error, TypeError) as failure:
        return str(failure) or "no answer"


class Cluster:
    """`count` brokers with the node ids 1 and up, the first three of them (or one) the first voters of the metadata log.

    network: a harness.network.Network; broker n then stands on its host n. settings: of all brokers.
    folders: {node: where it keeps its data}, for brokers whose disk is a test's own.
    """

    def __init__(self, count=3, network=None, folders=None, **settings):
        self.settings = settings
        self.network = network
        self.folders = folders or {}
        self.folder = tempfile.mkdtemp(prefix="millrace-cluster-")
        self.loopback = None if network else loopback_address()
        self.cluster_id = "tests-" + os.path.basename(self.folder)[-8:]
        self.voters = list(range(1, (count if count % 2 else count - 1) + 1))[:3]
        self.brokers = []
        self._admin = None
        for _ in range(count):
            self.add()

    def address(self, node, port):
        if self.network:
            return "%s:%d" % (self.network.address(node), port)
        return "%s:%d" % (self.loopback, port + PORTS_PER_BROKER * (node - 1))

    def add(self):
        """One broker more. It is not started yet."""
        node = len(self.brokers) + 1
        addresses = {"kafka": self.address(node, KAFKA_PORT), "internal": self.address(node, INTERNAL_PORT),
                     "grpc": self.address(node, GRPC_PORT), "http": self.address(node, HTTP_PORT)}
        settings = {"node.id": node, **self.settings}
        if self.network or len(self.voters) > 1 or node > 1:
            settings.update({"cluster.id": self.cluster_id, "metadata.voters": ",".join(
                "%d@%s" % (voter, self.address(voter, INTERNAL_PORT)) for voter in self.voters)})
        made = KafkaBroker if peer_is_kafka() else Broker
        broker = made(data=os.path.join(self.folders.get(node, self.folder), "broker-%d" % node), kafka=addresses["kafka"],
                      prefix=self.network.prefix(node) if self.network else (), **settings)
        broker.settings.update({"%s.listen" % door: address for door, address in addresses.items()})
        broker.node = node
        broker.kafka = addresses["kafka"]
        broker.log_path = os.path.join(self.folder, "broker-%d.log" % node)
        self.brokers.append(broker)
        return broker

    def start(self):
        """All that do not run, at the same time: a broker is ready when it is part of a cluster."""
        starting = [broker for broker in self.brokers if not broker.running()]
        for broker in starting:
            broker.launch()
        for broker in starting:
            broker.await_ready()
        return self

    def stop(self):
        """SIGTERM to all at the same time; answers their exit codes."""
        codes = {}

        def end(broker):
            codes[broker.node] = broker.stop(60)

        threads = [threading.Thread(target=end, args=(broker,)) for broker in self.brokers if broker.running()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return codes

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def close(self, keep=None):
        """Ends it all. keep: a folder that gets what the brokers logged and the segments that they wrote."""
        self._admin = None
        for broker in self.brokers:
            broker.close()
        if keep:
            shutil.rmtree(keep, ignore_errors=True)
            shutil.copytree(self.folder, keep, ignore=shutil.ignore_patterns("journal", "*.idx"))
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def kafka(self):
        """All addresses: a client of the cluster knows more than one of them."""
        return ",".join(broker.kafka for broker in self.brokers)

    @property
    def grpc(self):
        return self.brokers[0].grpc

    def running(self):
        return all(broker.running() for broker in self.brokers)

    def log_end(self, characters=2000):
        return "\n".join("broker %d:\n%s" % (broker.node, broker.log_end(characters)) for broker in self.brokers)

    @property
    def admin(self):
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.kafka, **CLIENT})
        return self._admin

    def topics(self):
        """Metadata of all topics as one of the brokers sees it; None while nobody answers."""
        try:
            return self.admin.list_topics(timeout=5).topics
        except KafkaException:
            return None

    def create(self, topic, partitions, replication=None, **config):
        """Replicated over three brokers, or as many as there are; waits until every partition is led."""
        copies = min(3, len(self.brokers)) if replication is None else replication
        new = NewTopic(topic, partitions, copies, config={name.replace("__", "."): value for name, value in config.items()})
        self.admin.create_topics([new])[topic].result(30)
        self.await_whole([topic], copies)
        return topic

    def partitions(self, topics=None):
        """{(topic, partition): its metadata}; None while not all of it is known."""
        found = self.topics()
        if found is None or any(name not in found for name in topics or []):
            return None
        return {(name, number): one for name in topics or found for number, one in found[name].partitions.items()}

    def await_known(self, topic, seconds=20):
        """Every broker tells its clients who leads: a client that does not try again may ask any of them."""
        for broker in self.brokers:
            admin = AdminClient({"bootstrap.servers": broker.kafka, **CLIENT})
            eventually(lambda: all(one.leader >= 0 for one in admin.list_topics(topic, timeout=5).topics[topic].partitions.values()),
                       "broker %d knows who leads %s" % (broker.node, topic), seconds)

    def views(self, topic):
        """{node: the leaders that this broker names}, for people: what is wrong in them is in the text."""
        return {broker.node: named_leaders(broker.kafka, topic) for broker in self.brokers}

    def leader(self, topic, partition):
        """The broker that leads it, once there is one."""
        def led():
            one = (self.partitions([topic]) or {}).get((topic, partition))
            return one is not None and one.leader > 0 and one.leader

        return self.broker(eventually(led, "%s-%d is led" % (topic, partition), 30))

    def broker(self, node):
        return self.brokers[node - 1]

    def await_whole(self, topics=None, copies=None, seconds=WHOLE_SECONDS):
        """Every partition is led, and every one of its replicas is caught up."""
        open_ones = []

        def whole():
            found = self.partitions(topics)
            open_ones[:] = [(key, one.leader, one.replicas, one.isrs) for key, one in (found or {}).items()
                            if one.leader < 0 or set(one.isrs) != set(one.replicas) or copies and len(one.replicas) != copies]
            return found and not open_ones

        try:
            eventually(whole, "the cluster is whole", seconds)
        except AssertionError as late:
            raise AssertionError("%s; (partition, leader, replicas, in sync): %s" % (late, open_ones[:8])) from None
