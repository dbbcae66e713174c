"""Fixtures: a broker for the whole run, the clients, a topic name for each test."""
import os
import re
import subprocess
import sys
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import wire  # noqa: E402
from harness.broker import Broker, Running  # noqa: E402
from harness.drivers import PROGRAMS, Driver, java_command, missing  # noqa: E402
from harness.grpc_client import GrpcClient  # noqa: E402
from harness.kcat import Kcat  # noqa: E402
from harness.waiting import eventually  # noqa: E402

CLIENTS = list(PROGRAMS) + ["kcat"]
TOOL_SECONDS = 90
# Groups settle soon: a member that dies is missed after 6 s in both protocols.
GROUP_SETTINGS = {"group.initial.rebalance.delay.ms": 100, "group.consumer.session.timeout.ms": 6000,
                  "group.consumer.min.session.timeout.ms": 6000, "group.consumer.heartbeat.interval.ms": 1000,
                  "group.consumer.min.heartbeat.interval.ms": 1000}


@pytest.fixture(scope="session")
def broker():
    """The broker of the run: ours, or the one that MILLRACE_BOOTSTRAP names."""
    address = os.environ.get("MILLRACE_BOOTSTRAP")
    if address:
        yield Running(address, os.environ.get("MILLRACE_GRPC"))
        return
    with Broker(**GROUP_SETTINGS) as own:
        yield own


@pytest.fixture(autouse=True)
def broker_survives(request):
    """No test may take the broker down."""
    yield
    if "broker" in request.fixturenames:
        broker = request.getfixturevalue("broker")
        assert broker.running(), "the broker died; its log ends:\n" + broker.log_end()


@pytest.fixture(scope="session")
def bootstrap(broker):
    return broker.kafka


@pytest.fixture(scope="session")
def apis(bootstrap):
    return wire.announced(bootstrap)


@pytest.fixture(scope="session")
def ours():
    """For what Millrace promises and Apache Kafka does not: the suite itself is checked against Kafka as well."""
    if os.environ.get("MILLRACE_FOREIGN"):
        pytest.skip("a promise that only Millrace makes; MILLRACE_FOREIGN is set")


@pytest.fixture(scope="session")
def clients(bootstrap):
    """clients("java"): the driver of that name, started once and shared by all tests."""
    started = {}

    def get(name):
        if name == "kcat":
            return Kcat(bootstrap)
        if name not in started or not started[name].alive():
            started[name] = Driver(name, bootstrap)
        return started[name]

    yield get
    for driver in started.values():
        driver.close()


@pytest.fixture(scope="session")
def grpc_client(broker):
    if not broker.grpc:
        pytest.skip("this broker has no gRPC address; MILLRACE_GRPC is not set")
    connected = GrpcClient(broker.grpc)
    yield connected
    connected.close()


@pytest.fixture(params=CLIENTS)
def client(request, clients):
    """Each client in turn."""
    return clients(request.param)


@pytest.fixture
def topic(request):
    """A name no other test uses."""
    return "%s-%s" % (re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name).strip("-")[:80], uuid.uuid4().hex[:8])


@pytest.fixture
def make_topic(clients, topic):
    """make_topic(partitions=3, config={...}) creates the test's topic and answers its name once metadata shows it."""

    def make(partitions=1, config=None):
        admin = clients("confluent")
        admin.create_topic(topic=topic, partitions=partitions, replication=1, config=config)
        eventually(lambda: topic in admin.list_topics()["topics"], "topic %s is listed" % topic)
        return topic

    return make


@pytest.fixture(scope="session")
def tool(bootstrap):
    if missing("java"):
        pytest.skip(missing("java"))

    def run(main, *arguments, stdin="", check=True):
        """Runs a tool and answers what it printed; with check it must end with 0."""
        done = subprocess.run(java_command(main, "--bootstrap-server", bootstrap, *arguments), input=stdin, capture_output=True,
                              text=True, timeout=TOOL_SECONDS)
        assert not check or done.returncode == 0, "%s ended with %d:\n%s%s" % (main, done.returncode, done.stdout, done.stderr)
        return done.stdout if check else (done.returncode, done.stdout + done.stderr)

    return run
