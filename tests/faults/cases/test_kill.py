"""kill -9 under load, again and again: what was acknowledged is there exactly once, in order, after every restart."""
import os
import signal
import subprocess
import time

from confluent_kafka.admin import AdminClient, NewTopic

from harness.broker import ENVIRONMENT, binary
from harness.waiting import eventually
from history import Producing, RawProducing, check, read

PARTITIONS = 4
KILLS_CI, KILLS_FULL = 10, 60
RESTART_SECONDS = 10


def create(broker, topic, partitions, **config):
    admin = AdminClient({"bootstrap.servers": broker.kafka})
    admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(20)
    eventually(lambda: topic in admin.list_topics(timeout=5).topics, "the topic is there")


class Load:
    """The producers of the test and what they know."""

    def __init__(self, bootstrap, topic):
        self.bootstrap, self.topic = bootstrap, topic
        self.clients = [Producing("rd%d" % n, bootstrap, topic, PARTITIONS) for n in range(3)]
        self.raw = [RawProducing("raw%d" % n, bootstrap, topic, n, 1000000 + n) for n in range(2)]

    def all(self):
        return self.clients + self.raw

    def start(self):
        for producer in self.all():
            producer.start()

    def acks(self):
        errors = [error for producer in self.all() for error in producer.errors]
        assert not errors, errors[:5]
        return sum(producer.acks() for producer in self.all())

    def each_moves(self, seconds=60):
        """Every producer has an acknowledgement more than now: nobody is stuck."""
        before = [producer.acks() for producer in self.all()]
        eventually(lambda: self.acks() and all(p.acks() > b for p, b in zip(self.all(), before)), "every producer goes on", seconds)

    def stop(self):
        for producer in self.all():
            producer.done.set()
        for producer in self.all():
            producer.join(150)
            assert not producer.is_alive(), producer.name
        self.acks()

    def verify(self, partition, complete):
        acked = {p.name: dict(p.acked[partition]) for p in self.clients}
        acked.update({p.name: dict(p.offsets) for p in self.raw if p.partition == partition})
        found = read(self.bootstrap, self.topic, partition)
        sent = {p.name: p.sent[partition] for p in self.clients}
        sent.update({p.name: p.sequence + (0 if complete else 1) for p in self.raw if p.partition == partition})
        check(found, acked, sent, complete)
        return len(found)


def test_kill_9_loop(make_broker, dice, full):
    """Kills come after a random number of acknowledgements, with many batches on their way."""
    kills = int(os.environ.get("KILLS", KILLS_FULL if full else KILLS_CI))
    broker = make_broker().start()
    broker.keep_ports()
    create(broker, "orders", PARTITIONS)
    load = Load(broker.kafka, "orders")
    load.start()
    restarts = []
    for kill in range(kills):
        goal = load.acks() + dice.randrange(1, 4000)
        eventually(lambda: load.acks() >= goal, "%d acknowledgements" % goal, seconds=60, pause=0.001)
        broker.kill()
        broker.start()
        restarts.append(broker.start_seconds)
        load.each_moves()
        load.verify(kill % PARTITIONS, complete=False)
    load.stop()
    total = sum(load.verify(partition, complete=True) for partition in range(PARTITIONS))
    print("%d kills, %d records, restart to ready: median %.3f s, worst %.3f s" % (
        kills, total, sorted(restarts)[len(restarts) // 2], max(restarts)))
    assert max(restarts) < RESTART_SECONDS


def test_kill_while_starting(make_broker, dice):
    """Killed again before it is ready: recovery starts from where it stands, any number of times."""
    broker = make_broker().start()
    broker.keep_ports()
    create(broker, "orders", PARTITIONS)
    load = Load(broker.kafka, "orders")
    load.start()
    load.each_moves()
    broker.kill()
    for _ in range(10):
        impatient_start(broker, dice.uniform(0, 0.05))
    broker.start()
    load.each_moves()
    load.stop()
    for partition in range(PARTITIONS):
        load.verify(partition, complete=True)


def impatient_start(broker, seconds):
    """Starts the process and kills it so many seconds later, wherever it is by then."""
    arguments = [binary(), "--data", broker.data] + ["--%s=%s" % item for item in broker.settings.items()]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def test_clean_stop_under_load(make_broker):
    """SIGTERM ends it with 0, soon, and loses nothing; the producers go on where they were."""
    broker = make_broker().start()
    broker.keep_ports()
    create(broker, "orders", PARTITIONS)
    load = Load(broker.kafka, "orders")
    load.start()
    for _ in range(3):
        load.each_moves()
        started = time.monotonic()
        assert broker.stop() == 0
        assert time.monotonic() - started < 10
        broker.start()
    load.each_moves()
    load.stop()
    for partition in range(PARTITIONS):
        load.verify(partition, complete=True)


def test_stopped_and_continued(make_broker):
    """SIGSTOP for longer than clients wait, then SIGCONT: nothing twice, nothing lost."""
    broker = make_broker().start()
    create(broker, "orders", PARTITIONS)
    load = Load(broker.kafka, "orders")
    load.start()
    for _ in range(3):
        load.each_moves()
        broker.signal(signal.SIGSTOP)
        acks = load.acks()
        time.sleep(1)  # the fault itself: a second in which the broker does not run
        assert load.acks() - acks < 10000
        broker.signal(signal.SIGCONT)
    load.each_moves()
    load.stop()
    for partition in range(PARTITIONS):
        load.verify(partition, complete=True)
