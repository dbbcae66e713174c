"""Drives confluent-kafka (librdkafka): see driver_loop.py."""
import confluent_kafka
from confluent_kafka import Consumer, ElectionType, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, ConfigResource,
                                   NewPartitions, NewTopic, ResourcePatternType, ResourceType)

from confluent_groups import Groups
from driver_loop import Deadline, pack, serve, unpack


class Driver(Groups):
    def __init__(self):
        self.watched = None
        self.admins = {}

    def _admin(self, bootstrap):
        """Kept: one that goes away takes its unanswered calls with it."""
        if bootstrap not in self.admins:
            self.admins[bootstrap] = AdminClient({"bootstrap.servers": bootstrap})
        return self.admins[bootstrap]

    def hello(self):
        return {"client": "confluent-kafka %s (librdkafka %s)" % (confluent_kafka.__version__, confluent_kafka.libversion()[0])}

    def produce(self, bootstrap, topic, records, codec="none", acks=None, idempotent=None, config=None):
        options = {"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 5, "message.max.bytes": 8 << 20,
                   "partitioner": "murmur2_random", "message.timeout.ms": 20000}
        if acks is not None:
            options["acks"] = acks
        if idempotent is not None:
            options["enable.idempotence"] = idempotent
        options.update(config or {})
        producer = Producer(options)
        results = [None] * len(records)
        for at, record in enumerate(records):
            self._send(producer, topic, record, results, at)
            producer.poll(0)
        producer.flush(30)
        for result in results:
            if isinstance(result, Exception):
                raise result
        return {"results": results}

    @staticmethod
    def _send(producer, topic, record, results, at):
        def delivered(error, message):
            results[at] = KafkaException(error) if error else {
                "partition": message.partition(), "offset": message.offset(), "timestamp": message.timestamp()[1]}

        optional = {}
        if record.get("partition") is not None:
            optional["partition"] = record["partition"]
        if record.get("timestamp") is not None:
            optional["timestamp"] = record["timestamp"]
        if record.get("headers"):
            optional["headers"] = [(name, unpack(value)) for name, value in record["headers"]]
        producer.produce(topic, value=unpack(record.get("value")), key=unpack(record.get("key")), on_delivery=delivered, **optional)

    @staticmethod
    def _consumer(bootstrap, config=None):
        # The library demands a group id; with assign() and no commits the group is never used.
        options = {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                   "enable.auto.offset.store": False, "fetch.wait.max.ms": 100}
        options.update(config or {})
        return Consumer(options)

    def consume(self, bootstrap, topic, count, start="earliest", partitions=None, timeout_ms=20000, config=None):
        consumer = self._consumer(bootstrap, config)
        try:
            if partitions is None:
                partitions = sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, p, self._offset(consumer, topic, p, start)) for p in partitions])
            return {"records": self._poll(consumer, count, timeout_ms)}
        finally:
            consumer.close()

    @staticmethod
    def _offset(consumer, topic, partition, start):
        if start == "earliest":
            return confluent_kafka.OFFSET_BEGINNING
        if start == "latest":
            return confluent_kafka.OFFSET_END
        if "offset" in start:
            return start["offset"]
        return consumer.offsets_for_times([TopicPartition(topic, partition, start["timestamp"])], timeout=10)[0].offset

    def _poll(self, consumer, count, timeout_ms):
        deadline, records = Deadline(timeout_ms), []
        while len(records) < count and not deadline.passed():
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error():
                raise KafkaException(message.error())
            records.append(self._record(message))
        return records

    @staticmethod
    def _record(m):
        kind, timestamp = m.timestamp()
        return {
            "partition": m.partition(), "offset": m.offset(), "timestamp": timestamp, "timestamp_type": kind - 1,
            "key": pack(m.key()), "value": pack(m.value()), "headers": [[name, pack(value)] for name, value in m.headers() or []],
        }

    def pause_seek(self, bootstrap, topic, read_first, seek_to, quiet_ms=1500):
        consumer = self._consumer(bootstrap)
        try:
            partition = TopicPartition(topic, 0, 0)
            consumer.assign([partition])
            first = self._poll(consumer, read_first, 20000)
            consumer.pause([partition])
            paused = self._poll(consumer, 1, quiet_ms)
            consumer.resume([partition])
            resumed = self._poll(consumer, 1, 20000)
            consumer.seek(TopicPartition(topic, 0, seek_to))
            after = self._poll(consumer, 1, 20000)
            return {name: [r["offset"] for r in records]
                    for name, records in dict(first=first, paused=paused, resumed=resumed, after_seek=after).items()}
        finally:
            consumer.close()

    def offsets(self, bootstrap, topic, partition=0, timestamp=None):
        consumer = self._consumer(bootstrap)
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            answer = {"earliest": low, "latest": high}
            if timestamp is not None:
                found = consumer.offsets_for_times([TopicPartition(topic, partition, timestamp)], timeout=10)[0].offset
                answer["by_time"] = found if found >= 0 else None
            return answer
        finally:
            consumer.close()

    def create_topic(self, bootstrap, topic, partitions=-1, replication=-1, config=None, validate_only=False):
        new = NewTopic(topic, num_partitions=partitions, replication_factor=replication, config=config or {})
        return self._wait(self._admin(bootstrap).create_topics([new], validate_only=validate_only))

    def delete_topic(self, bootstrap, topic):
        return self._wait(self._admin(bootstrap).delete_topics([topic]))

    def list_topics(self, bootstrap):
        return {"topics": sorted(self._admin(bootstrap).list_topics(timeout=10).topics)}

    def create_partitions(self, bootstrap, topic, total):
        return self._wait(self._admin(bootstrap).create_partitions([NewPartitions(topic, total)]))

    def get_config(self, bootstrap, topic):
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        found = self._admin(bootstrap).describe_configs([resource])[resource].result(timeout=10)
        return {"config": {name: entry.value for name, entry in found.items()}}

    def set_config(self, bootstrap, topic, config):
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, set_config=config)
        return self._wait(self._admin(bootstrap).alter_configs([resource]))

    @staticmethod
    def _wait(futures):
        for future in futures.values():
            future.result(timeout=20)
        return {}

    def admin(self, bootstrap, call, **arguments):
        return {"found": getattr(self, "_call_" + call)(self._admin(bootstrap), **arguments)}

    @staticmethod
    def _call_cluster(admin):
        found = admin.describe_cluster(include_authorized_operations=True).result(timeout=20)
        return {"id": found.cluster_id, "controller": found.controller.id, "nodes": [node.id for node in found.nodes]}

    @staticmethod
    def _call_describe_topics(admin, topics):
        found = admin.describe_topics(TopicCollection(topics), include_authorized_operations=True)
        return {name: [p.id for p in future.result(timeout=20).partitions] for name, future in found.items()}

    @staticmethod
    def _call_configs(admin, kind, name):
        resource = ConfigResource(getattr(ConfigResource.Type, kind), name)
        found = admin.describe_configs([resource])[resource].result(timeout=20)
        return {key: entry.value for key, entry in found.items()}

    @staticmethod
    def _call_acls(admin):
        anything = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY)
        return len(admin.describe_acls(anything).result(timeout=20))

    @staticmethod
    def _call_create_acl(admin):
        rule = AclBinding(ResourceType.TOPIC, "t", ResourcePatternType.LITERAL, "User:alice", "*", AclOperation.READ,
                          AclPermissionType.ALLOW)
        return admin.create_acls([rule])[rule].result(timeout=20)

    @staticmethod
    def _call_scram(admin):
        return len(admin.describe_user_scram_credentials().result(timeout=20))

    @staticmethod
    def _call_scram_of(admin, user):
        return str(admin.describe_user_scram_credentials([user])[user].result(timeout=20))

    @staticmethod
    def _call_elect(admin, topic):
        partition = TopicPartition(topic, 0)
        found = admin.elect_leaders(ElectionType.PREFERRED, [partition]).result(timeout=20)
        return {"%s:%d" % (p.topic, p.partition): error.code() if error else None for p, error in found.items()}

    def watch_start(self, bootstrap, topic):
        self.watched = Producer({"bootstrap.servers": bootstrap, "topic.metadata.refresh.interval.ms": 500})
        return {"partitions": len(self.watched.list_topics(topic, timeout=10).topics[topic].partitions)}

    def watch_wait(self, topic, partitions, timeout_ms=20000):
        """The producer of watch_start, never restarted, sees the new partitions and writes to the last one."""
        deadline, results = Deadline(timeout_ms), [None]
        record = {"partition": partitions - 1, "value": "Z3Jvd24="}
        while not deadline.passed():
            try:
                self._send(self.watched, topic, record, results, 0)
                break
            except KafkaException:
                self.watched.poll(0.1)  # the partition is not known yet
        self.watched.flush(10)
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]


serve(Driver())
