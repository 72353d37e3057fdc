"""Waiting for what must happen, and watching that something does not."""

import time

POLL_SECONDS = 0.05


def until(condition, seconds=5, what=None):
    """Waits until condition() is true and returns what it gave; fails when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(POLL_SECONDS)


def throughout(condition, seconds, what=None):
    """Fails unless condition() stays true for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), what or condition
        time.sleep(POLL_SECONDS)
