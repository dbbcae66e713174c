"""The gRPC door and the Kafka door show the same topics (A01, A03, A05); health and reflection for common tools."""
import itertools

import grpc
import pytest

from harness.drivers import ClientError, record
from harness.grpc_client import GrpcError
from harness.waiting import eventually

ORDER = '{"order_id": 1, "product": "Laptop", "amount": 1200}'
KAFKA_READERS = ["kafka_python_2", "kafka_python_3", "confluent", "aiokafka", "kafka_go", "java", "kcat"]
KAFKA_WRITERS = KAFKA_READERS + ["kafkajs"]


def common(records):
    return [{name: r[name] for name in ("partition", "offset", "timestamp", "key", "value", "headers")} for r in records]


def full_set():
    """An order with everything, no key, no value, any bytes, repeated headers."""
    return [
        record(ORDER, key="customer-7", partition=0, timestamp=1700000000001, headers=[("trace", "t1"), ("hop", "a"), ("hop", "b")]),
        record("no key", partition=0, timestamp=1700000000002),
        record(None, key="gone", partition=0, timestamp=1700000000003),
        record(bytes(range(256)), key=b"\0\xff", partition=0, timestamp=1700000000004),
    ]


@pytest.mark.parametrize("reader", KAFKA_READERS)
def test_published_by_grpc_read_by_kafka(grpc_client, clients, make_topic, reader):
    topic, sent = make_topic(), full_set()
    told = grpc_client.produce(topic=topic, records=sent)["results"]
    assert [(t["partition"], t["offset"], t["error"]) for t in told] == [(0, n, "") for n in range(len(sent))]
    found = clients(reader).consume(topic=topic, count=len(sent), partitions=[0])["records"]
    for name in ("key", "value", "timestamp", "headers"):
        assert [r[name] for r in found] == [r[name] for r in sent], name


@pytest.mark.parametrize("writer", KAFKA_WRITERS)
def test_written_by_kafka_read_by_both_the_same(grpc_client, clients, make_topic, writer):
    topic = make_topic()
    sent = full_set()[:3] if writer == "kcat" else full_set()
    if writer == "kafkajs":
        for one in sent:  # its headers are a map: names do not repeat
            one["headers"] = one["headers"][:2]
    clients(writer).produce(topic=topic, records=sent)
    by_grpc = grpc_client.consume(topic=topic, count=len(sent))["records"]
    by_kafka = clients("java").consume(topic=topic, count=len(sent))["records"]
    assert common(by_grpc) == common(by_kafka)
    assert [(r["key"], r["value"]) for r in by_grpc] == [(r["key"], r["value"]) for r in sent]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_codecs_through_both_doors(grpc_client, clients, make_topic, codec):
    topic = make_topic()
    sent = [record("%d " % n + "again and " * 50, key="k%d" % n, partition=0) for n in range(30)]
    grpc_client.produce(topic=topic, records=sent[:15], codec=codec)
    clients("confluent").produce(topic=topic, records=sent[15:], codec=codec)
    for reader in (grpc_client, clients("java"), clients("kafka_python_2")):
        found = reader.consume(topic=topic, count=30)["records"]
        assert [r["value"] for r in found] == [r["value"] for r in sent], reader.name


def test_keys_agree_with_the_java_client(grpc_client, clients, make_topic):
    topic = make_topic(partitions=12)
    keys = [record("v", key="key-%d" % n) for n in range(1000)]
    by_grpc = {r["key"]: t["partition"] for r, t in zip(keys, grpc_client.produce(topic=topic, records=keys)["results"])}
    by_java = {r["key"]: t["partition"] for r, t in zip(keys, clients("java").produce(topic=topic, records=keys)["results"])}
    assert by_grpc == by_java


def test_publish_stream_answers_in_order(grpc_client, make_topic):
    topic = make_topic(partitions=2)
    requests = [grpc_client.request(topic, [record("n%d" % n, partition=n % 2)], tag=n) for n in range(200)]
    answers = list(grpc_client.call(grpc_client.publisher.PublishStream, iter(requests)))
    assert [answer.tag for answer in answers] == list(range(200))
    for partition in (0, 1):
        offsets = [p.offset for answer in answers for p in answer.positions if p.partition == partition]
        assert offsets == list(range(100))


def test_publishing_to_no_topic_makes_it(grpc_client, clients, topic):
    assert grpc_client.produce(topic=topic, records=[record(ORDER)])["results"][0]["offset"] == 0
    assert topic in clients("kcat").list_topics()["topics"]


def test_idempotent_retry_is_stored_once(grpc_client, clients, make_topic):
    topic = make_topic()
    identity = grpc_client.call(grpc_client.admin.InitProducer, grpc_client.api.admin.InitProducerRequest())
    idempotence = grpc_client.api.publisher.Idempotence(
        producer_id=identity.producer_id, producer_epoch=identity.producer_epoch, base_sequence=0)
    told = [grpc_client.produce(topic=topic, records=[record("once", partition=0)], idempotence=idempotence) for _ in range(3)]
    assert [t["results"][0]["offset"] for t in told] == [0, 0, 0]
    assert clients("java").offsets(topic=topic)["latest"] == 1


def test_read_from_offset_time_and_end(grpc_client, clients, make_topic):
    topic = make_topic()
    clients("java").produce(topic=topic, records=[record("n%d" % n, timestamp=1700000000000 + 1000 * n) for n in range(10)])
    from_offset = grpc_client.consume(topic=topic, count=6, start={"offset": 4})["records"]
    assert [r["offset"] for r in from_offset] == [4, 5, 6, 7, 8, 9]
    from_time = grpc_client.consume(topic=topic, count=4, start={"timestamp": 1700000005500})["records"]
    assert [r["offset"] for r in from_time] == [6, 7, 8, 9]
    start = grpc_client.api.subscriber.Start(earliest=True)
    assert len(list(grpc_client.read(topic, start=start, until_end=True))) == 10


def test_read_waits_for_new_records(grpc_client, clients, make_topic):
    """From the start: what is there, then what comes while the stream is open."""
    topic = make_topic()
    grpc_client.produce(topic=topic, records=[record("first", partition=0)])
    stream = grpc_client.read(topic, start=grpc_client.api.subscriber.Start(earliest=True))
    assert next(stream)["offset"] == 0
    clients("confluent").produce(topic=topic, records=[record("second", partition=0)])
    assert next(stream)["value"] == record("second")["value"]
    stream.close()


def test_read_of_many_partitions_keeps_each_in_order(grpc_client, clients, make_topic):
    topic = make_topic(partitions=4)
    clients("java").produce(topic=topic, records=[record("n%d" % n, key="k%d" % n) for n in range(2000)])
    found = grpc_client.consume(topic=topic, count=2000)["records"]
    by_partition = lambda r: r["partition"]  # noqa: E731
    for _, records in itertools.groupby(sorted(found, key=by_partition), by_partition):
        offsets = [r["offset"] for r in records]
        assert offsets == list(range(len(offsets)))
    assert len(found) == 2000


def test_topics_are_the_same_through_both_doors(grpc_client, clients, topic):
    made = grpc_client.create_topic(topic=topic, partitions=3, config={"retention.ms": "60000"})
    # The two doors may be those of two brokers, and each hears of a change a few milliseconds after it was made.
    described = eventually(lambda: clients("java").describe_topic(topic=topic), "Kafka's door shows it")
    assert len(described["partitions"]) == 3 and made.partitions == 3
    retention = lambda: clients("java").get_config(topic=topic)["config"]["retention.ms"]  # noqa: E731
    eventually(lambda: retention() == "60000", "Kafka's door shows the setting", refusals=(ClientError,))
    admin, api = grpc_client.admin, grpc_client.api.admin
    clients("java").create_partitions(topic=topic, total=5)
    describe = lambda: grpc_client.call(admin.DescribeTopic, api.DescribeTopicRequest(name=topic))  # noqa: E731
    eventually(lambda: describe().topic.partitions == 5, "gRPC's door shows the partitions")
    assert dict(describe().configs) == {"retention.ms": "60000"}
    grpc_client.call(admin.AlterConfigs, api.AlterConfigsRequest(
        type=api.RESOURCE_TYPE_TOPIC, name=topic, changes=[api.ConfigChange(name="retention.ms", value="70000")]))
    eventually(lambda: retention() == "70000", "Kafka's door shows the change")
    grpc_client.call(admin.DeleteTopic, api.DeleteTopicRequest(name=topic))
    eventually(lambda: topic not in clients("java").list_topics()["topics"], "gone at both doors")


def test_delete_records_and_offsets(grpc_client, clients, make_topic):
    topic = make_topic()
    clients("java").produce(topic=topic, records=[record("n%d" % n) for n in range(10)])
    admin, api = grpc_client.admin, grpc_client.api.admin
    answer = grpc_client.call(admin.DeleteRecords, api.DeleteRecordsRequest(topic=topic, before={0: 4}))
    assert dict(answer.log_start_offsets) == {0: 4}
    assert clients("java").offsets(topic=topic) == {"earliest": 4, "latest": 10}
    found = grpc_client.call(admin.ListOffsets, api.ListOffsetsRequest(topic=topic, earliest=True))
    assert [(o.partition, o.offset) for o in found.offsets] == [(0, 4)]
    with pytest.raises(GrpcError) as failure:
        grpc_client.consume(topic=topic, count=1, start={"offset": 2})
    assert failure.value.status == "OUT_OF_RANGE"


@pytest.mark.parametrize("act, status", [
    (lambda c, t: c.create_topic(topic="with space"), "INVALID_ARGUMENT"),
    (lambda c, t: c.create_topic(topic=t, partitions=-2), "INVALID_ARGUMENT"),
    (lambda c, t: c.create_topic(topic=t, config={"no.such": "1"}), "INVALID_ARGUMENT"),
    (lambda c, t: c.call(c.admin.DeleteTopic, c.api.admin.DeleteTopicRequest(name=t)), "NOT_FOUND"),
    (lambda c, t: c.call(c.admin.DescribeTopic, c.api.admin.DescribeTopicRequest(name=t)), "NOT_FOUND"),
    (lambda c, t: c.consume(topic=t, count=1), "NOT_FOUND"),
    (lambda c, t: c.produce(topic=t, records=[]), "INVALID_ARGUMENT"),
])
def test_errors_are_canonical_and_named(grpc_client, topic, act, status):
    with pytest.raises(GrpcError) as failure:
        act(grpc_client, topic)
    assert failure.value.status == status
    assert failure.value.message and failure.value.name


def test_record_too_large(grpc_client, make_topic):
    topic = make_topic(config={"max.message.bytes": "1000"})
    with pytest.raises(GrpcError) as failure:
        grpc_client.produce(topic=topic, records=[record("x" * 2000)])
    assert failure.value.status == "INVALID_ARGUMENT"


def test_health(grpc_client):
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    stub = health_pb2_grpc.HealthStub(grpc_client.channel)
    assert stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as failure:
        stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=10)
    assert failure.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_describes_the_services(grpc_client):
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
    database = ProtoReflectionDescriptorDatabase(grpc_client.channel)
    services = set(database.get_services())
    assert {"millrace.v1.Publisher", "millrace.v1.Subscriber", "millrace.v1.Admin", "grpc.health.v1.Health"} <= services
    publish = DescriptorPool(database).FindServiceByName("millrace.v1.Publisher").FindMethodByName("Publish")
    assert publish.input_type.fields_by_name["topic"].number == 1
