"""The scripts of scripts/kafka-bin: the command lines of old articles, without Java (A13, A41-A47)."""
import os
import re
import selectors
import signal
import socket
import subprocess

import pytest

from harness.broker import ENVIRONMENT, READY, binary
from harness.drivers import HERE
from harness.waiting import eventually

SCRIPTS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "scripts", "kafka-bin")
SECONDS = 30


def script(name, *arguments, stdin="", environment=None):
    variables = {**ENVIRONMENT, "MILLRACE_BIN": os.path.dirname(binary()), **(environment or {})}
    return subprocess.run([os.path.join(SCRIPTS, name), *arguments], input=stdin, capture_output=True, text=True, timeout=SECONDS,
                          env=variables)


@pytest.fixture
def run(broker):
    """Runs a script against the broker of the run; its gRPC port is a free one, so it is named."""
    if not broker.grpc:
        pytest.skip("this broker has no gRPC address")

    def call(name, *arguments, stdin="", code=0):
        done = script(name, "--bootstrap-server", broker.kafka, *arguments, stdin=stdin, environment={"MILLRACE_BROKER": broker.grpc})
        assert done.returncode == code, "%s ended with %d:\n%s%s" % (name, done.returncode, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    return call


def test_topics(run, topic):
    made = run("kafka-topics.sh", "--create", "--topic", topic, "--partitions", "3", "--replication-factor", "1", "--config", "retention.ms=90000")
    assert made == "Created topic %s.\n" % topic
    assert topic in run("kafka-topics.sh", "--list").splitlines()
    described = run("kafka-topics.sh", "--describe", "--topic", topic).splitlines()
    assert re.fullmatch(r"Topic: %s\tTopicId: \S{22}\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: retention.ms=90000" % topic, described[0])
    assert [re.fullmatch(r"\tTopic: \S+\tPartition: (\d)\tLeader: \d+\tReplicas: \d+\tIsr: \d+", line).group(1) for line in described[1:]] == ["0", "1", "2"]
    run("kafka-topics.sh", "--alter", "--topic", topic, "--partitions", "4")
    assert "PartitionCount: 4" in run("kafka-topics.sh", "--describe", "--topic", topic)
    assert "3" in run("kafka-topics.sh", "--alter", "--topic", topic, "--partitions", "3", code=1)
    run("kafka-topics.sh", "--delete", "--topic", topic)
    assert topic not in run("kafka-topics.sh", "--list").splitlines()
    run("kafka-topics.sh", "--delete", "--if-exists", "--topic", topic)


def test_topics_without_numbers_and_twice(run, topic):
    run("kafka-topics.sh", "--create", "--topic", topic)
    assert re.search(r"PartitionCount: 1\tReplicationFactor: 1", run("kafka-topics.sh", "--describe", "--topic", topic))
    assert "exists" in run("kafka-topics.sh", "--create", "--topic", topic, code=1)
    run("kafka-topics.sh", "--create", "--if-not-exists", "--topic", topic)


def test_console_producer_and_consumer(run, topic):
    orders = '{"order_id": 1}\n{"order_id": 2}\n'
    run("kafka-console-producer.sh", "--topic", topic, stdin=orders)
    assert run("kafka-console-consumer.sh", "--topic", topic, "--from-beginning", "--max-messages", "2") == orders
    assert run("kafka-console-consumer.sh", "--topic", topic, "--from-beginning", "--timeout-ms", "2000") == orders
    assert run("kafka-console-consumer.sh", "--topic", topic, "--partition", "0", "--offset", "1", "--max-messages", "1") == '{"order_id": 2}\n'


def test_console_consumer_in_a_group_goes_on_where_it_stopped(run, clients, topic):
    member = ("kafka-console-consumer.sh", "--topic", topic, "--group", topic, "--from-beginning")
    run("kafka-console-producer.sh", "--topic", topic, stdin="one\ntwo\n")
    assert run(*member, "--max-messages", "2") == "one\ntwo\n"
    assert clients("java").group_offsets(group=topic, topic=topic)["offsets"] == {"0": 2}
    run("kafka-console-producer.sh", "--topic", topic, stdin="three\n")
    assert run(*member, "--max-messages", "1") == "three\n"


def test_console_producer_with_keys(run, clients, topic):
    from harness.drivers import record
    run("kafka-console-producer.sh", "--topic", topic, "--property", "parse.key=true", "--property", "key.separator=:", stdin="k:v:w\n")
    found = clients("confluent").consume(topic=topic, count=1)["records"][0]
    assert (found["key"], found["value"]) == (record("v:w", key="k")["key"], record("v:w")["value"])


def test_broker_list_is_the_old_spelling(broker, run, topic):
    done = script("kafka-console-producer.sh", "--broker-list", broker.kafka, "--topic", topic, stdin="old\n",
                  environment={"MILLRACE_BROKER": broker.grpc})
    assert done.returncode == 0, done.stderr
    assert run("kafka-console-consumer.sh", "--topic", topic, "--from-beginning", "--max-messages", "1") == "old\n"


def test_zookeeper_option_is_translated_with_a_warning(broker, run, topic):
    run("kafka-topics.sh", "--create", "--topic", topic)
    done = script("kafka-topics.sh", "--list", "--zookeeper", "localhost:2181", environment={"MILLRACE_BROKER": broker.grpc})
    assert done.returncode == 0 and topic in done.stdout.splitlines()
    assert "--bootstrap-server localhost:9092" in done.stderr


def test_zookeeper_shell_says_what_to_use():
    done = script("zookeeper-shell.sh", "localhost:2181", "ls", "/brokers/ids")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "--bootstrap-server localhost:9092" in done.stderr


@pytest.mark.parametrize("arguments", [["--list", "--create"], ["--list", "--no-such-option", "x"], ["--topic", "x"], ["--create"]])
def test_wrong_usage_is_told(run, arguments):
    assert run("kafka-topics.sh", *arguments, code=2).strip()


def free_pair():
    """A free port for Kafka with the one two above it free as well, for gRPC."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 2))
                return port
            except OSError:
                continue


PROPERTIES = """\
# As in config/kraft/server.properties of Kafka 3.7, with free ports.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:9093
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:0
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs={data}
num.partitions=2
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
"""


@pytest.fixture
def own_program():
    if not os.environ.get("MILLRACE_BUILD") or not os.path.exists(binary()):
        pytest.skip("needs the programs of a build")


@pytest.fixture
def properties(tmp_path, own_program):
    port = free_pair()
    path = tmp_path / "server.properties"
    path.write_text(PROPERTIES.format(port=port, data=tmp_path / "data"))
    return str(path), port


def started(process):
    """The first line that is the ready line."""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        lines = []
        while selector.select(timeout=SECONDS):
            line = process.stdout.readline()
            if not line:
                break
            lines.append(line)
            if READY.match(line):
                return READY.match(line)
    raise AssertionError("not started: %s" % lines)


def test_format_and_start_from_properties(properties, tmp_path):
    """A41, A42: formatted with a name of one's choice, started from the file that Kafka ships, used by the other scripts."""
    path, port = properties
    done = script("kafka-storage.sh", "format", "-t", "test-cluster", "-c", path)
    assert done.returncode == 0, done.stderr
    assert script("kafka-storage.sh", "format", "-t", "test-cluster", "-c", path).returncode == 1
    done = script("kafka-storage.sh", "format", "--ignore-formatted", "-t", "other-cluster", "-c", path)
    assert done.returncode != 0 and "test-cluster" in done.stdout + done.stderr
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [os.path.join(SCRIPTS, "kafka-server-start.sh"), path, "--override", "grpc.listen=127.0.0.1:%d" % (port + 2),
             "--override", "http.listen=127.0.0.1:0", "--override", "internal.listen=127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=log, text=True, env={**ENVIRONMENT, "MILLRACE_BIN": os.path.dirname(binary())})
    try:
        assert started(process).group(1).endswith(":%d" % port)
        bootstrap = "127.0.0.1:%d" % port  # the scripts find gRPC two ports above
        made = script("kafka-topics.sh", "--create", "--topic", "orders", "--bootstrap-server", bootstrap)
        assert made.returncode == 0, made.stderr
        described = script("kafka-topics.sh", "--describe", "--topic", "orders", "--bootstrap-server", bootstrap)
        assert "PartitionCount: 2" in described.stdout  # num.partitions of the file
        eventually(lambda: "controller.quorum.voters" in (tmp_path / "log").read_text(), "the unknown setting is named")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.stdout.close()


def test_unpacked_archive(tmp_path, own_program):
    """A40 to A46: as the articles have it, from the folder that scripts/archive packs, with nothing of this machine in PATH but a shell."""
    home = tmp_path / "millrace"
    assemble = os.path.join(os.path.dirname(SCRIPTS), "lib", "assemble_archive.sh")
    subprocess.run([assemble, str(home), os.path.dirname(binary())], check=True, timeout=SECONDS)
    assert any(name.startswith("libgrpc++") for name in os.listdir(home / "lib"))
    port = free_pair()
    bootstrap = "127.0.0.1:%d" % port
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}

    def run(command, **options):
        return subprocess.run(command.split(), cwd=home, env=clean, capture_output=True, text=True, timeout=SECONDS, check=True, **options).stdout

    loaded = subprocess.run(["bin/millrace", "--version"], cwd=home, env={**clean, "LD_DEBUG": "libs"}, capture_output=True, text=True, timeout=SECONDS)
    assert "calling init: %s/bin/../lib/libgrpc++" % home in loaded.stderr, "its own libraries are used"
    assert "test-cluster" in run("bin/kafka-storage.sh format -t test-cluster -c config/kraft/server.properties")
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            ["bin/kafka-server-start.sh", "config/server.properties", "--override", "kafka.listen=" + bootstrap, "--override",
             "grpc.listen=127.0.0.1:%d" % (port + 2), "--override", "http.listen=127.0.0.1:0", "--override", "internal.listen=127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=log, text=True, cwd=home, env=clean)
    try:
        started(process)
        run("bin/kafka-topics.sh --create --topic order_topic --partitions 3 --replication-factor 1 --bootstrap-server " + bootstrap)
        assert run("bin/kafka-topics.sh --list --bootstrap-server " + bootstrap) == "order_topic\n"
        run("bin/kafka-console-producer.sh --topic order_topic --broker-list " + bootstrap, input="one\ntwo\n")
        read = run("bin/kafka-console-consumer.sh --topic order_topic --from-beginning --max-messages 2 --bootstrap-server " + bootstrap)
        assert read == "one\ntwo\n"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.stdout.close()
    assert (home / "data" / "millrace.json").exists(), "log.dirs of the file"


def test_random_uuid():
    done = script("kafka-storage.sh", "random-uuid")
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}\n", done.stdout)
