"""Drives kafka-python, from 2.0.2 to the newest: see driver_loop.py."""
import json

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions
from kafka.admin import client as admin_client
from kafka.errors import for_code

from driver_loop import Deadline, pack, serve, unpack
from kafka_python_groups import Groups

NewTopic = getattr(kafka.admin, "NewTopic", None) or admin_client.NewTopic
MODERN = not kafka.__version__.startswith("2.0")


def known(cls, options):
    """The options that this release knows; the others did not exist yet."""
    return {name: value for name, value in options.items() if value is not None and name in cls.DEFAULT_CONFIG}


class Driver(Groups):
    def __init__(self):
        self.watched = None

    def hello(self):
        return {"client": "kafka-python " + kafka.__version__}

    def produce(self, bootstrap, topic, records, codec="none", acks=None, idempotent=None, config=None):
        options = {
            "compression_type": None if codec == "none" else codec,
            "acks": acks,
            "enable_idempotence": idempotent,
            "linger_ms": 5,
            "max_request_size": 8 << 20,
        }
        producer = KafkaProducer(bootstrap_servers=bootstrap, **known(KafkaProducer, options))
        try:
            sent = [self._send(producer, topic, record) for record in records]
            producer.flush(timeout=30)
            answers = [future.get(timeout=10) for future in sent]
            return {"results": [{"partition": a.partition, "offset": a.offset, "timestamp": a.timestamp} for a in answers]}
        finally:
            producer.close(timeout=5)

    @staticmethod
    def _send(producer, topic, record):
        return producer.send(
            topic,
            key=unpack(record.get("key")),
            value=unpack(record.get("value")),
            headers=[(name, unpack(value)) for name, value in record.get("headers", [])],
            partition=record.get("partition"),
            timestamp_ms=record.get("timestamp"),
        )

    def consume(self, bootstrap, topic, count, start="earliest", partitions=None, timeout_ms=20000, config=None):
        consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, **(config or {}))
        try:
            self._position(consumer, topic, start, partitions, timeout_ms)
            return {"records": self._poll(consumer, count, timeout_ms)}
        finally:
            consumer.close()

    def _position(self, consumer, topic, start, partitions, timeout_ms):
        deadline = Deadline(timeout_ms)
        while partitions is None and not deadline.passed():
            partitions = consumer.partitions_for_topic(topic)
        assigned = [TopicPartition(topic, p) for p in sorted(partitions)]
        consumer.assign(assigned)
        if start == "earliest":
            consumer.seek_to_beginning(*assigned)
        elif start == "latest":
            consumer.seek_to_end(*assigned)
        elif "offset" in start:
            for partition in assigned:
                consumer.seek(partition, start["offset"])
        else:
            found = consumer.offsets_for_times({p: start["timestamp"] for p in assigned})
            for partition in assigned:
                if found[partition] is None:
                    consumer.seek_to_end(partition)
                else:
                    consumer.seek(partition, found[partition].offset)

    def _poll(self, consumer, count, timeout_ms):
        deadline, records = Deadline(timeout_ms), []
        while len(records) < count and not deadline.passed():
            for batch in consumer.poll(timeout_ms=200).values():
                records.extend(self._record(r) for r in batch)
        return records

    @staticmethod
    def _record(r):
        return {
            "partition": r.partition, "offset": r.offset, "timestamp": r.timestamp, "timestamp_type": r.timestamp_type,
            "key": pack(r.key), "value": pack(r.value), "headers": [[name, pack(value)] for name, value in r.headers],
        }

    def pause_seek(self, bootstrap, topic, read_first, seek_to, quiet_ms=1500):
        consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, max_poll_records=1)
        try:
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            consumer.seek_to_beginning(partition)
            first = self._poll(consumer, read_first, 20000)
            consumer.pause(partition)
            paused = self._poll(consumer, 1, quiet_ms)
            consumer.resume(partition)
            resumed = self._poll(consumer, 1, 20000 if MODERN else 0)
            consumer.seek(partition, seek_to)
            after = self._poll(consumer, 1, 20000)
            return {name: [r["offset"] for r in records]
                    for name, records in dict(first=first, paused=paused, resumed=resumed, after_seek=after).items()}
        finally:
            consumer.close()

    def offsets(self, bootstrap, topic, partition=0, timestamp=None):
        consumer = KafkaConsumer(bootstrap_servers=bootstrap)
        try:
            at = TopicPartition(topic, partition)
            answer = {"earliest": consumer.beginning_offsets([at])[at], "latest": consumer.end_offsets([at])[at]}
            if timestamp is not None:
                found = consumer.offsets_for_times({at: timestamp})[at]
                answer["by_time"] = found.offset if found else None
            return answer
        finally:
            consumer.close()

    def create_topic(self, bootstrap, topic, partitions=-1, replication=-1, config=None, validate_only=False):
        return self._admin(bootstrap, lambda admin: admin.create_topics(
            [NewTopic(topic, partitions, replication, topic_configs=config or {})], validate_only=validate_only))

    def delete_topic(self, bootstrap, topic):
        return self._admin(bootstrap, lambda admin: admin.delete_topics([topic]))

    def list_topics(self, bootstrap):
        names = []
        self._admin(bootstrap, lambda admin: names.extend(admin.list_topics()))
        return {"topics": sorted(names)}

    def create_partitions(self, bootstrap, topic, total):
        return self._admin(bootstrap, lambda admin: admin.create_partitions({topic: NewPartitions(total)}))

    def get_config(self, bootstrap, topic):
        if MODERN:
            return self._modern_config(bootstrap, topic)
        answers = []
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        self._admin(bootstrap, lambda admin: answers.extend(admin.describe_configs([resource])))
        return {"config": {entry[0]: entry[1] for answer in answers for found in answer.resources for entry in found[4]}}

    def _modern_config(self, bootstrap, topic):
        found = {}
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        self._admin(bootstrap, lambda admin: found.update(admin.describe_configs([resource], config_filter="all")))
        config = {}
        for names in (named for kinds in found.values() for named in kinds.values()):
            config.update({name: entry["value"] for name, entry in names.items()})
        return {"config": config}

    def set_config(self, bootstrap, topic, config):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=config)
        return self._admin(bootstrap, lambda admin: admin.alter_configs([resource]))

    @staticmethod
    def _admin(bootstrap, act):
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            answer = act(admin)
            for failed in getattr(answer, "topic_errors", None) or getattr(answer, "topic_error_codes", None) or []:
                if failed[1]:
                    raise for_code(failed[1])(failed[2] if len(failed) > 2 else "")
            return {}
        finally:
            admin.close()

    def admin(self, bootstrap, call, arguments=()):
        """Any method of the admin client by its name; what it answers as text where JSON has no form for it."""
        answer = {}
        self._admin(bootstrap, lambda admin: answer.update(found=getattr(admin, call)(*arguments)))
        return {"found": json.loads(json.dumps(answer["found"], default=str))}

    def watch_start(self, bootstrap, topic):
        self.watched = KafkaProducer(bootstrap_servers=bootstrap, metadata_max_age_ms=500)
        return {"partitions": len(self.watched.partitions_for(topic))}

    def watch_wait(self, topic, partitions, timeout_ms=20000):
        """The producer of watch_start, never restarted, sees the new partitions and writes to the last one."""
        deadline = Deadline(timeout_ms)
        while len(self.watched.partitions_for(topic)) < partitions and not deadline.passed():
            self.watched.send(topic, b"looking", partition=0).get(timeout=10)
        answer = self.watched.send(topic, b"grown", partition=partitions - 1).get(timeout=10)
        self.watched.close(timeout=5)
        return {"partition": answer.partition, "offset": answer.offset}


serve(Driver())
