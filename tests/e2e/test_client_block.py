"""What --route names leaves by the tunnel or not at all, whatever programs and routes say: the block,
a table of nftables."""

import os
import re
import signal
import socket

import pytest

from lab.behind import BRIDGE, network_behind, publish
from lab.client import ALL
from lab.echo import VISITED
from lib import wait
from lib.capture import Capture, send_routed
from lib.packets import ECHO, ICMP, IPIP, SYN, TCP, ipv4

TABLE = "inet vprox-block-vprox0"
# Starts a program on a kernel without nftables: no socket of netlink to it (EPROTONOSUPPORT).
WITHOUT_NFTABLES = """#!/usr/bin/python3
import ctypes, os, struct, sys
LD, JEQ, RET = 0x20, 0x15, 0x06
program = [(LD, 0, 0, 0), (JEQ, 0, 5, {socket}), (LD, 0, 0, 16), (JEQ, 0, 3, 16), (LD, 0, 0, 32),
           (JEQ, 0, 1, 12), (RET, 0, 0, 0x50000 | 93), (RET, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
whole = Filter(len(program), ctypes.addressof(code))
assert ctypes.CDLL(None).prctl(22, 2, ctypes.byref(whole), 0, 0) == 0
os.execv("{vprox}", ["{vprox}", *sys.argv[1:]])
"""
SOCKET = {"x86_64": 41, "aarch64": 198}  # the system call's number


@pytest.fixture(name="container")
def fixture_container(machine):
    """A network behind the machine, with a port that is published, as Docker does it."""
    inside = network_behind(machine)
    publish(machine, 8080)
    yield inside
    inside.remove()


def reaches(namespace, device=None, seconds=wait.KEPT_SECONDS):
    """Whether TCP gets to the Internet, by a device of the program's choice."""
    def inside():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            if device:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            sock.settimeout(seconds)
            return sock.connect_ex((VISITED, 80)) == 0
    return namespace.enter(inside)


def passes_beside(machine, seconds=wait.KEPT_SECONDS):
    """Whether what chooses eth0 as its outgoing interface gets through."""
    return reaches(machine.ns, "eth0", seconds) or \
        machine.ns.try_run(f"ping -n -c 1 -W 1 -I eth0 {VISITED}").returncode == 0


def begins(packet):
    """Not the end of what an earlier machine of that address had begun."""
    return packet.payload[0] == ECHO if packet.proto == ICMP else \
        packet.proto == TCP and packet.payload[13] & SYN


def is_seen_as(machine, address):
    wait.until(lambda: machine.visit(seconds=3) == address, 60, f"seen as {address}")


def is_closed(machine):
    return TABLE in machine.ns.run("nft list tables")


@pytest.mark.plane
@pytest.mark.sanitize
def test_a_program_that_chooses_its_interface_does_not_get_by(host, machine, kind):
    host.start()
    assert passes_beside(machine, wait.LET_SECONDS)
    client = machine.connect(host.address, ALL, kind=kind).up()
    is_seen_as(machine, host.address)
    assert not passes_beside(machine)
    client.stop()
    assert passes_beside(machine, wait.LET_SECONDS)
    assert machine.ns.run("nft list ruleset") == "", "nothing is left"


@pytest.mark.plane
def test_what_is_forwarded_does_not_get_by_without_the_tunnel(host, machine, kind, container):
    host.start()
    client = machine.connect(host.address, ALL, kind=kind).up()
    wait.until(lambda: reaches(container), 40, "through the tunnel")
    client.kill()
    machine.ns.ip("link del vprox0", "rule flush", "rule add lookup main pref 32766")
    assert not reaches(container) and not passes_beside(machine)
    assert container.try_run(f"ping -c 1 -W {wait.LET_SECONDS} {BRIDGE}").returncode == 0


@pytest.mark.plane
def test_segments_of_what_is_forwarded_fit_into_the_tunnel_both_ways(
        host, machine, kind, container):
    """The server has room for more."""
    host.start()
    machine.connect(host.address, ALL + " --mtu=1300", kind=kind).up()
    with Capture(machine.ns, "vprox0") as there, Capture(machine.ns, "docker0") as back:
        wait.until(lambda: reaches(container), 40, "through the tunnel")
        syns = [sniffer.wait(lambda p, flags=flags: p.proto == TCP and p.payload[13] == flags and
                             80 in p.ports)
                for sniffer, flags in ((there, SYN), (back, SYN | 0x10))]
    assert [syn.mss for syn in syns] == [1260, 1260]


def test_it_is_closed_before_there_is_a_tunnel_and_opened_by_a_signal(host, machine, kind):
    client = machine.connect(host.address, ALL, kind=kind)
    client.logged("cannot connect|no answer")
    assert not passes_beside(machine) and machine.visit(seconds=3) is None
    client.stop(signal.SIGINT)
    assert passes_beside(machine, wait.LET_SECONDS)


def test_a_client_that_never_had_a_tunnel_and_gives_up_leaves_it_as_it_was(host, machine):
    host.start()
    client = machine.connect(host.address, ALL, password="wrong")
    assert client.wait(40) == 3
    assert passes_beside(machine, wait.LET_SECONDS)
    machine.connect(host.address, ALL).up().kill()
    client = machine.connect(host.address, ALL, password="wrong")
    assert client.wait(40) == 3
    assert not passes_beside(machine)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_it_stays_until_the_next_start_where_nobody_has_opened_it(host, machine, number):
    host.start()
    client = machine.connect(host.address, ALL).up()
    client.process.send_signal(number)
    client.wait()
    assert not passes_beside(machine)
    machine.connect(host.address, "--route 192.0.2.200/32").up()
    assert passes_beside(machine, wait.LET_SECONDS)


def test_a_table_that_is_flushed_is_put_back(host, machine):
    host.start()
    client = machine.connect(host.address, ALL).up()
    machine.ns.run("nft flush ruleset")
    wait.until(lambda: not passes_beside(machine), 30, "it is back")
    client.logged(f"removed the nftables table {TABLE}: loading it again")
    machine.ns.run(f"nft insert rule {TABLE} pass accept")
    client.logged(f"removed the nftables table {TABLE}: loading it again", times=2)
    wait.until(lambda: not passes_beside(machine), 30, "it is as it was")


def test_a_way_that_is_chosen_after_routing_is_judged_too(host, machine):
    """Another program's NAT gives a packet another destination, and so another way, when it has
    passed for one of the tunnel's."""
    host.start()
    machine.connect(host.address, "--route 198.51.100.0/24").up()
    machine.ns.run(["nft", "-f", "-"], input="table ip nat {\nchain out {\n"
                   "type route hook output priority 10;\n"
                   f"ip daddr {VISITED} meta mark set 7; }}\n}}\n")
    machine.ns.ip("rule add fwmark 7 lookup main pref 5")
    with Capture(machine.node.world.internet, machine.node.name) as seen:
        assert machine.visit(seconds=3) is None and not passes_beside(machine)
        seen.none(lambda packet: packet.dst == VISITED and begins(packet))


def test_the_servers_address_is_no_way_by_for_others(host, machine, kind):
    host.start()
    client = machine.connect(host.address, ALL, kind=kind).up()
    is_seen_as(machine, host.address)
    assert machine.ns.try_run(f"ping -n -c 1 -W 2 {host.address}").returncode != 0
    client.stop()
    machine.connect(host.address, f"{ALL} --except {host.address}/32", kind=kind).up()
    assert machine.ns.try_run(f"ping -n -c 1 -W 10 {host.address}").returncode == 0


def test_over_ipip_the_outer_packets_to_the_server_pass_without_a_mark(host, machine):
    """The kernel sends them so. Nobody else's do, and none over WireGuard."""
    def sends(kind):
        client = machine.connect(host.address, ALL, kind=kind).up()
        marker = f"outer {kind}".encode()
        with Capture(host.ns, "wan0") as seen:
            for address in VISITED, host.address:
                packet = ipv4(machine.node.address, address, IPIP, marker)
                try:
                    send_routed(machine.ns, packet)
                except PermissionError:
                    pass
            passed = bool(seen.find(lambda packet: marker in packet.raw, 2))
        client.stop()
        return passed
    host.start()
    with Capture(machine.node.world.internet, machine.node.name) as seen:
        assert (sends("ipip"), sends("wireguard")) == (True, False)
        seen.none(lambda packet: packet.dst == VISITED and b"outer" in packet.raw)


def test_a_service_that_is_restarted_never_opens_it(host, machine, kind):
    """The commands of vprox-block@.service and vprox-client@.service, as systemd runs them."""
    def block(mode):
        status, said = machine.run(f"{host.address} --interface=vprox0 {ALL} --block={mode}",
                                   password=None)
        assert status == 0, said
        return said
    host.start()
    assert "is blocked but through the tunnel of vprox0" in block("only")
    assert not passes_beside(machine)
    for _ in range(2):
        client = machine.connect(host.address, f"{ALL} --block=keep", kind=kind).up()
        is_seen_as(machine, host.address)
        client.stop()
        assert not passes_beside(machine)
    block("open")
    assert passes_beside(machine, wait.LET_SECONDS)


def test_the_services_choice_is_not_one_of_the_command_line(host, machine):
    """So that it can stand beside options that are the client's: there may be no --route, or --no-block."""
    host.start()
    for arguments, closed in (("", False), (f"{ALL} --no-block", False), (ALL, True)):
        machine.connect(host.address, arguments, program=machine.script("export VPROX_BLOCK=keep")).up().stop()
        assert passes_beside(machine, wait.KEPT_SECONDS if closed else wait.LET_SECONDS) != closed, arguments


@pytest.mark.parametrize("arguments, reason", [("", "which is not given"), (f"{ALL} --no-block", "and --no-block is given")])
def test_who_asks_to_close_nothing_is_told_so(host, machine, arguments, reason):
    status, said = machine.run(f"{host.address} --interface=vprox0 {arguments} --block=only", password=None)
    assert status == 0 and "nothing is blocked: --block=only is about what --route names, " + reason in said
    assert passes_beside(machine, wait.LET_SECONDS)


def test_while_a_new_tables_sets_are_not_filled_yet_nothing_leaves(host, machine):
    """As the kernel fills those of intervals last, for some microseconds when it replaces a table."""
    status, _ = machine.run(f"{host.address} --interface=vprox0 {ALL} --block=only", password=None)
    sets = re.findall(r"\tset (\w+) {", machine.ns.run(f"nft list table {TABLE}"))
    assert status == 0 and sets
    machine.ns.run(["nft", "; ".join(f"flush set {TABLE} {one}" for one in sets)])
    assert not passes_beside(machine)


def test_without_a_block_programs_choose_their_interface(host, machine):
    host.start()
    machine.connect(host.address, f"{ALL} --no-block").up()
    is_seen_as(machine, host.address)
    assert passes_beside(machine, wait.LET_SECONDS) and not is_closed(machine)


def test_where_there_is_no_nftables_routes_are_refused_without_no_block(host, machine):
    host.start()
    program = machine.state / "without-nftables"
    program.write_text(WITHOUT_NFTABLES.format(vprox=machine.options.vprox,
                                               socket=SOCKET[os.uname().machine]))
    program.chmod(0o755)
    client = machine.connect(host.address, ALL, program=program)
    assert client.wait(40) == 1
    client.logged("this kernel cannot block what goes beside the tunnel .*--no-block")
    assert machine.visit() == machine.node.address
    machine.connect(host.address, f"{ALL} --no-block", program=program).up()
    is_seen_as(machine, host.address)


def clean(machine, arguments=""):
    done = machine.ns.popen([machine.options.vprox, "clean", *arguments.split()], machine.mounts,
                            text=True, stdout=-1, stderr=-2)
    said = done.communicate(timeout=60)[0]
    assert done.returncode == 0, said
    return said


@pytest.mark.plane
def test_clean_opens_what_a_client_that_was_killed_has_left_closed(host, machine, kind):
    host.start()
    rules = machine.ns.run("ip rule show"), machine.ns.run("ip -6 rule show")
    client = machine.connect(host.address, ALL, kind=kind).up()
    assert clean(machine) == "there is nothing to remove\n", "its client runs"
    client.kill()
    told = clean(machine, "--dry-run")
    assert told.count("would remove") == 2 and not passes_beside(machine)
    assert clean(machine) == told.replace("would remove", "removed")
    assert passes_beside(machine, wait.LET_SECONDS) and machine.visit() == machine.node.address
    assert (machine.ns.run("ip rule show"), machine.ns.run("ip -6 rule show")) == rules
    assert clean(machine) == "there is nothing to remove\n"


def test_clean_finds_a_block_of_which_no_file_tells(host, machine):
    status, _ = machine.run(f"{host.address} --interface=a_b.c-d {ALL} --block=only", password=None)
    assert status == 0 and not passes_beside(machine)
    assert "inet vprox-block-a_5fb.c-d, which blocked what a client of a_b.c-d routed" in \
        clean(machine)
    assert passes_beside(machine, wait.LET_SECONDS)
