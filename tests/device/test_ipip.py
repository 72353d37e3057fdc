"""IPIP, by the fast path (BPF) and by the raw socket."""

import socket

import pytest

from lib.capture import mac_of
from lib.capture import send_routed as send
from lib.packets import IPIP, echo_packet, ipv4
from net import IPIP_INNER as INNER
from net import (OUTER, ROUTED, ROUTED_LINK, Device, add_router, connect_ipip, has_fast_path, ping,
                 transfer, wait_until)

STRANGER = "10.9.0.99"


@pytest.fixture(params=["short", "raw"])
def devices(network, request):
    flags = ["--no-bpf"] if request.param == "raw" else []
    a = Device(network, "a", "dp0", flags=flags)
    b = Device(network, "b", "dp1", flags=flags)
    connect_ipip(a, b)
    if not has_fast_path(a):
        pytest.skip("this kernel has no fast path")
    return a, b


def received(device):
    return int(device.values("get_ipip=1\n\n")["rx_bytes"])


def test_packets_go_both_ways_and_are_counted(network, devices):
    a, b = devices
    assert ping(network["a"], INNER["b"])
    assert ping(network["b"], INNER["a"])
    values = b.values("get_ipip=1\n\n")
    assert int(values["rx_bytes"]) >= 6 * 84 and int(values["tx_bytes"]) >= 6 * 84
    assert int(values["idle_ms"]) < 5000


def test_a_stream_arrives_intact(network, devices):
    assert transfer(network["a"], network["b"], INNER["b"], 20_000_000)
    assert transfer(network["b"], network["a"], INNER["a"], 20_000_000)


def test_another_inner_source_is_dropped_and_counted(network, devices):
    _, b = devices
    before, bytes_before = b.drops()["spoofed"], received(b)
    send(network["a"], ipv4(OUTER["a"][0], OUTER["b"][0], IPIP,
                            echo_packet("10.7.0.9", INNER["b"])))
    wait_until(lambda: b.drops()["spoofed"] == before + 1, what="count")
    assert received(b) == bytes_before


def test_a_packet_from_an_unknown_source_is_dropped_and_counted(network, devices):
    _, b = devices
    network["a"].ip(f"addr add {STRANGER}/24 dev {network.veth['a']}")
    before = b.drops()["unknown_source"]
    send(network["a"], ipv4(STRANGER, OUTER["b"][0], IPIP,
                            echo_packet(INNER["a"], INNER["b"])))
    wait_until(lambda: b.drops()["unknown_source"] == before + 1, what="count")


def test_fragments_of_the_outer_packet_are_put_together(network, devices):
    _, b = devices
    inner = echo_packet(INNER["a"], INNER["b"], 1000)
    before = received(b)
    send(network["a"],
         ipv4(OUTER["a"][0], OUTER["b"][0], IPIP, inner[:512], ident=7, more_fragments=True),
         ipv4(OUTER["a"][0], OUTER["b"][0], IPIP, inner[512:], ident=7, offset=512))
    wait_until(lambda: received(b) == before + len(inner), what="reassembled")


def test_options_in_the_outer_header_do_no_harm(network, devices):
    _, b = devices
    inner = echo_packet(INNER["a"], INNER["b"])
    before = received(b)
    send(network["a"], ipv4(OUTER["a"][0], OUTER["b"][0], IPIP, inner, options=b"\1" * 8))
    wait_until(lambda: received(b) == before + len(inner), what="arrival")


IPV4 = b"\x08\0"
VLAN_5 = b"\x81\0\0\x05"
SOMEBODY = b"\x02\0\0\0\0\x63"


@pytest.mark.parametrize("mac, tag", [(None, VLAN_5), (SOMEBODY, b"")], ids=["vlan", "macvlan"])
def test_a_packet_for_an_interface_on_top_is_none_of_the_one_underneath(network, devices, mac, tag):
    """Such as a VLAN's, which may be the way to that peer."""
    _, b = devices
    other, plain = (ipv4(OUTER["a"][0], OUTER["b"][0], IPIP,
                          echo_packet(INNER["a"], INNER["b"], size)) for size in (100, 50))
    to, by = (mac_of(network[side], network.veth[side]) for side in "ba")
    before = received(b)
    with network["a"].socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((network.veth["a"], 0))
        raw.send((mac or to) + by + tag + IPV4 + other)
    send(network["a"], plain)
    wait_until(lambda: received(b) > before, what="arrival")
    assert received(b) == before + len(plain) - 20


@pytest.mark.parametrize("broken", [b"", b"\x45", bytes(20), b"\x45" + bytes(18),
                                    b"\x60" + bytes(39), b"\x4f" + bytes(19),
                                    b"\x45\0\xff\xff" + bytes(16)])
def test_what_is_no_inner_packet_is_dropped(network, devices, broken):
    a, b = devices
    dropped = sum(b.drops().values())
    send(network["a"], ipv4(OUTER["a"][0], OUTER["b"][0], IPIP, broken))
    wait_until(lambda: sum(b.drops().values()) > dropped, what="count")
    assert ping(network["a"], INNER["b"])


def test_a_packet_too_long_that_may_not_be_cut_is_answered(network, devices):
    """RFC 2003, 5.1: the inner DF is the outer one's, and its sender is told."""
    a, _ = devices
    network["a"].ip("link set dp0 mtu 1500")
    answer = network["a"].try_run(f"ping -n -c 2 -i 0.3 -W 10 -M do -s 1460 {INNER['b']}")
    assert "mtu" in answer.stdout.lower(), answer.stdout
    assert network["a"].try_run(
        f"ping -n -c 2 -i 0.3 -W 15 -M dont -s 1460 {INNER['b']}").returncode == 0


@pytest.fixture(params=["short", "raw"])
def narrow(network, request):
    """Devices in a and b with a router between them, behind which the path is narrower."""
    flags = ["--no-bpf"] if request.param == "raw" else []
    add_router(network).ip(f"link set {network.veth['b']} mtu {NARROW}")
    network["b"].ip(f"link set {ROUTED_LINK} mtu {NARROW}")
    made = [Device(network, side, f"dp{side}", flags=flags) for side in "ab"]
    connect_ipip(*made, ends=ROUTED)
    if not has_fast_path(made[0]):
        pytest.skip("this kernel has no fast path")
    assert ping(network["a"], INNER["b"])
    return made


NARROW = 1200


def test_a_path_that_turns_out_narrow_is_found(network, narrow):
    """RFC 2003, 5.1: what a router on the way says is passed on to the inner sender."""
    assert transfer(network["a"], network["b"], INNER["b"], 2_000_000)
    assert transfer(network["b"], network["a"], INNER["a"], 2_000_000)


def test_removed_peers_are_gone(network, devices):
    a, b = devices
    assert ping(network["a"], INNER["b"])
    assert b.values(f"set=1\nipip_peer={OUTER['a'][0]}\nremove=true\n\n")["errno"] == "0"
    assert "ipip_peer" not in b.uapi("get_ipip=1\n\n")
    assert not ping(network["a"], INNER["b"], count=1, wait=1)


def test_two_peers_cannot_have_one_inner_address(network, devices):
    a, _ = devices
    assert a.values(f"set=1\nipip_peer=192.0.2.1\nipip_inner={INNER['b']}\n\n")["errno"] == "-98"


def test_wg_is_not_disturbed(network, devices):
    a, _ = devices
    shown = a.wg("show").stdout
    assert "interface: dp0" in shown and "peer" not in shown
    assert a.values("set=1\nreplace_peers=true\n\n")["errno"] == "0"
    assert ping(network["a"], INNER["b"])
