"""Producers, readers and a group on a topic of the cluster, run inside the node: load.py BOOTSTRAP TOPIC PARTITIONS

Commands are lines on standard input, each is answered by one line of JSON:
  mark STEP    what was acknowledged since the last mark, and the longest time in which a partition took nothing
  moves        waits until every producer has gone on in every partition, and the reader has read what was acknowledged
  stop         lets everything come to its end, compares what was acknowledged with what is there, and ends
"""

import collections
import json
import sys
import threading
import time

from cluster_load import ClusterLoad


class Acked(dict):
    """The acknowledgements of one partition, with the longest time between two of them."""

    def __init__(self):
        super().__init__()
        self.last = None
        self.longest = 0.0

    def __setitem__(self, sequence, offset):
        now = time.monotonic()
        if self.last is not None:
            self.longest = max(self.longest, now - self.last)
        self.last = now
        super().__setitem__(sequence, offset)

    def pause(self):
        """The longest until now; begins anew."""
        now = time.monotonic()
        longest = max(self.longest, now - self.last if self.last is not None else 0.0)
        self.longest = 0.0
        return longest


# A way to some broker: the Service chooses which one.
Door = collections.namedtuple("Door", "node kafka")


class Cluster:
    """What ClusterLoad wants of a cluster. Topics are made by resources, not here."""

    def __init__(self, bootstrap):
        self.kafka = bootstrap
        self.brokers = [Door(number, bootstrap) for number in range(3)]

    def create(self, topic, partitions):
        """It is there."""

    def views(self, topic):
        return "see millctl partition list"


def answer(**what):
    print(json.dumps(what), flush=True)


def marked(load, step, before):
    acks = load.acks()
    pauses = {producer.name: round(1000 * max(one.pause() for one in producer.acked)) for producer in load.producers}
    answer(step=step, acks=acks - before, pause_ms=max(pauses.values()), pauses_ms=pauses, commits=load.group.commits)
    return acks


def main():
    bootstrap, topic, partitions = sys.argv[1], sys.argv[2], int(sys.argv[3])
    load = ClusterLoad(Cluster(bootstrap), topic=topic, partitions=partitions)
    for producer in load.producers:
        producer.acked = [Acked() for _ in range(partitions)]
        producer.pause = 0.02
    load.start()
    answer(started=True, threads=threading.active_count())
    acks = 0
    for line in sys.stdin:
        command, _, rest = line.strip().partition(" ")
        try:
            if command == "mark":
                acks = marked(load, rest, acks)
            elif command == "moves":
                seconds = load.each_moves(120)
                load.each_is_read()
                answer(seconds=round(seconds, 3))
            elif command == "stop":
                load.stop()
                records = load.verify()
                answer(records=records, acks=load.acks(), commits=load.group.commits)
                return
            else:
                answer(failed=f"no such command: {command}")
        except AssertionError as problem:
            answer(failed=str(problem)[:4000])


main()
