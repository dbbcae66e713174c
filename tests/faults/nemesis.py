"""What breaks a cluster: one fault after the other, each healed before the next one, chosen by dice."""
import contextlib
import os
import subprocess
import time

FAULT_SECONDS = (0.2, 3)


class Nemesis:
    """`kinds`: which faults there are, names of methods. A fault leaves a majority alone unless it says otherwise."""

    PROCESSES = ("kill", "kill_leader", "terminate", "pause", "kill_all", "kill_twice")
    NETWORK = ("isolate", "part", "deaf", "mute", "slow")
    DISKS = ("wipe",)

    def __init__(self, cluster, load, dice, kinds, network=None):
        self.cluster, self.load, self.dice, self.network = cluster, load, dice, network
        self.kinds = list(kinds)
        self.done = []
        self.longest = {}  # kind -> most seconds until everything moved again

    def run(self, seconds):
        """Faults for so long, every kind at least once; then the cluster is whole."""
        end = time.monotonic() + seconds
        round_of_all = self.dice.sample(self.kinds, len(self.kinds))
        while round_of_all or time.monotonic() < end:
            self.strike(round_of_all.pop() if round_of_all else self.dice.choice(self.kinds))
        self.cluster.await_whole()

    def strike(self, kind):
        started = time.monotonic()
        print("%.3f %s " % (time.time(), kind), end="", flush=True)
        getattr(self, kind)()
        moved = self.load.each_moves()
        self.load.each_is_read()
        self.longest[kind] = max(moved, self.longest.get(kind, 0))
        self.done.append(kind)
        print(" %.1f s, then moved within %.1f s" % (time.monotonic() - started - moved, moved), flush=True)

    def report(self):
        return "%d faults; longest until all moved again: %s" % (
            len(self.done), ", ".join("%s %.1f s" % item for item in sorted(self.longest.items())))

    def _any(self):
        broker = self.dice.choice(self.cluster.brokers)
        print("broker %d" % broker.node, end="", flush=True)
        return broker

    def _a_leader(self):
        broker = self.cluster.leader(self.load.topic, self.dice.randrange(self.load.partitions))
        print("broker %d" % broker.node, end="", flush=True)
        return broker

    def _a_while(self):
        """The fault itself lasts: this is not waiting for something."""
        time.sleep(self.dice.uniform(*FAULT_SECONDS))

    def _others_go_on(self):
        """While one is gone the others serve: everything moves before it comes back, or the fault is over first."""
        if self.dice.random() < 0.5:
            self.load.each_moves()
        else:
            self._a_while()

    def kill(self):
        self._kill(self._any())

    def kill_leader(self):
        self._kill(self._a_leader())

    def _kill(self, broker):
        broker.kill()
        self._others_go_on()
        broker.start()

    def kill_twice(self):
        """Again while it is still catching up, or not even up."""
        broker = self._any()
        broker.kill()
        broker.launch()
        time.sleep(self.dice.uniform(0, 0.5))
        broker.kill()
        broker.start()

    def kill_all(self):
        """All at once, as when the power goes: nothing is served, and nothing may be lost."""
        for broker in self.cluster.brokers:
            broker.kill()
        self.cluster.start()

    def terminate(self):
        broker = self._any()
        assert broker.stop(60) in (0, 143)
        self._others_go_on()
        broker.start()

    def pause(self):
        """SIGSTOP: connections stay, nothing answers, and when it goes on it believes that no time has passed."""
        broker = self._a_leader()
        broker.pause()
        try:
            self._others_go_on()
        finally:
            broker.resume()

    def wipe(self):
        """A new, empty disk. Only when all have everything: with one copy gone the others are all there is."""
        self.cluster.await_whole()
        broker = self._any()
        broker.kill()
        broker.wipe()
        broker.start()
        self.cluster.await_whole(seconds=180)

    def isolate(self):
        """Neither brokers nor clients reach it."""
        self._cut(self.network.isolate, self._a_leader())

    def part(self):
        """Other brokers do not reach it, clients do."""
        self._cut(self.network.part, self._a_leader())

    def deaf(self):
        """What other brokers send does not arrive; what it sends does."""
        self._cut(lambda node: [self.network.lose(b.node, node) for b in self.cluster.brokers if b.node != node], self._a_leader())

    def mute(self):
        """What it sends to other brokers does not arrive; what they send does."""
        self._cut(lambda node: [self.network.lose(node, b.node) for b in self.cluster.brokers if b.node != node], self._a_leader())

    def _cut(self, cut, broker):
        try:
            cut(broker.node)
            self._others_go_on()
        finally:
            self.network.heal()

    def slow(self):
        """A link of 2 Mbit/s: what goes there waits in line, until the line is full."""
        broker = self._any()
        with self.network.slow(broker.node, 2_000_000):
            self._others_go_on()

    def delay(self):
        broker = self._any()
        with self.network.delayed(broker.node, 50):
            self._others_go_on()


class SmallDisk:
    """A file system of so many MiB in memory, that can be filled by somebody else's file."""

    def __init__(self, folder, mebibytes):
        self.folder, self.foreign = str(folder), os.path.join(str(folder), "foreign")
        os.makedirs(self.folder)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % mebibytes, "tmpfs", self.folder], capture_output=True,
                                 text=True, timeout=20)
        self.problem = mounted.stderr.strip() if mounted.returncode else None

    def fill(self):
        with open(self.foreign, "ab") as file:
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\1" * (1 << 20))
                    file.flush()

    def free(self):
        os.unlink(self.foreign)

    def close(self):
        if self.problem is None:
            subprocess.run(["umount", self.folder], check=True, timeout=20)
