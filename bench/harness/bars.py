"""What each case has to reach. The numbers are the project's promises; nothing else decides met or missed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """`metric` of millrace, divided by that of `against` when there is one, compared with `limit`."""

    case: str
    metric: str
    against: str | None
    at_least: bool
    limit: float

    def met(self, value):
        return value >= self.limit if self.at_least else value <= self.limit

    def text(self):
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}{'x' if self.against else ''}"


def _ratio(case, metric, at_least, limit, against="kafka"):
    return Bar(case, metric, against, at_least, limit)


def _latency(case, p50=1.5):
    return [_ratio(case, "p50_us", False, p50), _ratio(case, "p99_us", False, 0.5), _ratio(case, "p99.9_us", False, 0.5)]


BARS = [
    _ratio("p1k", "mb_per_s", True, 2.5),
    _ratio("p1k", "cpu_s_per_gb", False, 0.25),
    _ratio("p1k", "cpu_s_per_gb", False, 1.5, against="bare program"),
    _ratio("tiny64", "requests_per_s", True, 2),
    _ratio("tiny64", "cpu_us_per_request", False, 0.4),
    _ratio("tiny64", "requests_per_s", True, 10, against="kafka, fsync"),
    _ratio("pipelined", "requests_per_s", True, 3),
    *_latency("open500"), *_latency("open2000"), *_latency("e2e500"), *_latency("e2e2000"),
    _ratio("fetch_recent", "mb_per_s", True, 1.2),
    _ratio("fetch_recent", "cpu_s_per_gb", False, 0.6),
    _ratio("fetch_cold", "mb_per_s", True, 1.2),
    _ratio("fetch_cold", "cpu_s_per_gb", False, 0.6),
    _ratio("many_partitions", "records_per_cpu_s", True, 3),
    _ratio("groups_idle", "cpu_percent", False, 0.3),
    _ratio("group_rebalance", "cpu_ms_per_rebalance", False, 0.3),
    _ratio("group_rebalance_new", "cpu_ms_per_rebalance", False, 0.3),
    _ratio("offset_commits", "cpu_percent", False, 0.3),
    Bar("startup", "first_ack_ms", None, False, 150),
    Bar("idle_0", "rss_mib", None, False, 30),
    Bar("idle_0", "cpu_percent", None, False, 0.5),
    Bar("idle_1000", "rss_mib", None, False, 60),
    Bar("idle_10000", "rss_mib", None, False, 200),
    Bar("restart_kill9_10k", "first_ack_ms", None, False, 2000),
    _ratio("three_p1k", "mb_per_s", True, 3),
    _ratio("three_p1k", "cpu_s_per_gb", False, 0.25),
    _ratio("three_tiny64", "requests_per_s", True, 3),
    _ratio("three_tiny64", "cpu_us_per_request", False, 0.35),
    _ratio("three_tiny64", "requests_per_s", True, 10, against="kafka, fsync"),
    _ratio("three_pipelined", "requests_per_s", True, 8),
    *_latency("three_open500", 1.2), *_latency("three_open1000", 1.2),
    *_latency("three_e2e500", 1.2), *_latency("three_e2e1000", 1.2),
    _ratio("three_many_partitions", "records_per_cpu_s", True, 3),
    Bar("three_failover", "leader_killed_gap_ms", None, False, 700),
    Bar("three_failover", "follower_killed_gap_ms", None, False, 50),
    Bar("three_rolling", "gap_ms", None, False, 250),
    Bar("three_partitions_10k", "idle_cpu_percent", None, False, 15),
    Bar("three_partitions_10k", "led_again_ms", None, False, 3000),
]
