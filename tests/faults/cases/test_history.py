"""The checker itself: it finds what it is there for, and nothing in a log that is right."""
import pytest

from history import check

LOG = [(0, "sure", 0), (1, "plain", 0), (2, "sure", 1), (3, "plain", 1), (4, "sure", 2)]
ACKED = {"sure": {0: 0, 1: 2, 2: 4}, "plain": {0: 1, 1: 3}}
SENT = {"sure": 3, "plain": 2}


def verdict(found, acked=None, sent=None, complete=True):
    check([(n, producer, sequence) for n, (_, producer, sequence) in enumerate(found)], acked or ACKED, sent or SENT, complete, ["plain"])


def test_right():
    verdict(LOG)
    verdict(LOG, sent={"sure": 4, "plain": 2}, complete=False)
    verdict(LOG, acked={"sure": {0: None}, "plain": {}})  # acknowledged without an offset
    verdict(LOG + [(5, "plain", 0)])  # a record of the plain producer that came twice


@pytest.mark.parametrize("found", [
    LOG[:-1],  # an acknowledged record is lost
    LOG + [(5, "sure", 2)],  # a record of an idempotent producer is there twice
    [LOG[2], LOG[1], LOG[0], *LOG[3:]],  # out of order
    [LOG[1], LOG[0], *LOG[2:]],  # not where it was acknowledged
    LOG + [(5, "sure", 3)],  # nobody sent that
    LOG[:3] + LOG[4:],  # the plain producer's is lost
], ids=["lost", "twice", "order", "place", "invented", "plain"])
def test_wrong(found):
    with pytest.raises(AssertionError):
        verdict(found)


def test_holes():
    with pytest.raises(AssertionError):
        check([(0, "sure", 0), (2, "sure", 1)], {"sure": {}}, {"sure": 2}, True)
