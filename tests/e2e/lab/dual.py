"""A machine of clients that has IPv6 too."""

from lib import wait

OWN6, ROUTER6, VISITED6 = "2001:db8:c::9", "2001:db8:c::1", "2001:db8:1::80"
OWN_LINK, ROUTER_LINK = "fe80::9", "fe80::1"


def pings(machine, address, seconds=15):
    return machine.ns.try_run(f"ping -n -c 1 -W {seconds} {address}").returncode == 0


def give_ipv6(machine):
    internet = machine.node.world.internet
    machine.ns.ip(f"addr add {OWN6}/64 dev eth0 nodad", f"addr add {OWN_LINK}/64 dev eth0 nodad",
                  f"route add ::/0 via {ROUTER6}")
    internet.ip(f"addr add {ROUTER6}/64 dev {machine.node.name} nodad",
                f"addr add {ROUTER_LINK}/64 dev {machine.node.name} nodad",
                f"addr add {VISITED6}/128 dev lo nodad")
    wait.until(lambda: pings(machine, VISITED6, 2), 30, "IPv6 works")
