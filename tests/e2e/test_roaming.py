"""Clients that move."""

import concurrent.futures
import hashlib

import pytest

from lab.echo import DATA

MOVED_TO = "192.0.2.240"

pytestmark = [pytest.mark.plane, pytest.mark.interop]


def test_a_peer_whose_address_changes_amid_a_transfer_goes_on(world, host):
    node = world.add_client([MOVED_TO])
    try:
        host.start()
        tunnel = host.tunnel("wireguard", node).up()
        assert tunnel.ping()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            downloads = [pool.submit(tunnel.download, 60) for _ in range(5)]
            downloads[0].result()
            node.ns.run(f"ip addr del {node.address}/32 dev eth0")
            for download in downloads:
                assert download.result() == hashlib.sha256(DATA).hexdigest()
        assert host.ns.run("wg show vprox0 endpoints").split()[1].split(":")[0] == MOVED_TO
    finally:
        world.remove(node)
