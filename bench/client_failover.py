#!/usr/bin/env python3
"""What a program that uses librdkafka notices of brokers that are killed: the longest pause in the acknowledgements of a
partition. Three brokers on loopback, which it starts; needs the release build and confluent-kafka (pip).

usage: bench/client_failover.py [--kills N] [--binaries FOLDER]

Each partition gets a record every 5 ms. One broker after the other is killed with -9; `led` are the partitions that it led.
"""

import argparse
import json
import pathlib
import tempfile
import threading
import time

from confluent_kafka import Producer

from harness.local import LocalCluster

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOPIC, BROKERS, PARTITIONS, PERIOD_S = "failover", 3, 8, 0.005
BEFORE_S, AFTER_S, REST_S = 4, 5, 6  # the kill; and until the next, when the broker is back


class Writer:
    """Writes to all partitions on a thread of its own while `with Writer(...)` lasts, and notes the longest pause of each."""

    def __init__(self, bootstrap):
        self.producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0, "enable.idempotence": True,
                                  "log_level": 0})
        self.last, self.longest, self.failed, self.ended = {}, {}, 0, False
        self.thread = threading.Thread(target=self.write)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()

    def delivered(self, failure, message):
        if failure:
            self.failed += 1
            return
        now, partition = time.monotonic(), message.partition()
        pause = now - self.last.get(partition, now)
        self.longest[partition] = max(pause, self.longest.get(partition, 0))
        self.last[partition] = now

    def write(self):
        while not self.ended:
            for partition in range(PARTITIONS):
                self.producer.produce(TOPIC, b"x" * 100, partition=partition, on_delivery=self.delivered)
            self.producer.poll(PERIOD_S)
        self.producer.flush(30)


def measure(cluster, writer, victim):
    leaders = cluster.leaders(TOPIC, PARTITIONS)
    writer.longest.clear()
    cluster.kill(victim)
    time.sleep(AFTER_S)
    pauses = {partition: round(pause * 1000) for partition, pause in writer.longest.items()}
    led = [partition for partition in pauses if leaders[partition] == victim]
    print(json.dumps({"killed": victim, "led_ms": max((pauses[p] for p in led), default=None),
                      "others_ms": max(pauses[p] for p in pauses if p not in led)}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "build/release/bin")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cluster = LocalCluster(options.binaries, pathlib.Path(folder), BROKERS)
        try:
            cluster.load("create", TOPIC, PARTITIONS, "--replication", str(BROKERS))
            with Writer(cluster.bootstrap) as writer:
                time.sleep(BEFORE_S)
                for kill in range(options.kills):
                    measure(cluster, writer, kill % BROKERS)
                    cluster.up(BROKERS)
                    time.sleep(REST_S)
            print(json.dumps({"failed": writer.failed}))
        finally:
            cluster.down()


main()
