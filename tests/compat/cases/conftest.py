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
from harness.cluster import Cluster  # noqa: E402
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

BROKERS = int(os.environ.get("MILLRACE_BROKERS", 1))
# Of the cases that one broker has to pass, those that a cluster may answer differently; those of CLUSTER_FILE need one.
CLUSTER_FILE = "test_cluster.py"
CLUSTER_CASES = {
    "test_clients.py": re.compile(r"(test_each_writes|test_each_reads).*(zstd|none)|test_acks.*all|test_pause|test_replay|test_offsets"),
    "test_topics.py": re.compile(r"test_(create_list|producing_to_no|more_partitions|deleted_and)"),
    "test_groups.py": re.compile(r"test_members_share.*(java|confluent|kafkajs|aiokafka)|test_clients_of_all|test_partitions_of.*java"),
    "test_grpc.py": re.compile(r"test_(published|publish_stream|idempotent|read_|topics_are)"),
    "test_grpc_groups.py": re.compile(r"test_(two_share|mixed_with|offsets_are)"),
}


def pytest_collection_modifyitems(config, items):
    """MILLRACE_BROKERS=3: the cases of a cluster; without it, those of one broker."""
    def wanted(item):
        if item.path.name == CLUSTER_FILE or BROKERS == 1:
            return (item.path.name == CLUSTER_FILE) == (BROKERS > 1)
        return item.path.name in CLUSTER_CASES and CLUSTER_CASES[item.path.name].search(item.name)

    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = [item for item in items if wanted(item)]


@pytest.fixture(scope="session")
def broker():
    """The broker of the run, or a cluster of them: ours, or the one that MILLRACE_BOOTSTRAP names."""
    if BROKERS > 1:
        with Cluster(BROKERS, **GROUP_SETTINGS) as own:
            yield own
        return
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
    """Of a cluster the first broker: a client finds the others by itself."""
    return broker.kafka.split(",")[0]


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
def make_topic(broker, clients, topic):
    """make_topic(partitions=3, config={...}) creates the test's topic and answers its name once metadata shows it."""

    def make(partitions=1, config=None):
        admin = clients("confluent")
        admin.create_topic(topic=topic, partitions=partitions, replication=min(BROKERS, 3), config=config)
        eventually(lambda: topic in admin.list_topics()["topics"], "topic %s is listed" % topic)
        if BROKERS > 1:
            broker.await_known(topic)
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
