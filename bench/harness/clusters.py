"""Three brokers that are one cluster, behind what a single broker offers to arena and cases."""

import base64
import os
import random
import shutil
import socket

from harness import brokers, machine

NODES = 3
# Below the ports that the kernel hands out by itself.
CLIENT_PORT, INTERNAL_PORT = 19092, 19093


def loopback_address():
    """One on which nobody listens: a cluster's ports are fixed before it starts, and nobody else's."""
    dice = random.SystemRandom()
    while True:
        address = f"127.{dice.randrange(16, 250)}.{dice.randrange(1, 250)}.{dice.randrange(1, 250)}"
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((address, CLIENT_PORT)) != 0:
                return address


class MillraceNode(brokers.Millrace):
    """One broker of a cluster; place: where all of them are."""

    def __init__(self, binary, parent, place, node, settings=()):
        super().__init__(binary, parent, [
            f"node.id={node}", f"cluster.id={place.id}", f"metadata.voters={place.voters}", *settings])
        self.node, self.host, self.port, self.internal = node, place.host, place.client(node), place.internal(node)

    def doors(self):
        return {"kafka": f"{self.host}:{self.port}", "internal": f"{self.host}:{self.internal}",
                "grpc": f"{self.host}:0", "http": f"{self.host}:0"}


class KafkaNode(brokers.Kafka):
    """Broker and controller of a cluster, replication as a careful user sets it: three copies, two of them in sync."""

    def __init__(self, jars, parent, place, node, settings=()):
        super().__init__(jars, parent, settings)
        self.node, self.host, self.port, self.controller_port = node, place.host, place.client(node), place.internal(node)
        self.cluster_id, self.voters = place.id, place.voters
        self.copies = NODES


class Place:
    """The addresses of a cluster. Node ids from 1; the first three vote on the metadata."""

    def __init__(self, nodes):
        self.host = loopback_address()
        self.id = "m" + base64.urlsafe_b64encode(os.urandom(16)).decode()[1:].rstrip("=")
        self.voters = ",".join(f"{node}@{self.host}:{self.internal(node)}" for node in range(1, min(nodes, 3) + 1))

    def client(self, node):
        return CLIENT_PORT + 10 * node

    def internal(self, node):
        return INTERNAL_PORT + 10 * node


class Cluster:
    """make(place, node) makes one of its brokers. Costs are those of all together."""

    def __init__(self, name, make, nodes=NODES):
        self.name = name
        self.replication = min(3, nodes)
        self.make = make
        self.place = Place(nodes)
        self.nodes = [make(self.place, node) for node in range(1, nodes + 1)]

    @property
    def bootstrap(self):
        return ",".join(node.bootstrap for node in self.nodes)

    def node(self, number):
        return self.nodes[number - 1]

    def add(self):
        """One more, started."""
        self.nodes.append(self.make(self.place, len(self.nodes) + 1))
        return self.nodes[-1].start()

    def start(self, seconds=180):
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            machine.wait_until(node.listening, seconds, f"{self.name} listens on {node.bootstrap}\n{node.tail()}")
        return self

    def stop(self):
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                node.resume()
                node.process.terminate()
        for node in self.nodes:
            node.stop()

    def remove(self):
        self.stop()
        for node in self.nodes:
            shutil.rmtree(node.folder, ignore_errors=True)

    def park(self):
        for node in self.nodes:
            if node.running():
                node.park()

    def resume(self):
        for node in self.nodes:
            if node.running():
                node.resume()

    def cpu_s(self):
        return sum(node.cpu_s() for node in self.nodes if node.running())

    def rss_mib(self):
        return sum(node.rss_mib() for node in self.nodes if node.running())


def millrace(binary, parent, settings=(), nodes=NODES):
    return Cluster("millrace", lambda place, node: MillraceNode(binary, parent, place, node, settings), nodes)


def kafka(jars, parent, settings=(), nodes=NODES):
    return Cluster("kafka", lambda place, node: KafkaNode(jars, parent, place, node, settings), nodes)
