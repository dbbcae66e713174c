"""Groups through both doors: members on gRPC streams share with each other and with Kafka clients, and any tool sees them."""
import json
import subprocess
import time
import uuid

import confluent_kafka
import pytest

from harness.broker import Broker, binary
from harness.drivers import pack, record
from harness.grpc_client import GrpcClient
from harness.grpc_member import GrpcMember
from harness.waiting import eventually

pytestmark = pytest.mark.usefixtures("ours")


@pytest.fixture
def group():
    return "group-" + uuid.uuid4().hex[:8]


@pytest.fixture
def members(grpc_client):
    """members(group, topic, ...) makes a member; those still there at the end are ended."""
    made = []

    def make(group, topic, **join):
        made.append(GrpcMember(grpc_client, group, topic, **join))
        return made[-1]

    yield make
    for member in made:
        if member.reader.is_alive():
            member.die()


def describe(grpc_client, group):
    return grpc_client.call(grpc_client.admin.DescribeGroup, grpc_client.api.admin.DescribeGroupRequest(name=group))


def fill(grpc_client, topic, partitions, count=10, first=0):
    for partition in range(partitions):
        grpc_client.produce(topic=topic, records=[record("%d/%d" % (partition, n), partition=partition)
                                                  for n in range(first, first + count)])


class KafkaConsumer:
    """confluent-kafka as a member, polled until a condition holds."""

    def __init__(self, bootstrap, group, topic, protocol):
        settings = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                    "enable.auto.commit": False, "group.protocol": protocol}
        if protocol == "classic":
            settings["partition.assignment.strategy"] = "cooperative-sticky"
        self.consumer = confluent_kafka.Consumer(settings)
        self.seen = []
        self.consumer.subscribe([topic])

    def until(self, condition, what, seconds=60):
        end = time.monotonic() + seconds
        while not condition(self):
            message = self.consumer.poll(0.1)
            if message is not None and not message.error():
                self.seen.append((message.topic(), message.partition(), message.offset(), pack(message.value())))
            assert time.monotonic() < end, "not within %d s: %s" % (seconds, what)

    def partitions(self):
        return {(p.topic, p.partition) for p in self.consumer.assignment()}

    def close(self):
        self.consumer.close()


def test_two_share_and_one_dies(grpc_client, make_topic, members, group):
    topic = make_topic(partitions=4)
    first = members(group, topic)
    first.until(lambda m: len(m.assigned) == 4, "the first has all")
    second = members(group, topic)
    first.until(lambda m: len(m.assigned) == 2, "the first gives half")
    second.until(lambda m: len(m.assigned) == 2, "the second gets half")
    assert not set(first.assigned) & set(second.assigned)
    fill(grpc_client, topic, 4)
    first.until(lambda m: len(m.records) == 20, "its half of the records")
    second.until(lambda m: len(m.records) == 20, "its half of the records")
    assert not set(first.records) & set(second.records)
    assert {m.client_id for m in describe(grpc_client, group).members} == {"grpc-member"}
    second.die()
    first.until(lambda m: len(m.assigned) == 4, "it gets the half of the dead one")
    eventually(lambda: len(describe(grpc_client, group).members) == 1, "the dead one is gone")


def test_what_was_committed_does_not_come_again(grpc_client, make_topic, members, group):
    topic = make_topic(partitions=2)
    fill(grpc_client, topic, 2)
    first = members(group, topic)
    first.until(lambda m: len(m.records) == 20, "all records")
    first.commit([(topic, 0, 10), (topic, 1, 4)])
    assert not any(r.error for r in first.committed[0].results)
    first.die()
    second = members(group, topic)
    second.until(lambda m: len(m.records) == 6, "what was not committed")
    assert sorted(r[1:3] for r in second.records) == [(1, n) for n in range(4, 10)]


def test_commits_by_itself_what_credit_came_back_for(grpc_client, make_topic, members, group):
    topic = make_topic()
    fill(grpc_client, topic, 1)
    first = members(group, topic, auto_commit_ms=3_600_000)
    first.until(lambda m: len(m.records) == 10, "all records")
    first.leave()
    rows = describe(grpc_client, group).partitions
    assert [(r.partition, r.committed_offset, r.lag) for r in rows] == [(0, 10, 0)]


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_mixed_with_a_kafka_consumer(grpc_client, bootstrap, make_topic, members, group, protocol):
    """A stream and a Kafka client in one group: each has its half, and takes the other's when it goes."""
    topic = make_topic(partitions=4)
    stream = members(group, topic)
    stream.until(lambda m: len(m.assigned) == 4, "the stream has all")
    kafka = KafkaConsumer(bootstrap, group, topic, protocol)
    try:
        kafka.until(lambda k: len(k.partitions()) == 2, "the Kafka client gets half")
        stream.until(lambda m: len(m.assigned) == 2, "the stream gives half")
        assert not kafka.partitions() & set(stream.assigned)
        fill(grpc_client, topic, 4)
        stream.until(lambda m: len(m.records) == 20, "its half of the records")
        kafka.until(lambda k: len(k.seen) == 20, "its half of the records")
        assert not set(stream.records) & set(kafka.seen)
        stream.commit([(t, p, 10) for t, p in stream.assigned])
        kafka.consumer.commit(asynchronous=False)
        stream.leave()
        kafka.until(lambda k: len(k.partitions()) == 4, "the Kafka client has all")
        fill(grpc_client, topic, 4, count=5, first=10)
        kafka.until(lambda k: len(k.seen) == 40, "new records of all, and none again")
        assert len(set(kafka.seen)) == 40
    finally:
        kafka.close()


def test_offsets_are_the_same_at_both_doors(grpc_client, bootstrap, make_topic, members, group):
    topic = make_topic()
    fill(grpc_client, topic, 1)
    stream = members(group, topic)
    stream.until(lambda m: len(m.records) == 10, "all records")
    stream.commit([(topic, 0, 6)])
    stream.leave()
    kafka = KafkaConsumer(bootstrap, group, topic, "classic")
    try:
        held = kafka.consumer.committed([confluent_kafka.TopicPartition(topic, 0)], timeout=20)
        assert held[0].offset == 6
        kafka.until(lambda k: len(k.seen) == 4, "the rest")
        kafka.consumer.commit(asynchronous=False)
    finally:
        kafka.close()
    assert describe(grpc_client, group).partitions[0].committed_offset == 10


def test_kafka_admin_sees_members_on_streams(grpc_client, bootstrap, make_topic, members, group):
    topic = make_topic(partitions=2)
    stream = members(group, topic, instance_id="till-1")
    stream.until(lambda m: len(m.assigned) == 2, "all partitions")
    from confluent_kafka.admin import AdminClient
    admin = AdminClient({"bootstrap.servers": bootstrap})
    assert group in {g.group_id for g in admin.list_consumer_groups(request_timeout=20).result().valid}
    described = admin.describe_consumer_groups([group], request_timeout=20)[group].result()
    assert [(m.client_id, m.group_instance_id) for m in described.members] == [("grpc-member", "till-1")]
    assert {(p.topic, p.partition) for p in described.members[0].assignment.topic_partitions} == set(stream.assigned)


def test_members_go_on_after_kill_9_of_the_broker():
    """The stream ends with UNAVAILABLE; who joins again gets what was committed, and no place is lost.

    A broker that was killed could not say that its streams are gone: their partitions are free after a session."""
    with Broker(group__consumer__session__timeout__ms=3000, group__consumer__heartbeat__interval__ms=500) as broker:
        broker.keep_ports()
        client = GrpcClient(broker.grpc)
        client.create_topic(topic="orders", partitions=2)
        fill(client, "orders", 2)
        member = GrpcMember(client, "till", "orders")
        member.until(lambda m: len(m.records) == 20, "all records")
        member.commit([("orders", 0, 7), ("orders", 1, 10)])
        broker.kill()
        member.reader.join(60)
        assert not member.reader.is_alive() and member.failure.code().name == "UNAVAILABLE"
        client.close()
        broker.start()
        client = GrpcClient(broker.grpc)
        again = GrpcMember(client, "till", "orders")
        again.until(lambda m: len(m.records) == 3, "what was not committed")
        assert again.assigned == {("orders", 0): 7, ("orders", 1): 10}
        again.leave()
        client.close()


def millctl(broker, *arguments):
    done = subprocess.run([binary("millctl"), "--broker", broker.grpc, *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_millctl_shows_rewinds_and_deletes(grpc_client, broker, make_topic, members, group):
    topic = make_topic()
    fill(grpc_client, topic, 1)
    stream = members(group, topic)
    stream.until(lambda m: len(m.records) == 10, "all records")
    stream.commit([(topic, 0, 10)])
    code, out, _ = millctl(broker, "group", "describe", group)
    assert code == 0 and "grpc-member" in out and "consumer" in out
    code, _, err = millctl(broker, "group", "reset-offsets", group, "--topic", topic, "--to", "earliest")
    assert code == 1 and "stop" in err
    stream.leave()
    for to, after in (("earliest", 0), ("latest", 10), ("7", 7), ("@0", 0), ("@4102444800000", 10)):
        code, out, _ = millctl(broker, "group", "reset-offsets", group, "--topic", topic, "--to", to, "--dry-run", "-o", "json")
        assert code == 0 and [(row["before"], row["after"]) for row in json.loads(out)] == [(10, after)], to
    code, out, _ = millctl(broker, "group", "reset-offsets", group, "--all-topics", "--shift-by", "-4", "--dry-run")
    assert code == 0 and " 6 " in out and "dry run" in out
    assert describe(grpc_client, group).partitions[0].committed_offset == 10
    assert millctl(broker, "group", "reset-offsets", group, "--topic", topic + ":0", "--to", "3")[0] == 0
    code, out, _ = millctl(broker, "why", group)
    assert code == 5 and "7 record(s) wait" in out and "[no-members]" in out
    code, out, _ = millctl(broker, "consume", topic, "--group", group, "--max", "5")
    assert code == 0 and out.split() == ["0/%d" % n for n in range(3, 8)]
    assert describe(grpc_client, group).partitions[0].committed_offset == 8
    assert group in millctl(broker, "group", "list")[1]
    assert millctl(broker, "group", "delete", group)[0] == 0
    assert millctl(broker, "group", "describe", group)[0] == 3
    assert millctl(broker, "doctor")[0] == 5
