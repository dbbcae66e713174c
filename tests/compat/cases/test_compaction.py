"""Compacted topics (A22): of each key the last value stays, whoever wrote it, and every client reads over the gaps."""
import pytest

from harness.drivers import record, unpack
from harness.waiting import eventually

WRITERS = ("java", "confluent", "kafka_python_3")
READERS = ("java", "confluent", "kafka_python_3", "aiokafka")
SETTINGS = {"segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01",
            "delete.retention.ms": "0", "file.delete.delay.ms": "0"}
BACKOFF = {"log.cleaner.backoff.ms": 100}


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_rebuilt_state_equals_the_live_one(broker, policy):
    """Values are overwritten and deleted by three clients; a reader from the beginning gets the map of last values."""
    if broker.pid is None:
        pytest.skip("needs a broker of its own, with a short log.cleaner.backoff.ms")
    from harness.broker import Broker
    from harness.drivers import Driver
    with Broker(**BACKOFF) as own:
        drivers = {name: Driver(name, own.kafka) for name in dict.fromkeys(WRITERS + READERS)}
        try:
            java = drivers["java"]
            java.create_topic(topic="state", config={"cleanup.policy": policy, **SETTINGS})
            live = {}
            for n in range(60):
                key, value = "k%d" % (n % 6), None if n in (50, 51) else "%d " % n + "x" * 100000
                drivers[WRITERS[n % len(WRITERS)]].produce(topic="state", records=[record(value, key=key)])
                live[key] = value
            live = {key: value for key, value in live.items() if value is not None}
            end = java.offsets(topic="state")["latest"]

            def read(reader, count=1000, timeout_ms=1500):
                found = drivers[reader].consume(topic="state", count=count, timeout_ms=timeout_ms)["records"]
                offsets = [r["offset"] for r in found]
                assert offsets == sorted(set(offsets)), reader
                state = {}
                for r in found:
                    state[unpack(r["key"]).decode()] = r["value"] and unpack(r["value"]).decode()
                return {key: value for key, value in state.items() if value is not None}, found

            # What is in the active segment stays; before it each key is there once.
            eventually(lambda: len(read("java")[1]) < 30, "the log is compacted", seconds=60)
            left = len(read("java", timeout_ms=5000)[1])
            for reader in READERS:
                assert read(reader, left, 30000)[0] == live, reader
            assert java.offsets(topic="state") == {"earliest": 0, "latest": end}
        finally:
            for driver in drivers.values():
                driver.close()
