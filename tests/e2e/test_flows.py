"""Connections end with the holder of their inner address: the next one neither receives what still
comes for the former one, nor can send into its connections."""

import contextlib
import re
import socket
import subprocess
import time

import pytest

from lab.echo import VISITED, bound
from lab.tunnels import random_key
from lib import conntrack, wait
from lib.capture import Capture, send
from lib.packets import ACK, PSH, RST, TCP, UDP, ipv4, tcp

BLOCK = "10.9.8.0/30"  # one address, which goes from one client to the next
INNER = "10.9.8.2"
PORT = 5000
FIRST, SECOND = b"for the first client only", b"from the second client"
SILENCE_S = 1.0
WAITED_AT_MOST_S = 2.5
MANY = 10000
BACK = 45  # seconds, on a machine that has much else to do
# As long as a file is there, what is sent to the kernel about connection tracking fails.
REFUSE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
ssize_t sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *to,
               socklen_t size)
{
	ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) =
		dlsym(RTLD_NEXT, "sendto");
	const struct nlmsghdr *header = data;
	if (to && to->sa_family == AF_NETLINK &&
	    header->nlmsg_type >> 8 == NFNL_SUBSYS_CTNETLINK && access(getenv("REFUSES"), F_OK) == 0) {
		errno = EPERM;
		return -1;
	}
	return real(fd, data, n, flags, to, size);
}
"""


class Session:
    """A TCP connection of a tunnel's to the Internet, and where it is in both directions."""

    def __init__(self, world, tunnel):
        listener = world.internet.socket(socket.AF_INET, socket.SOCK_STREAM)
        with listener, Capture(world.internet) as seen:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((VISITED, PORT))
            listener.listen()
            self.near = bound(tunnel.ns, socket.SOCK_STREAM, tunnel.device, 0, 15)
            self.near.connect((VISITED, PORT))
            listener.settimeout(15)
            self.far, (self.seen_as, self.port) = listener.accept()
            self.near.sendall(b"hello")
            self.far.settimeout(15)
            assert self.far.recv(10) == b"hello"
            last = seen.wait(lambda p: p.proto == TCP and p.src == VISITED and p.flags == ACK)
        # What the far end says last is what it expects next.
        self.far_sequence = int.from_bytes(last.payload[4:8], "big")
        self.near_sequence = int.from_bytes(last.payload[8:12], "big")

    def forged(self, data):
        """What its owner would send next."""
        return ipv4(INNER, VISITED, TCP, tcp(self.port, PORT, PSH | ACK, self.near_sequence,
                                             self.far_sequence, data))

    def received(self, seconds=SILENCE_S):
        """What the far end has got in that time."""
        self.far.settimeout(seconds)
        try:
            return self.far.recv(100)
        except OSError:
            return b""

    def close(self):
        self.near.close()
        self.far.close()


@pytest.fixture(name="session")
def fixture_session(world):
    """Returns a function that opens a session of a tunnel."""
    opened = []

    def open_session(tunnel):
        opened.append(Session(world, tunnel))
        return opened[-1]
    yield open_session
    for each in opened:
        each.close()


def leave(tunnel):
    """The client goes as it should; its connections do not hear of it."""
    assert tunnel.disconnect().status == 200


def take_over(host, kind, client):
    """Another client, with the address of the one that left."""
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.inner == INNER and tunnel.ping()
    return tunnel


def assert_apart(session, second):
    """What is the first client's does not reach the second one, and the reverse."""
    with Capture(second.ns, second.device) as seen:
        send(second.ns, second.device, session.forged(SECOND))
        assert session.received() == b""
        session.far.sendall(FIRST)
        seen.none(lambda p: not p.outgoing and FIRST in p.raw, SILENCE_S)


@pytest.mark.old_kernel
@pytest.mark.plane
@pytest.mark.sanitize
def test_a_tcp_connection_is_not_handed_to_the_next_holder(host, kind, client, other_client,
                                                          session):
    host.start(block=BLOCK)
    first = host.tunnel(kind, client).up()
    opened = session(first)
    leave(first)
    assert_apart(opened, take_over(host, kind, other_client))


@pytest.mark.plane
def test_a_udp_stream_is_not_handed_to_the_next_holder(host, world, kind, client, other_client):
    host.start(block=BLOCK)
    first = host.tunnel(kind, client).up()
    far = world.internet.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near = bound(first.ns, socket.SOCK_DGRAM, first.device, 0, 15)
    with far, near:
        far.bind((VISITED, PORT))
        far.settimeout(15)
        near.sendto(b"subscribe", (VISITED, PORT))
        subscriber = far.recvfrom(100)[1]
        far.sendto(FIRST, subscriber)
        assert near.recv(100) == FIRST
        leave(first)
        second = take_over(host, kind, other_client)
        with Capture(second.ns, second.device) as seen:
            for _ in range(10):
                far.sendto(FIRST, subscriber)
                time.sleep(0.05)
            seen.none(lambda p: p.proto == UDP and FIRST in p.raw, SILENCE_S)


@pytest.mark.plane
@pytest.mark.parametrize("end", ["stop with keep", "kill"])
def test_a_server_that_ends_before_it_has_deleted_them_leaves_it_to_the_next(
        host, kind, client, other_client, session, end):
    server = host.start("--on-exit=keep", block=BLOCK)
    first = host.tunnel(kind, client).up()
    opened = session(first)
    leave(first)
    # At once: it waits a second for more that leave.
    if end == "kill":
        server.kill()
    else:
        server.stop()
    assert conntrack.count(host.ns, INNER) > 0, "too late to be a test"
    host.start(block=BLOCK)
    assert_apart(opened, take_over(host, kind, other_client))


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_while_connection_tracking_cannot_be_talked_to_nobody_gets_a_freed_address(
        host, client, other_client, session, tmp_path):
    library, refuses = tmp_path / "refuse.so", tmp_path / "refuses"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", str(library), "-", "-ldl"],
                   input=REFUSE, text=True, check=True)
    server = host.start(block=BLOCK, environment={"LD_PRELOAD": str(library),
                                                  "REFUSES": str(refuses)})
    first = host.tunnel("ipip", client).up()
    opened = session(first)
    refuses.touch()
    leave(first)
    assert host.api(other_client).connect(random_key()).status == 503
    assert server.logged("warning .*cannot delete the tracked connections of freed addresses: "
                         "Operation not permitted; such an address now rests for 120 s", BACK)
    assert host.api(other_client).connect(random_key()).status == 503
    assert conntrack.count(host.ns, INNER) > 0, "nothing was in the way"
    refuses.unlink()
    assert server.logged("can be deleted again", BACK)
    assert_apart(opened, take_over(host, "ipip", other_client))


@pytest.mark.plane
def test_connections_of_those_who_stay_go_on_over_a_restart(host, kind, client, other_client,
                                                           session):
    server = host.start("--on-exit=keep")
    staying = host.tunnel(kind, client).up()
    leaving = host.tunnel(kind, other_client).up()
    opened = session(staying)
    assert leaving.ping(VISITED)
    leave(leaving)
    server.stop()
    server = host.start()
    host.api(other_client).connect(random_key())  # the first pass is over
    wait.until(lambda: conntrack.count(host.ns, leaving.inner) == 0)
    opened.near.sendall(b"still there")
    assert opened.received(15) == b"still there"
    opened.far.sendall(b"and here")
    assert opened.near.recv(100) == b"and here"


@pytest.mark.old_kernel
@pytest.mark.plane
@pytest.mark.sanitize
def test_an_address_with_ten_thousand_connections_is_given_to_one_who_waits(host, clients, client):
    first, second, third = clients(3)
    server = host.start(block="10.9.8.0/29")
    keys = [random_key() for _ in range(5)]
    # No more from each than is allowed when the block is nearly used up.
    inner = [host.api(who).connect(key).inner
             for who, key in zip((first, first, second, second, third), keys)]
    conntrack.insert(host.ns, range(MANY), inner[0], VISITED, host.address)
    conntrack.insert(host.ns, range(MANY, 2 * MANY), inner[1], VISITED, host.address)
    host.api(first).disconnect(keys[0])
    began = time.monotonic()
    assert host.api(third).connect_ipip().inner == inner[0]
    assert time.monotonic() - began < WAITED_AT_MOST_S
    assert conntrack.count(host.ns, inner[0]) == 0
    assert conntrack.count(host.ns, inner[1]) == MANY
    assert server.logged(rf"tracked connections of freed addresses: {MANY} of \d+, in \d+ ms")
    assert host.api(client).connect_ipip().status == 503, "nothing is being freed"


def test_many_that_leave_together_cost_one_pass(host, client):
    server = host.start()
    api = host.api(client)
    keys = [random_key() for _ in range(20)]
    for key in keys:
        assert api.connect(key).status == 200
    assert server.logged("deleted the tracked connections", seconds=10)
    for key in keys:
        assert api.disconnect(key).status == 200
    time.sleep(3)
    assert len(re.findall("deleted the tracked connections", server.log)) == 2


class HostSession:
    """A TCP connection of a tunnel's to a service of the server's host."""

    def __init__(self, host, tunnel, stack):
        listener = stack.enter_context(host.ns.socket(socket.AF_INET, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((tunnel.gateway, PORT))
        listener.listen()
        with Capture(tunnel.ns, tunnel.device) as seen:
            near = stack.enter_context(bound(tunnel.ns, socket.SOCK_STREAM, tunnel.device, 0, 15))
            near.connect((tunnel.gateway, PORT))
            last = seen.wait(lambda p: p.proto == TCP and p.outgoing and p.flags == ACK)
        self.host_end = stack.enter_context(listener.accept()[0])
        self.gateway = tunnel.gateway
        self.port = near.getsockname()[1]
        self.sequence = int.from_bytes(last.payload[4:8], "big")
        self.acknowledged = int.from_bytes(last.payload[8:12], "big")

    def forged(self, data):
        return ipv4(INNER, self.gateway, TCP, tcp(self.port, PORT, PSH | ACK, self.sequence,
                                                  self.acknowledged, data))


@pytest.mark.old_kernel
@pytest.mark.plane
def test_a_connection_to_the_host_is_not_handed_to_the_next_holder(host, kind, client,
                                                                  other_client):
    """Deleting what connection tracking has of it does not end it: the host's socket lives on."""
    host.start(f"--allow-to-host={PORT}", block=BLOCK)
    first = host.tunnel(kind, client).up()
    with contextlib.ExitStack() as stack:
        opened = HostSession(host, first, stack)
        service = stack.enter_context(host.ns.socket(socket.AF_INET, socket.SOCK_DGRAM))
        service.bind((first.gateway, PORT))
        near = stack.enter_context(bound(first.ns, socket.SOCK_DGRAM, first.device, 0, 15))
        near.sendto(b"subscribe", (first.gateway, PORT))
        subscriber = service.recvfrom(100)[1]
        leave(first)
        second = take_over(host, kind, other_client)
        with Capture(second.ns, second.device) as seen:
            send(second.ns, second.device, opened.forged(SECOND))
            opened.host_end.settimeout(SILENCE_S)
            with pytest.raises(TimeoutError):
                opened.host_end.recv(100)
            opened.host_end.sendall(FIRST)
            with contextlib.suppress(PermissionError):
                service.sendto(FIRST, subscriber)
            send(second.ns, second.device, opened.forged(SECOND))
            with pytest.raises(TimeoutError):
                opened.host_end.recv(100)
            seen.none(lambda p: not p.outgoing and FIRST in p.raw, SILENCE_S)


def test_a_connection_begins_with_a_syn(host, world, kind, client, session):
    """One that a tunnel goes on with and nobody has begun would be another's."""
    host.start()
    tunnel = host.tunnel(kind, client).up()
    with Capture(tunnel.ns, tunnel.device) as seen, Capture(world.internet) as outside:
        send(tunnel.ns, tunnel.device,
             ipv4(tunnel.inner, VISITED, TCP, tcp(4000, PORT, PSH | ACK, 1, 1, FIRST)))
        # Who believed in it hears that at once.
        reset = seen.wait(lambda p: p.proto == TCP and not p.outgoing)
        assert reset.flags & RST, reset
        outside.none(lambda p: p.proto == TCP and p.dst == VISITED and p.dport == PORT)
    assert session(tunnel).seen_as == host.address
