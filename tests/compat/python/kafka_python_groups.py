"""Groups with kafka-python: a member, and what an admin asks. See driver_loop.py."""
import kafka
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import for_code
from kafka.structs import OffsetAndMetadata

from driver_loop import Unsupported
from group_member import GroupMember, Membership

MODERN = not kafka.__version__.startswith("2.0")


def assignor_of(name):
    if name == "range":
        return RangePartitionAssignor
    if name == "roundrobin":
        return RoundRobinPartitionAssignor
    if name == "cooperative-sticky" and MODERN:
        from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
        return CooperativeStickyAssignor
    raise Unsupported("assignor " + name)


class Listener(ConsumerRebalanceListener):
    def __init__(self, member):
        super().__init__()
        self.member = member

    def on_partitions_assigned(self, assigned):
        self.member.on_assigned([p.partition for p in assigned], incremental=self.member.incremental)

    def on_partitions_revoked(self, revoked):
        self.member.on_revoked([p.partition for p in revoked])


class Member(GroupMember):
    def __init__(self, bootstrap, group, topic, assignor="range", protocol="classic", session_ms=6000, instance=None,
                 commits=True, pattern=None):
        super().__init__(commits)
        if protocol != "classic":
            raise Unsupported("group protocol " + protocol)
        if instance and not MODERN:
            raise Unsupported("static membership")
        self.incremental = assignor == "cooperative-sticky"
        self.topic = topic
        self.options = {
            "bootstrap_servers": bootstrap, "group_id": group, "enable_auto_commit": False, "auto_offset_reset": "earliest",
            "session_timeout_ms": session_ms, "heartbeat_interval_ms": session_ms // 6, "fetch_max_wait_ms": 100,
            "partition_assignment_strategy": [assignor_of(assignor)],
        }
        if instance:
            self.options["group_instance_id"] = instance

    def open(self):
        self.consumer = KafkaConsumer(**self.options)
        self.consumer.subscribe([self.topic], listener=Listener(self))

    def poll(self):
        return [(r.partition, r.offset) for batch in self.consumer.poll(timeout_ms=100).values() for r in batch]

    def commit(self):
        self.consumer.commit()

    def leave(self):
        self.consumer.close(autocommit=False)


class Groups(Membership):
    member_class = Member

    @staticmethod
    def _ask(bootstrap, act):
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            return act(admin)
        finally:
            admin.close()

    def list_groups(self, bootstrap):
        if MODERN:
            names = [group["group_id"] for group in self._ask(bootstrap, lambda admin: admin.list_groups())]
        else:
            names = [name for name, _ in self._ask(bootstrap, lambda admin: admin.list_consumer_groups())]
        return {"groups": sorted(names)}

    def describe_group(self, bootstrap, group):
        if MODERN:
            found = self._ask(bootstrap, lambda admin: admin.describe_groups([group]))[group]
            return {"state": found["group_state"], "members": len(found["members"])}
        found = self._ask(bootstrap, lambda admin: admin.describe_consumer_groups([group]))[0]
        return {"state": found.state, "members": len(found.members)}

    def group_offsets(self, bootstrap, group, topic):
        if MODERN:
            found = self._ask(bootstrap, lambda admin: admin.list_group_offsets(group))[group]
        else:
            found = self._ask(bootstrap, lambda admin: admin.list_consumer_group_offsets(group))
        return {"offsets": {str(p.partition): at.offset for p, at in found.items() if p.topic == topic}}

    def alter_offsets(self, bootstrap, group, topic, offsets):
        if not MODERN:
            raise Unsupported("alter_offsets")
        wanted = {TopicPartition(topic, int(p)): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
        return self._each(self._ask(bootstrap, lambda admin: admin.alter_group_offsets(group, wanted)))

    def delete_offsets(self, bootstrap, group, topic, partitions):
        if not MODERN:
            raise Unsupported("delete_offsets")
        gone = [TopicPartition(topic, p) for p in partitions]
        return self._each(self._ask(bootstrap, lambda admin: admin.delete_group_offsets(group, gone)))

    def delete_group(self, bootstrap, group):
        if MODERN:
            answer = self._ask(bootstrap, lambda admin: admin.delete_groups([group]))[group]
            if answer != "OK":
                raise getattr(kafka.errors, answer)()
            return {}
        return self._each(dict(self._ask(bootstrap, lambda admin: admin.delete_consumer_groups([group]))))

    @staticmethod
    def _each(answers):
        for error in answers.values():
            if error is not None and error.errno != 0:
                raise for_code(error.errno)()
        return {}
