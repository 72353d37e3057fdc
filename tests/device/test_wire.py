"""What the network may do to packets: lose, double and reorder them, and bring others'."""

import os
import subprocess
import time

from net import INNER, OUTER, Device, connect, ping, transfer, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


def test_a_stream_survives_loss_reordering_and_duplicates(network):
    a, b = Device(network, "a", "dp0"), Device(network, "b", "dp1")
    connect(a, b)
    relay = network["a"].start("/usr/bin/python3", os.path.join(HERE, "relay.py"), "7500",
                               OUTER["b"][0], "7000", stdout=subprocess.PIPE)
    try:
        relay.stdout.readline()
        a.set("peer", b.public_key, "endpoint", f"{OUTER['a'][0]}:7500")
        assert ping(network["a"], INNER["b"][0], count=20)
        assert transfer(network["a"], network["b"], INNER["b"][0], 1_000_000, 120)
        assert b.drops()["replayed"] > 0
    finally:
        relay.terminate()
        relay.wait()


def test_a_peer_that_moves_is_followed(network):
    a, b = Device(network, "a", "dp0"), Device(network, "b", "dp1")
    connect(a, b)
    assert ping(network["a"], INNER["b"][0])
    stream = network["a"].start("ping", "-n", "-q", "-i", "0.1", "-w", "4", INNER["b"][0],
                                stdout=subprocess.PIPE)
    time.sleep(1)
    network["a"].ip("addr", "del", f"{OUTER['a'][0]}/24", "dev", network.veth["a"])
    network["a"].ip("addr", "add", "10.9.0.77/24", "dev", network.veth["a"])
    wait_until(lambda: "10.9.0.77:7000" in b.show("endpoints"), what="new endpoint")
    output = stream.communicate()[0]
    lost = int(output.split("% packet loss")[0].split()[-1].split(".")[0])
    assert lost < 10, output


def test_a_flood_of_garbage_and_initiations_does_not_grow_memory_nor_stop_traffic(network):
    a, b = Device(network, "a", "dp0"), Device(network, "b", "dp1")
    connect(a, b)
    assert ping(network["a"], INNER["b"][0])

    def resident():
        return int(b.status("VmRSS").split()[0])

    flood = network["a"].start("/usr/bin/python3", os.path.join(HERE, "flood.py"), OUTER["b"][0],
                               "7000", b.public_key, "6")
    time.sleep(2)
    before = resident()
    assert ping(network["a"], INNER["b"][0], count=10)
    assert transfer(network["a"], network["b"], INNER["b"][0], 5_000_000)
    assert flood.wait(30) == 0
    assert resident() - before < 2048
    assert ping(network["a"], INNER["b"][0])


def test_a_path_that_refuses_super_packets_is_served_packet_by_packet(network):
    a, b = Device(network, "a", "dp0"), Device(network, "b", "dp1")
    connect(a, b)
    for side in "ab":
        network[side].ip("link", "set", network.veth[side], "mtu", "1400")
    assert transfer(network["a"], network["b"], INNER["b"][0], 3_000_000)
    assert a.log_text().count("one by one") == 1
