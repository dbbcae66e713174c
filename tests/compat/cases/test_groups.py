"""Every client as a member of groups: shares, leaving, dying, resuming; mixed groups; both protocols (A09, A10, C51)."""
import struct
import time
import uuid

import pytest

from harness import wire
from harness.broker import Broker
from harness.drivers import ClientError, Driver, record
from harness.groups import KINDS, SESSION_MS, Gang, Member
from harness.waiting import eventually

CONSUMER_PROTOCOL = ["confluent_consumer", "java_consumer"]
# How much later than the session timeout a dead member's partitions may be served: a heartbeat, a rebalance, a busy machine.
SLACK_SECONDS = 12


@pytest.fixture
def make_gang(clients, make_topic, topic):
    gangs = []

    def make(partitions=4, group=None):
        if not gangs:
            make_topic(partitions=partitions)
        gangs.append(Gang(clients("confluent"), group or topic, topic, partitions))
        return gangs[-1]

    yield make
    for gang in gangs:
        gang.close()


def has_all(gang, member):
    return lambda shares: shares[member.name] == set(gang.partitions)


@pytest.mark.parametrize("kind", KINDS)
def test_members_share_leave_and_resume(make_gang, kind):
    """Two share, the one that stays takes over, and who comes back starts behind the last commit."""
    gang = make_gang()
    first = gang.join(kind)
    gang.settle(has_all(gang, first))
    second = gang.join(kind)
    gang.settle()
    gang.leave(first)
    gang.settle(has_all(gang, second))
    gang.await_commits()
    gang.leave(second)
    while_away = gang.write()
    third = gang.join(kind)
    gang.await_seen(while_away)
    gang.await_commits()
    assert {one for one, names in gang.seen.items() if third.name in names} == while_away


@pytest.mark.parametrize("kind", KINDS)
def test_partitions_of_a_killed_member_move(make_gang, kind):
    gang = make_gang()
    first, second = gang.join(kind), gang.join(kind)
    gang.settle()
    gang.kill(first)
    died = time.monotonic()
    gang.settle(has_all(gang, second))
    assert time.monotonic() - died < SESSION_MS / 1000 + SLACK_SECONDS


def test_every_group_gets_everything(make_gang):
    """One group of each client, all on one topic."""
    gangs = [make_gang(group="%s-%s" % (kind, uuid.uuid4().hex[:8])) for kind in KINDS]
    for gang, kind in zip(gangs, KINDS):
        gang.join(kind)
    written = gangs[0].write() | gangs[0].write()
    for gang in gangs:
        gang.await_seen(written)
        assert set(gang.seen) == written


def test_each_service_gets_each_order_once(make_gang):
    """A10: payment, inventory and notification are groups of their own, one of them with two members; nothing fails."""
    services = [make_gang(group=name + uuid.uuid4().hex[:8]) for name in ("payment-", "inventory-", "notification-")]
    for service, kinds in zip(services, [("confluent",), ("java", "java"), ("kafka_python_3",)]):
        for kind in kinds:
            service.join(kind)
        service.settle()  # rebalances end here: what is written from now on comes once
        service.await_commits()
    orders = set().union(*(services[0].write() for _ in range(5)))
    for service in services:
        service.await_seen(orders)
        service.collect()
        assert {order: len(service.seen[order]) for order in orders} == dict.fromkeys(orders, 1), service.group


def test_clients_of_all_kinds_in_one_group(make_gang):
    """What they have in common is the range assignor; whoever is the leader assigns for all.

    Not kafka-go and kafkajs: other leaders do not find a topic in what kafka-go 0.4.47 subscribes with, against Apache Kafka as
    well, and kafkajs has no range.
    """
    gang = make_gang(partitions=5)
    for kind in ("java", "confluent", "kafka_python_3", "kafka_python_2", "aiokafka"):
        gang.join(kind, assignor="range")
    shares = gang.settle()
    assert sorted(len(share) for share in shares.values()) == [1] * 5
    gang.kill(gang.members[0])
    gang.leave(gang.members[1])
    gang.settle(lambda shares: sum(len(shares[member.name]) for member in gang.members) == 5)


@pytest.mark.parametrize("kinds", [("java", "java"), ("confluent", "confluent"), ("java", "confluent"), ("confluent", "java"),
                                   ("kafka_python_3", "kafka_python_3")], ids="-".join)
def test_cooperative_sticky_revokes_only_what_moves(make_gang, kinds):
    gang = make_gang()
    first = gang.join(kinds[0], assignor="cooperative-sticky")
    gang.settle(has_all(gang, first))
    gang.join(kinds[1], assignor="cooperative-sticky")
    _only_what_moved_was_revoked(gang, first)


@pytest.mark.parametrize("assignor", ["uniform", "range"])
@pytest.mark.parametrize("kind", CONSUMER_PROTOCOL)
def test_consumer_protocol_revokes_only_what_moves(make_gang, kind, assignor):
    gang = make_gang()
    first = gang.join(kind, assignor=assignor)
    gang.settle(has_all(gang, first))
    gang.join(kind, assignor=assignor)
    _only_what_moved_was_revoked(gang, first)


def _only_what_moved_was_revoked(gang, first):
    # Until then the first may still hand out what it had fetched before it gave a partition up.
    shares = gang.settle(lambda shares: [len(share) for share in shares.values()] == [2, 2])
    assert sorted(first.last["revoked"]) == sorted(set(gang.partitions) - shares[first.name])


@pytest.mark.parametrize("kind", ["java", "confluent", "kafka_python_3", "aiokafka", "java_consumer", "confluent_consumer"])
def test_static_member_returns_without_a_rebalance(make_gang, kind):
    _static_member_returns(make_gang(), kind, Gang.leave)


@pytest.mark.parametrize("kind", ["java", "confluent"])
def test_killed_static_member_returns_without_a_rebalance(make_gang, kind):
    """In the consumer protocol a killed static member has to wait for its session: the instance is not released."""
    _static_member_returns(make_gang(), kind, Gang.kill)


def _static_member_returns(gang, kind, go):
    first = gang.join(kind, instance="one", session_ms=30000)
    second = gang.join(kind, instance="two", session_ms=30000)
    before = gang.settle()
    gang.collect()
    assignments = second.last["assignments"]
    go(gang, first)
    back = gang.join(kind, instance="one", session_ms=30000)
    after = gang.settle()
    assert after[back.name] == before[first.name]
    assert after[second.name] == before[second.name]
    assert second.last["assignments"] == assignments and second.last["revoked"] == []


def test_group_moves_between_the_protocols_while_it_runs(make_gang, clients):
    """Classic, then mixed, then consumer, then back: nobody stops, every record is seen."""
    gang = make_gang()

    def kind_of_group():
        return clients("java").describe_group(group=gang.group)["type"]

    old = gang.join("java")
    gang.settle()
    assert kind_of_group() == "Classic"
    new = gang.join("java_consumer")
    gang.settle()
    assert kind_of_group() == "Consumer"
    gang.leave(old)
    other = gang.join("java_consumer")
    gang.settle()
    back = gang.join("java")
    gang.settle()
    gang.leave(new)
    gang.leave(other)
    gang.settle(has_all(gang, back))
    assert kind_of_group() == "Classic"
    gang.await_commits()


@pytest.mark.parametrize("kind,pattern", [("java_consumer", "%s-.*"), ("confluent_consumer", "^%s-.*"), ("confluent", "^%s-.*")])
def test_topics_by_pattern_that_come_later(clients, topic, kind, pattern):
    """The consumer protocol leaves the matching to the broker, the classic one to the client."""
    writer = clients("confluent")
    member = Member(kind, writer.bootstrap, topic, topic, pattern=pattern % topic)
    try:
        seen = []
        for name in (topic + "-a", topic + "-b"):
            writer.create_topic(topic=name, partitions=1, replication=1)
            writer.produce(topic=name, records=[record(name, partition=0)])
            wanted = len(seen) + 1
            eventually(lambda: seen.extend(member.take()) or len(seen) >= wanted, "the record of " + name, 40)
        assert seen == [(0, 0), (0, 0)]
    finally:
        member.kill()


@pytest.fixture
def own_broker(ours):
    """A broker that the test may kill; it starts again on its ports."""
    with Broker(group__initial__rebalance__delay__ms=100, group__consumer__heartbeat__interval__ms=1000) as broker:
        broker.keep_ports()
        yield broker


REBALANCING = {"PREPARING_REBALANCE", "COMPLETING_REBALANCE", "ASSIGNING", "RECONCILING"}


@pytest.mark.parametrize("kinds", [("java", "confluent"), ("java_consumer", "confluent_consumer")], ids="-".join)
def test_broker_killed_in_the_middle_of_a_rebalance(own_broker, topic, kinds):
    """No acknowledged commit is lost, and the group goes on by itself."""
    writer, watcher = Driver("confluent", own_broker.kafka), Driver("java", own_broker.kafka)
    writer.create_topic(topic=topic, partitions=6, replication=1)
    gang = Gang(writer, topic, topic, 6)
    try:
        gang.join(kinds[0])
        gang.settle()
        for kind in (kinds[1], kinds[0]):
            gang.await_commits()
            with gang.members[0].stopped():  # else the rebalance may be over before anybody could see it
                gang.join(kind)
                eventually(lambda: watcher.describe_group(group=topic)["state"] in REBALANCING, "a rebalance", pause=0)
                own_broker.kill()
            gang.collect()
            acknowledged = dict(gang.committed)
            own_broker.start()
            after = eventually(lambda: watcher.group_offsets(group=topic, topic=topic)["offsets"], "offsets after the restart", 60,
                               refusals=ClientError)
            after = {int(p): at for p, at in after.items()}
            assert {p: at for p, at in acknowledged.items() if after.get(p, -1) < at} == {}
            gang.settle()
    finally:
        gang.close()
        writer.close()
        watcher.close()


CLOSE_SECONDS = 20


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_closing_does_not_hang_when_the_broker_goes(own_broker, topic, how):
    """C51: librdkafka's close(), on which Confluent's .NET, Go and Python clients stand, in the middle of a rebalance."""
    writer = Driver("confluent", own_broker.kafka)
    writer.create_topic(topic=topic, partitions=2, replication=1)
    members = []
    try:
        for kind in ("confluent", "confluent_consumer"):
            first = Member(kind, own_broker.kafka, topic + kind, topic)
            members.append(first)
            eventually(lambda first=first: first.take() or first.last["assigned"], "the first has its partitions", 60)
            members.append(Member(kind, own_broker.kafka, topic + kind, topic))
        if how == "stop":
            own_broker.stop()
        else:
            own_broker.kill()
        for member in members:
            started = time.monotonic()
            member.driver.group_stop()
            assert time.monotonic() - started < CLOSE_SECONDS, member.name
    finally:
        for member in members:
            member.kill()
        writer.close()


COMMITS, COMMIT_PARTITIONS = 1000, 1000
STARTS = 3


def test_consumer_starts_fast_after_a_million_committed_offsets(own_broker, topic):
    """The broker restarts in between, so the million comes out of the log. Other work on the machine only adds: the best counts."""
    writer = Driver("confluent", own_broker.kafka)
    try:
        writer.create_topic(topic=topic, partitions=COMMIT_PARTITIONS, replication=1)
        for partition in range(0, COMMIT_PARTITIONS, 100):
            writer.produce(topic=topic, records=[record("at %d" % partition, partition=partition)])
        _commit_a_million(own_broker.kafka, topic)
        own_broker.stop()
        own_broker.start()
        assert own_broker.start_seconds < 5
        assert min(_seconds_to_first_record(own_broker, writer, topic) for _ in range(STARTS)) < 1
    finally:
        writer.close()


def _commit_a_million(bootstrap, group):
    """A thousand commits of a thousand partitions each, at offset 0."""
    partitions = b"".join(struct.pack(">iqh", p, 0, -1) for p in range(COMMIT_PARTITIONS))
    body = wire.string(group) + struct.pack(">i", -1) + wire.string("") + struct.pack(">qi", -1, 1)
    body += wire.string(group) + struct.pack(">i", COMMIT_PARTITIONS) + partitions
    with wire.Connection(bootstrap, seconds=60) as connection:
        found = wire.header(wire.FIND_COORDINATOR, 0) + wire.string(group)
        eventually(lambda: struct.unpack_from(">h", connection.ask(found), 4)[0] == 0, "the group has a coordinator")
        for _ in range(COMMITS):
            answer = connection.ask(wire.header(wire.OFFSET_COMMIT, 2) + body)
            errors = struct.iter_unpack(">ih", answer[4 + 4 + 2 + len(group) + 4:])
            assert {error for _, error in errors} == {0}


def _seconds_to_first_record(broker, writer, topic):
    """From the start of a member whose process is there already; it leaves without a commit, so the next one reads the same."""
    member = Driver("confluent", broker.kafka)
    try:
        started = time.monotonic()
        member.group_start(group=topic, topic=topic, member={"commits": False})
        eventually(lambda: member.group_take()["records"], "a record", pause=0.01)
        seconds = time.monotonic() - started
        member.group_stop()
        return seconds
    finally:
        member.close()
