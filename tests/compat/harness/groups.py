"""Members of consumer groups, and what they share: rounds of one record per partition show who has which partition.

The clients tell of their assignments in different ways, some not at all; who got a record is the same question for all.
"""
import contextlib
import signal
import time

from harness.drivers import Driver, record
from harness.waiting import eventually

# name -> (program of drivers.py, options of the member); what a case asks for comes on top.
KINDS = {
    "kafka_python_2": ("kafka_python_2", {}),
    "kafka_python_3": ("kafka_python_3", {}),
    "confluent": ("confluent", {}),
    "confluent_consumer": ("confluent", {"protocol": "consumer"}),
    "aiokafka": ("aiokafka", {}),
    "kafkajs": ("kafkajs", {}),
    "kafka_go": ("kafka_go", {}),
    "java": ("java", {}),
    "java_consumer": ("java", {"protocol": "consumer"}),
}
SESSION_MS = 6000
SETTLE_SECONDS = 60


class Member:
    """One client process in a group. `name` says who it is in failures."""

    def __init__(self, kind, bootstrap, group, topic, name=None, **options):
        program, fixed = KINDS[kind]
        self.name = name or kind
        self.driver = Driver(program, bootstrap)
        self.last = {}
        try:
            self.driver.group_start(group=group, topic=topic, member={**fixed, **options})
        except BaseException:
            self.driver.close()
            raise

    def _note(self, answer):
        assert not answer.get("failure"), "%s: %s, after %s" % (self.name, answer["failure"], answer["notes"])
        self.last = answer
        return [tuple(one) for one in answer["records"]]

    def take(self):
        """Records [(partition, offset)] since the last time; the rest of the answer is in `last`."""
        return self._note(self.driver.group_take())

    def leave(self):
        """Leaves the group as the client does; answers what it still had."""
        rest = self._note(self.driver.group_stop())
        self.driver.close()
        return rest

    def kill(self):
        """kill -9."""
        self.driver.close()

    @contextlib.contextmanager
    def stopped(self):
        """SIGSTOP, and SIGCONT at the end: a rebalance that needs this member's consent lasts as long."""
        self.driver.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.driver.process.send_signal(signal.SIGCONT)

    @property
    def committed(self):
        return {int(partition): offset for partition, offset in self.last.get("committed", {}).items()}


class Gang:
    """The members of one group on one topic, and the book of who saw which record."""

    def __init__(self, writer, group, topic, partitions):
        self.writer = writer
        self.group = group
        self.topic = topic
        self.partitions = range(partitions)
        self.members = []
        self.joined = 0
        self.ends = {}  # partition -> end of what was written
        self.seen = {}  # (partition, offset) -> names of the members that got it
        self.committed = {}  # partition -> the highest offset that the broker acknowledged

    @property
    def bootstrap(self):
        return self.writer.bootstrap

    def join(self, kind, **options):
        self.joined += 1
        member = Member(kind, self.bootstrap, self.group, self.topic, name="%s #%d" % (kind, self.joined), **options)
        self.members.append(member)
        return member

    def leave(self, member):
        self._book(member, member.leave())
        self.members.remove(member)

    def kill(self, member):
        self.collect()
        member.kill()
        self.members.remove(member)

    def close(self):
        for member in self.members:
            member.kill()

    def write(self):
        """A record to each partition; answers {(partition, offset)}."""
        sent = self.writer.produce(topic=self.topic, records=[record("round", partition=p) for p in self.partitions])
        written = {(one["partition"], one["offset"]) for one in sent["results"]}
        self.ends.update({partition: offset + 1 for partition, offset in written})
        return written

    def _book(self, member, records):
        for one in records:
            self.seen.setdefault(one, []).append(member.name)
        for partition, offset in member.committed.items():
            self.committed[partition] = max(offset, self.committed.get(partition, 0))

    def collect(self):
        for member in self.members:
            self._book(member, member.take())

    def await_seen(self, written, seconds=SETTLE_SECONDS):
        """Waits until each of these records was seen by somebody."""

        def complete():
            self.collect()
            return all(one in self.seen for one in written)

        try:
            eventually(complete, "all records seen", seconds, pause=0.1)
        except AssertionError as late:
            missing = sorted(one for one in written if one not in self.seen)
            raise AssertionError("%s; missing %s; the members say %s" % (late, missing, self.notes())) from None

    def notes(self):
        return {member.name: member.last.get("notes") for member in self.members}

    def round(self, seconds=SETTLE_SECONDS):
        """{member's name: its partitions} by who got a new record of each; None where one went to two members."""
        written = self.write()
        self.await_seen(written, seconds)
        shares = {member.name: set() for member in self.members}
        for partition, offset in written:
            if len(self.seen[partition, offset]) > 1:
                return None  # a rebalance in between: it was not committed yet and came again
            shares.setdefault(self.seen[partition, offset][0], set()).add(partition)
        return shares

    def settle(self, wanted=None, seconds=SETTLE_SECONDS):
        """Rounds until two in a row have the same shares and wanted(shares) holds; without it, until every member has one.

        Two, as a member may still hand out what it had fetched before it gave a partition up.
        """
        end, shares, last = time.monotonic() + seconds, None, None
        while time.monotonic() < end:
            last, shares = shares, self.round(max(1, end - time.monotonic()))
            if shares is None or shares != last:
                continue
            if wanted(shares) if wanted else all(shares[member.name] for member in self.members):
                return shares
        raise AssertionError("after %d s the shares were still %s; the members say %s" % (seconds, shares, self.notes()))

    def await_commits(self, seconds=30):
        """Waits until the broker has acknowledged a commit of everything written."""

        def complete():
            self.collect()
            return all(self.committed.get(partition) == end for partition, end in self.ends.items())

        eventually(complete, "all is committed", seconds, pause=0.1)
