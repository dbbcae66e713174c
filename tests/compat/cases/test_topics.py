"""Topics by every admin client: create, list, grow, settings, delete, again under the same name (A05, A07, A20, A80, A81)."""
import pytest

from harness.drivers import ClientError, record
from harness.waiting import eventually

TOPIC_ALREADY_EXISTS, INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR, INVALID_TOPIC = 36, 37, 38, 17
UNKNOWN_TOPIC, INVALID_CONFIG, RECORD_TOO_LARGE, POLICY_VIOLATION, INVALID_REQUEST = 3, 40, 10, 44, 42
ADMINS = ["kafka_python_2", "kafka_python_3", "confluent", "aiokafka", "kafkajs", "kafka_go", "java"]


@pytest.fixture(params=ADMINS)
def admin(request, clients):
    return clients(request.param)


def listed(admin, topic):
    return topic in admin.list_topics()["topics"]


def partitions(clients, topic):
    return len(clients("java").describe_topic(topic=topic)["partitions"])


def test_create_list_delete(admin, clients, topic):
    admin.create_topic(topic=topic, partitions=3, replication=1, config={"retention.ms": "60000"})
    eventually(lambda: listed(admin, topic), "the topic is listed")
    eventually(lambda: partitions(clients, topic) == 3, "Kafka's own client sees it", refusals=(ClientError,))
    config = lambda: clients("java").get_config(topic=topic)["config"]  # noqa: E731
    eventually(lambda: config()["retention.ms"] == "60000", "its setting is told", refusals=(ClientError,))
    admin.delete_topic(topic=topic)
    eventually(lambda: not listed(admin, topic), "the topic is gone")


def test_create_again_is_an_error(admin, topic):
    admin.create_topic(topic=topic, partitions=1, replication=1)
    with pytest.raises(ClientError) as failure:
        admin.create_topic(topic=topic, partitions=1, replication=1)
    assert failure.value.code == TOPIC_ALREADY_EXISTS


def test_delete_unknown_is_an_error(admin, topic):
    with pytest.raises(ClientError) as failure:
        admin.delete_topic(topic=topic)
    assert failure.value.code == UNKNOWN_TOPIC


def test_defaults_of_the_cluster(clients, topic):
    """Without numbers the broker's defaults apply (A43)."""
    clients("java").create_topic(topic=topic)
    found = eventually(lambda: clients("java").describe_topic(topic=topic), "the topic is described")["partitions"]
    assert [p["replicas"] for p in found] == [1]
    assert found[0]["in_sync"] == 1


@pytest.mark.parametrize("arguments, code, words", [
    (dict(partitions=0), INVALID_PARTITIONS, "partitions"),
    (dict(partitions=-5), INVALID_PARTITIONS, ""),
    (dict(partitions=1, replication=5), INVALID_REPLICATION_FACTOR, "replication factor"),
    (dict(partitions=1, config={"no.such.config": "1"}), INVALID_CONFIG, "no.such.config"),
    (dict(partitions=1, config={"retention.ms": "soon"}), INVALID_CONFIG, "retention.ms"),
    (dict(partitions=1, config={"cleanup.policy": "burn"}), INVALID_CONFIG, "cleanup.policy"),
])
def test_wrong_requests_are_refused_with_reason(clients, topic, arguments, code, words):
    with pytest.raises(ClientError) as failure:
        clients("java").create_topic(topic=topic, **arguments)
    assert failure.value.code == code
    assert words.lower() in failure.value.message.lower()
    assert not listed(clients("java"), topic)


@pytest.mark.parametrize("name", ["", ".", "..", "with space", "slash/es", "x" * 250])
def test_wrong_names_are_refused(clients, name):
    with pytest.raises(ClientError) as failure:
        clients("confluent").create_topic(topic=name, partitions=1, replication=1)
    assert failure.value.code in (INVALID_TOPIC, -186)  # -186: librdkafka refuses it itself
    assert failure.value.message


def test_validate_only_creates_nothing(client, topic):
    if client.name == "kafka_python_2":
        pytest.skip("kafka-python 2.0.2 does not send the flag with the answer checked")
    client.create_topic(topic=topic, partitions=1, replication=1, validate_only=True)
    assert not listed(client, topic)
    with pytest.raises(ClientError):
        client.create_topic(topic=topic, partitions=0 if client.name == "java" else -7, replication=1, validate_only=True)


def test_deleted_and_made_again_is_another_topic(clients, make_topic):
    """Same name, new id, no old records, offsets from 0."""
    topic = make_topic(partitions=2)
    java = clients("java")
    for name in ("java", "confluent", "kafka_python_3"):
        clients(name).produce(topic=topic, records=[record("old", partition=0)])
    first = java.describe_topic(topic=topic)["topic_id"]
    java.delete_topic(topic=topic)
    eventually(lambda: not listed(java, topic), "the topic is gone")
    make_topic(partitions=1)
    described = eventually(lambda: java.describe_topic(topic=topic), "the topic is back")
    assert described["topic_id"] != first
    assert len(described["partitions"]) == 1
    for at, name in enumerate(("java", "confluent", "kafka_python_3")):
        assert clients(name).offsets(topic=topic) == {"earliest": 0, "latest": at}
        clients(name).produce(topic=topic, records=[record("new", partition=0)])
    values = [r["value"] for r in clients("java").consume(topic=topic, count=3)["records"]]
    assert values == [record("new")["value"]] * 3


def test_producing_to_no_topic_makes_it(client, topic):
    """auto.create.topics.enable is on, as in Kafka: what the tutorials rely on (A30)."""
    if client.name == "kafka_go":
        eventually(lambda: _produced(client, topic), "kafka-go, which does not wait for a new topic, has produced")
    else:
        client.produce(topic=topic, records=[record('{"order_id": 1}')])
    assert listed(client, topic)


def _produced(client, topic):
    try:
        client.produce(topic=topic, records=[record('{"order_id": 1}')])
        return True
    except ClientError as failure:
        assert failure.code in (UNKNOWN_TOPIC, 5), failure  # LEADER_NOT_AVAILABLE while it is being made
        return False


@pytest.mark.parametrize("name", ["kafka_python_2", "kafka_python_3", "confluent", "java"])
def test_more_partitions_live(clients, make_topic, name):
    """A producer that runs already writes to the new partitions, without a restart (A07)."""
    topic = make_topic(partitions=1)
    assert clients(name).watch_start(topic=topic)["partitions"] == 1
    clients("java").create_partitions(topic=topic, total=4)
    found = clients(name).call("watch_wait", topic=topic, partitions=4)
    assert found["partition"] == 3 and found["offset"] == 0
    eventually(lambda: clients("java").describe_topic(topic=topic)["partitions"][3]["leader"] >= 0, "it is told who leads the new one")


def test_every_admin_adds_partitions(admin, clients, make_topic):
    topic = make_topic(partitions=2)
    admin.create_partitions(topic=topic, total=3)
    eventually(lambda: partitions(clients, topic) == 3, "three partitions")


@pytest.mark.parametrize("total", [1, 3])
def test_fewer_or_as_many_partitions_are_refused(clients, make_topic, total):
    topic = make_topic(partitions=3)
    with pytest.raises(ClientError) as failure:
        clients("java").create_partitions(topic=topic, total=total)
    assert failure.value.code == INVALID_PARTITIONS
    assert "3" in failure.value.message  # says how many there are
    assert partitions(clients, topic) == 3


def test_validate_only_adds_no_partitions(clients, make_topic):
    topic = make_topic(partitions=1)
    clients("java").create_partitions(topic=topic, total=5, validate_only=True)
    assert partitions(clients, topic) == 1


def test_too_many_partitions_are_refused_with_the_number(clients, topic, ours):
    """A80: refused at creation with a number, not discovered by a crash."""
    with pytest.raises(ClientError) as failure:
        clients("java").create_topic(topic=topic, partitions=1000000)
    assert failure.value.code in (INVALID_PARTITIONS, POLICY_VIOLATION, INVALID_REQUEST)
    assert any(character.isdigit() for character in failure.value.message)


def test_config_by_every_admin(admin, clients, make_topic):
    topic = make_topic()
    admin.set_config(topic=topic, config={"retention.ms": "123456"})
    eventually(lambda: admin.get_config(topic=topic)["config"]["retention.ms"] == "123456", "the new value is told")
    source = lambda: clients("java").get_config(topic=topic)["sources"]["retention.ms"]  # noqa: E731
    eventually(lambda: source() == "DYNAMIC_TOPIC_CONFIG", "its source is told")


def test_config_defaults_and_sources(clients, make_topic):
    found = clients("java").get_config(topic=make_topic(config={"segment.bytes": "1048576"}))
    config = found["config"]
    assert config["segment.bytes"] == "1048576" and found["sources"]["segment.bytes"] == "DYNAMIC_TOPIC_CONFIG"
    assert found["sources"]["retention.ms"] == "DEFAULT_CONFIG"
    expected = {"retention.ms": "604800000", "retention.bytes": "-1", "cleanup.policy": "delete", "max.message.bytes": "1048588",
                "compression.type": "producer", "message.timestamp.type": "CreateTime", "min.insync.replicas": "1"}
    assert {name: config[name] for name in expected} == expected


def test_incremental_config_changes_one_and_resets_one(clients, make_topic):
    topic, java = make_topic(config={"retention.ms": "1000", "segment.ms": "60000"}), clients("java")
    java.set_config(topic=topic, config={"max.message.bytes": "5000"}, reset=["retention.ms"])
    config = eventually(
        lambda: (lambda c: c if c["max.message.bytes"] == "5000" else None)(java.get_config(topic=topic)["config"]), "changed")
    assert config["retention.ms"] == "604800000" and config["segment.ms"] == "60000"


def test_full_alter_replaces_all(clients, make_topic):
    """AlterConfigs, the old call: what is not named goes back to its default."""
    topic = make_topic(config={"retention.ms": "1000"})
    clients("confluent").set_config(topic=topic, config={"segment.ms": "60000"})
    config = eventually(lambda: (lambda c: c if c["segment.ms"] == "60000" else None)(
        clients("java").get_config(topic=topic)["config"]), "changed")
    assert config["retention.ms"] == "604800000"


@pytest.mark.parametrize("config", [{"no.such.config": "1"}, {"retention.ms": "soon"}, {"max.message.bytes": "-3"}])
def test_wrong_config_changes_nothing(clients, make_topic, config):
    topic = make_topic()
    before = clients("java").get_config(topic=topic)["config"]
    with pytest.raises(ClientError) as failure:
        clients("java").set_config(topic=topic, config={**config, "segment.ms": "60000"})
    assert failure.value.code == INVALID_CONFIG
    assert next(iter(config)) in failure.value.message
    assert clients("java").get_config(topic=topic)["config"] == before


def test_validate_only_config_changes_nothing(clients, make_topic):
    topic = make_topic()
    clients("java").set_config(topic=topic, config={"retention.ms": "1000"}, validate_only=True)
    assert clients("java").get_config(topic=topic)["config"]["retention.ms"] == "604800000"
    with pytest.raises(ClientError):
        clients("java").set_config(topic=topic, config={"retention.ms": "soon"}, validate_only=True)


def test_config_of_an_unknown_topic(clients, topic):
    with pytest.raises(ClientError) as failure:
        clients("java").get_config(topic=topic)
    assert failure.value.code == UNKNOWN_TOPIC


def test_messages_up_to_a_mebibyte(client, clients, make_topic):
    """The default limit is near 1 MiB; one above is refused with the proper error; a topic may allow more (A81)."""
    if client.name == "kcat":
        pytest.skip("kcat reads lines of at most its own limit")
    topic = make_topic()
    just_fits, too_large = "x" * 1000000, "x" * (1 << 20)
    client.produce(topic=topic, records=[record(just_fits, partition=0)])
    with pytest.raises(ClientError) as failure:
        client.produce(topic=topic, records=[record(too_large, partition=0)])
    assert failure.value.code == RECORD_TOO_LARGE
    clients("java").set_config(topic=topic, config={"max.message.bytes": "4194304"})
    eventually(lambda: _accepted(client, topic, too_large), "the topic takes the larger record")


def _accepted(client, topic, value):
    try:
        client.produce(topic=topic, records=[record(value, partition=0)])
        return True
    except ClientError as failure:
        assert failure.code == RECORD_TOO_LARGE, failure
        return False


def test_smaller_limit_of_a_topic(clients, make_topic):
    topic = make_topic(config={"max.message.bytes": "1000"})
    with pytest.raises(ClientError) as failure:
        clients("java").produce(topic=topic, records=[record("x" * 2000)])
    assert failure.value.code == RECORD_TOO_LARGE
    clients("java").produce(topic=topic, records=[record("x" * 500)])


def test_large_record_is_read_whatever_the_limit_of_the_fetch(clients, make_topic):
    """The first batch is answered even when it is larger than what the consumer asked for (KIP-74)."""
    topic = make_topic()
    clients("java").produce(topic=topic, records=[record("x" * 900000, partition=0), record("next", partition=0)])
    found = clients("confluent").consume(
        topic=topic, count=2, partitions=[0], config={"fetch.message.max.bytes": 1000, "fetch.max.bytes": 1000000})["records"]
    assert [len(r["value"]) for r in found] == [1200000, 8]
