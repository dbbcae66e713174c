"""What admin tools and user interfaces ask about groups: of each client, and of Kafka's own command (A22, A27, A33, A34)."""
import re

import pytest

from harness.drivers import ClientError, record
from harness.groups import Member
from harness.waiting import eventually

COMMAND = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
ADMINS = ["kafka_python_2", "kafka_python_3", "confluent", "aiokafka", "kafkajs", "kafka_go", "java"]
RECORDS = 10
AT = {"0": 2, "1": RECORDS}
UNKNOWN_MEMBER_ID, NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND, GROUP_SUBSCRIBED_TO_TOPIC = 25, 68, 69, 86


@pytest.fixture(params=ADMINS)
def admin(request, clients):
    return clients(request.param)


@pytest.fixture
def group(clients, make_topic):
    """A group without members that has offsets in two of three partitions; its name is that of its topic."""
    name = make_topic(partitions=3)
    clients("confluent").produce(
        topic=name, records=[record("n%d" % n, partition=p, timestamp=1700000000000 + n) for p in range(3) for n in range(RECORDS)])
    clients("java").alter_offsets(group=name, topic=name, offsets=AT)
    return name


@pytest.fixture
def member(group, bootstrap):
    """A member that has consumed everything and stays."""
    one = Member("java", bootstrap, group, group, instance="desk")
    await_all_consumed(one)
    yield one
    one.kill()


def await_all_consumed(member):
    eventually(lambda: member.take() or len(member.committed) == 3, "the member has its partitions", seconds=60)


def plain(state):
    """PREPARING_REBALANCE, PreparingRebalance and preparing-rebalance are the same."""
    return re.sub(r"[^a-z]", "", state.lower())


def offsets(admin, group):
    return admin.group_offsets(group=group, topic=group)["offsets"]


def test_group_is_listed_and_described(admin, group):
    assert group in admin.list_groups()["groups"]
    found = admin.describe_group(group=group)
    assert (plain(found["state"]), found["members"]) == ("empty", 0)


def test_group_with_a_member_is_described(admin, bootstrap, group):
    # kafka-go 0.4.47 cannot read what newer clients tell their group: extra bytes at the end are an error to it.
    member = Member("kafka_python_2" if admin.name == "kafka_go" else "java", bootstrap, group, group)
    try:
        await_all_consumed(member)
        found = admin.describe_group(group=group)
        assert (plain(found["state"]), found["members"]) == ("stable", 1)
    finally:
        member.kill()


def test_offsets_are_told(admin, group):
    assert offsets(admin, group) == AT


def test_offsets_are_altered(admin, group):
    admin.alter_offsets(group=group, topic=group, offsets={"0": 7, "2": 1})
    assert offsets(admin, group) == {"0": 7, "1": RECORDS, "2": 1}


def test_group_is_deleted(admin, clients, group):
    admin.delete_group(group=group)
    assert group not in clients("java").list_groups()["groups"]
    assert offsets(clients("java"), group) == {}


def test_offsets_are_deleted(admin, clients, group):
    admin.delete_offsets(group=group, topic=group, partitions=[0, 1, 2])
    assert offsets(clients("java"), group) == {}


@pytest.mark.parametrize("name", ["java", "confluent", "kafka_python_3"])
def test_what_a_living_group_refuses(clients, member, group, name):
    with pytest.raises(ClientError) as refused:
        clients(name).delete_group(group=group)
    assert refused.value.code == NON_EMPTY_GROUP
    with pytest.raises(ClientError) as refused:
        clients(name).alter_offsets(group=group, topic=group, offsets={"0": 0})
    assert refused.value.code == UNKNOWN_MEMBER_ID
    with pytest.raises(ClientError) as refused:
        clients("java").delete_offsets(group=group, topic=group, partitions=[0])
    assert refused.value.code == GROUP_SUBSCRIBED_TO_TOPIC


def test_a_group_that_is_not_there(clients, topic):
    for name in ("java", "confluent"):
        with pytest.raises(ClientError) as refused:
            clients(name).delete_group(group=topic)
        assert refused.value.code == GROUP_ID_NOT_FOUND
    assert offsets(clients("java"), topic) == {}


def test_filters_of_the_list(clients, bootstrap, member, group):
    java = clients("java")
    assert java.list_groups_by()["groups"][group] == ["Classic", "Stable"]
    assert group in java.list_groups_by(types=["Classic"], states=["Stable"])["groups"]
    assert group not in java.list_groups_by(types=["Consumer"])["groups"]
    assert group not in java.list_groups_by(states=["Empty"])["groups"]


def test_members_are_told_in_full(clients, member, group):
    found = clients("java").describe_group(group=group)
    assert (found["type"], found["assignor"], len(found["each"])) == ("Classic", "range", 1)
    one = found["each"][0]
    assert one["assigned"] == [0, 1, 2] and one["instance"] == "desk" and one["host"] and one["client"] and one["id"]


def test_members_of_the_consumer_protocol_are_told_in_full(clients, bootstrap, group):
    one = Member("java_consumer", bootstrap, group, group)
    try:
        await_all_consumed(one)
        found = clients("java").describe_group(group=group)
        assert (found["type"], found["assignor"], found["state"]) == ("Consumer", "uniform", "STABLE")
        assert found["each"][0]["assigned"] == [0, 1, 2]
        assert clients("java").list_groups_by(types=["Consumer"])["groups"][group] == ["Consumer", "Stable"]
    finally:
        one.kill()


def test_offsets_of_many_groups_in_one_call(clients, group):
    java = clients("java")
    other = group + "-other"
    java.alter_offsets(group=other, topic=group, offsets={"2": 3})
    assert java.offsets_of_groups(groups=[group, other, group + "-none"], topic=group)["groups"] == {
        group: AT, other: {"2": 3}, group + "-none": {}}


def test_a_static_member_is_removed(clients, member, group):
    member.driver.group_stop()  # leaves as a static member does: its seat stays
    assert clients("java").describe_group(group=group)["members"] == 1
    clients("java").remove_member(group=group, instance="desk")
    assert clients("java").describe_group(group=group)["members"] == 0


def test_command_lists(tool, group):
    assert group in tool(COMMAND, "--list").split()
    rows = [line.split() for line in tool(COMMAND, "--list", "--state", "--type").splitlines()]
    assert [group, "Classic", "Empty"] in rows or [group, "Empty", "Classic"] in rows or \
        any(row[:1] == [group] and {"Classic", "Empty"} <= set(row) for row in rows)
    assert group not in tool(COMMAND, "--list", "--state", "stable").split()


def table(printed, group):
    """{partition: (current, end, lag)} as the command prints it; "-" is None."""
    rows = [line.split() for line in printed.splitlines() if line.startswith(group)]
    number = {"-": None}
    return {int(row[2]): tuple(number[cell] if cell in number else int(cell) for cell in row[3:6]) for row in rows}


def test_command_describes_offsets_and_lag(tool, group):
    found = table(tool(COMMAND, "--describe", "--group", group), group)
    assert found[0] == (2, RECORDS, RECORDS - 2) and found[1] == (RECORDS, RECORDS, 0)


def test_command_describes_members_and_state(tool, member, group):
    printed = tool(COMMAND, "--describe", "--group", group)
    assert table(printed, group) == {p: (RECORDS, RECORDS, 0) for p in range(3)}
    members = [line.split() for line in tool(COMMAND, "--describe", "--group", group, "--members", "--verbose").splitlines()
               if line.startswith(group)]
    assert len(members) == 1 and "desk" in members[0] and any(group in cell for cell in members[0][1:])
    state = next(line for line in tool(COMMAND, "--describe", "--group", group, "--state").splitlines() if line.startswith(group))
    assert re.search(r"range\s+Stable\s+1$", state.strip()), state


@pytest.mark.parametrize("to,expected", [
    (("--to-earliest",), 0), (("--to-latest",), RECORDS), (("--to-offset", "4"), 4), (("--shift-by", "-1"), None),
    (("--to-datetime", "2023-11-14T22:13:20.003"), 3), (("--to-current",), None)], ids=lambda value: str(value))
def test_command_resets_offsets(tool, clients, group, to, expected):
    clients("java").alter_offsets(group=group, topic=group, offsets={"0": 2, "1": 5, "2": 9})
    before = {"0": 2, "1": 5, "2": 9}
    moved = before if to[0] == "--to-current" else {p: at - 1 for p, at in before.items()} if expected is None else \
        {p: expected for p in before}
    reset = ("--reset-offsets", "--group", group, "--topic", group, *to)
    planned = tool(COMMAND, *reset, "--dry-run")
    assert offsets(clients("java"), group) == before
    rows = {row[2]: int(row[3]) for row in (line.split() for line in planned.splitlines()) if row[:2] == [group, group]}
    assert rows == moved
    tool(COMMAND, *reset, "--execute")
    assert offsets(clients("java"), group) == moved


def test_command_deletes_offsets_and_groups(tool, clients, group):
    tool(COMMAND, "--delete-offsets", "--group", group, "--topic", group + ":0")
    assert offsets(clients("java"), group) == {"1": RECORDS}
    assert "successful" in tool(COMMAND, "--delete", "--group", group)
    assert group not in tool(COMMAND, "--list").split()


def test_command_refuses_to_reset_a_living_group(tool, clients, member, group):
    _, printed = tool(COMMAND, "--reset-offsets", "--group", group, "--topic", group, "--to-earliest", "--execute", check=False)
    assert "current state is Stable" in printed
    assert offsets(clients("java"), group) == {str(p): RECORDS for p in range(3)}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_console_consumer_goes_on_where_its_group_stopped(tool, topic, protocol):
    consumer = ("org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", topic, "--group", topic, "--timeout-ms", "30000",
                "--command-property", "auto.offset.reset=earliest", "--command-property", "group.protocol=" + protocol)
    producer = "org.apache.kafka.tools.ConsoleProducer"
    tool(producer, "--topic", topic, stdin="one\ntwo\n")
    assert tool(*consumer, "--max-messages", "2") == "one\ntwo\n"
    tool(producer, "--topic", topic, stdin="three\n")
    assert tool(*consumer, "--max-messages", "1") == "three\n"
