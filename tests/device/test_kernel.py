"""With the kernel's WireGuard at the other end."""

import pytest

from lib import kernel
from net import INNER, OUTER, Device, connect, make_device, ping, transfer, wait_until

pytestmark = pytest.mark.skipif(not kernel.has("wireguard"), reason="no WireGuard in the kernel")

KINDS = [("vprox", "kernel"), ("kernel", "vprox")]


@pytest.mark.parametrize("outer, psk", [(0, True), (1, False), (1, True)],
                         ids=["outer4-psk", "outer6", "outer6-psk"])
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_packets_and_streams_go_both_ways(network, kinds, outer, psk):
    a = make_device(network, "a", "dp0", kinds[0])
    b = make_device(network, "b", "dp1", kinds[1])
    connect(a, b, outer=outer, psk=psk)
    for inner in 0, 1:
        assert ping(network["a"], INNER["b"][inner]), a.log_text() + b.log_text()
        assert ping(network["b"], INNER["a"][inner])
        assert transfer(network["a"], network["b"], INNER["b"][inner], 500_000, 120)
        assert transfer(network["b"], network["a"], INNER["a"][inner], 500_000, 120)


def test_a_wrong_preshared_key_lets_nothing_through(network):
    a, b = Device(network, "a", "dp0"), make_device(network, "b", "dp1", "kernel")
    connect(a, b, psk=True)
    a.set("peer", b.public_key, "preshared-key", "/dev/stdin", input=a.private_key)
    assert not ping(network["a"], INNER["b"][0], count=1, wait=1)


def test_the_kernel_is_followed_when_it_moves(network):
    a, b = make_device(network, "a", "dp0", "kernel"), Device(network, "b", "dp1")
    connect(a, b)
    assert ping(network["a"], INNER["b"][0])
    network["a"].ip(f"addr del {OUTER['a'][0]}/24 dev {network.veth['a']}")
    network["a"].ip(f"addr add 10.9.0.77/24 dev {network.veth['a']}")
    wait_until(lambda: ping(network["a"], INNER["b"][0], count=1, wait=1), 30, what="new address")
    assert "10.9.0.77:7000" in b.show("endpoints")
    assert ping(network["b"], INNER["a"][0])
