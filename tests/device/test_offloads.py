"""What saves a device work, taken away: there is another way, it is said once, and it is tried again."""

import pytest

from clock import MovedClock
from net import (INNER, IPIP_INNER, Device, connect, connect_ipip, has_fast_path, make_pair,
                 transfer, wait_until)
from refuse import Refusal

from lib.process import open_files

ENOUGH = 3_000_000  # bytes, for every way to be taken
PACKETS = 100_000  # that go the other way, before it is tried again (src/device/io/refusals.h)

SAID = {
    "UDP sends of many": "the way to a peer refuses UDP segmentation offload",
    "UDP sends of many, invalid": "the way to a peer refuses UDP segmentation offload",
    "UDP receives of many": "the kernel receives packets one by one: no UDP_GRO",
    "TUN offload": "the kernel cuts TCP before this device sees it: no TSO",
    "TUN USO": "the kernel cuts UDP before this device sees it: no USO",
    "joined writes": "the TUN refuses joined packets",
    "batch calls": "the kernel has no recvmmsg",
}


def pair(network, refusal, others=(), flags=((), ())):
    """Two devices that are both refused this."""
    environment = refusal.environment(*others)
    return [Device(network, side, name, environment=environment, flags=own)
            for side, name, own in (("a", "dp0", flags[0]), ("b", "dp1", flags[1]))]


def check_said_once(text, *devices):
    counts = [device.log_text().count(text) for device in devices]
    assert max(counts) == 1, counts


@pytest.mark.parametrize("kind", SAID)
def test_what_is_refused_is_done_in_another_way_and_said_once(network, kind):
    refusal = Refusal(kind)
    a, b = pair(network, refusal)
    connect(a, b)
    assert transfer(network["a"], network["b"], INNER["b"][0], ENOUGH)
    assert transfer(network["b"], network["a"], INNER["a"][1], ENOUGH)
    assert refusal.times(kind) > 0
    check_said_once(SAID[kind], a, b)
    assert a.drops()["unsent"] == b.drops()["unsent"] == 0


RAW = ["--no-bpf"]


@pytest.mark.parametrize("kind,flags", [("joined writes", ([], RAW)), ("batch calls", (RAW, RAW))])
def test_ipip_by_the_raw_socket_does_without_too(network, kind, flags):
    """From the fast path packets come without their checksums, which the TUN is told."""
    refusal = Refusal(kind)
    a, b = pair(network, refusal, flags=flags)
    connect_ipip(a, b)
    assert transfer(network["a"], network["b"], IPIP_INNER["b"], ENOUGH)
    assert refusal.times(kind) > 0
    check_said_once(SAID[kind], a, b)
    assert a.drops()["unsent"] == b.drops()["unsent"] == 0


def test_what_was_refused_is_tried_again_after_100_000_packets(network):
    kinds = ["UDP sends of many", "joined writes", "batch calls"]
    refusal = Refusal(*kinds)
    a, b = pair(network, refusal)
    connect(a, b)
    assert transfer(network["a"], network["b"], INNER["b"][0], ENOUGH)
    before = [refusal.times(kind) for kind in kinds]
    # the other ways are taken throughout, so that each packet is one
    assert transfer(network["a"], network["b"], INNER["b"][0], PACKETS * 1400 * 3 // 2, 150)
    again = [refusal.times(kind) - n for kind, n in zip(kinds, before)]
    assert all(0 < n < 100 for n in again), again
    for kind in kinds:
        check_said_once(SAID[kind], a, b)


def holds_bpf_maps(device):
    return any("bpf-map" in name for name in open_files(device.process.pid).values())


def test_refused_bpf_programs_are_tried_again_after_10_minutes(network):
    refusal, clock = Refusal("BPF programs"), MovedClock()
    network.closers.append(clock.close)
    a, b = pair(network, refusal, clock.environment())
    connect_ipip(a, b)
    assert transfer(network["a"], network["b"], IPIP_INNER["b"], ENOUGH)
    clock.move(601)
    wait_until(lambda: refusal.times("BPF programs") == 4, what="second try of both")
    for device in a, b:
        assert device.log_text().count("the kernel refuses its BPF programs") == 1
        assert not holds_bpf_maps(device)
    refusal.change()
    clock.move(601)
    # before Linux 6.6 there are none, refused or not
    probe = Device(network, "a", "dp2")
    probe.uapi("set=1\nipip_local=127.0.0.1\n\n")
    if not has_fast_path(probe):
        pytest.skip("this kernel has no fast path")
    wait_until(lambda: holds_bpf_maps(a) and holds_bpf_maps(b), what="programs")
    assert transfer(network["a"], network["b"], IPIP_INNER["b"], ENOUGH)


@pytest.mark.parametrize("where", ["TUN", "uplink"])
def test_offloads_that_are_switched_off_later_are_done_without(network, where):
    a, b = make_pair(network)
    assert transfer(network["a"], network["b"], INNER["b"][0], ENOUGH)
    for device in a, b:
        interface = device.name if where == "TUN" else network.veth[device.side]
        network[device.side].run("ethtool", "-K", interface, "tx", "off", "tso", "off", "gso",
                                 "off", "gro", "off")
    assert transfer(network["a"], network["b"], INNER["b"][0], ENOUGH)
    assert transfer(network["b"], network["a"], INNER["a"][1], ENOUGH)
