"""What is fetched from Debian's mirror, which may be away."""

import functools
import re
import subprocess
import time

import pytest

SECONDS = 300  # for anything
# What apt and dpkg say of packages that came, or that an archive lacks which was read: no fault of the mirror's.
FAULTS = re.compile(r"Unable to locate package|has no installation candidate|unmet dependencies|dpkg: error")
TOO_LATE = (124, 137)  # of timeout(1)


def fetched(*command, seconds=SECONDS):
    """The path that the command prints of what it fetched. If the mirror does not give it at a second try either, or
    the time is over, the test is skipped: that is no fault of ours."""
    path, why = fetch_once(command, seconds)
    if not path:
        pytest.skip(f"not fetched: {why}")
    return path


@functools.cache
def fetch_once(command, seconds):
    """The path, or else why there is none: whoever asks next does not wait once more."""
    end = time.monotonic() + seconds
    why = f"not within {seconds} s"
    for _ in range(2):
        left = end - time.monotonic()
        if left < 1:
            break
        # It ends what the command has started too.
        done = subprocess.run(["timeout", "--kill-after=10", f"{left:.0f}", *command], text=True, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode == 0:
            return done.stdout.strip(), ""
        assert not FAULTS.search(done.stderr), done.stderr
        if done.returncode not in TOO_LATE:
            why = " ".join(done.stderr.splitlines()[-3:])
    return None, why
