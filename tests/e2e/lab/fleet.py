"""Servers that have a store in common."""

import contextlib
import itertools

from lib import wait

BACK = 60
PER_IP = "--wg-block-per-ip=/20"
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

    def wait_for_peers(self, n):
        def are_there():
            # While it has no leader it refuses.
            with contextlib.suppress(OSError):
                return len(self.records("peer")) == n
        wait.until(are_there, BACK, f"{n} peers in etcd")


def move_address(host, other):
    """The address of a host, whose server is gone, is the other's from now on."""
    world = host.world
    host.ns.run(f"ip addr del {host.address}/32 dev wan0")
    other.ns.run(f"ip addr add {host.address}/32 dev wan0")
    world.internet.ip(f"route replace {host.address}/32 dev {other.node.name}")
