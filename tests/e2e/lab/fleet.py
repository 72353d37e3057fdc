"""Servers that have a store in common."""

import contextlib
import itertools
import json

from lib import wait

BACK = 60  # seconds for a tunnel to work again
PER_IP = "--wg-block-per-ip=/20"
KEY_ID = slice(4, 8)  # of a record: which key it is sealed under
numbers = itertools.count()


class Fleet:
    """A name in an etcd, and a key."""

    def __init__(self, etcd, key, name=None):
        self.etcd, self.key = etcd, key
        self.name = name or f"fleet-{next(numbers)}"

    def arguments(self, more="", store=None):
        return f"--store={store or self.etcd.store(self.name)} --fleet-key={self.key} {PER_IP} {more}"

    def start(self, host, more="", store=None, **kwargs):
        return host.start(self.arguments(more, store), **kwargs)

    def records(self, kind):
        return self.etcd.records(f"/vprox/{self.name}/{kind}/")

    def everything(self):
        return self.etcd.records(f"/vprox/{self.name}/")

    def wait_for(self, kind, n):
        """A server is ready before etcd has what it has just been given."""
        def are_there():
            # While it has no leader it refuses.
            with contextlib.suppress(OSError):
                return len(self.records(kind)) == n
        wait.until(are_there, BACK, f"{n} records in etcd, of kind {kind}")

    def wait_for_peers(self, n):
        self.wait_for("peer", n)


def give_address(host, address):
    """The router is told at once, as who moves addresses does by ARP: where somebody has asked for it too early, whoever
    comes in the next three seconds would wait, and perhaps be told that there is no such host."""
    link, = json.loads(host.ns.run("ip -j link show wan0"))
    host.ns.ip(f"addr add {address}/32 dev wan0")
    host.world.internet.ip(f"route replace {address}/32 dev {host.node.name}",
                           f"neigh replace {address} lladdr {link['address']} nud reachable dev {host.node.name}")


def take_address(host, address):
    host.ns.ip(f"addr del {address}/32 dev wan0")


def move_address(host, other, address=None):
    """From a host, its first one if none is named; its server may be gone."""
    address = address or host.address
    take_address(host, address)
    give_address(other, address)


def times_served(server, address):
    return server.log.count(f"endpoint {address}: served from now on")


def wait_served(server, address, times=1):
    wait.until(lambda: times_served(server, address) == times, BACK, lambda: f"{address} is served:\n{server.log}")


def wait_works(tunnel, *servers):
    wait.until(lambda: tunnel.ping(seconds=1), BACK, lambda: "the tunnel works:\n" + "\n".join(server.log for server in servers))
