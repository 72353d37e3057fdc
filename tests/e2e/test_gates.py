"""The processes that face the Internet: without rights, and not missed when they die."""

import os
import pwd
import signal
import subprocess
import time

import pytest

from lab.api import Connection, request_bytes
from lab.tunnels import random_key
from lib import wait
from lib.netns import stop
from lib.process import children, kill, open_files, stand_still, status

LONGER_THAN_STILL = 34  # seconds: a gate that serves is ended after 30 (src/server/gate_supervisor.c)


@pytest.mark.sanitize
def test_there_are_as_many_gates_as_asked_for(host):
    assert len(host.start(gates=3).gates()) == 3


def test_by_default_there_is_a_gate_for_each_core(host):
    assert len(host.start(gates=None).gates()) == os.cpu_count()


def test_a_gate_has_no_rights(shared_host, server):
    # The sandbox is on once the gate serves; `ready` may come before.
    assert server.gates()
    for pid in server.gates():
        wait.until(lambda: status(pid)["Seccomp"] == "2", what="seccomp filter")
        found = status(pid)
        assert found["NoNewPrivs"] == "1"
        for name in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
            assert int(found[name], 16) == 0, name
        uids = set(found["Uid"].split())
        assert len(uids) == 1 and uids != {"0"}
        assert set(found["Gid"].split()) != {"0"}
        assert found["Groups"].strip() == ""


def test_a_gate_runs_as_the_user_that_was_named(host):
    server = host.start("--user=daemon")
    user = pwd.getpwnam("daemon")
    assert server.gates()
    for pid in server.gates():
        wait.until(lambda: status(pid)["Uid"].split()[0] == str(user.pw_uid))
        assert set(status(pid)["Gid"].split()) == {str(user.pw_gid)}


def has_user(name):
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


@pytest.mark.skipif(has_user("vprox"), reason="there is a user vprox")
def test_without_the_user_vprox_a_gate_is_nobodys(shared_host, server):
    """Not the user nobody's, whose other processes could end it."""
    said = server.logged("there is no user vprox: what would run as it runs as user and group "
                         r"(\d+), which are nobody's")
    assert server.log.count("there is no user") == 1, "once, for all its processes"
    assert server.gates()
    for pid in server.gates():
        wait.until(lambda: set(status(pid)["Uid"].split()) == {said.group(1)}, what="its user")
        assert set(status(pid)["Gid"].split()) == {said.group(1)}
    with pytest.raises(KeyError):
        pwd.getpwuid(int(said.group(1)))


def test_a_gate_holds_no_file_it_does_not_need(shared_host, server):
    """The broker's netlink sockets and its lock are not among them."""
    assert server.gates()
    for pid in server.gates():
        files = open_files(pid).values()
        assert not [name for name in files if "lock" in name or "server-key" in name]
        inodes = {name for name in files if name.startswith("socket:")}
        netlink = server.host.ns.read("/proc/thread-self/net/netlink").splitlines()[1:]
        assert not inodes & {f"socket:[{line.split()[-1]}]" for line in netlink}


def test_what_may_be_taken_over_reads_no_terminal(host):
    """Nor does it write to one, but for the log: as little as the broker's standard streams are its."""
    reader, writer = os.pipe()
    words = ["server", "--ip", host.address, "--wg-block", "10.100.0.0/16", f"--plane={host.options.plane}"]
    server = host.ns.popen([host.options.vprox, *words], host.mounts, env=host.environment(), stdin=reader,
                           stdout=writer, stderr=subprocess.PIPE)
    try:
        assert any(b"ready" in line for line in iter(server.stderr.readline, b""))
        found = children(server.pid)
        assert len(found) >= 2
        for child in found:
            assert {open_files(child).get(fd) for fd in (0, 1)} == {"/dev/null"}
    finally:
        os.close(reader)
        os.close(writer)
        stop(server)


@pytest.mark.plane
@pytest.mark.sanitize
def test_a_gate_that_dies_is_replaced_and_takes_down_nothing(host, client, kind):
    server = host.start(gates=2, expected=["gate .* killed"])
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.ping()
    pids = server.gates()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        assert tunnel.ping()
    wait.until(lambda: len(server.gates()) == 2 and not set(server.gates()) & set(pids))
    assert server.logged("gate .* killed by signal 9")
    assert tunnel.request().inner == tunnel.inner
    assert tunnel.ping() and tunnel.visit() == host.address


@pytest.mark.plane
def test_a_gate_that_dies_amid_requests_leaves_no_half_made_tunnel(host, clients):
    server = host.start(gates=1, expected=["gate "])
    for node in clients(4):
        connection = Connection(node, host.address)
        connection.send(request_bytes("POST", "/connect-ipip"))
        os.kill(server.gates()[0], signal.SIGKILL)
        connection.socket.close()
        wait.until(lambda: server.gates() and host.api(node).is_served())
    for name, link in host.ipip_links().items():
        assert "UP" in link["flags"]
        assert len(host.ns.run(f"ip route show dev {name}").splitlines()) == 1
    # Whoever was not answered asks again and gets what is his.
    for node in host.world.nodes:
        if node.device == "eth0":
            assert host.api(node).connect_ipip().status == 200
    assert len(host.holders()) == len(set(host.holders().values()))


def test_gates_go_when_the_broker_is_killed(host):
    server = host.start(gates=2, expected=["the broker is gone"])
    gates = server.gates()
    server.process.kill()
    server.wait()
    wait.until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in gates))


def test_a_gate_that_keeps_dying_does_not_keep_the_host_busy(host, client):
    server = host.start(gates=1, expected=["gate "])
    dead = set()  # one that has been killed may still be seen
    end = time.monotonic() + 4
    while time.monotonic() < end:
        for pid in server.gates():
            kill(pid)
            dead.add(pid)
        time.sleep(0.05)
    assert len(dead) < 10
    wait.until(host.api(client).is_served)
    assert host.api(client).connect(random_key()).status == 200


@pytest.mark.only("embedded", reason="it is the same for both planes")
@pytest.mark.parametrize("n", [1, 2], ids=["one of two", "both"])
def test_a_gate_that_hangs_is_named_and_replaced(host, client, n):
    server = host.start(gates=2, expected=["gate .* it stands still", "gate .* killed"])
    assert host.api(client).is_served()
    hung, others = set(server.gates()[:n]), set(server.gates()[n:])
    for pid in hung:
        stand_still(pid)
    for pid in hung:
        assert server.logged(rf"gate \d, process {pid}: it stands still: .*; ending it", 120)
    wait.until(lambda: len(server.gates()) == 2 and not hung & set(server.gates()))
    assert others < set(server.gates()) or n == 2, "who does not hang goes on"
    wait.until(host.api(client).is_served)
    assert host.api(client).connect(random_key()).status == 200
    wait.until(lambda: all(gate["ready"] for gate in host.shown()["gates"]))
    new = set(server.gates())
    wait.throughout(lambda: set(server.gates()) == new, 3)


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_a_broker_that_stood_still_takes_no_gate_for_one_that_hangs(host, client):
    """Nor does it after a machine has slept, where the gates stood still as well."""
    server = host.start(gates=2)
    assert host.api(client).is_served()
    gates = server.gates()
    time.sleep(3)  # some checks are over
    stand_still(server.pid)
    stand_still(gates[0])
    time.sleep(LONGER_THAN_STILL)
    server.send_signal(signal.SIGCONT)
    wait.throughout(lambda: server.gates() == gates, 4)
    os.kill(gates[0], signal.SIGCONT)
    wait.throughout(lambda: server.gates() == gates, 4)
    assert host.api(client).is_served()


@pytest.mark.only("embedded", reason="it is the same for both planes")
def test_a_gate_that_took_long_to_start_is_not_ended_as_it_begins_to_serve(host, client):
    server = host.start(gates=1, expected=["gate .* killed"])
    new = stop_before_it_serves(server, host)
    time.sleep(LONGER_THAN_STILL)
    assert server.gates() == [new], "it may take its time until it serves"
    os.kill(new, signal.SIGCONT)
    wait.until(host.api(client).is_served)
    wait.throughout(lambda: server.gates() == [new], 4)


def stop_before_it_serves(server, host):
    """A gate in the place of one that is killed. Returns its process."""
    for _ in range(10):
        old = server.gates()
        kill(old[0])
        new, = wait.until(lambda old=old: [pid for pid in server.gates() if pid not in old])
        stand_still(new)
        if not host.shown()["gates"][0]["ready"]:
            return new
        os.kill(new, signal.SIGCONT)
    raise AssertionError("it serves sooner than it can be stopped")
