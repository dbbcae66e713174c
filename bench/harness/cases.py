"""The cases, by name. Each measures both brokers and adds samples to the results."""

import subprocess
import time

from harness import failover, load, machine
from harness.arena import topic_name

P1K = {"partitions": 8, "connections": 16, "in_flight": 5, "record_bytes": 1024, "batch_records": 64}
P1K_REQUEST_GB = P1K["record_bytes"] * P1K["batch_records"] / 1e9
GIVE_UP_S = 120


def _scaled(arena, full, quick):
    return quick if arena.settings.quick else full


def _write(arena, broker, topic, gb):
    """`gb` of 1 KiB records, and the answer of the load generator."""
    return arena.load.run(broker, "produce", topic, seconds=600, requests=max(1, round(gb / P1K_REQUEST_GB)), **P1K)


def p1k(arena):
    gb = _scaled(arena, 2.0, 0.4)

    def measure(broker):
        topic = topic_name("p1k")
        arena.load.run(broker, "create", topic, partitions=P1K["partitions"])
        machine.settle_disk()
        result, cpu = arena.measured(broker, lambda: _write(arena, broker, topic, gb))
        arena.load.run(broker, "delete", topic)
        return {"mb_per_s": result["mb_per_s"], "cpu_s_per_gb": cpu / result["mb"] * 1000,
                "p99_ms": result["latency_us"]["p99"] / 1000, "rss_mib": broker.rss_mib(),
                "client_cpu_s_per_gb": result["client_cpu_s"] / result["mb"] * 1000}

    group = arena.pair()
    for run in range(arena.settings.runs):
        for broker in group:
            with arena.awake(broker):
                arena.add("p1k", broker.name, run, measure(broker))
        machine.settle_disk()
        limit = arena.load.limits(arena.settings.folder, gb)
        arena.add("p1k", "bare program", run, {
            "mb_per_s": limit["receive_checksum_durable"]["mb_per_s"],
            "cpu_s_per_gb": limit["receive_checksum_durable"]["cpu_s_per_gb"],
            "receive_only_cpu_s_per_gb": limit["receive_checksum"]["cpu_s_per_gb"],
            "commit_4k_p50_us": limit["commit_4k"]["p50_us"], "commit_1m_p50_us": limit["commit_1024k"]["p50_us"]})


def _requests(arena, topic, **options):
    """Measures tiny produces on an existing topic."""
    def measure(broker):
        result, cpu = arena.measured(
            broker, lambda: arena.load.run(broker, "produce", topic, seconds=_scaled(arena, 8, 2), **options))
        return {"requests_per_s": result["requests_per_s"], "cpu_us_per_request": cpu / result["requests"] * 1e6,
                "p50_us": result["latency_us"]["p50"], "p99_us": result["latency_us"]["p99"]}
    return measure


def _create_on(arena, group, topic, partitions):
    for broker in group:
        with arena.awake(broker):
            arena.load.run(broker, "create", topic, partitions=partitions, timeout=GIVE_UP_S)


def tiny64(arena):
    fsync = arena.kafka("log.flush.interval.messages=1").start()
    try:
        arena.warm(fsync)
        group = [*arena.pair(), fsync]
        topic = topic_name("tiny64")
        _create_on(arena, group, topic, 8)
        arena.turns("tiny64", group, _requests(arena, topic, partitions=8, connections=64),
                    ["millrace", "kafka", "kafka, fsync"])
    finally:
        fsync.remove()


def pipelined(arena):
    topic = topic_name("pipelined")
    _create_on(arena, arena.pair(), topic, 1)
    arena.turns("pipelined", arena.pair(), _requests(arena, topic, partitions=1, connections=1, in_flight=64))


def _latency(case, rate, end_to_end):
    def run(arena):
        topic = topic_name(case)
        _create_on(arena, arena.pair(), topic, 1)
        seconds = _scaled(arena, 15 if rate < 1000 else 10, 3)

        def measure(broker):
            arena.load.run(broker, "rate", topic, rate=rate, seconds=1)
            result, cpu = arena.measured(
                broker, lambda: arena.load.run(broker, "rate", topic, rate=rate, seconds=seconds, end_to_end=end_to_end))
            times = result["end_to_end_us" if end_to_end else "latency_us"]
            return {"p50_us": times["p50"], "p99_us": times["p99"], "p99.9_us": times["p99.9"], "max_us": times["max"],
                    "cpu_us_per_request": cpu / result["requests"] * 1e6}
        arena.turns(case, arena.pair(), measure)
    return run


def _fetched(arena, broker, topic, **options):
    result, cpu = arena.measured(broker, lambda: arena.load.run(broker, "fetch", topic, partitions=P1K["partitions"],
                                                                **options))
    return {"mb_per_s": result["mb_per_s"], "cpu_s_per_gb": cpu / result["mb"] * 1000, "gb": result["mb"] / 1000,
            "p99_ms": result["latency_us"]["p99"] / 1000, "rss_mib": broker.rss_mib(),
            "client_cpu_s_per_gb": result["client_cpu_s"] / result["mb"] * 1000}


def _fill(arena, topic, gb):
    for broker in arena.pair():
        with arena.awake(broker):
            arena.load.run(broker, "create", topic, partitions=P1K["partitions"])
            _write(arena, broker, topic, gb)


def fetch_recent(arena):
    topic = topic_name("fetch-recent")
    _fill(arena, topic, _scaled(arena, 1.0, 0.2))
    records = round(arena.settings.recent_mb * 1e6 / P1K["record_bytes"] / P1K["partitions"])
    volume = int(_scaled(arena, 4.0, 0.5) * 1e9)
    arena.turns("fetch_recent", arena.pair(), lambda broker: _fetched(
        arena, broker, topic, connections=16, last_records=records, again=True, bytes=volume, seconds=120))


def fetch_cold(arena):
    topic = topic_name("fetch-cold")
    gb = arena.settings.cold_gb or _scaled(arena, 10.0, 0.5)
    _fill(arena, topic, gb)

    def measure(broker):
        dropped = machine.drop_page_cache()
        return {**_fetched(arena, broker, topic, connections=P1K["partitions"], seconds=300),
                "page_cache_dropped": int(dropped)}
    arena.turns("fetch_cold", arena.pair(), measure)
    for broker in arena.pair():
        with arena.awake(broker):
            arena.load.run(broker, "delete", topic)


def many_partitions(arena, connections=8):
    topic = topic_name("many")
    partitions = _scaled(arena, 1000, 200)
    options = {"partitions": partitions, "connections": connections, "in_flight": 5, "in_turn": True}
    for broker in arena.pair():
        with arena.awake(broker):
            arena.load.run(broker, "create", topic, partitions=partitions, timeout=GIVE_UP_S)
            arena.load.run(broker, "produce", topic, requests=partitions * 2, seconds=GIVE_UP_S, **options)

    def measure(broker):
        result, cpu = arena.measured(broker, lambda: arena.load.run(
            broker, "produce", topic, batch_records=10, seconds=_scaled(arena, 10, 3), **options))
        return {"records_per_cpu_s": result["records"] / cpu, "records_per_s": result["records_per_s"],
                "cpu_us_per_request": cpu / result["requests"] * 1e6, "p99_ms": result["latency_us"]["p99"] / 1000}
    arena.turns("many_partitions", arena.pair(), measure)


def _park_pair(arena):
    """Cases that start brokers of their own want the others gone, memory and all."""
    arena.close()
    machine.settle_disk()


def startup(arena):
    _park_pair(arena)
    for run in range(arena.settings.runs):
        for make in (arena.millrace, arena.kafka):
            broker = make()
            try:
                broker.launch()
                result = arena.load.run(broker, "first-produce", "first", since_ns=broker.launched_ns, timeout=GIVE_UP_S)
                arena.add("startup", broker.name, run, {
                    "first_ack_ms": result["first_ack_ms"], "connected_ms": result["connected_ms"],
                    "cpu_s": broker.cpu_s(), "rss_mib": broker.rss_mib()})
            finally:
                broker.remove()


def _fill_partitions(arena, broker, partitions):
    arena.load.run(broker, "create", "idle", partitions=partitions, timeout=600)
    arena.load.run(broker, "produce", "idle", partitions=partitions, connections=8, in_flight=5, in_turn=True,
                   requests=partitions, seconds=300)


def idle(arena):
    _park_pair(arena)
    quiet_s = _scaled(arena, 10, 2)
    for partitions in (0, 1000, 10_000):
        for run in range(arena.settings.runs):
            # What an idle Kafka takes is no bar: once is enough.
            for make in (arena.millrace, arena.kafka) if run == 0 else (arena.millrace,):
                broker = make().start()
                try:
                    if partitions:
                        _fill_partitions(arena, broker, partitions)
                    time.sleep(quiet_s)
                    _, cpu = arena.measured(broker, lambda: time.sleep(quiet_s))
                    arena.add(f"idle_{partitions}", broker.name, run, {
                        "rss_mib": broker.rss_mib(), "cpu_percent": cpu / quiet_s * 100})
                except (load.LoadFailed, subprocess.TimeoutExpired) as error:
                    if make == arena.millrace:
                        raise
                    arena.note(f"idle_{partitions}", f"kafka: {str(error).splitlines()[0]}")
                finally:
                    broker.remove()


def _restart_after_kill(arena, broker, partitions):
    broker.start()
    arena.load.run(broker, "create", "restart", partitions=partitions, timeout=600)
    writer = arena.load.start(broker, "produce", "restart", partitions=partitions, connections=8, in_flight=5,
                              in_turn=True, batch_records=10, seconds=300)
    try:
        time.sleep(_scaled(arena, 10, 3))
        if writer.poll() is not None:
            raise load.LoadFailed(f"the load on {broker.name} ended before the kill")
        broker.kill()
    finally:
        writer.kill()
        writer.wait()
    broker.launch()
    result = arena.load.run(broker, "first-produce", "restart", partitions=partitions, existing=True,
                            since_ns=broker.launched_ns, timeout=GIVE_UP_S)
    return {"first_ack_ms": result["first_ack_ms"], "connected_ms": result["connected_ms"], "cpu_s": broker.cpu_s()}


def restart_kill9_10k(arena):
    _park_pair(arena)
    partitions = _scaled(arena, 10_000, 1_000)
    for run in range(arena.settings.runs):
        for make in (arena.millrace, arena.kafka) if run == 0 else (arena.millrace,):
            broker = make()
            try:
                arena.add("restart_kill9_10k", broker.name, run, _restart_after_kill(arena, broker, partitions))
            except (load.LoadFailed, subprocess.TimeoutExpired, TimeoutError) as error:
                if make == arena.millrace:
                    raise
                arena.note("restart_kill9_10k", f"kafka: {str(error).splitlines()[0]}")
            finally:
                broker.remove()


def _groups(case, mode, topic_partitions, measures, **options):
    """A case of the group coordinator. Each turn has groups of its own; all members have left before the next one."""
    def run(arena):
        def measure(broker):
            topic = topic_name(case)
            arena.load.run(broker, "create", topic, partitions=topic_partitions)
            result = arena.load.run(broker, mode, topic, partitions=topic_partitions, broker_pid=broker.pid, timeout=120,
                                    **{name: _scaled(arena, *value) if isinstance(value, tuple) else value
                                       for name, value in options.items()})
            arena.load.run(broker, "delete", topic)
            return {**measures(result), "rss_mib": broker.rss_mib()}
        arena.turns(case, arena.pair(), measure)
    return run


def _idle_measures(result):
    return {"cpu_percent": result["broker_cpu_s"] / result["seconds"] * 100,
            "cpu_us_per_heartbeat": result["broker_cpu_s"] / result["heartbeats"] * 1e6,
            "heartbeats_per_s": result["heartbeats"] / result["seconds"], "p99_us": result["latency_us"]["p99"]}


def _rebalance_measures(result):
    return {"cpu_ms_per_rebalance": result["broker_cpu_s"] / result["rebalances"] * 1000,
            "left_ms": result["left_us"]["p50"] / 1000, "joined_ms": result["joined_us"]["p50"] / 1000}


def _commit_measures(result):
    return {"cpu_percent": result["broker_cpu_s"] / result["seconds"] * 100,
            "cpu_us_per_offset": result["broker_cpu_s"] / result["offsets"] * 1e6, "offsets_per_s": result["offsets_per_s"],
            "p50_us": result["latency_us"]["p50"], "p99_us": result["latency_us"]["p99"]}


def _replicated(case, **options):
    """The same load on clusters of three brokers; the results are called three_CASE."""
    return lambda arena: case(arena.replicated(), **options)


CASES = {
    "p1k": p1k,
    "tiny64": tiny64,
    "pipelined": pipelined,
    "open500": _latency("open500", 500, False),
    "open2000": _latency("open2000", 2000, False),
    "e2e500": _latency("e2e500", 500, True),
    "e2e2000": _latency("e2e2000", 2000, True),
    "fetch_recent": fetch_recent,
    "fetch_cold": fetch_cold,
    "many_partitions": many_partitions,
    "groups_idle": _groups("groups_idle", "group-idle", 10, _idle_measures,
                           groups=(1000, 50), members=10, heartbeat_ms=3000, seconds=(30, 6)),
    "group_rebalance": _groups("group_rebalance", "group-rebalance", 400, _rebalance_measures,
                               members=(200, 40), heartbeat_ms=1000, rebalances=(5, 1)),
    "group_rebalance_new": _groups("group_rebalance_new", "group-rebalance", 400, _rebalance_measures,
                                   members=(200, 40), heartbeat_ms=1000, rebalances=(5, 1), consumer_protocol=True),
    "offset_commits": _groups("offset_commits", "commits", 50, _commit_measures,
                              groups=100, rate=(50_000, 10_000), commit_partitions=10, seconds=(15, 3)),
    "startup": startup,
    "idle": idle,
    "restart_kill9_10k": restart_kill9_10k,
    "three_p1k": _replicated(p1k),
    "three_tiny64": _replicated(tiny64),
    "three_pipelined": _replicated(pipelined),
    "three_open500": _replicated(_latency("open500", 500, False)),
    "three_open1000": _replicated(_latency("open1000", 1000, False)),
    "three_e2e500": _replicated(_latency("e2e500", 500, True)),
    "three_e2e1000": _replicated(_latency("e2e1000", 1000, True)),
    "three_many_partitions": _replicated(many_partitions, connections=50),
    "three_failover": _replicated(failover.kills),
    "three_leader_term": _replicated(failover.terminations),
    "three_rolling": _replicated(failover.rolling_restart),
    "three_partitions_10k": _replicated(failover.partitions_10k),
}
