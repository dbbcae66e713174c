"""Three brokers: any of them serves any client, leaders and coordinators move, and Kafka's tools see it all (A11, A14, A82)."""
import json
import re
import subprocess
import time

import pytest

from harness.cluster import Cluster
from harness.drivers import PROGRAMS, ClientError, Driver, java_command, record
from harness.grpc_client import GrpcClient
from harness.groups import Gang
from harness.waiting import eventually

TOOLS = "org.apache.kafka.tools."
LEADER_CHANGES = 20
SETTLE_SECONDS = 60


@pytest.fixture
def own_cluster(ours):
    """One whose brokers the test may end."""
    with Cluster(3, group__initial__rebalance__delay__ms=100, group__consumer__heartbeat__interval__ms=1000) as cluster:
        yield cluster


@pytest.fixture
def drivers():
    """drivers(name, bootstrap): clients of the test's own."""
    made = []

    def make(name, bootstrap):
        made.append(Driver(name, bootstrap))
        return made[-1]

    yield make
    for driver in made:
        driver.close()


def state(cluster, topic):
    """{partition: (leader, replicas, in sync)}."""
    found = cluster.partitions([topic]) or {}
    return {partition: (one.leader, list(one.replicas), sorted(one.isrs)) for (_, partition), one in found.items()}


def test_every_client_sees_every_broker(client, broker, make_topic):
    """Each broker alone is enough to begin with."""
    topic = make_topic(partitions=3)
    first = client.bootstrap
    try:
        for n, one in enumerate(broker.brokers):
            client.bootstrap = one.kafka
            client.produce(topic=topic, records=[record("from %d" % one.node, partition=p) for p in range(3)])
            if client.name == "kafkajs":
                continue  # reads by group only
            for partition in range(3):
                found = client.consume(topic=topic, count=n + 1, partitions=[partition])["records"]
                assert [r["offset"] for r in found] == list(range(n + 1))
    finally:
        client.bootstrap = first


def test_three_copies_are_the_default(broker, clients, topic):
    clients("java").create_topic(topic=topic, partitions=6, replication=-1)
    broker.await_whole([topic], 3)
    leaders = [leader for leader, _, _ in state(broker, topic).values()]
    assert sorted(leaders) == [1, 1, 2, 2, 3, 3]
    clients("confluent").produce(topic=topic, records=[record("x")])
    clients("confluent").group_start(group=topic, topic=topic, member={"session_ms": 6000})
    try:
        broker.await_whole(["__consumer_offsets"], 3)
    finally:
        clients("confluent").group_stop()


def test_metadata_of_all_brokers_agrees(broker, clients, make_topic):
    make_topic(partitions=6)
    java = clients("java")
    first = java.bootstrap
    try:
        seen = []
        for one in broker.brokers:
            java.bootstrap = one.kafka
            found = java.cluster()
            assert sorted((b["id"], "%s:%d" % (b["host"], b["port"])) for b in found["brokers"]) == [
                (b.node, b.kafka) for b in broker.brokers]
            seen.append((found["cluster_id"], found["controller"]))
        assert len(set(seen)) == 1
    finally:
        java.bootstrap = first


def test_offsets_stay_dense_across_twenty_leader_changes(own_cluster, drivers, topic):
    """Each change another client writes, told of no failure: its record lies right behind the one before."""
    # kafka-python 2.0.2 and kafka-go's Client do not try again.
    names = [name for name in PROGRAMS if name not in ("kafka_python_2", "kafka_go")]
    clients = {}
    for name in names:
        try:
            clients[name] = drivers(name, own_cluster.kafka)
        except pytest.skip.Exception:
            continue
    assert clients
    own_cluster.create(topic, 1)
    writers, led_by = list(clients.values()), []
    for change in range(LEADER_CHANGES):
        leader = own_cluster.leader(topic, 0)
        led_by.append(leader.node)
        if change % 2:
            leader.kill()
        else:
            assert leader.stop() == 0
        writer = writers[change % len(writers)]
        writer.produce(topic=topic, records=[record("change %d" % change, partition=0)], acks="all")
        leader.start()
        eventually(lambda: own_cluster.leader(topic, 0).node != leader.node or own_cluster.await_whole([topic]) is None, "led again")
        own_cluster.await_whole([topic])
    for reader in writers:
        if reader.name == "kafkajs":
            continue
        found = reader.consume(topic=topic, count=LEADER_CHANGES, partitions=[0])["records"]
        values = [r["value"] for r in found]
        assert [r["offset"] for r in found] == list(range(len(found))), reader.name
        # A client without idempotence may have sent a record twice when the answer was lost.
        assert list(dict.fromkeys(values)) == [record("change %d" % n)["value"] for n in range(LEADER_CHANGES)], reader.name
    assert len(set(led_by)) > 1


@pytest.mark.parametrize("kinds", [("java", "confluent"), ("java_consumer", "confluent_consumer")], ids="-".join)
def test_group_goes_on_when_its_coordinator_dies(own_cluster, drivers, topic, kinds):
    """Twice: members stay, what was committed stays, every record is seen."""
    writer, watcher = drivers("confluent", own_cluster.kafka), drivers("java", own_cluster.kafka)
    own_cluster.create(topic, 6)
    gang = Gang(writer, topic, topic, 6)
    try:
        for kind in kinds:
            gang.join(kind)
        gang.settle()
        for how in ("kill", "stop"):
            gang.await_commits()
            before = dict(gang.committed)
            coordinator = own_cluster.broker(int(watcher.describe_group(group=topic)["coordinator"]))
            getattr(coordinator, how)()
            gang.settle()
            # By the Java client: librdkafka's admin calls go on asking the coordinator that they found once, until it is back.
            after = {int(p): at for p, at in watcher.group_offsets(group=topic, topic=topic)["offsets"].items()}
            assert {p: at for p, at in before.items() if after.get(p, -1) < at} == {}
            coordinator.start()
            own_cluster.await_whole()
            gang.settle()
    finally:
        gang.close()


def test_reassign_and_elect_with_the_java_client(broker, clients, topic):
    java = clients("java")
    java.create_topic(topic=topic, partitions=1, replication=2)
    broker.await_whole([topic], 2)
    java.produce(topic=topic, records=[record("n%d" % n, partition=0) for n in range(100)])
    _, replicas, _ = state(broker, topic)[0]
    other = next(b.node for b in broker.brokers if b.node not in replicas)
    wanted = [other, replicas[0]]
    java.admin(call="reassign", topic=topic, replicas=wanted)
    eventually(lambda: java.admin(call="reassignments").get("count") == 0 and state(broker, topic)[0][1] == wanted,
               "the partition moved", SETTLE_SECONDS)
    broker.await_whole([topic], 2)
    outcome = java.admin(call="elect", topic=topic).get("outcome")
    assert outcome in ("none", "ElectionNotNeededException")
    eventually(lambda: state(broker, topic)[0][0] == other, "the preferred replica leads")
    assert [r["offset"] for r in java.consume(topic=topic, count=100)["records"]] == list(range(100))
    with pytest.raises(ClientError):
        java.admin(call="reassign", topic=topic, replicas=[replicas[0], 77])


def test_quorum_with_the_java_client(clients):
    found = clients("java").admin(call="quorum")
    assert found["voters"] == 3 and found["observers"] == 0 and found["nodes"] == 3
    assert found["leader"] in (1, 2, 3) and found["log_end"] >= found["high_watermark"] > 0


def test_broker_in_use_is_not_unregistered(clients):
    java = clients("java")
    self = java.cluster()["controller"]
    for broker, code, words in ((self, 42, "is not drained and empty"), (self + 77, 102, "is not registered")):
        with pytest.raises(ClientError) as failure:
            java.admin(call="unregister", broker=broker)
        assert failure.value.code == code and words in failure.value.message


def test_metadata_quorum_command(tool):
    status = tool(TOOLS + "MetadataQuorumCommand", "describe", "--status")
    assert re.search(r"LeaderId:\s+[123]\b", status)
    voters = json.loads(re.search(r"CurrentVoters:\s+(\[.*\])", status).group(1))
    assert sorted(voter["id"] for voter in voters) == [1, 2, 3]
    lines = [line.split() for line in tool(TOOLS + "MetadataQuorumCommand", "describe", "--replication").splitlines()[1:]]
    assert sorted(line[0] for line in lines) == ["1", "2", "3"]
    assert sorted(line[-1] for line in lines) == ["Follower", "Follower", "Leader"]


def test_reassign_partitions_command(tool, broker, make_topic, tmp_path):
    topic = make_topic(partitions=2)
    topics, plan = tmp_path / "topics.json", tmp_path / "plan.json"
    topics.write_text(json.dumps({"version": 1, "topics": [{"topic": topic}]}))
    proposed = tool(TOOLS + "reassign.ReassignPartitionsCommand", "--generate", "--topics-to-move-json-file", str(topics),
                    "--broker-list", "1,2,3")
    assert "Proposed partition reassignment configuration" in proposed
    wanted = {0: [3, 1], 1: [2, 3]}
    plan.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": topic, "partition": p, "replicas": replicas} for p, replicas in wanted.items()]}))
    tool(TOOLS + "reassign.ReassignPartitionsCommand", "--execute", "--reassignment-json-file", str(plan))

    def done():
        said = tool(TOOLS + "reassign.ReassignPartitionsCommand", "--verify", "--reassignment-json-file", str(plan))
        return said.count("is completed") == 2

    eventually(done, "both partitions moved", SETTLE_SECONDS)
    assert {p: replicas for p, (_, replicas, _) in state(broker, topic).items()} == wanted


def test_leader_election_command(tool, broker, make_topic):
    topic = make_topic(partitions=3)
    tool(TOOLS + "LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")
    eventually(lambda: all(leader == replicas[0] for leader, replicas, _ in state(broker, topic).values()), "preferred leaders lead")


def test_under_replicated_partitions_are_listed(own_cluster, topic):
    """None; then those of a broker that was killed; none again when it is back."""
    own_cluster.create(topic, 3)

    def listed():
        done = subprocess.run(java_command(TOOLS + "TopicCommand", "--bootstrap-server", own_cluster.kafka, "--describe",
                                           "--under-replicated-partitions"), capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        return [line for line in done.stdout.splitlines() if topic in line]

    eventually(lambda: not listed(), "nothing is under-replicated")
    victim = own_cluster.broker(2)
    victim.kill()
    lines = eventually(lambda: len(listed()) == 3 and listed(), "all partitions of the killed broker", SETTLE_SECONDS)
    assert all(re.search(r"Isr: ([13]),([13])\b", line) for line in lines), lines
    victim.start()
    eventually(lambda: not listed(), "nothing is under-replicated again", SETTLE_SECONDS)


def test_every_broker_serves_every_partition_by_grpc(broker, make_topic):
    """Publish and Read at any broker's door reach the leaders, whoever they are."""
    topic = make_topic(partitions=3)
    doors = [GrpcClient(one.grpc) for one in broker.brokers]
    try:
        for n, door in enumerate(doors):
            results = door.produce(topic=topic, records=[record("by %d" % n, partition=p) for p in range(3)])["results"]
            assert [(r["partition"], r["offset"]) for r in results] == [(p, n) for p in range(3)]
        for door in doors:
            found = door.consume(topic=topic, count=9)["records"]
            assert sorted((r["partition"], r["offset"]) for r in found) == [(p, n) for p in range(3) for n in range(3)]
    finally:
        for door in doors:
            door.close()


def test_consumer_in_a_rack_reads_from_the_replica_there(topic, drivers, ours):
    """KIP-392: the leader sends it to a follower in the same rack, and that one serves it."""
    cluster = Cluster(3)
    for one in cluster.brokers:
        one.settings["broker.rack"] = "rack-%d" % one.node
    with cluster:
        cluster.create(topic, 1)
        leader = cluster.leader(topic, 0)
        near = next(one for one in cluster.brokers if one.node != leader.node)
        client = drivers("confluent", cluster.kafka)
        client.produce(topic=topic, records=[record(b"n" * 200, partition=0) for _ in range(50)])
        before = served_bytes(near)
        found = client.consume(topic=topic, count=50, partitions=[0], config={"client.rack": "rack-%d" % near.node})["records"]
        assert [r["offset"] for r in found] == list(range(50))
        eventually(lambda: served_bytes(near) > before + 50 * 200, "the follower in the rack served it")


def served_bytes(broker):
    """What the broker has answered to fetches, all its shards together."""
    lines = re.findall(r"^millrace_kafka_response_bytes_total\{(.*)\} (\S+)", "\n".join(broker.metrics()), re.M)
    return sum(float(value) for labels, value in lines if 'api="Fetch"' in labels)


def test_broker_that_is_back_leads_again(own_cluster, topic):
    """Leadership goes back to the preferred replica by itself, gently: nobody has to ask."""
    own_cluster.create(topic, 6)
    victim = own_cluster.broker(1)
    victim.kill()
    eventually(lambda: all(leader not in (1, -1) for leader, _, _ in state(own_cluster, topic).values()), "others lead")
    victim.start()
    started = time.monotonic()
    eventually(lambda: [leader for leader, _, _ in state(own_cluster, topic).values()].count(1) == 2, "it leads its share", SETTLE_SECONDS)
    print("led again after %.1f s" % (time.monotonic() - started))
