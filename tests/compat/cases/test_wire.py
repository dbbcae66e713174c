"""Frames that no client sends: the broker answers or closes, stays up, and keeps its memory (C31, C53)."""
import os
import random
import socket
import struct

import pytest

from harness import wire
from harness.waiting import eventually

LIMIT_BYTES = 100 << 20  # more than this for a lying connection is a lie believed


def alive(bootstrap):
    with wire.Connection(bootstrap) as connection:
        return connection.ask(wire.api_versions())[:6] == struct.pack(">ih", 1, 0)


@pytest.mark.parametrize("version", [4, 5, 99, 32767])
def test_unknown_version_of_api_versions(bootstrap, apis, version):
    """Answered with the body of v0, UNSUPPORTED_VERSION and the range; the connection stays (KIP-511)."""
    if version <= apis[wire.API_VERSIONS][1]:
        pytest.skip("version %d is known here" % version)
    with wire.Connection(bootstrap) as connection:
        answer = connection.ask(wire.api_versions(version, correlation=77))
        correlation, error, count = struct.unpack_from(">ihi", answer)
        assert (correlation, error) == (77, wire.UNSUPPORTED_VERSION)
        ranges = [struct.unpack_from(">hhh", answer, 10 + 6 * n) for n in range(count)]
        assert len(answer) == 10 + 6 * count
        assert (wire.API_VERSIONS, *apis[wire.API_VERSIONS]) in ranges
        assert connection.ask(wire.api_versions(0, correlation=78))[:6] == struct.pack(">ih", 78, 0)


def test_every_known_version_of_api_versions(bootstrap, apis):
    low, high = apis[wire.API_VERSIONS]
    assert low == 0
    for version in range(low, high + 1):
        with wire.Connection(bootstrap) as connection:
            assert struct.unpack_from(">ih", connection.ask(wire.api_versions(version, correlation=version))) == (version, 0)


def test_what_clients_need_is_announced(apis):
    """The floor of today's clients and of Kafka 4: what librdkafka and kafka-python look for before they start."""
    assert apis[wire.PRODUCE][1] >= 12 and apis[wire.FETCH][0] <= 4 and apis[wire.LIST_OFFSETS][0] <= 1
    assert apis[wire.METADATA][0] == 0 and apis[wire.METADATA][1] >= 12


def test_pipelined_requests_are_answered_in_order(bootstrap):
    with wire.Connection(bootstrap) as connection:
        for n in range(100):
            connection.send(wire.metadata(None, correlation=n) if n % 3 else wire.api_versions(correlation=n))
        assert [struct.unpack_from(">i", connection.receive())[0] for _ in range(100)] == list(range(100))


def test_acks_0_gets_no_answer(bootstrap, make_topic):
    topic = make_topic()
    with wire.Connection(bootstrap) as connection:
        connection.send(wire.produce(topic, wire.batch(b"silent"), acks=0, correlation=5))
        answer = connection.ask(wire.api_versions(correlation=6))
        assert struct.unpack_from(">i", answer)[0] == 6


def test_a_request_byte_by_byte(bootstrap):
    payload = wire.metadata(None, correlation=9)
    with wire.Connection(bootstrap) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in struct.pack(">i", len(payload)) + payload:
            connection.send_raw(bytes([byte]))
        assert struct.unpack_from(">i", connection.receive())[0] == 9


HOSTILE = {
    "negative length": b"\xff\xff\xff\xff" + b"x" * 20,
    "length zero": b"\0\0\0\0",
    "two gigabytes announced": struct.pack(">i", 2**31 - 1) + b"x" * 1000,
    "http": b"GET / HTTP/1.1\r\nHost: kafka\r\n\r\n",
    "tls hello": bytes.fromhex("16030100c8010000c40303") + b"\0" * 200,
    "header cut": struct.pack(">ihh", 4, 3, 1),
    "unknown api": struct.pack(">i", 14) + struct.pack(">hhih", 9999, 0, 1, 4) + b"evil",
    "negative api": struct.pack(">i", 14) + struct.pack(">hhih", -3, 0, 1, 4) + b"evil",
    "client id beyond the frame": struct.pack(">i", 10) + struct.pack(">hhih", 3, 1, 1, 30000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_malformed_frames(bootstrap, broker, name):
    with wire.Connection(bootstrap, seconds=3) as connection:
        connection.send_raw(HOSTILE[name])
        try:
            connection.receive()  # an answer or the end of the connection; a wait is right as well when more is announced
        except TimeoutError:
            assert "announced" in name or name in ("http", "tls hello"), "neither answered nor closed"
    assert alive(bootstrap)


@pytest.mark.parametrize("count", [-2, 2**31 - 1, 1 << 20])
def test_array_counts_that_lie(bootstrap, count):
    """An array longer than the frame could hold is refused before memory is taken for it."""
    with wire.Connection(bootstrap, seconds=5) as connection:
        connection.send(wire.header(wire.METADATA, 1) + struct.pack(">i", count))
        connection.receive()
    assert alive(bootstrap)


def test_random_bytes_as_requests(bootstrap):
    """Well-framed headers of every announced API, bodies of noise: seed printed with a failure."""
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32)))
    noise = random.Random(seed)
    apis = wire.announced(bootstrap)
    for _ in range(400):
        api = noise.choice(sorted(apis))
        version = noise.randint(*apis[api])
        body = noise.randbytes(noise.choice([0, 1, 7, 60, 600]))
        with wire.Connection(bootstrap, seconds=5) as connection:
            connection.send(wire.header(api, version) + body)
            connection.socket.shutdown(socket.SHUT_WR)
            connection.receive()
    assert alive(bootstrap), "seed %d" % seed


def test_damaged_produce_requests(bootstrap, make_topic):
    """A right request with one byte wrong, many times: refused or taken, never the end."""
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32)))
    noise, topic = random.Random(seed), make_topic()
    right = bytearray(wire.produce(topic, wire.batch(b"content")))
    for _ in range(400):
        wrong = bytearray(right)
        wrong[noise.randrange(2, len(wrong))] ^= 1 << noise.randrange(8)
        with wire.Connection(bootstrap, seconds=10) as connection:
            connection.send(bytes(wrong))
            connection.socket.shutdown(socket.SHUT_WR)
            connection.receive()
    assert alive(bootstrap), "seed %d" % seed


def test_memory_with_five_hundred_lying_slow_and_idle_connections(bootstrap, broker):
    """Each announces what it never sends; the broker takes no memory on their word (C31)."""
    if broker.pid is None:
        pytest.skip("needs a broker of our own: the memory of a foreign process is not read")
    before = broker.memory_bytes()
    connections = []
    try:
        for n in range(500):
            connection = wire.Connection(bootstrap)
            connections.append(connection)
            if n % 3 == 0:
                connection.send_raw(struct.pack(">i", 100 << 20) + b"x" * 10)
            elif n % 3 == 1:
                payload = wire.metadata(None)
                connection.send_raw(struct.pack(">i", len(payload)) + payload[:5])
        assert alive(bootstrap)
        grown = broker.memory_bytes() - before
        assert grown < LIMIT_BYTES, "grew by %d MiB" % (grown >> 20)
    finally:
        for connection in connections:
            connection.close()
    eventually(lambda: alive(bootstrap), "the broker answers")


def test_a_reader_that_never_reads(bootstrap, broker, make_topic, clients):
    """Asks again and again and takes no answer: the broker stops reading from it, others are served."""
    from harness.drivers import record
    topic = make_topic()
    clients("confluent").produce(topic=topic, records=[record("x" * 900000, partition=0) for _ in range(4)])
    before = broker.memory_bytes() if broker.pid else 0
    fetch = wire.header(wire.FETCH, 4) + struct.pack(">iiiib", -1, 100, 1, 50 << 20, 0)
    fetch += struct.pack(">i", 1) + wire.string(topic) + struct.pack(">iiqi", 1, 0, 0, 50 << 20)
    with wire.Connection(bootstrap) as connection:
        connection.socket.setblocking(False)
        for _ in range(300):
            try:
                connection.socket.send(struct.pack(">i", len(fetch)) + fetch)
            except BlockingIOError:
                break
        for _ in range(20):
            assert alive(bootstrap)
        if broker.pid:
            grown = broker.memory_bytes() - before
            assert grown < LIMIT_BYTES, "grew by %d MiB" % (grown >> 20)
