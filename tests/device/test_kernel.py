"""With the kernel's WireGuard and IPIP at the other end."""

import pytest

from net import (INNER, OUTER, Device, connect, kernel_has, make_device, ping, set_addresses,
                 transfer, wait_until)

wireguard = pytest.mark.skipif(not kernel_has("wireguard"), reason="no WireGuard in the kernel")
ipip = pytest.mark.skipif(not kernel_has("ipip"), reason="no IPIP in the kernel")

KINDS = [("vprox", "kernel"), ("kernel", "vprox")]
IPIP_INNER = {"a": "10.7.0.1", "b": "10.7.0.2"}


@wireguard
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


@wireguard
def test_a_wrong_preshared_key_lets_nothing_through(network):
    a, b = Device(network, "a", "dp0"), make_device(network, "b", "dp1", "kernel")
    connect(a, b, psk=True)
    a.set("peer", b.public_key, "preshared-key", "/dev/stdin", input=a.private_key)
    assert not ping(network["a"], INNER["b"][0], count=1, wait=1)


@wireguard
def test_the_kernel_is_followed_when_it_moves(network):
    a, b = make_device(network, "a", "dp0", "kernel"), Device(network, "b", "dp1")
    connect(a, b)
    assert ping(network["a"], INNER["b"][0])
    network["a"].ip(f"addr del {OUTER['a'][0]}/24 dev {network.veth['a']}")
    network["a"].ip(f"addr add 10.9.0.77/24 dev {network.veth['a']}")
    wait_until(lambda: ping(network["a"], INNER["b"][0], count=1, wait=1), 30, what="new address")
    assert "10.9.0.77:7000" in b.show("endpoints")
    assert ping(network["b"], INNER["a"][0])


@pytest.fixture
def tunnel(network):
    """Our device in a, the kernel's tunnel in b. As both are in one kernel, its IPIP also sees what
    comes to a, and says that nobody wants it: that must not reach b (the server's firewall sees to
    that where it matters)."""
    network["a"].run("nft", "-f", "-", input="""
        table ip quiet {
            chain out {
                type filter hook output priority 0;
                icmp type destination-unreachable icmp code { 2, 3 } drop
            }
        }""")
    a = Device(network, "a", "dp0")
    assert a.values(f"set=1\nipip_local={OUTER['a'][0]}\nipip_peer={OUTER['b'][0]}\n"
                    f"ipip_inner={IPIP_INNER['b']}\n\n")["errno"] == "0"
    a.address(f"{IPIP_INNER['a']}/24")
    network["b"].ip(f"link add dp1 type ipip local {OUTER['b'][0]} remote {OUTER['a'][0]}")
    set_addresses(network["b"], "dp1", [f"{IPIP_INNER['b']}/24"])
    return a


@ipip
def test_ipip_packets_and_streams_go_both_ways(network, tunnel):
    assert ping(network["a"], IPIP_INNER["b"]), tunnel.log_text()
    assert ping(network["b"], IPIP_INNER["a"])
    assert transfer(network["a"], network["b"], IPIP_INNER["b"], 500_000, 120)
    assert transfer(network["b"], network["a"], IPIP_INNER["a"], 500_000, 120)


@ipip
def test_long_packets_go_in_fragments_both_ways(network, tunnel):
    """Of the inner packet, or of the outer one, as its sender chooses."""
    for space, address in ((network["a"], IPIP_INNER["b"]), (network["b"], IPIP_INNER["a"])):
        assert space.try_run("ping", "-n", "-c", "2", "-i", "0.3", "-W", "5", "-M", "dont", "-s",
                             "3000", address).returncode == 0
    network["a"].ip("link set dp0 mtu 1500")
    assert network["a"].try_run("ping", "-n", "-c", "2", "-i", "0.3", "-W", "5", "-M", "dont", "-s",
                                "1460", IPIP_INNER["b"]).returncode == 0
