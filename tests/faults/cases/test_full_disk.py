"""A full disk: writes are refused with a retriable error, reads and deletes work, and it heals (C30)."""
import os
import shutil
import subprocess

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from harness import wire
from harness.broker import Broker
from harness.waiting import eventually
from history import answer_of, read

DISK_MIB = 384
KAFKA_STORAGE_ERROR = 56
SETTINGS = {"shards": 1, "journal.bytes.max": 32 << 20, "disk.reserve.bytes": 16 << 20, "log.retention.check.interval.ms": 200}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return None if done.returncode == 0 else (done.stderr or done.stdout).strip() or "%s failed" % command[0]


@pytest.fixture(params=["ext4", "tmpfs"])
def small_disk(request, tmp_path):
    """A file system of DISK_MIB, on a loop device and in memory."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder, image = tmp_path / "disk", tmp_path / "image"
    folder.mkdir()
    if request.param == "tmpfs":
        problem = run("mount", "-t", "tmpfs", "-o", "size=%dm" % DISK_MIB, "tmpfs", str(folder))
    else:
        with open(image, "wb") as file:
            file.truncate(DISK_MIB << 20)
        problem = run("mkfs.ext4", "-q", "-m", "0", str(image)) or run("mount", "-o", "loop", str(image), str(folder))
    if problem:
        pytest.skip("no small %s here: %s" % (request.param, problem))
    try:
        yield str(folder)
    finally:
        problem = run("umount", str(folder))
        assert not problem, problem


@pytest.fixture
def broker(small_disk):
    own = Broker(data=os.path.join(small_disk, "data"), **SETTINGS)
    own.log_path = small_disk + ".log"
    try:
        own.start()
        own.keep_ports()
        yield own
    finally:
        own.close()


def create(broker, *names, **config):
    admin = AdminClient({"bootstrap.servers": broker.kafka})
    for future in admin.create_topics([NewTopic(name, 1, 1, config=config) for name in names]).values():
        future.result(20)
    eventually(lambda: set(names) <= set(admin.list_topics(timeout=10).topics), "the topics are there")
    return admin


class Writer:
    """Numbered records of some size, one at a time, until the broker refuses."""

    def __init__(self, broker, topic, size=200000):
        self.broker, self.topic, self.size = broker, topic, size
        self.acked = 0

    def write(self):
        """The error of one produce; 0 when it was taken."""
        with wire.Connection(self.broker.kafka) as connection:
            return self._write(connection)

    def _write(self, connection):
        # Kept cheap to make: the text before the padding is what the reader checks.
        value = b"w:%d" % self.acked
        answer = connection.ask(wire.produce(self.topic, wire.batch(value + b" " * self.size)))
        assert answer is not None, "the connection was closed instead of answered"
        error, offset = answer_of(answer)
        if error == 0:
            assert offset == self.acked
            self.acked += 1
        return error

    def until_refused(self, attempts=6000):
        with wire.Connection(self.broker.kafka, seconds=30) as connection:
            for _ in range(attempts):
                error = self._write(connection)
                if error:
                    return error
        raise AssertionError("the disk did not fill up")

    def check(self):
        found = read(self.broker.kafka, self.topic, 0)
        assert [sequence for _, _, sequence in found] == list(range(self.acked))


def test_full_by_its_own_data(broker):
    admin = create(broker, "keep", "fill")
    keep, fill = Writer(broker, "keep", size=100), Writer(broker, "fill")
    assert [keep.write() for _ in range(10)] == [0] * 10
    assert fill.until_refused() == KAFKA_STORAGE_ERROR
    # Refused for everyone, and nothing of what was acknowledged is gone or unreadable.
    assert fill.write() == KAFKA_STORAGE_ERROR
    keep.check()
    fill.check()
    assert {"keep", "fill"} <= set(admin.list_topics(timeout=10).topics)
    # Restarted while it is full: it comes up and reads.
    broker.kill()
    broker.start()
    keep.check()
    fill.check()
    # Deleting the topic works without space, and writes go on by themselves.
    admin = AdminClient({"bootstrap.servers": broker.kafka})
    admin.delete_topics(["fill"])["fill"].result(20)
    eventually(lambda: keep.write() == 0, "writes go on", seconds=60)
    keep.check()


def test_full_by_something_else(broker, small_disk):
    create(broker, "keep")
    keep = Writer(broker, "keep", size=1000)
    assert keep.write() == 0
    foreign = os.path.join(small_disk, "foreign")
    with open(foreign, "wb") as file:
        free = shutil.disk_usage(small_disk).free
        for _ in range(free // (1 << 20) + 1):
            try:
                file.write(b"\1" * (1 << 20))
                file.flush()
            except OSError:
                break
    eventually(lambda: keep.write() == KAFKA_STORAGE_ERROR, "writes are refused", seconds=60, pause=0)
    keep.check()
    os.unlink(foreign)
    eventually(lambda: keep.write() == 0, "writes go on", seconds=60)
    keep.check()


def test_deleting_records_makes_room(broker):
    from confluent_kafka import TopicPartition
    admin = create(broker, "fill", **{"segment.bytes": str(4 << 20)})
    fill = Writer(broker, "fill")
    assert fill.until_refused() == KAFKA_STORAGE_ERROR
    at = TopicPartition("fill", 0, fill.acked - 5)
    admin.delete_records([at])[TopicPartition("fill", 0)].result(20)
    eventually(lambda: fill.write() == 0, "writes go on", seconds=60)
    assert [offset for offset, _, _ in read(broker.kafka, "fill", 0)] == list(range(at.offset, fill.acked))
