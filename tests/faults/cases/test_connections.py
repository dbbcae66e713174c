"""Thousands of connections that do nothing cost little and disturb nobody (C31)."""
import resource
import struct

import pytest

from harness import wire

IDLE = 10000
IDLE_BYTES_MAX = 300 << 20


def test_ten_thousand_idle_connections(make_broker):
    needed = IDLE + 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < needed:
        pytest.skip("needs %d open files, the limit is %d" % (needed, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    broker = make_broker().start()
    before = broker.memory_bytes()
    connections = []
    try:
        for n in range(IDLE):
            connections.append(wire.Connection(broker.kafka))
        for n in (0, IDLE // 2, IDLE - 1):
            assert connections[n].ask(wire.api_versions(correlation=n))[:6] == struct.pack(">ih", n, 0)
        grown = broker.memory_bytes() - before
        print("%d idle connections: %.1f KiB each" % (IDLE, grown / IDLE / 1024))
        assert grown < IDLE_BYTES_MAX
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with wire.Connection(broker.kafka) as connection:
        assert connection.ask(wire.api_versions())
