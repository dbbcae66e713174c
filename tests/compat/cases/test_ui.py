"""A web interface's own back end sees the cluster as it is, without an error in its log (issue of groups and admin tools).

The Kafka page of Quarkus' Dev UI: most interfaces come as container images only, this one is published as a library.
"""
import re

import pytest

from harness.drivers import Driver, record
from harness.groups import Member
from harness.waiting import eventually

COMPLAINT = re.compile(r"ERROR|SEVERE|WARN|Exception")
RECORDS = 10


@pytest.fixture
def pages(bootstrap, tmp_path, needs_groups):
    """pages.info() and so on; in the end the log must have no complaint."""
    log = tmp_path / "ui.log"
    with open(log, "wb") as out:
        ui = Driver("ui", bootstrap, log=out)
    yield ui
    ui.close()
    assert [line for line in log.read_text(errors="replace").splitlines() if COMPLAINT.search(line)] == []


def named(found, name):
    return next((one for one in found if one["name"] == name), None)


def test_pages_of_a_cluster_with_a_group(pages, clients, bootstrap, make_topic):
    """Brokers, topics, messages, the group with its member, and its lag."""
    topic = make_topic(partitions=2)
    clients("confluent").produce(topic=topic, records=[record("n%d" % n, key="k", partition=n % 2) for n in range(RECORDS)])
    member = Member("java", bootstrap, topic, topic, commits=False)
    try:
        eventually(lambda: member.take() or member.last["assigned"] == [0, 1], "the member has its partitions", 60)
        clients("java")  # the group has committed nothing yet, so all of it is lag
        info = pages.info()["page"]
        host, port = bootstrap.rsplit(":", 1)
        assert [(node["host"], str(node["port"])) for node in info["clusterInfo"]["nodes"]] == [(host, port)]
        assert named(info["topics"], topic)["nmsg"] == RECORDS
        group = named(info["consumerGroups"], topic)
        assert (group["state"], group["lag"]) == ("STABLE", RECORDS)
        assert sorted(p["partition"] for p in group["members"][0]["partitions"]) == [0, 1]
        assert len(pages.messages(topic=topic)["page"]["messages"]) == RECORDS
    finally:
        member.leave()
    clients("java").alter_offsets(group=topic, topic=topic, offsets={"0": 5, "1": 3})
    assert named(pages.info()["page"]["consumerGroups"], topic)["state"] == "EMPTY"


def test_pages_that_change_things(pages, topic):
    assert named(pages.create_topic(topic=topic, partitions=3)["page"], topic)["partitionsCount"] == 3
    assert sorted(pages.partitions(topic=topic)["page"]) == [0, 1, 2]
    messages = pages.create_message(topic=topic, partition=1, key="k", value="v")["page"]["messages"]
    assert [(one["partition"], one["key"], one["value"]) for one in messages] == [(1, "k", "v")]
    assert named(pages.delete_topic(topic=topic)["page"], topic) is None
