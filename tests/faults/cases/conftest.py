"""Sizes of a run, and brokers and clusters of a test's own."""
import os
import random
import re

import pytest

from harness import network
from harness.broker import Broker
from harness.cluster import Cluster

FAILED = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Fixtures that clean up know whether their test failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def full():
    """As much as the promises name, instead of what CI has time for."""
    return bool(os.environ.get("FAULTS_FULL"))


@pytest.fixture
def dice():
    """Chance that can be had again: SEED=... of the failed run."""
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32)))
    print("SEED=%d" % seed)
    return random.Random(seed)


@pytest.fixture
def make_broker():
    """make_broker(settings...) makes a broker that is gone with the test, whatever happens."""
    made = []

    def make(*arguments, **settings):
        made.append(Broker(*arguments, **settings))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


@pytest.fixture
def make_network(request):
    """make_network(hosts) makes a network that ends with the test; the test itself stands on one of its hosts."""
    reason = network.unavailable()
    if reason:
        pytest.skip(reason)
    made = []

    def make(hosts):
        made.append(network.Network(hosts))
        return made[-1].__enter__()

    yield make
    for one in made:
        one.__exit__()


@pytest.fixture
def make_cluster(request):
    """make_cluster(3, settings...): not started yet. Logs and segments of a failed test's brokers stay in build/test/faults."""
    made = []

    def make(*arguments, **settings):
        made.append(Cluster(*arguments, **settings))
        return made[-1]

    yield make
    for at, cluster in enumerate(made):
        kept = None
        if request.node.stash.get(FAILED, False):
            name = re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name).strip("-")
            kept = os.path.join(os.environ["MILLRACE_BUILD"], "..", "test", "faults", "%s-%d" % (name, at))
            print("what the brokers logged and wrote: " + os.path.normpath(kept))
        cluster.close(kept)
