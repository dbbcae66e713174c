"""Waiting for conditions instead of for time."""
import time


def eventually(condition, what, seconds=20, pause=0.05):
    """Asks until condition() is true and answers that value; fails when it stays false for so long."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("after %d s still not true: %s" % (seconds, what))
        time.sleep(pause)
