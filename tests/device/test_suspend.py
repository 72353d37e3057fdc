"""A host that was suspended: its CLOCK_BOOTTIME has gone on, its CLOCK_MONOTONIC has not. (No time
namespace can do it: its clocks' offsets are fixed before its first process starts.)"""

import pytest

from clock import MovedClock
from net import INNER, Device, connect, ping, wait_until


class Sleeper:
    """A device whose host can be suspended, and one that stays awake, with a session."""

    def __init__(self, network):
        self.clock = MovedClock()
        network.closers.append(self.clock.close)
        self.device = Device(network, "a", "dp0", environment=self.clock.environment())
        self.awake = Device(network, "b", "dp1")
        connect(self.device, self.awake)
        assert ping(network["a"], INNER["b"][0])

    def handshake(self):
        """When the last one was, as the other side has it."""
        return self.awake.last_handshake()


@pytest.fixture
def sleeper(network):
    return Sleeper(network)


def test_a_key_is_not_used_after_180_s_of_which_most_was_suspension(network, sleeper):
    before = sleeper.handshake()
    assert ping(network["a"], INNER["b"][0])
    assert sleeper.handshake() == before
    sleeper.clock.suspend(181)
    # the first packet waits for the new key
    assert ping(network["a"], INNER["b"][0], count=1)
    assert sleeper.handshake() != before


def test_after_a_suspension_a_handshake_begins_at_once(sleeper):
    """Without a packet, and without any timer's being due."""
    before = sleeper.handshake()
    sleeper.clock.suspend(60)
    sleeper.device.uapi("get=1\n\n")  # any reason to wake; after a real one the kernel does it
    wait_until(lambda: sleeper.handshake() != before, what="handshake")
    assert "the host was suspended for 60 s" in sleeper.device.log_text()
