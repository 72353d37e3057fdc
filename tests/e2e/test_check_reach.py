"""`vprox check SERVER`: what a client needs, found out one by one, and nothing left of it."""

import json
import os
import signal
import subprocess

import pytest

from lab.api import PASSWORD
from lab.pretender import Pretender, answer
from lab.server import pins_of
from lib import kernel, wait
from lib.netns import stop


def check(machine, server, *words, password=PASSWORD):
    """(exit status, {what: (verdict, text)})"""
    process = machine.ns.popen(
        [machine.options.vprox, "check", server, f"--plane={machine.options.plane}", "--json", *words],
        machine.mounts, text=True, env=machine.environment(password), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    try:
        out, errors = process.communicate(timeout=120)
    finally:
        stop(process)
    assert out, errors
    found = json.loads(out)
    lines = {line["what"]: (line["verdict"], line["text"]) for line in found["lines"]}
    mtu = {line["what"]: line["mtu"] for line in found["lines"] if "mtu" in line}
    assert mtu == {what: int(text.partition("packets of up to ")[2].split(" ")[0])
                   if "packets of up to " in text else int(text.partition("an MTU of ")[2].split(",")[0])
                   for what, (_, text) in lines.items() if "size pass" in text or "packets of up to " in text}
    assert found["good"] == (process.returncode == 0) == (
        "fault" not in [verdict for verdict, _ in lines.values()])
    return process.returncode, lines


def files(machine):
    """But for a lock of the whole host's, which cannot be removed without a race."""
    return sorted(str(path.relative_to(machine.state)) for folder in ("run", "lib")
                  for path in (machine.state / folder).rglob("*") if not path.is_dir() and path.name != "resolv-conf-lock")


@pytest.mark.plane
@pytest.mark.sanitize
def test_where_all_is_well_each_is_said_to_be_and_nothing_is_left(host, machine):
    server = host.start()
    before, files_before = machine.snapshot(), files(machine)
    status, lines = check(machine, host.address)
    assert status == 0, lines
    assert {what: verdict for what, (verdict, _) in lines.items()} == {
        "machine": "ok", "https": "ok", "nat": "ok", "key": "note", "password": "ok",
        "wireguard": "ok", "ipip": "ok"}
    assert pins_of(server)[0] in lines["key"][1]
    for kind, mtu in ("wireguard", 1420), ("ipip", 1480):
        assert f"an MTU of {mtu}, and packets of that size pass" in lines[kind][1]
    assert machine.snapshot() == before and files(machine) == files_before
    assert len(server.logged(r"(?s)(removed.*){2}", 20).group()) > 0, "the server was told"


@pytest.mark.only("embedded", reason="of a kernel that lacks them")
def test_a_kernel_that_lacks_what_plane_kernel_asks_for_is_the_fault_that_is_named(host, machine):
    lacks = [kind for kind in ("wireguard", "ipip") if not kernel.has(kind)]
    if not lacks:
        pytest.skip("this kernel has both")
    host.start()
    status, lines = check(machine, host.address, "--plane=kernel")
    verdict, text = lines["machine"]
    assert status == 1 and verdict == ("fault" if len(lacks) == 2 else "note"), lines
    assert "this kernel has no" in text and "modprobe" in text and "leave --plane=kernel out" in text
    for kind in lacks:
        assert lines[kind][0] == "fault" and "not tried: nothing here carries" in lines[kind][1]


def test_a_password_that_is_wrong_is_told_before_anything_is_asked_for(host, machine):
    server = host.start()
    status, lines = check(machine, host.address, password="wrong")
    assert status == 1 and lines["password"][0] == "fault" and "VPROX_PASSWORD" in lines["password"][1]
    assert "wireguard" not in lines and "has a tunnel" not in server.log


def test_each_way_that_is_filtered_is_named(world, host, machine, drop):
    drop(host.ns, "prerouting", "udp dport 50227")
    drop(world.internet, "forward", "ip protocol 4")
    host.start()
    before, files_before = machine.snapshot(), files(machine)
    status, lines = check(machine, host.address)
    assert status == 1
    assert lines["wireguard"][0] == "fault" and "UDP port 50227" in lines["wireguard"][1]
    assert lines["ipip"][0] == "fault" and "protocol 4" in lines["ipip"][1]
    assert machine.snapshot() == before and files(machine) == files_before


@pytest.mark.plane
def test_the_largest_packet_that_passes_is_found_where_longer_ones_are_lost_without_a_word(
        world, host, machine, drop):
    """WireGuard pads packets to 16 bytes, and adds 60: 1428 outside is 1360 inside."""
    drop(world.internet, "prerouting", "ip protocol { udp, 4 } ip length > 1428")
    host.start()
    before, files_before = machine.snapshot(), files(machine)
    status, lines = check(machine, host.address)
    assert status == 1
    for kind, mtu, passes in ("wireguard", 1420, 1360), ("ipip", 1480, 1408):
        verdict, text = lines[kind]
        assert verdict == "fault" and f"of its MTU of {mtu} bytes only packets of up to {passes} pass" in text, text
        assert f"--mtu {passes}" in text
    assert machine.snapshot() == before and files(machine) == files_before


def test_a_narrow_path_that_tells_of_itself_is_no_fault(world, host, machine):
    """The client lowers its MTU by itself, as it does with `vprox connect`."""
    world.internet.run(f"ip link set {host.node.name} mtu 1400")
    host.start()
    status, lines = check(machine, host.address, "--tunnel=ipip")
    assert status == 0, lines
    assert "an MTU of 1380, and packets of that size pass" in lines["ipip"][1]


def test_a_filter_of_this_host_is_named_where_a_tunnel_does_not_come_up(host, machine):
    """As many firewalls are: closed, but for answers of TCP and what is named."""
    host.start()
    machine.ns.run(["nft", "table inet mine { chain in { type filter hook input priority filter; policy drop; "
                    "ct state established meta l4proto tcp accept; meta l4proto icmp accept; "
                    "iifname \"vprox*\" accept; udp sport 53 drop; }; }"])
    before, files_before = machine.snapshot(), files(machine)
    status, lines = check(machine, host.address, "--tunnel=wireguard")
    assert status == 1 and lines["wireguard"][0] == "fault"
    verdict, text = lines["filter"]
    assert verdict == "note" and "may drop" in text
    assert 'the policy of the chain "in" of the nftables table inet mine' in text
    assert 'the rule with handle' in text and "vprox-" not in text
    assert machine.snapshot() == before and files(machine) == files_before
    machine.ns.run("nft insert rule inet mine in udp sport 50227 accept")
    status, lines = check(machine, host.address, "--tunnel=wireguard")
    assert status == 0 and "filter" not in lines, "what is in nobody's way is not mentioned"


def test_a_filtered_echo_is_a_note(host, machine):
    host.ns.sysctl(net__ipv4__icmp_echo_ignore_all=1)
    host.start()
    status, lines = check(machine, host.address, "--tunnel=wireguard")
    assert status == 0 and lines["wireguard"][0] == "ok"
    assert lines["echo"][0] == "note" and "could not be tried" in lines["echo"][1] and "ipip" not in lines


def test_a_server_of_another_key_is_not_told_the_password(host, machine):
    pretender = Pretender(host, {"/": answer(200, b"vprox ok. received 192.0.2.1:1 -> 203.0.113.1:443\n")})
    try:
        status, lines = check(machine, host.address, "--pin", "sha256//" + "A" * 43 + "=")
        assert status == 1 and lines["key"][0] == "fault" and lines["nat"][0] == "note"
        assert [request.split(" ")[1] for _, request in pretender.requests] == ["/"]
        assert PASSWORD not in pretender.requests[0][1]
    finally:
        pretender.close()


def test_a_server_that_is_not_there_is_told(host, machine):
    status, lines = check(machine, host.address)
    assert status == 1 and lines["https"][0] == "fault"
    assert "cannot connect" in lines["https"][1] and "TCP port 443" in lines["https"][1]


@pytest.mark.plane
def test_beside_a_client_that_routes_everything_it_says_the_same(host, machine):
    host.start()
    machine.connect(host.address, "--route 0.0.0.0/0").up()
    status, lines = check(machine, host.address)
    assert status == 0, lines
    for kind in "wireguard", "ipip":
        assert lines[kind][0] == "ok" and "packets of that size pass" in lines[kind][1], lines


def test_a_tunnel_of_this_machine_goes_on(host, machine, kind):
    host.start()
    client = machine.connect(host.address, kind=kind).up()
    status, lines = check(machine, host.address)
    assert status == 0 and lines["key"][1].endswith("as before"), lines
    assert lines["ipip"][0] == ("note" if kind == "ipip" else "ok")
    assert client.visit() == host.address and client.count("the tunnel is up") == 1


def test_a_tunnel_that_is_being_tried_goes_with_the_check_that_is_killed(host, machine, drop):
    host.start()
    drop(host.ns, "prerouting", "udp dport 50227")
    before = machine.snapshot()
    state = machine.state / "run/vprox/client-state-vprox-check0"
    process = machine.ns.popen(
        [machine.options.vprox, "check", host.address, "--tunnel=wireguard",
         f"--plane={machine.options.plane}"], machine.mounts, env=machine.environment(PASSWORD),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait.until(state.exists, 30, "the tunnel is asked for")
        # Stopped, it does not see that the tunnel comes up, after which nothing ends it by itself.
        process.send_signal(signal.SIGSTOP)
        host.ns.run("nft delete table ip dropped0")
        wait.until(lambda: json.loads(state.read_text())["state"] == "up", 60, "the tunnel is up")
    finally:
        process.kill()
        process.wait()
    wait.until(lambda: not machine.processes(), 20, lambda: f"no process: {machine.processes()}")
    assert machine.snapshot() == before and not state.exists()


def test_two_at_once_have_an_interface_each(host, machine):
    """The one is stopped while it has its tunnel."""
    host.start()
    before, files_before = machine.snapshot(), files(machine)
    state = machine.state / "run/vprox/client-state-vprox-check0"
    first = machine.ns.popen(
        [machine.options.vprox, "check", host.address, "--tunnel=wireguard",
         f"--plane={machine.options.plane}"], machine.mounts, env=machine.environment(PASSWORD),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait.until(state.exists, 30, "the tunnel is asked for")
        first.send_signal(signal.SIGSTOP)
        status, lines = check(machine, host.address, "--tunnel=wireguard")
        assert status == 0, lines
        assert state.exists(), "what is the first one's stays"
        first.send_signal(signal.SIGCONT)
        assert first.wait(60) == 0
    finally:
        stop(first)
    assert machine.snapshot() == before and files(machine) == files_before


def test_either_a_server_or_this_hosts_is_checked(machine):
    for words in [], ["203.0.113.7", "--server"]:
        done = subprocess.run([machine.options.vprox, "check", *words], capture_output=True, text=True,
                              env={**os.environ, "VPROX_PASSWORD": "x"}, check=False)
        assert done.returncode == 2 and "say what is to be checked" in done.stderr
