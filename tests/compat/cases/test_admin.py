"""What admin tools and user interfaces ask beside topics: nobody is surprised by an API that is not there, and what a single
broker without security cannot do is refused in Kafka's words."""
import json

import pytest

from harness.drivers import ClientError, record
from harness.waiting import eventually

SECURITY_DISABLED, INVALID_REQUEST, UNSUPPORTED_SASL_MECHANISM, RESOURCE_NOT_FOUND = 54, 42, 33, 91
INVALID_UPDATE_VERSION, NO_REASSIGNMENT, INVALID_ASSIGNMENT, LOG_DIR_NOT_FOUND, ELECTION_NOT_NEEDED = 95, 85, 39, 57, 84
INVALID_CONFIG, UNKNOWN_TOPIC, FEATURE_UPDATE_FAILED = 40, 3, 96


@pytest.fixture
def java(clients):
    return clients("java")


@pytest.fixture
def python(clients):
    return clients("kafka_python_3")


@pytest.fixture
def confluent(clients):
    return clients("confluent")


def refused(act, code, words=""):
    with pytest.raises(ClientError) as failure:
        act()
    assert failure.value.code == code, failure.value
    assert words in failure.value.message
    return failure.value.message


# ---- Security: there is none

def test_acls_are_off_for_java(java):
    for call in ("describe_acls", "create_acl", "delete_acls"):
        refused(lambda call=call: java.admin(call=call), SECURITY_DISABLED, "No Authorizer is configured")


def test_acls_are_off_for_confluent(confluent):
    confluent.admin(call="acls")  # librdkafka keeps the error to itself, with Kafka as well
    refused(lambda: confluent.admin(call="create_acl"), SECURITY_DISABLED, "No Authorizer")


def test_quotas(java, ours):
    assert java.admin(call="quotas")["count"] == 0
    refused(lambda: java.admin(call="set_quota"), INVALID_REQUEST, "does not enforce client quotas")


def test_scram_credentials(java, python, confluent):
    assert java.admin(call="scram")["count"] == 0
    assert python.admin(call="describe_user_scram_credentials")["found"] == {}
    assert confluent.admin(call="scram")["found"] == 0
    refused(lambda: java.admin(call="scram_of"), RESOURCE_NOT_FOUND)
    refused(lambda: confluent.admin(call="scram_of", user="alice"), RESOURCE_NOT_FOUND)
    assert "does not exist" in python.admin(call="describe_user_scram_credentials", arguments=[["bob"]])["found"]["bob"]["error"]


def test_scram_credentials_are_refused(java, ours):
    refused(lambda: java.admin(call="set_scram"), UNSUPPORTED_SASL_MECHANISM, "no SASL listener")


# ---- The cluster

def test_cluster(java, python, confluent):
    cluster = java.cluster()
    assert java.admin(call="operations")
    assert python.admin(call="describe_cluster")["found"]["cluster_id"] == cluster["cluster_id"]
    found = confluent.admin(call="cluster")["found"]
    assert found == {"id": cluster["cluster_id"], "controller": cluster["controller"], "nodes": [b["id"] for b in cluster["brokers"]]}


def test_quorum(java, python):
    found = java.admin(call="quorum")
    assert found["voters"] == 1 and found["observers"] == 0 and found["nodes"] == 1
    assert found["leader"] == java.cluster()["controller"]
    assert found["log_end"] >= found["high_watermark"] > 0 and found["epoch"] >= 0
    topics = python.admin(call="describe_metadata_quorum")["found"]["topics"]
    assert topics[0]["partitions"][0]["error"] is None and len(topics[0]["partitions"][0]["current_voters"]) == 1


def test_features(java, python, ours):
    found = java.admin(call="features")
    assert found["supported"] == found["finalized"] == {"group.version": 1}
    assert found["epoch"] >= 0
    java.admin(call="update_feature", feature="group.version", level=1)
    words = refused(lambda: java.admin(call="update_feature", feature="metadata.version", level=20), INVALID_UPDATE_VERSION)
    assert "does not support this feature" in words
    refused(lambda: java.admin(call="update_feature", feature="group.version", level=0, kind="SAFE_DOWNGRADE"), INVALID_UPDATE_VERSION)
    assert "group.version" in json.dumps(python.admin(call="describe_features")["found"])
    assert python.admin(call="update_features", arguments=[{"group.version": 1}])["found"] == {"group.version": "OK"}


def test_transactions(java, python):
    assert java.admin(call="list_transactions")["count"] == 0
    assert not any(python.admin(call="list_transactions")["found"].values())  # by broker


def test_leaders_stay(java, python, confluent, make_topic):
    topic = make_topic(partitions=2)
    assert java.admin(call="elect")["count"] == 0
    assert java.admin(call="elect", topic=topic)["outcome"] == "ElectionNotNeededException"
    assert java.admin(call="elect", topic=topic, partition=9)["outcome"] == "UnknownTopicOrPartitionException"
    assert confluent.admin(call="elect", topic=topic)["found"] == {topic + ":0": ELECTION_NOT_NEEDED}
    python.admin(call="elect_leaders", arguments=[0, {topic: [0, 1]}])


def test_partitions_stay(java, python, make_topic):
    topic = make_topic()
    self = java.cluster()["controller"]
    assert java.admin(call="reassignments")["count"] == 0
    assert python.admin(call="list_partition_reassignments")["found"] == {}
    java.admin(call="reassign", topic=topic, replicas=[self])
    refused(lambda: java.admin(call="reassign", topic=topic), NO_REASSIGNMENT)
    refused(lambda: java.admin(call="reassign", topic=topic, replicas=[self + 77]), INVALID_ASSIGNMENT, "no such broker is registered")
    refused(lambda: java.admin(call="reassign", topic=topic + "-missing", replicas=[self]), UNKNOWN_TOPIC)


def test_broker_alone_is_not_unregistered(java):
    refused(lambda: java.admin(call="unregister", broker=java.cluster()["controller"]), FEATURE_UPDATE_FAILED)


def test_directories_stay(java, make_topic):
    topic = make_topic()
    java.produce(topic=topic, records=[record("x", partition=0)])
    broker = java.cluster()["controller"]
    java.admin(call="move_dir", topic=topic, broker=broker, path=java.log_dirs()["path"])
    refused(lambda: java.admin(call="move_dir", topic=topic, broker=broker, path="/nowhere"), LOG_DIR_NOT_FOUND)


def test_topics_in_many_pages(java, clients, make_topic, topic):
    """The client comes back with cursors until it has everything, in order."""
    first = make_topic(partitions=7)
    other = topic + "-b"
    clients("confluent").create_topic(topic=other, partitions=5, replication=1)
    eventually(lambda: other in java.list_topics()["topics"], "the second topic is listed")
    for limit in (1, 2, 3, 5, 7, 12, 2000):
        found = java.admin(call="describe_many", topics=[first, other], limit=limit)
        assert found == {first: list(range(7)), other: list(range(5))}, limit
    assert clients("confluent").admin(call="describe_topics", topics=[first])["found"] == {first: list(range(7))}


# ---- Settings of other things than topics

def test_config_resources(java, python, make_topic):
    topic = make_topic()
    name = topic + "-metrics"
    java.set_config(resource_type="CLIENT_METRICS", name=name, config={"metrics": "org.apache.kafka.producer.", "interval.ms": "5000"})
    eventually(lambda: name in java.admin(call="client_metrics").get("names", []), "the subscription is listed")
    found = java.admin(call="config_resources")
    broker = str(java.cluster()["controller"])
    assert topic in found["TOPIC"] and broker in found["BROKER"] and broker in found["BROKER_LOGGER"]
    assert name in found["CLIENT_METRICS"] and name in found["filtered"] and topic not in found["filtered"]
    assert name in json.dumps(python.admin(call="list_config_resources")["found"])
    told = java.get_config(resource_type="CLIENT_METRICS", name=name)
    assert told["config"] == {"interval.ms": "5000", "match": "", "metrics": "org.apache.kafka.producer."}
    assert told["sources"]["interval.ms"] == "DYNAMIC_CLIENT_METRICS_CONFIG"
    refused(lambda: java.set_config(resource_type="CLIENT_METRICS", name=name, config={"match": "colour=blue"}), INVALID_CONFIG)
    refused(lambda: java.set_config(resource_type="CLIENT_METRICS", name=name, config={"interval.ms": "1"}), INVALID_REQUEST)
    java.set_config(resource_type="CLIENT_METRICS", name=name, reset=["metrics", "interval.ms"])
    eventually(lambda: name not in java.admin(call="client_metrics").get("names", []), "the subscription is gone")


def test_levels_of_loggers(java, confluent):
    broker = str(java.cluster()["controller"])
    loggers = java.get_config(resource_type="BROKER_LOGGER", name=broker)["config"]
    assert loggers["root"] in ("INFO", "WARN", "ERROR")
    for level in ("DEBUG", loggers["root"]):
        java.set_config(resource_type="BROKER_LOGGER", name=broker, config={"root": level})
        assert java.get_config(resource_type="BROKER_LOGGER", name=broker)["config"]["root"] == level
    refused(lambda: java.set_config(resource_type="BROKER_LOGGER", name=broker, config={"root": "LOUD"}), INVALID_CONFIG)
    assert confluent.admin(call="configs", kind="BROKER", name=broker)["found"]


# ---- Metrics of clients (KIP-714)

def pushed(broker, software):
    return [line for line in broker.metrics()
            if line.startswith("millrace_client_metric") and 'client_software_name="%s"' % software in line]


@pytest.mark.parametrize("name, software", [("java", "apache-kafka-java"), ("confluent", "confluent-kafka-python")])
def test_clients_push_their_metrics(broker, clients, make_topic, ours, name, software):
    """A subscription, an unmodified client, and its numbers on the metrics page; without the subscription no more come."""
    topic, client, java = make_topic(), clients(name), clients("java")
    java.set_config(resource_type="CLIENT_METRICS", name="everything",
                    config={"metrics": "*", "interval.ms": "500", "match": "client_source_address=127[.]0[.]0[.]1"})
    try:
        client.watch_start(topic=topic)
        lines = eventually(lambda: pushed(broker, software), "metrics of %s are shown" % name)
        assert any('metric="org.apache.kafka.producer.' in line for line in lines), lines
        assert all('client_instance_id="' in line for line in lines)
        client.call("watch_wait", topic=topic, partitions=1)
    finally:
        java.set_config(resource_type="CLIENT_METRICS", name="everything", reset=["metrics", "interval.ms", "match"])


def test_only_the_clients_that_match_push(broker, clients, make_topic, ours):
    topic, java = make_topic(), clients("java")
    java.set_config(resource_type="CLIENT_METRICS", name="nobody",
                    config={"metrics": "*", "interval.ms": "500", "match": "client_software_name=somebody-else"})
    try:
        before = pushed(broker, "apache-kafka-java")
        java.produce(topic=topic, records=[record("x", partition=0)])
        instances = {line.split('client_instance_id="')[1][:22] for line in pushed(broker, "apache-kafka-java")}
        assert instances <= {line.split('client_instance_id="')[1][:22] for line in before}
    finally:
        java.set_config(resource_type="CLIENT_METRICS", name="nobody", reset=["metrics", "interval.ms", "match"])
