"""`vprox clean`: what an earlier server left goes, all of it and nothing else."""

import os
import re
import socket
import subprocess

import pytest

from lab.go_server import lay_go_leftovers
from lab.tunnels import random_key

CLOSED_NFT = "add table inet fw; add chain inet fw forward { type filter hook forward " \
             "priority filter; policy drop; }"


def clean(host, arguments=""):
    status, said = host.run(f"clean {arguments}", seconds=60)
    assert status == 0, said
    return said


def start_and_kill(host, client, **kwargs):
    """Leaves a tunnel of each kind."""
    server = host.start(**kwargs)
    for kind in "wireguard", "ipip":
        tunnel = host.tunnel(kind, client).up()
        assert tunnel.visit() == host.address
    server.kill()


@pytest.mark.plane
@pytest.mark.sanitize
def test_after_a_kill_the_host_is_byte_for_byte_as_it_was(host, client):
    host.ns.run(["nft", CLOSED_NFT])
    host.ns.run("iptables-legacy -P FORWARD DROP")
    host.ns.run("iptables-nft -P FORWARD DROP")
    host.ns.ip(f"rule add from {host.absent} lookup 77",
               "route add default dev wan0 table 77")
    before = host.snapshot()
    start_and_kill(host, client, arguments="--wg-block-per-ip=/24", ips=[host.address, host.absent])
    left = host.snapshot()
    assert all(left[name] != before[name] for name in before)
    said = clean(host)
    host.assert_same(before)
    for what in (f"removed vprox0 .*{re.escape(host.address)}",
                 f"removed vprox1 .*{re.escape(host.absent)}",
                 f"removed the address {re.escape(host.absent)} from wan0",
                 r"removed the policy rule \"1: to 10\.100\.0\.0/16",
                 r"removed the policy rule \".*from 10\.100\.1\.0/24",
                 "removed the chain VPROX from the nftables table inet fw",
                 "removed the chain VPROX from the nftables table ip filter",
                 "removed the chain VPROX from iptables-legacy",
                 "removed the nftables table ip vprox", "removed the socket .*control.sock"):
        assert re.search(f"^{what}", said, re.MULTILINE), (what, said)
    assert clean(host) == "there is nothing to remove\n"


def test_a_dry_run_tells_the_same_and_removes_nothing(host, client):
    host.ns.run(["nft", CLOSED_NFT])
    start_and_kill(host, client, ips=[host.address])
    before = host.snapshot()
    told = clean(host, "--dry-run")
    host.assert_same(before)
    assert (host.state / "run/vprox/control.sock").exists()
    assert told.count("would remove ") == len(told.splitlines()) > 4
    assert clean(host) == told.replace("would remove ", "removed ")


def test_while_a_server_runs_it_refuses_and_harms_nothing(host, client):
    server = host.start()
    tunnel = host.tunnel("ipip", client).up()
    before = host.snapshot()
    for arguments in "clean", "clean --dry-run":
        status, said = host.run(arguments)
        assert status == 1 and "a vprox server runs on this host" in said
    host.assert_same(before)
    assert tunnel.visit() == host.address
    server.stop()


@pytest.mark.plane
def test_what_a_stop_with_keep_left_goes_too(host, client, kind):
    before = host.snapshot()
    server = host.start("--on-exit=keep", ips=[host.absent])
    tunnel = host.tunnel(kind, client, host.absent).up()
    server.stop()
    assert tunnel.ping()
    clean(host)
    host.assert_same(before)


@pytest.mark.plane
def test_a_server_starts_afresh_afterwards_and_keys_stay(host, client):
    start_and_kill(host, client)
    keys = {path: path.read_bytes() for path in
            [host.state / "run/vprox/server-key", *(host.state / "lib/vprox").glob("*.pem")]}
    assert len(keys) == 3
    clean(host)
    assert {path: path.read_bytes() for path in keys} == keys
    server = host.start()
    assert not server.logged("adopted")
    # Those with connections that the earlier one left are given out last.
    assert host.api(client).connect(random_key()).inner == "10.100.0.4"


@pytest.mark.plane
def test_what_other_programs_have_is_left_as_it_was(host, client):
    host.ns.run("iptables-nft -A FORWARD -i vprox0 -m comment --comment 'not vprox ' -j ACCEPT")
    host.ns.ip("rule add to 10.100.0.0/16 lookup 77 pref 2",
               f"addr add {host.absent}/24 dev wan0",
               "link add vp0-12 type veth peer name vprox3")
    before = host.snapshot()
    start_and_kill(host, client)
    clean(host)
    host.assert_same(before)


@pytest.mark.only("kernel", reason="the Go servers know no other")
@pytest.mark.parametrize("iptables", ["iptables-nft", "iptables-legacy"])
def test_what_a_go_server_left_goes(host, client, iptables):
    host.ns.run(f"{iptables} -P FORWARD ACCEPT")  # makes its tables
    host.ns.run(f"{iptables} -t nat -P OUTPUT ACCEPT")
    host.ns.run(f"{iptables} -t mangle -P OUTPUT ACCEPT")
    lay_go_leftovers(host, iptables, client)
    said = clean(host)
    assert "removed vprox0" in said and re.search(rf"removed 4 {iptables} rules", said)
    assert "vprox0" not in host.links()
    rules = host.ns.run(f"{iptables}-save")
    assert '"vprox ' not in rules and '"not vprox "' in rules


# A client's interface is no server's

def run_there(host, words, text=""):
    """Runs a command with the host's own /run."""
    process = host.ns.popen(words, host.mounts, text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.DEVNULL)
    process.communicate(text, timeout=30)
    assert process.returncode == 0, words


def add_interface(host, name):
    """As a client has one on this plane, without the client."""
    if host.options.plane == "kernel":
        host.ns.ip(f"link add {name} type wireguard")
    else:
        run_there(host, [host.options.vprox, "device", name])
    host.ns.ip(f"link set {name} up")


def set_key(host, name, key):
    run_there(host, ["wg", "set", name, "private-key", "/dev/stdin"], key)


def start_refused(host):
    before = host.snapshot()
    server = host.launch(expected=["vprox0"])
    assert server.wait() == 1
    assert re.search(r"vprox0.*client.*--interface", server.log)
    host.assert_same(before)


@pytest.mark.plane
def test_an_interface_with_a_clients_alias_is_left_alone_and_its_name_refused(host):
    add_interface(host, "vprox0")
    host.ns.ip("link set vprox0 alias vprox-client:203.0.113.200")
    before = host.snapshot()
    assert clean(host) == "there is nothing to remove\n"
    start_refused(host)
    host.assert_same(before)
    host.ns.ip("link del vprox0")
    # A name that it does not need is nothing to it.
    add_interface(host, "vprox5")
    host.ns.ip("link set vprox5 alias vprox-client:203.0.113.200")
    before = host.snapshot()
    host.start().stop()
    clean(host)
    host.assert_same(before)


@pytest.mark.plane
def test_an_interface_with_a_clients_key_is_left_alone_and_its_name_refused(host):
    """As the Go client has it, which sets no alias."""
    folder = host.state / "run/vprox"
    folder.mkdir(mode=0o700)
    key = host.ns.run("wg genkey")
    (folder / "client-key-vprox0").write_text(key)
    add_interface(host, "vprox0")
    set_key(host, "vprox0", key)
    before = host.snapshot()
    assert clean(host) == "there is nothing to remove\n"
    host.assert_same(before)
    start_refused(host)
    # With another key it is none of that client's.
    set_key(host, "vprox0", host.ns.run("wg genkey"))
    assert "removed vprox0" in clean(host)
    assert "vprox0" not in host.links()


@pytest.mark.only("interfaces", reason="no interface for each peer")
def test_ipip_tunnels_of_a_server_go_whoever_has_the_other_interface(host):
    add_interface(host, "vprox0")
    host.ns.ip("link set vprox0 alias vprox-client",
               f"link add vp0-7 type ipip local {host.address} remote 192.0.2.200")
    assert "removed vprox0 and its tunnels" in clean(host)
    assert "vprox0" in host.links() and not host.ipip_links()


# Sockets

def test_the_socket_of_a_device_that_was_killed_goes_and_others_stay(host):
    folder = host.state / "run/wireguard"
    folder.mkdir(exist_ok=True)
    for name in "vprox7.sock", "wg0.sock", "vprox8.sock":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(folder / name))
    os.unlink(folder / "vprox8.sock")
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(folder / "vprox8.sock"))
        alive.listen(1)
        assert clean(host) == \
            "removed the socket /run/wireguard/vprox7.sock, which nobody listens on\n"
    assert sorted(os.listdir(folder)) == ["vprox8.sock", "wg0.sock"]


def test_what_is_no_socket_where_one_should_be_is_named_and_stays(host):
    """A connection to it is refused as to a socket that nobody listens on."""
    run, devices = host.state / "run/vprox", host.state / "run/wireguard"
    for folder in run, devices:
        folder.mkdir(exist_ok=True)
    (run / "control.sock").mkdir()
    (run / "listeners.sock").write_text("someone's notes")
    (devices / "vprox7.sock").symlink_to("/etc/hostname")
    left = ["/run/vprox/control.sock", "/run/vprox/listeners.sock", "/run/wireguard/vprox7.sock"]
    for arguments in "--dry-run", "":
        said = clean(host, arguments)
        assert [line for line in said.splitlines() if ".sock" in line] == [
            f"vprox clean: {path} is no socket: left as it is; remove it if nothing needs it"
            for path in left], said
    assert (run / "control.sock").is_dir() and (devices / "vprox7.sock").is_symlink()
    assert (run / "listeners.sock").read_text() == "someone's notes"


@pytest.mark.parametrize("arguments, named", [
    ("--frobnicate", "frobnicate"), ("vprox0", "vprox0"), ("--dry-run=1", "dry-run")])
def test_bad_input_is_named_and_ends_with_status_2(shared_host, arguments, named):
    status, said = shared_host.run("clean " + arguments)
    assert status == 2 and named in said


@pytest.mark.only("kernel", reason="nobody else makes one")
def test_the_interface_of_a_server_that_died_while_it_looked_goes(host):
    host.ns.ip("link add vprox-probe type ipip local 127.0.0.1 remote 127.0.0.1")
    assert clean(host, "--dry-run") == "would remove the interface vprox-probe\n"
    assert clean(host) == "removed the interface vprox-probe\n"
    assert "vprox-probe" not in host.links()
