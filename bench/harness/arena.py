"""Runs brokers in turns: only one of them is awake at a time, so neither pays for the other."""

import contextlib
import itertools
import time

from harness import brokers, clusters, machine

_names = itertools.count(1)


def topic_name(case):
    return f"{case}-{next(_names)}"


class Arena:
    """What every case gets: settings, the load generator, brokers, and where results go."""

    prefix = ""  # of what its results are called
    warm_s = 10  # of each kind of load

    def __init__(self, settings, load, results):
        self.settings = settings
        self.load = load
        self.results = results
        self._pair = None
        self._replicated = None

    def replicated(self):
        """The same for clusters; the single brokers go before."""
        if self._replicated is None:
            self.close()
            self._replicated = ClusterArena(self.settings, self.load, self.results)
        return self._replicated

    def add(self, case, label, run, metrics):
        self.results.add(self.prefix + case, label, run, metrics)

    def note(self, case, text):
        self.results.note(self.prefix + case, text)

    def millrace(self, *settings):
        return brokers.Millrace(self.settings.millrace, self.settings.folder,
                                [*self.settings.millrace_settings, *settings])

    def kafka(self, *settings):
        return brokers.Kafka(brokers.kafka_jars(), self.settings.folder, settings)

    def makers(self):
        """Of what is compared: Millrace and Kafka as it ships, or Millrace alone."""
        return (self.millrace,) if self.settings.alone else (self.millrace, self.kafka)

    def pair(self):
        """Started and warmed once for all cases that use them."""
        if self._pair is None:
            self._pair = [make().start() for make in self.makers()]
            for broker in self._pair:
                self.warm(broker)
        return self._pair

    def warm(self, broker):
        """The same for all: a JVM needs it to compile what is hot, and the disk to have given out files."""
        seconds = 2 if self.settings.quick else self.warm_s
        self.load.run(broker, "create", "warm", partitions=8)
        self.load.run(broker, "produce", "warm", partitions=8, connections=64, seconds=seconds)
        self.load.run(broker, "produce", "warm", partitions=8, connections=16, in_flight=5, record_bytes=1024,
                      batch_records=64, seconds=seconds)
        self.load.run(broker, "fetch", "warm", partitions=8, connections=8, seconds=seconds)
        self.load.run(broker, "delete", "warm")
        broker.park()

    @contextlib.contextmanager
    def awake(self, broker):
        """Wakes a parked broker and waits until it answers as before its sleep."""
        broker.resume()
        self.rouse(broker)
        time.sleep(0.5 if self.settings.quick else 2)  # what piled up while it was parked
        machine.settle_disk()
        try:
            yield broker
        finally:
            broker.park()

    def rouse(self, broker):
        self.load.run(broker, "first-produce", "awake", timeout=60)

    def turns(self, case, group, measure, labels=None):
        """A B A B ...: measure(broker) gives the metrics of one run. labels: names in the results, by position."""
        labels = labels or [broker.name for broker in group]
        for run in range(self.settings.runs):
            for broker, label in zip(group, labels):
                with self.awake(broker):
                    self.add(case, label, run, measure(broker))

    def measured(self, broker, action):
        """Result of the action and the CPU seconds that the broker used meanwhile."""
        before = broker.cpu_s()
        result = action()
        return result, broker.cpu_s() - before

    def close(self):
        for broker in self._pair or []:
            broker.remove()
        self._pair = None
        if self._replicated:
            self._replicated.close()
            self._replicated = None


class ClusterArena(Arena):
    """The same cases on clusters of three brokers, every topic three times there."""

    prefix = "three_"
    warm_s = 40  # three JVMs compile on the same processors

    def millrace(self, *settings):
        return clusters.millrace(self.settings.millrace, self.settings.folder, [*self.settings.millrace_settings, *settings])

    def kafka(self, *settings):
        return clusters.kafka(brokers.kafka_jars(), self.settings.folder, settings)

    def rouse(self, broker):
        """Brokers that slept all together find each other again first."""
        super().rouse(broker)
        self.load.await_whole(broker, "awake", 1)
