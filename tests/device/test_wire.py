"""What the network may do to packets: lose, double and reorder them, and bring others'."""

import os
import subprocess
import time

import pytest

from lib import kernel
from net import INNER, OUTER, Transfer, connect, make_pair, ping, transfer, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


def counted(device):
    """Bytes that have come to a device of one peer."""
    return int(device.values("get=1\n\n")["rx_bytes"])


def test_a_stream_survives_loss_reordering_and_duplicates(network):
    a, b = make_pair(network)
    relay = network["a"].popen(["/usr/bin/python3", os.path.join(HERE, "relay.py"), "7500",
                                OUTER["b"][0], "7000"], stdout=subprocess.PIPE)
    try:
        relay.stdout.readline()
        a.set("peer", b.public_key, "endpoint", f"{OUTER['a'][0]}:7500")
        assert "duplicates" not in network["a"].try_run(
            "ping", "-n", "-q", "-c", 50, "-i", "0.1", "-W", 5, INNER["b"][0]).stdout
        assert transfer(network["a"], network["b"], INNER["b"][0], 1_000_000, 120)
        assert b.drops()["replayed"] > 0
    finally:
        relay.terminate()
        relay.wait()


def test_a_peer_that_moves_in_mid_transfer_is_followed(network):
    size = 150_000_000
    a, b = make_pair(network)
    stream = Transfer(network["a"], network["b"], INNER["b"][0], size)
    network.closers.append(stream.close)
    wait_until(lambda: counted(b) > size / 10, 60, what="stream")
    network["a"].ip(f"addr del {OUTER['a'][0]}/24 dev {network.veth['a']}")
    network["a"].ip(f"addr add 10.9.0.77/24 dev {network.veth['a']}")
    assert counted(b) < size
    wait_until(lambda: "10.9.0.77:7000" in b.show("endpoints"), 30, what="new endpoint")
    assert stream.arrives_intact(120)


FLOOD = "10.9.2.0/24"  # where the flood comes from
FLOOD_RATE = 40000  # datagrams a second


class Flood:
    """Comes over the network from many sources, as long as the block lasts."""

    def __init__(self, network, device):
        self.command = ["/usr/bin/python3", os.path.join(HERE, "flood.py"), FLOOD,
                        OUTER[device.side][0], "7000", device.public_key, FLOOD_RATE]
        self.space = network["a"]

    def __enter__(self):
        self.process = self.space.popen(self.command, stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()


@pytest.fixture
def flooded(network):
    """Two devices, and a flood that the second can be put under."""
    a, b = make_pair(network)
    network["a"].ip(f"route add local {FLOOD} dev lo")
    network["b"].ip(f"route add {FLOOD} dev {network.veth['b']}")
    assert ping(network["a"], INNER["b"][0])
    return a, b, Flood(network, b)


def arrived(device, seconds):
    """Bytes that come to a device in so many seconds, in one second on average."""
    began, before = time.monotonic(), counted(device)
    time.sleep(seconds)
    return (counted(device) - before) / (time.monotonic() - began)


def test_under_a_flood_a_tunnel_keeps_half_its_throughput_and_memory_does_not_grow(
        network, flooded):
    _, b, flood = flooded
    server = network["b"].popen("iperf3 -s -1 --forceflush", text=True,
                                 stdout=subprocess.PIPE)
    while "listening" not in server.stdout.readline():
        assert server.poll() is None
    client = network["a"].popen(f"iperf3 -c {INNER['b'][0]} -t 600", stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: arrived(b, 0.5) > 1e6, seconds=60, what="stream")
        with flood:  # once, for all buffers to be touched
            time.sleep(2)
        memory, quiet, under = int(b.status("VmRSS").split()[0]), 0, 0
        # in turns, as others may use the machine too; as often as it needs, within limits
        for turn in range(12):
            quiet += arrived(b, 1)
            with flood:
                under += arrived(b, 1)
            if turn >= 3 and under >= quiet / 2:
                break
        assert under >= quiet / 2
        assert b.drops()["forged"] > FLOOD_RATE // 4 and b.drops()["no_session"] > FLOOD_RATE // 4
        assert int(b.status("VmRSS").split()[0]) - memory < 2048
    finally:
        for process in client, server:
            process.kill()
            process.communicate()


def test_a_handshake_is_completed_under_a_flood(network, flooded):
    """Whoever can receive at its address gets a cookie, and with that its turn."""
    a, b, flood = flooded
    with flood:
        wait_until(lambda: b.drops()["cookies"] > 0, seconds=60, what="load")
        a.set("peer", b.public_key, "remove")
        connect(a, b)
        wait_until(lambda: ping(network["a"], INNER["b"][0], count=1, wait=2), seconds=90,
                   what="handshake")


def test_an_uplink_that_computes_no_checksums_is_served(network):
    """Before Linux 6.11 it refuses super-packets: EIO."""
    a, b = make_pair(network)
    network["a"].run("ethtool", "-K", network.veth["a"], "tx", "off")
    assert transfer(network["a"], network["b"], INNER["b"][0], 3_000_000)
    if kernel.is_before(6, 11):
        assert a.log_text().count("one by one") == 1


def test_a_path_that_refuses_super_packets_is_served_packet_by_packet(network):
    a, b = make_pair(network)
    for side in "ab":
        network[side].ip(f"link set {network.veth[side]} mtu 1400")
    assert transfer(network["a"], network["b"], INNER["b"][0], 3_000_000)
    assert a.log_text().count("one by one") == 1
