"""A peer that begins anew: it has none of the keys from before."""

import subprocess
import sys

import pytest
from net import INNER, OUTER, connect, make_device, ping

TIMES = 12
BUSY = 3  # processes that keep the cores from the device's control thread
# Without it about three of four first replies were lost; a busy machine may drop one for other reasons.
MAY_BE_LOST = 2


@pytest.fixture
def busy_cores():
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
                for _ in range(BUSY)]
    yield
    for process in spinning:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["vprox", "go"])
def test_the_first_reply_to_a_peer_that_began_anew_arrives(network, busy_cores, kind):
    a, b = make_device(network, "a", "dp0", kind), make_device(network, "b", "dp1", "vprox")
    connect(a, b)
    assert ping(network["a"], INNER["b"][0])
    lost = 0
    for _ in range(TIMES):
        a.set("peer", b.public_key, "remove")
        a.set("peer", b.public_key, "endpoint", f"{OUTER['b'][0]}:7000",
              "allowed-ips", f"{INNER['b'][0]}/32")
        lost += not ping(network["a"], INNER["b"][0], count=1, wait=1)
    assert lost <= MAY_BE_LOST
