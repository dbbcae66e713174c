"""Asks every broker, over and over, where partitions end: nobody may tell of an end in front of one that was told before."""
import struct
import threading
import time

from harness import wire

OFFSET_OUT_OF_RANGE = 1
ASK_SECONDS = 2
PAUSE_SECONDS = 0.01
LEADERS, FOLLOWERS_TOO = 4, 11  # versions of Fetch, by who answers consumers


def fetch_request(version, topic, positions):
    """Fetch of the first batch from each of the positions, without waiting for more and without a session."""
    session = struct.pack(">ii", 0, -1) if version >= FOLLOWERS_TOO else b""
    body = struct.pack(">iiiib", -1, 0, 0, 1 << 20, 0) + session + struct.pack(">i", 1) + wire.string(topic)
    body += struct.pack(">i", len(positions))
    for partition, position in enumerate(positions):
        if version >= FOLLOWERS_TOO:
            body += struct.pack(">iiqqi", partition, -1, position, -1, 1)
        else:
            body += struct.pack(">iqi", partition, position, 1)
    if version >= FOLLOWERS_TOO:
        body += struct.pack(">i", 0) + wire.string("")
    return wire.header(wire.FETCH, version) + body


def ends_of(version, answer):
    """[(partition, error, high watermark)] of an answer about one topic."""
    at, found = 4 + 4, []
    if version >= FOLLOWERS_TOO:
        at += 2 + 4
    topics, = struct.unpack_from(">i", answer, at)
    if topics == 0:
        return found
    name, = struct.unpack_from(">h", answer, at + 4)
    at += 4 + 2 + name
    count, = struct.unpack_from(">i", answer, at)
    at += 4
    for _ in range(count):
        found.append(struct.unpack_from(">ihq", answer, at))
        at += 4 + 2 + 8 + 8 + (8 if version >= FOLLOWERS_TOO else 0)
        aborted, = struct.unpack_from(">i", answer, at)
        at += 4 + 16 * max(aborted, 0) + (4 if version >= FOLLOWERS_TOO else 0)
        records, = struct.unpack_from(">i", answer, at)
        at += 4 + max(records, 0)
    return found


class Asking(threading.Thread):
    """Fetches from one broker, behind what anybody was told before the question left.

    A broker that leads no more has to say so, however sure it is, and a follower that it does not know so much: an older
    end, or that nobody can be so far, is an error. What a consumer holds for the high watermark does not show that: the
    answer of a follower to a question of long ago may come late.
    `ends` (a list by partition) is shared by all that ask or read the topic.
    """

    def __init__(self, broker, topic, ends):
        super().__init__(name="asking broker %d" % broker.node, daemon=True)
        self.broker, self.topic, self.ends = broker, topic, ends
        self.errors = []
        self.answers = 0  # with an end in them
        self.done = threading.Event()

    def run(self):
        connection, turn = None, 0
        while not self.done.is_set() and not self.errors:
            try:
                connection = connection or wire.Connection(self.broker.kafka, ASK_SECONDS)
                turn += 1
                if not self._ask(connection, LEADERS if turn % 2 else FOLLOWERS_TOO):
                    raise ConnectionError("the broker hung up")
            except OSError:
                if connection:
                    connection.close()
                connection = None
            except struct.error as failure:
                self.errors.append("%s: an answer that is none: %s" % (self.name, failure))
            self.done.wait(PAUSE_SECONDS)

    def _ask(self, connection, version):
        before = list(self.ends)
        asked = time.time()
        answer = connection.ask(fetch_request(version, self.topic, before))
        for partition, error, end in ends_of(version, answer) if answer else ():
            if error == 0:
                self.answers += 1
            if error == OFFSET_OUT_OF_RANGE or error == 0 and end < before[partition]:
                self.errors.append("%s at %.3f: partition %d ended at %d, then at %d (Fetch v%d, error %d)" % (
                    self.name, asked, partition, before[partition], end, version, error))
            elif error == 0:
                self.ends[partition] = max(self.ends[partition], end)
        return answer

    def stop(self):
        self.done.set()
        self.join(30)
        assert not self.is_alive(), self.name
