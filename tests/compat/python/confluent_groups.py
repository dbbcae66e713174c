"""Groups with confluent-kafka: a member, and what an admin asks. See driver_loop.py."""
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition

from group_member import GroupMember, Membership


class Member(GroupMember):
    def __init__(self, bootstrap, group, topic, assignor=None, protocol="classic", session_ms=6000, instance=None, commits=True,
                 pattern=None):
        super().__init__(commits)
        self.subscription = pattern or topic
        self.options = {
            "bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100, "group.protocol": protocol, "topic.metadata.refresh.interval.ms": 1000,
            "reconnect.backoff.max.ms": 500,
        }
        if protocol == "classic":
            self.options.update({"session.timeout.ms": session_ms, "heartbeat.interval.ms": session_ms // 6,
                                 "partition.assignment.strategy": assignor or "range"})
        elif assignor:
            self.options["group.remote.assignor"] = assignor
        self.incremental = protocol == "consumer" or assignor == "cooperative-sticky"
        if instance:
            self.options["group.instance.id"] = instance

    def open(self):
        self.consumer = Consumer(self.options)
        self.consumer.subscribe([self.subscription], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def _assigned(self, _, partitions):
        self.on_assigned([p.partition for p in partitions], self.incremental)

    def _revoked(self, _, partitions):
        self.on_revoked([p.partition for p in partitions])

    def poll(self):
        batch = []
        for message in self.consumer.consume(num_messages=200, timeout=0.1):
            if message.error():
                self.note(message.error())
            else:
                batch.append((message.partition(), message.offset()))
        return batch

    def commit(self):
        for answer in self.consumer.commit(asynchronous=False):
            if answer.error:
                raise KafkaException(answer.error)

    def leave(self):
        self.consumer.close()


class Groups(Membership):
    """Needs _admin(bootstrap) of the driver."""

    member_class = Member
    SECONDS = 20

    def list_groups(self, bootstrap):
        found = self._admin(bootstrap).list_consumer_groups(request_timeout=self.SECONDS).result()
        if found.errors:
            raise found.errors[0]
        return {"groups": sorted(group.group_id for group in found.valid)}

    def describe_group(self, bootstrap, group):
        found = self._admin(bootstrap).describe_consumer_groups([group], request_timeout=self.SECONDS)[group].result()
        return {"state": found.state.name, "members": len(found.members)}

    def group_offsets(self, bootstrap, group, topic):
        asked = [ConsumerGroupTopicPartitions(group)]
        found = self._admin(bootstrap).list_consumer_group_offsets(asked, request_timeout=self.SECONDS)[group].result()
        return {"offsets": {str(p.partition): p.offset for p in self._checked(found) if p.topic == topic}}

    def alter_offsets(self, bootstrap, group, topic, offsets):
        wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, int(p), offset) for p, offset in offsets.items()])
        self._checked(self._admin(bootstrap).alter_consumer_group_offsets([wanted], request_timeout=self.SECONDS)[group].result())
        return {}

    def delete_group(self, bootstrap, group):
        self._admin(bootstrap).delete_consumer_groups([group], request_timeout=self.SECONDS)[group].result()
        return {}

    @staticmethod
    def _checked(answer):
        for partition in answer.topic_partitions:
            if partition.error:
                raise KafkaException(partition.error)
        return answer.topic_partitions
