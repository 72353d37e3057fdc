"""Datagrams out of tunnels, made by hand, each with a payload by which it is known where it comes out."""

from lab.echo import UDP_PORT, VISITED
from lib import capture, packets, wait


def datagram(source, payload, destination=VISITED):
    return packets.udp_packet(source, destination, 4000, UDP_PORT, payload)


def has_come(world, payload):
    """From which address it has come to the Internet, or None."""
    return next((address for data, (address, _) in world.echo.datagrams if data == payload), None)


def assert_comes(world, address, namespace, payload, *sent):
    capture.send_routed(namespace, *sent)
    wait.until(lambda: has_come(world, payload) == address, what=payload.decode())
