"""What the brokers of a stopped cluster have on their disks: all replicas of a partition are the same, byte for byte."""
import glob
import hashlib
import os
import struct

from harness import wire

HEADER = struct.Struct(">qiibI")  # base offset, length, leader epoch, magic, checksum
LAST_OFFSET_DELTA = struct.Struct(">i")


def segments(broker, topic, partition):
    """Paths of the files of its log, in the order of their offsets. Of a replica that went and came back both logs may be there:
    the files of the one before are deleted later, and nobody writes to them."""
    folders = {}
    for shape in ("topics/%s.*/%d" % (topic, partition), "topics/%s.*/%d.*" % (topic, partition), "logs/%s-%d" % (topic, partition)):
        for path in glob.glob(os.path.join(broker.data, shape, "*.log")):
            folders.setdefault(os.path.dirname(path), []).append(path)
    if not folders:
        return []
    return sorted(max(folders.values(), key=lambda paths: max(os.path.getmtime(path) for path in paths)))


def batches(broker, topic, partition):
    """[(base offset, next offset, leader epoch, digest)] of all batches that the replica holds; their checksums are right."""
    found = []
    for path in segments(broker, topic, partition):
        with open(path, "rb") as file:
            data = file.read()
        at = 0
        while at + 61 <= len(data):
            base, length, epoch, magic, checksum = HEADER.unpack_from(data, at)
            if length == 0:
                break  # space that nothing was written to yet
            batch = data[at:at + 12 + length]
            assert magic == 2 and len(batch) == 12 + length, "%s: no batch at %d" % (path, at)
            assert wire.crc32c(batch[21:]) == checksum, "%s: the checksum at %d is wrong" % (path, at)
            last = base + LAST_OFFSET_DELTA.unpack_from(batch, 23)[0]
            found.append((base, last + 1, epoch, hashlib.blake2b(batch, digest_size=16).hexdigest()))
            at += 12 + length
    return found


def compare(brokers, topic, partition, end):
    """brokers: those that hold a replica, all stopped cleanly when it was in sync. end: the offset behind its last record."""
    logs = {broker.node: batches(broker, topic, partition) for broker in brokers}
    for node, log in logs.items():
        offset = 0
        for base, following, _, _ in log:
            assert base == offset, "broker %d: %s-%d: offset %d follows %d" % (node, topic, partition, base, offset - 1)
            offset = following
        assert offset == end, "broker %d: %s-%d ends at %d, its leader's at %d" % (node, topic, partition, offset, end)
    first = brokers[0].node
    for node, log in logs.items():
        wrong = next((n for n, one in enumerate(log) if one != logs[first][n]), None)
        assert wrong is None, "brokers %d and %d: %s-%d has diverged: %s and %s" % (
            first, node, topic, partition, logs[first][wrong], log[wrong])
