"""Apache Kafka's own command-line tools, out of its jars (A34, A40, A43-A46)."""
import re
import subprocess

import pytest

from harness.drivers import java_command, record
from harness.waiting import eventually

TOOLS = "org.apache.kafka.tools."
SECONDS = 90


def topics(tool, *arguments, **options):
    return tool(TOOLS + "TopicCommand", *arguments, **options)


def test_topics_create_list_describe_alter_delete(tool, topic):
    made = topics(tool, "--create", "--topic", topic, "--partitions", "3", "--replication-factor", "1", "--config", "retention.ms=90000")
    assert "Created topic " + topic in made
    assert topic in topics(tool, "--list").splitlines()
    described = topics(tool, "--describe", "--topic", topic)
    assert re.search(r"PartitionCount: 3\s+ReplicationFactor: 1", described) and "retention.ms=90000" in described
    leaders = re.findall(r"Partition: (\d)\s+Leader: (\d+)\s+Replicas: (\d+)\s+Isr: (\d+)", described)
    assert [partition for partition, *_ in leaders] == ["0", "1", "2"]
    topics(tool, "--alter", "--topic", topic, "--partitions", "5")
    assert "PartitionCount: 5" in topics(tool, "--describe", "--topic", topic)
    code, printed = topics(tool, "--alter", "--topic", topic, "--partitions", "2", check=False)
    assert code != 0 and "InvalidPartitions" in printed
    topics(tool, "--delete", "--topic", topic)
    assert topic not in topics(tool, "--list").splitlines()


def test_topics_create_without_numbers(tool, topic):
    """A43: the defaults of the cluster; a second time is told and fails."""
    topics(tool, "--create", "--topic", topic)
    assert re.search(r"PartitionCount: 1\s+ReplicationFactor: 1", topics(tool, "--describe", "--topic", topic))
    code, printed = topics(tool, "--create", "--topic", topic, check=False)
    assert code != 0 and "already exists" in printed
    topics(tool, "--create", "--if-not-exists", "--topic", topic)
    code, printed = topics(tool, "--describe", "--topic", topic + "-not", check=False)
    assert code != 0 and "does not exist" in printed


def consumer_arguments(topic, count):
    return ["--topic", topic, "--max-messages", str(count), "--timeout-ms", "30000"]


def test_console_producer_and_consumer(tool, topic):
    """Two orders in, the same two out, in order (A45, A46). With --partition the consumer needs no group."""
    orders = '{"order_id": 1}\n{"order_id": 2}\n'
    tool(TOOLS + "ConsoleProducer", "--topic", topic, stdin=orders)
    read = tool(TOOLS + "consumer.ConsoleConsumer", *consumer_arguments(topic, 2), "--partition", "0", "--from-beginning")
    assert read == orders
    read = tool(TOOLS + "consumer.ConsoleConsumer", *consumer_arguments(topic, 1), "--partition", "0", "--offset", "1")
    assert read == '{"order_id": 2}\n'


def test_console_consumer_from_beginning_with_a_group(tool, topic):
    """The form of the tutorials: without --partition the tool joins a group of its own."""
    tool(TOOLS + "ConsoleProducer", "--topic", topic, stdin="one\ntwo\n")
    assert tool(TOOLS + "consumer.ConsoleConsumer", *consumer_arguments(topic, 2), "--from-beginning") == "one\ntwo\n"


def test_console_with_keys_and_headers(tool, topic):
    tool(TOOLS + "ConsoleProducer", "--topic", topic, "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true",
         stdin="trace:t1,hop:a\tk\tv\n")
    read = tool(TOOLS + "consumer.ConsoleConsumer", *consumer_arguments(topic, 1), "--partition", "0", "--from-beginning",
                "--formatter-property", "print.key=true", "--formatter-property", "print.headers=true",
                "--formatter-property", "print.partition=true", "--formatter-property", "print.offset=true")
    assert read == "Partition:0\tOffset:0\ttrace:t1,hop:a\tk\tv\n"


def test_configs_describe_alter_delete(tool, make_topic):
    topic = make_topic()
    entity = ("--entity-type", "topics", "--entity-name", topic)
    tool("kafka.admin.ConfigCommand", "--alter", *entity, "--add-config", "retention.ms=123456,max.message.bytes=2000000")
    described = tool("kafka.admin.ConfigCommand", "--describe", *entity)
    assert "retention.ms=123456" in described and "max.message.bytes=2000000" in described
    tool("kafka.admin.ConfigCommand", "--alter", *entity, "--delete-config", "retention.ms")
    described = tool("kafka.admin.ConfigCommand", "--describe", *entity)
    assert "retention.ms" not in described and "max.message.bytes=2000000" in described
    code, printed = tool("kafka.admin.ConfigCommand", "--alter", *entity, "--add-config", "no.such=1", check=False)
    assert code != 0 and "no.such" in printed


def test_get_offsets(tool, clients, make_topic):
    topic = make_topic(partitions=2)
    clients("confluent").produce(topic=topic, records=[record("n", partition=0, timestamp=1700000000000 + n) for n in range(7)])
    shell = TOOLS + "GetOffsetShell"
    assert tool(shell, "--topic", topic).split() == [topic + ":0:7", topic + ":1:0"]
    assert tool(shell, "--topic-partitions", topic + ":0", "--time", "earliest").split() == [topic + ":0:0"]
    assert tool(shell, "--topic-partitions", topic + ":0", "--time", "1700000000003").split() == [topic + ":0:3"]
    assert tool(shell, "--topic-partitions", topic + ":0", "--time", "max-timestamp").split() == [topic + ":0:6"]


def test_delete_records(tool, clients, make_topic, tmp_path):
    topic = make_topic()
    clients("confluent").produce(topic=topic, records=[record("n", partition=0) for _ in range(5)])
    wanted = tmp_path / "offsets.json"
    wanted.write_text('{"partitions": [{"topic": "%s", "partition": 0, "offset": 3}], "version": 1}' % topic)
    assert "low_watermark: 3" in tool(TOOLS + "DeleteRecordsCommand", "--offset-json-file", str(wanted))
    eventually(lambda: clients("java").offsets(topic=topic)["earliest"] == 3, "the first three are gone")


def test_cluster_versions_and_log_dirs(tool, make_topic):
    topic = make_topic()
    assert re.search(r"Cluster ID: \S+", cluster_id(tool))
    versions = tool(TOOLS + "BrokerApiVersionsCommand")
    assert re.search(r"Produce\(0\): [0-9]+ to 1[0-9]", versions) and "UNSUPPORTED" in versions or "usable" in versions
    assert topic in tool(TOOLS + "LogDirsCommand", "--describe", "--topic-list", topic)


def cluster_id(tool):
    """This tool wants its verb before the address."""
    bootstrap = tool.__closure__[0].cell_contents
    done = subprocess.run(java_command(TOOLS + "ClusterTool", "cluster-id", "--bootstrap-server", bootstrap), capture_output=True,
                          text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("options", [[], ["--command-property", "acks=1"], ["--command-property", "compression.type=zstd"]])
def test_producer_perf(tool, make_topic, options):
    topic = make_topic(partitions=3)
    printed = tool(TOOLS + "ProducerPerformance", "--topic", topic, "--num-records", "20000", "--record-size", "200",
                   "--throughput", "-1", *options)
    assert "20000 records sent" in printed


def test_consumer_perf(tool, clients, make_topic):
    topic = make_topic()
    clients("confluent").produce(topic=topic, records=[record("x" * 200, partition=0) for _ in range(2000)])
    printed = tool(TOOLS + "ConsumerPerformance", "--topic", topic, "--num-records", "2000", "--timeout", "20000")
    assert re.search(r", 2000, ", printed)


@pytest.mark.parametrize("entity", ["users", "clients", "ips", "topics", "brokers", "client-metrics", "groups"])
def test_configs_describes_every_kind(tool, entity):
    assert "Exception" not in tool("kafka.admin.ConfigCommand", "--describe", "--entity-type", entity)


@pytest.mark.parametrize("entity, name", [("users", "alice"), ("clients", "app"), ("broker-loggers", "0"), ("client-metrics", "none")])
def test_configs_describes_one_of_a_kind(tool, entity, name):
    assert "Exception" not in tool("kafka.admin.ConfigCommand", "--describe", "--entity-type", entity, "--entity-name", name)


def test_configs_sets_levels_of_loggers(tool):
    arguments = ["--entity-type", "broker-loggers", "--entity-name", "0"]
    tool("kafka.admin.ConfigCommand", "--alter", "--add-config", "root=INFO", *arguments)
    assert "root=INFO" in tool("kafka.admin.ConfigCommand", "--describe", *arguments)


@pytest.mark.parametrize("main, arguments, printed", [
    ("FeatureCommand", ["describe"], ""),
    ("MetadataQuorumCommand", ["describe", "--status"], "LeaderId"),
    ("MetadataQuorumCommand", ["describe", "--replication"], "Leader"),
    ("TransactionsCommand", ["list"], "TransactionalId"),
    ("LeaderElectionCommand", ["--election-type", "preferred", "--all-topic-partitions"], ""),
    ("reassign.ReassignPartitionsCommand", ["--list"], "No partition reassignments found"),
    ("LogDirsCommand", ["--describe"], "logDirs"),
])
def test_tools_of_the_cluster(tool, main, arguments, printed):
    found = tool(TOOLS + main, *arguments)
    assert printed in found and "Exception" not in found


def test_client_metrics_make_list_describe_delete(tool, topic):
    main = TOOLS + "ClientMetricsCommand"
    tool(main, "--alter", "--name", topic, "--metrics", "org.apache.kafka.producer.", "--interval", "5000", "--match", "client_id=app")
    assert topic in tool(main, "--list").split()
    described = tool(main, "--describe", "--name", topic)
    assert "interval.ms=5000" in described and "match=client_id=app" in described and "metrics=org.apache.kafka.producer." in described
    tool(main, "--delete", "--name", topic)
    assert topic not in tool(main, "--list").split()


def test_acls_says_that_there_is_no_authorizer(tool):
    code, printed = tool("org.apache.kafka.tools.AclCommand", "--list", check=False)
    assert code != 0 and "No Authorizer is configured" in printed


@pytest.mark.parametrize("formatter", ["OffsetsMessageFormatter", "GroupMetadataMessageFormatter"])
def test_kafkas_formatters_read_the_offsets_topic(tool, clients, topic, formatter):
    """What is kept of groups has Kafka's layouts: its own tools show it (A34)."""
    clients("java").create_topic(topic=topic)
    clients("java").produce(topic=topic, records=[record("one")])
    group = "formatted-" + topic
    tool(TOOLS + "consumer.ConsoleConsumer", "--topic", topic, "--group", group, "--from-beginning", "--max-messages", "1",
         "--timeout-ms", "20000")
    _, printed = tool(TOOLS + "consumer.ConsoleConsumer", "--topic", "__consumer_offsets", "--from-beginning", "--timeout-ms", "4000",
                      "--formatter", TOOLS + "consumer." + formatter, check=False)
    assert '"group":"%s"' % group in printed
