"""A web interface's own back end sees the cluster as it is, without an error in its log (C55).

The Kafka page of Quarkus' Dev UI: most interfaces come as container images only, this one is published as a library.
"""
import os
import re

import pytest

from harness.broker import Broker
from harness.drivers import Driver, record
from harness.groups import Member
from harness.waiting import eventually

COMPLAINT = re.compile(r"ERROR|SEVERE|WARN|Exception")
RECORDS = 10


@pytest.fixture
def cluster(bootstrap):
    """A broker with nothing on it: the interface looks at every topic with a consumer of its own."""
    if os.environ.get("MILLRACE_BOOTSTRAP"):
        yield bootstrap
        return
    with Broker(group__initial__rebalance__delay__ms=100) as own:
        yield own.kafka


@pytest.fixture
def pages(cluster, tmp_path):
    """pages.info() and so on; in the end the log must have no complaint."""
    log = tmp_path / "ui.log"
    with open(log, "wb") as out:
        ui = Driver("ui", cluster, log=out)
    yield ui
    ui.close()
    lines = log.read_text(errors="replace").splitlines()
    assert any("INFO" in line for line in lines), "the interface writes a log"
    assert [line for line in lines if COMPLAINT.search(line)] == []


def named(found, name):
    return next((one for one in found if one["name"] == name), None)


@pytest.fixture
def user(cluster):
    """Who works with the cluster while the interface looks at it."""
    driver = Driver("java", cluster)
    yield driver
    driver.close()


def test_pages_of_a_cluster_with_a_group(pages, cluster, user, topic):
    """Brokers, topics, messages, the group with its member, and its lag."""
    user.create_topic(topic=topic, partitions=2, replication=1)
    user.produce(topic=topic, records=[record("n%d" % n, key="k", partition=n % 2) for n in range(RECORDS)])
    member = Member("java", cluster, topic, topic, commits=False)
    try:
        eventually(lambda: member.take() or member.last["assigned"] == [0, 1], "the member has its partitions", 60)
        info = pages.info()["page"]
        host, port = cluster.rsplit(":", 1)
        assert [(node["host"], str(node["port"])) for node in info["clusterInfo"]["nodes"]] == [(host, port)]
        assert named(info["topics"], topic)["nmsg"] == RECORDS
        group = named(info["consumerGroups"], topic)
        assert (group["state"], group["lag"]) == ("STABLE", RECORDS)  # it has committed nothing, so all of it is lag
        assert sorted(p["partition"] for p in group["members"][0]["partitions"]) == [0, 1]
        assert len(pages.messages(topic=topic)["page"]["messages"]) == RECORDS
    finally:
        member.leave()
    user.alter_offsets(group=topic, topic=topic, offsets={"0": 5, "1": 3})
    assert named(pages.info()["page"]["consumerGroups"], topic)["state"] == "EMPTY"


def test_pages_that_change_things(pages, topic):
    assert named(pages.create_topic(topic=topic, partitions=3)["page"], topic)["partitionsCount"] == 3
    assert sorted(pages.partitions(topic=topic)["page"]) == [0, 1, 2]
    messages = pages.create_message(topic=topic, partition=1, key="k", value="v")["page"]["messages"]
    assert [(one["partition"], one["key"], one["value"]) for one in messages] == [(1, "k", "v")]
    assert named(pages.delete_topic(topic=topic)["page"], topic) is None
