"""Waiting for what must happen, and watching that something does not."""

import time

POLL_SECONDS = 0.05
LET_SECONDS, KEPT_SECONDS = 15, 3  # for what must come through, and for what must not


def until(condition, seconds=30, what=None):
    """Waits until condition() is true and returns what it gave; fails when the time is over. It
    costs nothing to give it more than a machine that has much else to do may need. what: a text for
    the failure, or a function that gives one then."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(
                f"not within {seconds} s: {what() if callable(what) else what or condition}")
        time.sleep(POLL_SECONDS)


def throughout(condition, seconds, what=None, since=None):
    """Fails unless condition() stays true for so long since a time.monotonic(), since now if there
    is none. What is seen only afterwards, on a machine that stood still, does not count."""
    end = (time.monotonic() if since is None else since) + seconds
    while time.monotonic() < end:
        assert condition() or time.monotonic() > end, what or condition
        time.sleep(POLL_SECONDS)
