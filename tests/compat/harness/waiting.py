"""Waiting for conditions instead of for time."""
import time


def eventually(condition, what, seconds=20, pause=0.05, refusals=()):
    """Asks until condition() is true and answers that value; fails when it stays false for so long.

    `refusals`: exceptions that count as false, such as those of a broker that is just starting.
    """
    end, refused = time.monotonic() + seconds, None
    while True:
        try:
            value = condition()
            refused = None
        except refusals as why:
            value, refused = None, why
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("after %d s still not true: %s%s" % (seconds, what, "; the last refusal: %s" % refused if refused else ""))
        time.sleep(pause)
