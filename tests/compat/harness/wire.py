"""Just enough of the Kafka protocol to send what no client would: frames by hand over a plain socket."""
import socket
import struct
import time

from aiokafka.record.util import calc_crc32c as crc32c

PRODUCE, FETCH, LIST_OFFSETS, METADATA, OFFSET_COMMIT, FIND_COORDINATOR, API_VERSIONS = 0, 1, 2, 3, 8, 10, 18
UNSUPPORTED_VERSION = 35

def varint(value):
    value, out = (value << 1) ^ (value >> 63), bytearray()
    while value & ~0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def header(api, version, correlation=1, client="raw"):
    """Request header v1; flexible requests add their empty tag section themselves."""
    return struct.pack(">hhi", api, version, correlation) + string(client)


def one_record(value):
    body = b"\0" + varint(0) + varint(0) + varint(-1) + varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def batch(value=b"x", producer_id=-1, epoch=-1, sequence=-1, crc=None, magic=2, count=1, timestamp=None):
    """A v2 batch with one uncompressed record, of now, with a checksum of the test's choice."""
    timestamp = time.time_ns() // 1000000 if timestamp is None else timestamp
    checked = struct.pack(">hiqqqhii", 0, count - 1, timestamp, timestamp, producer_id, epoch, sequence, count) + one_record(value)
    right = crc32c(checked)
    tail = struct.pack(">ibI", 0, magic, right if crc is None else crc) + checked
    return struct.pack(">qi", 0, len(tail)) + tail


def produce(topic, records, acks=-1, version=3, partition=0, correlation=1):
    body = struct.pack(">hhi", -1, acks, 10000) + struct.pack(">i", 1) + string(topic)
    body += struct.pack(">ii", 1, partition) + struct.pack(">i", len(records)) + records
    return header(PRODUCE, version, correlation) + body


def metadata(topics, version=1, correlation=1):
    body = struct.pack(">i", -1 if topics is None else len(topics)) + b"".join(string(t) for t in topics or [])
    return header(METADATA, version, correlation) + body


def leaders(answer):
    """{partition: leader} of the only topic in a Metadata v1 answer."""
    at = 4

    def number(shape):
        nonlocal at
        value, = struct.unpack_from(">" + shape, answer, at)
        at += struct.calcsize(shape)
        return value

    def skip(size):
        nonlocal at
        at += max(size, 0)

    def text():
        skip(number("h"))

    for _ in range(number("i")):
        number("i"), text(), number("i"), text()  # a broker
    number("i"), number("i"), number("h"), text(), number("b")
    found = {}
    for _ in range(number("i")):
        number("h")
        partition, leader = number("i"), number("i")
        for _ in range(2):
            skip(4 * number("i"))
        found[partition] = leader
    return found


def api_versions(version=0, correlation=1):
    body = b"" if version < 3 else b"\0" + b"\x04raw" + b"\x021" + b"\0"
    return header(API_VERSIONS, version, correlation) + body


class Connection:
    """A blocking connection with a time limit on every step."""

    def __init__(self, bootstrap, seconds=10):
        host, port = bootstrap.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=seconds)

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, payload):
        self.send_raw(struct.pack(">i", len(payload)) + payload)

    def receive(self):
        """The next answer without its length, or None when the other side closed."""
        size = self._exactly(4)
        return None if size is None else self._exactly(struct.unpack(">i", size)[0])

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                chunk = self.socket.recv(min(1 << 20, count - len(data)))
            except ConnectionError:
                return None
            if not chunk:
                return None
            data += chunk
        return data

    def ask(self, payload):
        self.send(payload)
        return self.receive()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def announced(bootstrap):
    """{api: (lowest version, highest version)} as the broker tells in ApiVersions v0."""
    with Connection(bootstrap) as connection:
        answer = connection.ask(api_versions())
    error, count = struct.unpack_from(">hi", answer, 4)
    assert error == 0, "ApiVersions v0 answered error %d" % error
    return {api: (low, high) for api, low, high in struct.iter_unpack(">hhh", answer[10:10 + 6 * count])}
