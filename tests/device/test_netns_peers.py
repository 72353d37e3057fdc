"""Peers, keys and the device's own life. The phases of WireGuard's own network-namespace tests that
are about them; tests/README.md lists them."""

import base64
import os
import socket

import pytest

from lib.netns import Namespace
from lib.wait import throughout
from net import INNER, OUTER, Device, at, make_keys, make_pair, ping, wait_until

FAMILIES = pytest.mark.parametrize("outer", [0, 1], ids=["outer4", "outer6"])


def set_private_key(device, key):
    device.set("private-key", "/dev/stdin", input=key)


@FAMILIES
def test_a_new_private_key_is_used_at_once(network, outer):
    a, b = make_pair(network, outer=outer, psk=True)
    assert ping(network["a"], INNER["b"][0])
    psk = b.show("preshared-keys").split()[1]
    private, public = make_keys()
    set_private_key(a, private)
    b.set("peer", public, "preshared-key", "/dev/stdin", "allowed-ips",
          ",".join(f"{one}/{n}" for one, n in zip(INNER["a"], (32, 128))), input=psk)
    for address in INNER["b"]:
        assert ping(network["a"], address)
    b.set("peer", a.public_key, "remove")
    assert b.show("peers").split() == [public]
    assert ping(network["b"], INNER["a"][0])


def test_without_a_private_key_nothing_is_sent_and_with_it_at_once(network):
    a, b = make_pair(network)
    a.set("private-key", "/dev/null")
    assert a.show("private-key").strip() == "(none)"
    assert a.show("peers").split() == [b.public_key]
    assert not ping(network["a"], INNER["b"][0], count=1, wait=1)
    assert b.show("endpoints").split()[1] == at(OUTER["a"][0], 7000)
    assert b.show("transfer").split()[1] == "0"
    set_private_key(a, a.private_key)
    wait_until(lambda: ping(network["a"], INNER["b"][0], count=1, wait=1), what="handshake")


# Of order 1, 2, 4 or 8 on the curve or its twist; the last three are the first ones plus the prime.
# Every secret shared with them is 0 (RFC 7748, 6.1).
LOW_ORDER = ["0" * 64, "01" + "0" * 62,
             "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
             "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
             *(f"{first:02x}{'ff' * 30}7f" for first in (0xec, 0xed, 0xee))]


@FAMILIES
def test_to_a_peer_whose_key_is_of_low_order_nothing_is_sent(network, outer):
    a = Device(network, "a", "dp0")
    a.set("private-key", "/dev/stdin", input=a.private_key)
    a.address(f"{INNER['a'][0]}/24")
    with network["a"].socket((socket.AF_INET, socket.AF_INET6)[outer],
                             socket.SOCK_DGRAM) as there:
        there.bind((("127.0.0.1", "::1")[outer], 0))
        there.setblocking(False)
        to = at(*there.getsockname()[:2])
        for i, key in enumerate(LOW_ORDER):
            assert a.values(f"set=1\npublic_key={key}\nendpoint={to}\n"
                            f"persistent_keepalive_interval=1\nallowed_ip=10.8.0.{100 + i}/32\n\n"
                            )["errno"] == "0"
        for i in range(len(LOW_ORDER)):
            ping(network["a"], f"10.8.0.{100 + i}", count=1, wait=0.2)
        throughout(lambda: nothing_in(there), 1.5, "a datagram")
        # a key like any other is begun with
        a.set("peer", make_keys()[1], "endpoint", to, "persistent-keepalive", 1)
        wait_until(lambda: not nothing_in(there), what="initiation")


def nothing_in(receiver):
    try:
        return not receiver.recv(2048)
    except BlockingIOError:
        return True


@FAMILIES
def test_keepalives_begin_when_the_interface_comes_up_and_go_on_when_it_was_down(network, outer):
    a, b = make_pair(network, outer=outer)
    a.space.ip("link set dp0 down")
    a.set("peer", b.public_key, "persistent-keepalive", 1)
    throughout(lambda: received(b) == 0, 1, "a packet from an interface that is down")
    for _ in range(2):
        a.space.ip("link set dp0 up")
        before = received(b)
        wait_until(lambda: received(b) > before, what="keepalive")
        a.space.ip("link set dp0 down")


def received(device):
    return int(device.show("transfer").split()[1])


# What a dump does not fit into one message of is what split answers are about.


def test_all_allowed_ips_of_a_peer_are_shown_however_many(network):
    a = Device(network, "a", "dp0")
    wanted = {f"{i}.{j}.0.0/16" for i in range(1, 224) for j in range(1, 256, 2)}
    wanted |= {f"{i:x}:{j:x}::/64" for i in range(1, 224) for j in range(1, 256, 2)}
    set_conf(a, [(make_keys()[1], wanted)])
    shown = a.show("allowed-ips").split()[1:]
    assert len(shown) == len(wanted) and set(shown) == wanted


def test_all_peers_are_shown_however_many(network):
    a = Device(network, "a", "dp0")
    wanted = {key_of(i): {f"10.{i >> 8}.{i & 255}.{j}/32" for j in range(16)}
              for i in range(1, 2001)}
    set_conf(a, wanted.items())
    dump = a.wg("show", "dp0", "dump").stdout.splitlines()
    assert len(dump) == 1 + len(wanted)
    assert {line.split("\t")[0]: set(line.split("\t")[3].split(",")) for line in dump[1:]} == wanted


def key_of(number):
    return base64.b64encode(number.to_bytes(32, "big")).decode()


def set_conf(device, peers):
    conf = os.path.join(device.folder, "conf")
    with open(conf, "w", encoding="ascii") as file:
        for key, allowed in peers:
            file.write(f"[Peer]\nPublicKey = {key}\n")
            file.writelines(f"AllowedIPs = {one}\n" for one in sorted(allowed))
    device.wg("setconf", device.name, conf)


def test_an_allowed_ip_that_moves_to_another_peer_is_only_there(network):
    a = Device(network, "a", "dp0")
    first, second = make_keys()[1], make_keys()[1]
    for one in "10.8.0.2/32", "fd08::2/128":
        for key, other in (first, second), (second, first):
            a.set("peer", key, "allowed-ips", one)
            shown = dict(line.split("\t") for line in a.show("allowed-ips").splitlines())
            assert shown[key] == one
            assert one not in shown.get(other, "")


# The end of a namespace.


def test_a_device_ends_with_the_namespace_that_its_interface_is_in(network):
    a, b = make_pair(network)
    assert ping(network["a"], INNER["b"][0])
    inside = Namespace(f"{network['a'].name}-c")
    network["a"].ip(f"link set dp0 netns {inside.name}")
    inside.remove()
    assert a.process.wait(30) == 0
    wait_until(lambda: not os.path.exists(a.socket_path), what="socket file gone")
    assert b.process.poll() is None
