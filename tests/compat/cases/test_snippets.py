"""What countless tutorials print, run as printed, with the old and the newest kafka-python (A30, A31, C53)."""
import os
import re
import socket
import subprocess

import pytest

from harness.broker import Broker
from harness.drivers import HERE, missing, tools
from harness.waiting import eventually

VENVS = ["kafka-python-2.0", "kafka-python-3"]


def port_9092_is_free():
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 9092))
            return True
        except OSError:
            return False


@pytest.fixture(scope="module")
def address(broker):
    """localhost:9092, byte for byte, where that port can be had; else the snippets are given the port of the broker."""
    if broker.pid is None or not port_9092_is_free():
        yield "localhost:" + broker.kafka.rsplit(":", 1)[1]
        return
    with Broker(kafka="127.0.0.1:9092"):
        yield "localhost:9092"


class Snippet:
    """One snippet, running with the interpreter of a virtual environment."""

    def __init__(self, venv, name, address, topic, folder):
        with open(os.path.join(HERE, "snippets", name)) as source:
            text = source.read()
        # The two releases share a broker, and a topic is to be new for each of them.
        text = re.sub(r"order_topic|test-topic", topic, text)
        if address != "localhost:9092":
            text = text.replace("localhost:9092", address)
        path = folder / name
        path.write_text(text)
        self.output = folder / (name + ".out")
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen([tools(venv, "bin", "python"), "-u", str(path)], stdout=output, stderr=output)

    def text(self):
        return self.output.read_text()

    def finish(self):
        assert self.process.wait(60) == 0, self.text()

    def stop(self):
        assert self.process.poll() is None, "ended by itself:\n" + self.text()
        self.process.kill()
        self.process.wait(10)


@pytest.fixture(params=VENVS)
def run(request, address, topic, tmp_path):
    if missing(request.param):
        pytest.skip(missing(request.param))
    started = []

    def start(name, topic=topic):
        started.append(Snippet(request.param, name, address, topic, tmp_path))
        return started[-1]

    yield start
    for snippet in started:
        if snippet.process.poll() is None:
            snippet.process.kill()
            snippet.process.wait(10)


@pytest.mark.parametrize("name", ["producer_order.py", "producer_hello.py"])
def test_producer_to_a_topic_that_does_not_exist(run, name):
    run(name).finish()


def test_consumer_started_first_prints_the_order(run):
    """It waits on a topic that nobody made, from the latest offset: orders are sent until it has its place."""
    consumer = run("consumer_order.py")

    def printed():
        run("producer_order.py").finish()
        return consumer.text()

    assert eventually(printed, "an order is printed", seconds=60).startswith('{"order_id": 1, "product": "Laptop", "amount": 1200}\n')
    consumer.stop()


def test_consumer_started_later_reads_from_the_beginning(run):
    run("producer_hello.py").finish()
    consumer = run("consumer_hello.py")
    eventually(consumer.text, "the line is printed", seconds=30)
    assert consumer.text() == "Received: Hello, Kafka!\n"
    consumer.stop()


def test_consumer_survives_until_the_topic_exists(run):
    """Started before its topic, from the earliest offset: nothing is lost."""
    consumer = run("consumer_hello.py")
    run("producer_hello.py").finish()
    run("producer_hello.py").finish()
    eventually(lambda: consumer.text().count("\n") >= 2, "both lines are printed", seconds=30)
    assert consumer.text() == "Received: Hello, Kafka!\n" * 2
    consumer.stop()


@pytest.mark.parametrize("venv", VENVS)
def test_version_probe_needs_no_setting(venv, bootstrap):
    """kafka-python finds out what the broker can without api_version=..., on the first try (C53)."""
    if missing(venv):
        pytest.skip(missing(venv))
    probe = ("import kafka; c = kafka.KafkaConsumer(bootstrap_servers=%r); "
             "print(c.config['api_version']); print(sorted(c.topics())[:1] is not None); c.close()" % bootstrap)
    done = subprocess.run([tools(venv, "bin", "python"), "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    version = tuple(int(part) for part in re.findall(r"\d+", done.stdout.splitlines()[0]))
    assert version >= (2, 4) if venv == "kafka-python-2.0" else version >= (3, 0), done.stdout
    assert "UnrecognizedBrokerVersion" not in done.stderr and "NoBrokersAvailable" not in done.stderr
