"""With Debian's wireguard-go at the other end."""

import shutil

import pytest

from net import INNER, Device, connect, ping, transfer

pytestmark = pytest.mark.skipif(not shutil.which("wireguard-go"), reason="no wireguard-go")

KINDS = [("vprox", "go"), ("go", "vprox"), ("vprox", "vprox")]


@pytest.mark.parametrize("outer", [0, 1], ids=["outer4", "outer6"])
@pytest.mark.parametrize("psk", [False, True], ids=["plain", "psk"])
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_packets_of_both_families_go_both_ways(network, kinds, psk, outer):
    a, b = Device(network, "a", "dp0", kinds[0]), Device(network, "b", "dp1", kinds[1])
    connect(a, b, outer=outer, psk=psk)
    for inner in INNER["b"]:
        assert ping(network["a"], inner), a.log_text() + b.log_text()
    for inner in INNER["a"]:
        assert ping(network["b"], inner)


@pytest.mark.parametrize("inner", [0, 1], ids=["inner4", "inner6"])
@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_a_stream_arrives_intact(network, kinds, inner):
    a, b = Device(network, "a", "dp0", kinds[0]), Device(network, "b", "dp1", kinds[1])
    connect(a, b)
    assert transfer(network["a"], network["b"], INNER["b"][inner], 30_000_000)
    assert transfer(network["b"], network["a"], INNER["a"][inner], 30_000_000)


def test_a_wrong_preshared_key_lets_nothing_through(network):
    a, b = Device(network, "a", "dp0"), Device(network, "b", "dp1", "go")
    connect(a, b)
    a.set("peer", b.public_key, "preshared-key", "/dev/stdin", input=a.private_key)
    assert not ping(network["a"], INNER["b"][0], count=1, wait=1)
