"""What is gone with a device comes back by the server's own doing: WireGuard peers are found again
where they were, from the address that they know, and in no time."""

import os
import re
import signal
import time

import pytest

from lab.tunnels import random_key
from lib import capture, packets, wait

pytestmark = pytest.mark.plane

MANY = {"embedded": 1000, "kernel": 300}  # an emulated guest makes some six a second
HANDSHAKE = 4  # seconds: much shorter than the interval of inspections in these tests
NEVER = "--reap-interval=1h"
# A client notices by itself 15 s later, its health check 5 s later; 1 s is what is wanted, of a
# machine that has nothing else to do.
NOTICED = 5
BACK = 45
FIRST_PORT = 20000  # where the peers are that nobody is behind


def lose_device(host, index=0):
    host.servers[-1].expect("vprox. has vanished")
    if host.options.plane == "embedded":
        os.kill(host.device_processes(index)[0], signal.SIGKILL)
    else:
        host.ns.run(f"ip link del vprox{index}")


class Pings:
    """Echoes through a tunnel all the time, and how long there was no answer."""

    def __init__(self, tunnel):
        self.process = tunnel.ns.popen(
            f"ping -n -D -i 0.02 -w {2 * BACK} -I {tunnel.device} {tunnel.gateway}",
            stdout=-1, text=True)

    def longest_gap(self):
        self.process.send_signal(signal.SIGINT)
        output = self.process.communicate(timeout=60)[0]
        times = [float(at) for at in re.findall(r"^\[(\d+\.\d+)\] \d+ bytes from", output,
                                                re.MULTILINE)]
        assert len(times) > 1, output
        return max(after - before for before, after in zip(times, times[1:]))


def cut_off(host, tunnel, index=0):
    """Loses the device; for how many seconds the tunnel carried nothing."""
    server = host.servers[-1]
    n = len(re.findall("is back", server.log))
    pings = Pings(tunnel)
    time.sleep(1)
    lose_device(host, index)
    wait.until(lambda: len(re.findall("is back", server.log)) > n, BACK, "the device is back")
    wait.until(lambda: tunnel.ping(seconds=1), BACK, "the tunnel works")
    time.sleep(0.2)
    return pings.longest_gap()


def report(what, seconds):
    print(f"{what}: cut off for {1000 * seconds:.0f} ms")


def serve_first(host):
    host.start(NEVER)
    return host.address, 0


def serve_second(host):
    """The route prefers the host's first address."""
    host.start(NEVER, ips=[host.second])
    return host.second, 0


def serve_on_lo(host):
    host.ns.ip(f"addr del {host.third}/32 dev wan0", f"addr add {host.third}/32 dev lo")
    host.start(NEVER, ips=[host.third])
    return host.third, 0


def serve_added(host):
    """One that came later: the server adds it itself."""
    host.start(NEVER, ips=[host.absent])
    return host.absent, 0


def serve_two(host):
    host.start(f"--wg-block-per-ip=/24 {NEVER}", ips=[host.address, host.second])
    return host.second, 1


@pytest.mark.parametrize("serve", [
    serve_first, pytest.param(serve_second, marks=pytest.mark.interop), serve_on_lo, serve_added,
    serve_two])
def test_wireguard_goes_on_at_once_whatever_address_is_served(host, client, serve):
    """No inspection comes between a client's handshake and the loss of the device."""
    address, index = serve(host)
    tunnel = host.tunnel("wireguard", client, address).up()
    wait.until(lambda: tunnel.ping(seconds=1), BACK)
    time.sleep(HANDSHAKE)
    took = cut_off(host, tunnel, index)
    report(f"{host.options.plane} plane, {tunnel.ends.name} client, {serve.__name__}", took)
    assert took < NOTICED
    assert tunnel.visit() == address


def place(n):
    return FIRST_PORT + n


def test_of_a_thousand_peers_each_is_found_again_from_the_address_that_is_served(host, client):
    """One is there, behind the others nobody is: that they are sought is to be seen."""
    host.start("--reap-interval=1s", ips=[host.second])
    tunnel = host.tunnel("wireguard", client, host.second).up()
    keys = [random_key() for _ in range(MANY[host.options.plane])]
    api = host.api(client, host.second)
    for key in keys:
        assert api.connect(key).status == 200
    places = "".join(f"[Peer]\nPublicKey = {key}\nEndpoint = {client.address}:{place(n)}\n"
                     for n, key in enumerate(keys))
    host.ns.run(["wg", "addconf", "vprox0", "/dev/stdin"], input=places)
    wait.until(lambda: tunnel.ping(seconds=1), BACK)
    time.sleep(HANDSHAKE)
    with capture.Capture(host.world.internet, host.node.name) as sniffer:
        took = cut_off(host, tunnel)
        sought = wait.until(lambda: sources_of_handshakes(sniffer, client, len(keys)), BACK)
    report(f"{host.options.plane} plane, {tunnel.ends.name} client, {len(keys)} peers", took)
    assert sought == {host.second}
    assert took < 2 * NOTICED


def sources_of_handshakes(sniffer, client, n_peers):
    """The addresses that they came from, once there was one for every peer."""
    found = [packet for packet in sniffer.look()
             if packet.proto == packets.UDP and packet.dst == client.address]
    ports = {packet.dport for packet in found}
    if not ports >= {place(n) for n in range(n_peers)}:
        return None
    return {packet.src for packet in found}
