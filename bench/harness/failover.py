"""What clients of a cluster notice of a broker that goes: the longest pause between two acknowledgements."""

import subprocess
import time

from harness import load, machine
from harness.arena import topic_name

PARTITIONS, RATE = 6, 250
WHOLE_S = 120
AT_REST_S = 2
# Until the fault shows: a pause that has begun is measured to its end, however long that is.
SHOWS_S = 3


class Watch:
    """A topic written steadily, every partition by a client of its own, while `with Watch(...)` lasts."""

    def __init__(self, arena, cluster):
        self.arena, self.cluster, self.topic = arena, cluster, topic_name("failover")
        arena.load.run(cluster, "create", self.topic, partitions=PARTITIONS)
        self.leaders = arena.load.await_whole(cluster, self.topic, PARTITIONS)["leaders"]
        self.started_ns = None

    def __enter__(self):
        self.process = self.arena.load.begin(self.cluster, "gaps", self.topic, partitions=PARTITIONS, rate=RATE, seconds=600,
                                             timeout=120)
        time.sleep(AT_REST_S)
        self.started_ns = time.monotonic_ns()
        return self

    def __exit__(self, failure, *_):
        if failure:
            self.process.kill()
            self.process.communicate()
            return
        self.process.terminate()
        self.seen = {one["partition"]: one for one in self.arena.load.finish(self.process)["partitions"]}
        self.arena.load.run(self.cluster, "delete", self.topic)

    def led_by(self, node):
        return [partition for partition, leader in enumerate(self.leaders) if leader == node]

    def longest_ms(self, partitions):
        """Of these, since the faults began. Pauses of less than 20 ms are not told one by one: then it is that of the whole run."""
        gaps = [(to - begin) / 1e6 for partition in partitions for begin, to in self.seen[partition]["gaps_ns"]
                if to > self.started_ns]
        return max(gaps, default=min(20, max(self.seen[partition]["longest_ms"] for partition in partitions)))


def kills(arena):
    """kill -9 of each broker in turn: pauses on the partitions that it led, and on those it only followed."""
    for run in range(arena.settings.runs * 2):
        for cluster in arena.pair():
            with arena.awake(cluster):
                watch = Watch(arena, cluster)
                victim = cluster.node(run % len(cluster.nodes) + 1)
                with watch:
                    victim.kill()
                    time.sleep(SHOWS_S)
                others = [p for p in range(PARTITIONS) if p not in watch.led_by(victim.node)]
                arena.add("failover", cluster.name, run, {
                    "leader_killed_gap_ms": watch.longest_ms(watch.led_by(victim.node)),
                    "follower_killed_gap_ms": watch.longest_ms(others)})
                _come_back(arena, cluster, victim)


def _come_back(arena, cluster, node):
    """Started again and in sync, before anything else is measured."""
    topic = topic_name("back")
    node.launch()
    machine.wait_until(node.listening, WHOLE_S, f"{cluster.name} is back\n{node.tail()}")
    arena.load.run(cluster, "create", topic, partitions=PARTITIONS)
    arena.load.await_whole(cluster, topic, PARTITIONS)
    arena.load.run(cluster, "delete", topic)


def terminations(arena):
    """SIGTERM of one broker: pauses on the partitions that it led."""
    for run in range(arena.settings.runs):
        for cluster in arena.pair():
            with arena.awake(cluster):
                watch = Watch(arena, cluster)
                victim = cluster.node(run % len(cluster.nodes) + 1)
                with watch:
                    victim.process.terminate()
                    victim.process.wait(WHOLE_S)
                    time.sleep(SHOWS_S)
                arena.add("leader_term", cluster.name, run, {"gap_ms": watch.longest_ms(watch.led_by(victim.node))})
                _come_back(arena, cluster, victim)


def rolling_restart(arena):
    """SIGTERM of each broker, the next one as soon as all replicas are in sync again: the longest pause anywhere."""
    for run in range(arena.settings.runs):
        for cluster in arena.pair():
            with arena.awake(cluster):
                watch = Watch(arena, cluster)
                begin = time.monotonic()
                with watch:
                    for node in cluster.nodes:
                        node.process.terminate()
                        node.process.wait(WHOLE_S)
                        node.launch()
                        machine.wait_until(node.listening, WHOLE_S, f"{cluster.name} is back\n{node.tail()}")
                        arena.load.await_whole(cluster, watch.topic, PARTITIONS)
                    time.sleep(SHOWS_S)
                arena.add("rolling", cluster.name, run, {
                    "gap_ms": watch.longest_ms(range(PARTITIONS)), "seconds": time.monotonic() - begin,
                    "sent_again": sum(one["sent_again"] for one in watch.seen.values())})


def partitions_10k(arena):
    """Ten thousand partitions, three copies each: what they cost at rest, and how soon others lead what a killed broker led."""
    arena.close()
    machine.settle_disk()
    partitions, quiet_s = (1000, 2) if arena.settings.quick else (10_000, 10)
    for make in arena.makers():
        cluster = make().start()
        try:
            arena.add("partitions_10k", cluster.name, 0, _many(arena, cluster, partitions, quiet_s))
        except (load.LoadFailed, subprocess.TimeoutExpired, TimeoutError) as error:
            if make == arena.millrace:
                raise
            arena.note("partitions_10k", f"kafka: {str(error).splitlines()[0]}")
        finally:
            cluster.remove()


def _many(arena, cluster, partitions, quiet_s):
    begin = time.monotonic()
    arena.load.run(cluster, "create", "many", partitions=partitions, timeout=600)
    arena.load.await_whole(cluster, "many", partitions, 600)
    formed_s = time.monotonic() - begin
    time.sleep(quiet_s)
    _, cpu = arena.measured(cluster, lambda: time.sleep(quiet_s))
    rss = cluster.rss_mib()
    victim = cluster.nodes[-1]
    killed = time.monotonic()
    victim.kill()

    def led_again():
        state = arena.load.describe(cluster, "many", partitions)
        return state["leaderless"] == 0 and str(victim.node) not in state["led"]

    machine.wait_until(led_again, 120, f"{cluster.name}: all partitions are led again")
    return {"formed_s": formed_s, "idle_cpu_percent": cpu / quiet_s * 100, "rss_mib": rss,
            "led_again_ms": (time.monotonic() - killed) * 1000}
