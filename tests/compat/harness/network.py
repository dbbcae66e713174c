"""Hosts of their own on this machine, whose packets can be lost: network namespaces around a router.

Needs root and iproute2. Nothing of the machine's own network is touched, and all of it goes when the holders' processes end.
"""
import contextlib
import ctypes
import os
import shutil
import subprocess
import time

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
SECONDS = 20


def unavailable():
    """Why there can be no networks here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "tc", "nsenter", "unshare"):
        if not shutil.which(program):
            return "the command %s is not installed" % program
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, timeout=SECONDS)
    return tried.stderr.strip() or "unshare --net failed" if tried.returncode else None


def own_namespace():
    """Of the calling thread: threads of one process may stand in different networks."""
    return os.stat("/proc/thread-self/ns/net").st_ino


def _enter(namespace):
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Holder:
    """A namespace, kept by a process that does nothing else."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.inside = ["nsenter", "--net=/proc/%d/ns/net" % self.process.pid]
        end, outside = time.monotonic() + SECONDS, own_namespace()
        while os.stat("/proc/%d/ns/net" % self.process.pid).st_ino == outside:
            assert time.monotonic() < end, "no network namespace within %d s" % SECONDS
            time.sleep(0.002)
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command):
        done = subprocess.run([*self.inside, *command], capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, "%s: %s" % (" ".join(command), done.stderr or done.stdout)
        return done.stdout

    def close(self):
        self.process.kill()
        self.process.wait(SECONDS)


class Network:
    """`with Network(3) as network`: hosts 1 to 3, and the calling thread on a host of its own, 0, until the end.

    Threads and processes that are started inside stand on host 0 too. A broker of host n is started with the
    prefix `network.prefix(n)` and has the address `network.address(n)`.
    """

    def __init__(self, hosts):
        self.count = hosts
        self.holders = {}
        self.home = None
        self.lost = set()

    def __enter__(self):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            if LIBC.unshare(CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=SECONDS)
            self.router = self.holders["router"] = Holder()
            self.router.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
            for host in range(1, self.count + 1):
                self.holders[host] = Holder()
            for host in range(self.count + 1):
                self._wire(host)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        _enter(self.home)
        os.close(self.home)
        for holder in self.holders.values():
            holder.close()

    def _wire(self, host):
        """A cable from the host to the router, and the way to all others over it."""
        inside = self.holders[host].run if host else self._run_here
        pid = str(self.holders[host].process.pid) if host else str(os.getpid())
        end = "host%d" % host
        self.router.run("ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", pid)
        self.router.run("ip", "address", "add", "10.77.%d.1/24" % host, "dev", end)
        self.router.run("ip", "link", "set", end, "up")
        inside("ip", "address", "add", self.address(host) + "/24", "dev", "eth0")
        inside("ip", "link", "set", "eth0", "up")
        inside("ip", "route", "add", "default", "via", "10.77.%d.1" % host)

    @staticmethod
    def _run_here(*command):
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)

    @staticmethod
    def address(host):
        return "10.77.%d.2" % host

    def prefix(self, host):
        return self.holders[host].inside

    def lose(self, source, target=None):
        """From now on nothing that `source` sends reaches `target` (without one: reaches anybody). Nobody is told."""
        self._rule("add", (source, target))
        self.lost.add((source, target))

    def heal(self):
        """Every packet arrives again."""
        for pair in self.lost:
            self._rule("del", pair)
        self.lost.clear()

    def _rule(self, action, pair):
        source, target = pair
        self.router.run("ip", "rule", action, "from", self.address(source), *(["to", self.address(target)] if target is not None else []),
                        "blackhole")

    def isolate(self, host):
        """Nothing to it or from it, clients included."""
        self.lose(host)
        for other in range(self.count + 1):
            if other != host:
                self.lose(other, host)

    def part(self, host, others=None):
        """Nothing between it and other brokers, in either direction; clients still reach all."""
        for other in others or range(1, self.count + 1):
            if other != host:
                self.lose(host, other)
                self.lose(other, host)

    @contextlib.contextmanager
    def slow(self, host, bits_per_second):
        """What the others send to this host goes no faster than that."""
        with self._discipline(host, "tbf", "rate", "%dbit" % bits_per_second, "burst", "16kb", "latency", "200ms"):
            yield

    @contextlib.contextmanager
    def delayed(self, host, milliseconds):
        """What the others send to this host arrives so much later. Check can_delay() before."""
        with self._discipline(host, "netem", "delay", "%dms" % milliseconds):
            yield

    @contextlib.contextmanager
    def _discipline(self, host, *discipline):
        self.router.run("tc", "qdisc", "add", "dev", "host%d" % host, "root", *discipline)
        try:
            yield
        finally:
            self.router.run("tc", "qdisc", "del", "dev", "host%d" % host, "root")

    def can_delay(self):
        """Whether this kernel has netem."""
        try:
            with self.delayed(1, 1):
                return True
        except AssertionError:
            return False
