"""Groups with aiokafka: a member, and what an admin asks. See driver_loop.py."""
import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from driver_loop import Unsupported
from group_member import GroupMember, Membership

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


class Listener(ConsumerRebalanceListener):
    def __init__(self, member):
        self.member = member

    async def on_partitions_assigned(self, assigned):
        self.member.on_assigned([p.partition for p in assigned])

    async def on_partitions_revoked(self, revoked):
        self.member.on_revoked([p.partition for p in revoked])


class Member(GroupMember):
    """Its event loop runs in its thread, whenever a step of the member waits."""

    def __init__(self, bootstrap, group, topic, assignor="range", protocol="classic", session_ms=6000, instance=None,
                 commits=True, pattern=None):
        super().__init__(commits)
        if protocol != "classic" or assignor not in ASSIGNORS:
            raise Unsupported("%s, %s" % (protocol, assignor))
        self.topic = topic
        self.options = {
            "bootstrap_servers": bootstrap, "group_id": group, "enable_auto_commit": False, "auto_offset_reset": "earliest",
            "session_timeout_ms": session_ms, "heartbeat_interval_ms": session_ms // 6, "fetch_max_wait_ms": 100,
            "partition_assignment_strategy": [ASSIGNORS[assignor]], "group_instance_id": instance,
        }

    def open(self):
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._open())

    async def _open(self):
        self.consumer = AIOKafkaConsumer(**self.options)
        self.consumer.subscribe([self.topic], listener=Listener(self))
        await self.consumer.start()

    def poll(self):
        found = self.loop.run_until_complete(self.consumer.getmany(timeout_ms=100))
        return [(r.partition, r.offset) for batch in found.values() for r in batch]

    def commit(self):
        self.loop.run_until_complete(self.consumer.commit())

    def leave(self):
        self.loop.run_until_complete(self.consumer.stop())


class Groups(Membership):
    member_class = Member

    @staticmethod
    def _ask(bootstrap, act):
        async def run():
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
            await admin.start()
            try:
                return await act(admin)
            finally:
                await admin.close()

        return asyncio.run(run())

    def list_groups(self, bootstrap):
        return {"groups": sorted(name for name, _ in self._ask(bootstrap, lambda admin: admin.list_consumer_groups()))}

    def describe_group(self, bootstrap, group):
        found = self._ask(bootstrap, lambda admin: admin.describe_consumer_groups([group]))[0].to_object()["groups"][0]
        return {"state": found["state"], "members": len(found["members"])}

    def group_offsets(self, bootstrap, group, topic):
        found = self._ask(bootstrap, lambda admin: admin.list_consumer_group_offsets(group))
        return {"offsets": {str(p.partition): at.offset for p, at in found.items() if p.topic == topic}}
