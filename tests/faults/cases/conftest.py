"""Sizes of a run, and brokers of a test's own."""
import os
import random

import pytest

from harness.broker import Broker


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
