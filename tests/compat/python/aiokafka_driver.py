"""Drives aiokafka: see driver_loop.py."""
import asyncio

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import for_code

from aiokafka_groups import Groups
from driver_loop import Deadline, pack, serve, unpack


class Driver(Groups):
    """Each operation runs its coroutine in a loop of its own."""

    def hello(self):
        return {"client": "aiokafka " + aiokafka.__version__}

    def produce(self, **arguments):
        return asyncio.run(self._produce(**arguments))

    async def _produce(self, bootstrap, topic, records, codec="none", acks=None, idempotent=None, config=None):
        options = {"compression_type": None if codec == "none" else codec, "linger_ms": 5, "max_request_size": 8 << 20}
        if acks is not None:
            options["acks"] = acks
        if idempotent is not None:
            options["enable_idempotence"] = idempotent
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, **options) as producer:
            sent = []
            for record in records:
                sent.append(await producer.send(
                    topic, key=unpack(record.get("key")), value=unpack(record.get("value")), partition=record.get("partition"),
                    timestamp_ms=record.get("timestamp"),
                    headers=[(name, unpack(value)) for name, value in record.get("headers", [])]))
            answers = await asyncio.wait_for(asyncio.gather(*sent), 30)
        if acks == 0:
            return {"results": [None for _ in answers]}  # nobody tells an offset
        return {"results": [{"partition": a.partition, "offset": a.offset, "timestamp": a.timestamp} for a in answers]}

    def consume(self, **arguments):
        return asyncio.run(self._consume(**arguments))

    async def _consume(self, bootstrap, topic, count, start="earliest", partitions=None, timeout_ms=20000, config=None):
        if partitions is None:
            partitions = await self._partitions(bootstrap, topic)
        async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
            await self._position(consumer, [TopicPartition(topic, p) for p in partitions], start)
            return {"records": await self._poll(consumer, count, timeout_ms)}

    @staticmethod
    async def _partitions(bootstrap, topic):
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            return sorted(found["partition"] for found in (await admin.describe_topics([topic]))[0]["partitions"])
        finally:
            await admin.close()

    @staticmethod
    async def _position(consumer, assigned, start):
        # Assigned and placed in one go: a subscription starts from its default place at once and may win against a seek.
        consumer.assign(assigned)
        if start == "earliest":
            await consumer.seek_to_beginning(*assigned)
        elif start == "latest":
            await consumer.seek_to_end(*assigned)
        elif "offset" in start:
            for partition in assigned:
                consumer.seek(partition, start["offset"])
        else:
            found = await consumer.offsets_for_times({p: start["timestamp"] for p in assigned})
            for partition in assigned:
                consumer.seek(partition, found[partition].offset)

    @staticmethod
    async def _poll(consumer, count, timeout_ms):
        deadline, records = Deadline(timeout_ms), []
        while len(records) < count and not deadline.passed():
            for batch in (await consumer.getmany(timeout_ms=200, max_records=count - len(records))).values():
                records.extend({
                    "partition": r.partition, "offset": r.offset, "timestamp": r.timestamp, "timestamp_type": r.timestamp_type,
                    "key": pack(r.key), "value": pack(r.value), "headers": [[name, pack(value)] for name, value in r.headers],
                } for r in batch)
        return records

    def pause_seek(self, **arguments):
        return asyncio.run(self._pause_seek(**arguments))

    async def _pause_seek(self, bootstrap, topic, read_first, seek_to, quiet_ms=1500):
        async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            first = await self._poll(consumer, read_first, 20000)
            consumer.pause(partition)
            paused = await self._poll(consumer, 1, quiet_ms)
            consumer.resume(partition)
            resumed = await self._poll(consumer, 1, 20000)
            consumer.seek(partition, seek_to)
            after = await self._poll(consumer, 1, 20000)
            return {name: [r["offset"] for r in records]
                    for name, records in dict(first=first, paused=paused, resumed=resumed, after_seek=after).items()}

    def create_topic(self, bootstrap, topic, partitions=1, replication=1, config=None, validate_only=False):
        return self._admin(bootstrap, lambda admin: admin.create_topics(
            [NewTopic(topic, partitions, replication, topic_configs=config or {})], validate_only=validate_only))

    def delete_topic(self, bootstrap, topic):
        return self._admin(bootstrap, lambda admin: admin.delete_topics([topic]))

    def list_topics(self, bootstrap):
        async def names():
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
            await admin.start()
            try:
                return {"topics": sorted(await admin.list_topics())}
            finally:
                await admin.close()

        return asyncio.run(names())

    def create_partitions(self, bootstrap, topic, total):
        return self._admin(bootstrap, lambda admin: admin.create_partitions({topic: NewPartitions(total)}))

    @staticmethod
    def _admin(bootstrap, act):
        async def run():
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
            await admin.start()
            try:
                answer = await act(admin)
            finally:
                await admin.close()
            for failed in getattr(answer, "topic_errors", None) or getattr(answer, "topic_error_codes", None) or []:
                if failed[1]:
                    raise for_code(failed[1])(failed[2] if len(failed) > 2 else "")
            return {}

        return asyncio.run(run())


serve(Driver())
