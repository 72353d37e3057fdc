"""What comes out of the tunnel is answers: the server, or who forges its address, reaches nothing of
the client's host by itself, nor through it."""

import socket

import pytest

from lab.behind import BRIDGE, INSIDE, network_behind
from lib import wait
from lib.capture import Capture, send_routed
from lib.packets import IPIP, ipv4, udp_packet

GATEWAY, ANOTHER, PORT = "10.100.0.1", "10.100.5.5", 2222


@pytest.fixture(name="inside")
def fixture_inside(machine):
    """A network behind the machine, which forwards to it."""
    inside = network_behind(machine)
    yield inside
    inside.remove()


def start_hostile(host):
    """A server that keeps nothing from its clients, as ours does."""
    host.start("--reap-interval=1h")
    host.ns.run("nft delete table ip vprox")


def listening(namespace):
    """A socket that has room for all who connect while it is looked at, as nobody accepts them: what
    a full queue drops would look like what the client does not let in."""
    listener = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("0.0.0.0", PORT))
    listener.listen(socket.SOMAXCONN)
    return listener


def reaches(host, address, seconds=wait.KEPT_SECONDS):
    """Whether the server's host can connect to the client's."""
    def inside():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(seconds)
            sock.bind((GATEWAY, 0))
            return sock.connect_ex((address, PORT)) == 0
    return host.ns.enter(inside)


def pings(host, source, address, seconds):
    return host.ns.try_run(f"ping -n -c 1 -W {seconds} -I {source} {address}").returncode == 0


@pytest.mark.sanitize
@pytest.mark.parametrize("allowed", [pytest.param(False, marks=pytest.mark.plane), True])
def test_the_server_does_not_reach_the_clients_services(host, machine, kind, allowed):
    start_hostile(host)
    host.ns.ip(f"addr add {ANOTHER}/32 dev lo")
    client = machine.connect(host.address, "--json --route 10.100.0.0/16" +
                             " --allow-inbound" * allowed, kind=kind).up()
    inner = client.said[0]["address"]
    seconds = wait.LET_SECONDS if allowed else wait.KEPT_SECONDS
    with listening(machine.ns):
        assert reaches(host, inner, seconds) is allowed
    assert pings(host, GATEWAY, inner, wait.LET_SECONDS)
    assert pings(host, ANOTHER, inner, seconds) is allowed
    client.stop()
    assert machine.ns.run("nft list ruleset") == ""


@pytest.mark.plane
def test_what_is_not_for_the_assigned_address_is_dropped_over_ipip(host, machine, inside):
    """Whatever is allowed."""
    host.start()
    client = machine.connect(host.address, "--json --allow-inbound", kind="ipip").up()
    inner = client.said[0]["address"]
    own = machine.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.bind(("0.0.0.0", PORT))
    own.settimeout(wait.LET_SECONDS)

    def forge(destination, marker):
        packet = udp_packet(GATEWAY, destination, 5, PORT, marker)
        send_routed(host.ns, ipv4(host.address, machine.node.address, IPIP, packet))
    with own, Capture(inside) as seen:
        for destination in INSIDE, BRIDGE, machine.node.address:
            forge(destination, b"another's")
        forge(inner, b"the client's")
        assert own.recv(100) == b"the client's", "and none of those before"
        assert not seen.saw(b"another's")


def test_what_forwards_is_not_reached_through(host, machine, kind, inside):
    """By an entry of NAT, as for a published port."""
    start_hostile(host)
    client = machine.connect(host.address, "--json", kind=kind).up()
    inner = client.said[0]["address"]
    machine.ns.run(["nft", "-f", "-"], input="table ip docker {\n"
                   "chain pre { type nat hook prerouting priority dstnat;\n"
                   f"tcp dport {PORT} dnat to {INSIDE}; }}\n"
                   "chain post { type nat hook postrouting priority srcnat;\n"
                   "oifname docker0 masquerade; }\n}\n")
    with listening(inside):
        assert not reaches(host, inner)
        machine.ns.run("nft delete table inet vprox-inbound-vprox0")
        client.logged("removed the nftables table inet vprox-inbound-vprox0: loading it again")
        wait.until(lambda: not reaches(host, inner), 30, "the table is there again")
        client.stop()
        client = machine.connect(host.address, "--json --allow-inbound", kind=kind).up()
        assert reaches(host, client.said[0]["address"], wait.LET_SECONDS), "else the test would show nothing"


def test_answers_come_in_and_errors_that_belong_to_them(host, machine, kind):
    host.start()
    client = machine.connect(host.address, kind=kind).up()
    assert client.visit() == host.address
    assert machine.ns.try_run("ping -n -c 1 -W 10 -I vprox0 198.51.100.80").returncode == 0
    # The server's host says that the time to live is over.
    told = machine.ns.try_run("ping -n -c 1 -W 10 -t 1 -I vprox0 198.51.100.80").stdout
    assert "Time to live exceeded" in told, told
