#!/usr/bin/env python3
"""What brokers that are added bring: throughput of three brokers, and of five after partitions and leaders have moved to the new
ones by themselves. So that one machine can show it, each broker gets a small share of a processor of its own, as a pod with a CPU
limit does. Needs the release build and, for the shares, root.

usage: bench/scale_out.py [--share CPUS] [--seconds S] [--turns N] [--binaries FOLDER]
"""
import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from harness.local import LocalCluster

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOPIC, PARTITIONS = "scale", 30
SIZES = (3, 5)
EVEN_WITHIN_S = 180
PERIOD_US = 20_000


class Shares:
    """A group of processes for each broker, which gets `cpus` of a processor and no more."""

    def __init__(self, cpus):
        self.cpus, self.folders = cpus, {}
        first = pathlib.Path("/sys/fs/cgroup")
        self.old = (first / "cpu").is_dir()
        self.root = first / "cpu" if self.old else first
        if not os.access(self.root, os.W_OK):
            sys.exit("no control groups can be made here: root is needed, and /sys/fs/cgroup")

    def limit(self, node, pid):
        if node in self.folders:
            return
        folder = self.root / f"millrace-scale-{os.getpid()}-{node}"
        folder.mkdir()
        self.folders[node] = folder
        quota = int(self.cpus * PERIOD_US)
        if self.old:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        (folder / "cgroup.procs").write_text(str(pid))

    def remove(self):
        for folder in self.folders.values():
            with contextlib.suppress(OSError):
                folder.rmdir()


def grow(cluster, shares, brokers):
    """Answers how long it took until each had its part."""
    began = time.monotonic()
    cluster.up(brokers)
    for broker in cluster.brokers():
        shares.limit(broker["node"], broker["pid"])
    if brokers == SIZES[0]:
        cluster.load("create", TOPIC, PARTITIONS, "--replication", "3")
    while True:
        leaders = cluster.leaders(TOPIC, PARTITIONS)
        if sorted(map(leaders.count, {broker["node"] for broker in cluster.brokers()})) == [PARTITIONS // brokers] * brokers:
            break
        if time.monotonic() - began > EVEN_WITHIN_S:
            sys.exit(f"after {EVEN_WITHIN_S} s the leaders of {TOPIC} are {leaders}")
        time.sleep(0.2)
    grpc = f"127.0.0.1:{cluster.brokers()[0]['grpc']}"
    subprocess.run([cluster.binaries / "millctl", "--broker", grpc, "cluster", "health", "--wait", "120", "--brokers", str(brokers)],
                   check=True, stdout=subprocess.DEVNULL)
    return round(time.monotonic() - began, 1)


def measure(cluster, options):
    """Megabytes of records and requests that were acknowledged in a second: the medians of some turns."""
    turns = [json.loads(cluster.load("produce", TOPIC, PARTITIONS, "--connections", str(PARTITIONS), "--in-flight", "2",
                                     "--record-bytes", "1024", "--batch-records", "8", "--acks", "-1", "--seconds",
                                     str(options.seconds))) for _ in range(options.turns)]
    return {name: round(statistics.median(turn[name] for turn in turns), 1) for name in ("mb_per_s", "requests_per_s")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.2, metavar="CPUS")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "build/release/bin")
    options = parser.parse_args()
    shares, figures = Shares(options.share), []
    with tempfile.TemporaryDirectory() as folder:
        cluster = None
        try:
            cluster = LocalCluster(options.binaries, pathlib.Path(folder), SIZES[0], ("shards=1",))
            for brokers in SIZES:
                even_after_s = grow(cluster, shares, brokers)
                figures.append({"brokers": brokers, "even_after_s": even_after_s, **measure(cluster, options)})
                print(json.dumps(figures[-1]), flush=True)
            print(json.dumps({"ratio": round(figures[1]["mb_per_s"] / figures[0]["mb_per_s"], 2)}))
        finally:
            if cluster is not None:
                cluster.down()
            shares.remove()


if __name__ == "__main__":
    main()
