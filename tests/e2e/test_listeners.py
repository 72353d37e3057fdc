"""The listening sockets outlive the server: while none runs, clients wait, and the next one answers
them. Who keeps them meanwhile is systemd, which lab/manager.py stands in for, or where there is none
the holder, a process of our own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from lab.api import Connection, is_refused
from lab.manager import ServiceManager
from lab.attempts import Attempts
from lab.taken_gate import TakenGate
from lib import wait
from lib.netns import stop
from lib.process import open_files, status

ENOUGH = 40  # attempts, before and after what happens
SECONDS = 30
HOLDS = 10  # seconds: a holder, while there is no server
NOT_AS_IT_SHOULD_BE = "the listening socket of the server before is not as it should be"
KEEP = "--on-exit=keep"


@pytest.fixture(name="manager")
def fixture_manager(host):
    with contextlib.closing(ServiceManager(host)) as manager:
        yield manager


@pytest.fixture(name="start", params=["systemd", "holder"])
def fixture_start(request, host):
    """Starts servers, as systemd does or by hand."""
    if request.param == "systemd":
        return request.getfixturevalue("manager").start
    return lambda arguments=KEEP, **kwargs: host.start(arguments, **kwargs)


def the_holder(host):
    """Once the one of the server before has gone."""
    wait.until(lambda: len(host.listener_holders()) == 1, SECONDS, lambda: host.listener_holders())
    return host.listener_holders()[0]


def wait_for_attempts(attempts, more=ENOUGH):
    goal = attempts.count() + more
    wait.until(lambda: attempts.count() >= goal, SECONDS, "clients go on")


def end_in_order(server):
    server.stop()
    return 0


def kill_broker(server):
    """The gates end with it."""
    server.kill()
    return time.monotonic()


def kill_broker_and_gates(server):
    server.expect("was killed by signal")
    for pid in server.gates():
        os.kill(pid, signal.SIGKILL)
    server.kill()
    return time.monotonic()


@pytest.mark.plane
@pytest.mark.sanitize
@pytest.mark.parametrize("end", [end_in_order, kill_broker, kill_broker_and_gates])
def test_a_restart_refuses_nobody(start, host, client, end):
    """Whose connection a gate had that was killed has lost it. All others are answered."""
    server = start(gates=2)
    with Attempts(client, host.address) as attempts:
        wait_for_attempts(attempts)
        since = end(server)
        start(gates=2)
        wait_for_attempts(attempts)
    assert not attempts.refused()
    assert not attempts.failures(since)
    print(f"{attempts.count()} clients, the longest waited {attempts.longest() * 1000:.0f} ms")


def test_who_has_connected_before_a_restart_is_served_by_the_old_server(start, host, client):
    """Also where nothing of the request has come yet."""
    server = start()
    api = host.api(client)
    with Connection(client, host.address) as connection:
        host.wait_until_read(connection)
        server.send_signal(signal.SIGTERM)
        wait.until(lambda: "stopping: " in server.log)
        connection.send(b"POST /connect-ipip HTTP/1.1\r\nHost: x\r\n"
                        b"Authorization: Bearer correct horse battery staple\r\n\r\n")
        response = connection.receive()
    assert response.status == 200
    server.wait()
    start()
    assert api.connect_ipip().inner == response.inner


def test_a_service_that_is_stopped_for_good_is_refused(manager, host, client):
    server = manager.start()
    server.stop()
    assert not is_refused(client, host.address), "they wait for the next one"
    manager.discard()
    wait.until(lambda: is_refused(client, host.address))


def test_a_stop_that_clears_up_leaves_no_holder(host, client):
    server = host.start()
    the_holder(host)
    server.stop()
    assert is_refused(client, host.address)
    wait.until(lambda: not host.listener_holders())
    assert not list((host.state / "run/vprox").glob("listeners*"))


def test_without_a_next_server_the_holder_ends_by_itself(host, client):
    server = host.start(KEEP)
    pid = the_holder(host)
    server.stop()
    began = time.monotonic()
    assert not is_refused(client, host.address)
    wait.until(lambda: is_refused(client, host.address), HOLDS + SECONDS)
    assert time.monotonic() - began > HOLDS / 2
    wait.until(lambda: not os.path.exists(f"/proc/{pid}"))
    assert host.start().process.poll() is None


def test_an_address_that_is_not_served_any_more_is_refused(start, host, client):
    server = start(f"{KEEP} --wg-block-per-ip=/24", ips=[host.address, host.second])
    server.stop()
    assert not is_refused(client, host.second)
    start(f"{KEEP} --wg-block-per-ip=/24", ips=[host.address])
    wait.until(lambda: is_refused(client, host.second))
    assert host.api(client).get("/healthz").status == 200


def test_what_a_taken_gate_has_told_a_listener_does_not_outlive_the_server(start, host, client):
    """The next one opens another."""
    server = start()
    taken = TakenGate(server.gates()[0])
    with taken.listener() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1 << 30)
    server.kill()
    taken.close()
    server = start()
    assert server.logged(f"{host.address}, TCP port 443: {NOT_AS_IT_SHOULD_BE} .SO_RCVLOWAT")
    assert host.api(client).get("/healthz").status == 200


def test_a_restart_under_a_full_queue_refuses_nobody(start, host, client):
    """Who finds no place in it tries again by himself, as TCP does."""
    host.ns.sysctl(net__core__somaxconn=4)
    server = start()
    server.stop()
    with Attempts(client, host.address, clients=16) as attempts:
        wait.until(lambda: syn_drops(host) > 0, SECONDS, "the queue is full")
        start()
        wait_for_attempts(attempts)
    assert not attempts.failures()


def syn_drops(host):
    lines = [line.split() for line in host.ns.read("/proc/thread-self/net/netstat").splitlines()]
    names, values = lines[0], lines[1]
    return int(values[names.index("ListenOverflows")])


def test_a_server_by_hand_gives_them_to_one_of_systemds(host, client, manager):
    host.start(KEEP).stop()
    with Attempts(client, host.address, clients=2) as attempts:
        manager.start()
        wait_for_attempts(attempts, 4)
    assert not attempts.failures()
    wait.until(lambda: not host.listener_holders())
    assert list(manager.kept) == [f"listener-{host.address}-443"]


def test_the_holder_has_no_rights_and_nothing_but_the_listeners(host):
    server = host.start(ips=[host.address, host.second], arguments="--wg-block-per-ip=/24")
    pid = the_holder(host)
    wait.until(lambda: status(pid)["Seccomp"] == "2")
    seen = status(pid)
    assert set(seen["Uid"].split()) not in ({"0"}, set(status(server.gates()[0])["Uid"].split()))
    assert not any(int(seen[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb"))
    assert seen["NoNewPrivs"] == "1" and seen["PPid"] != str(server.pid)

    def files():
        return sorted(name.split(":")[0] for name in open_files(pid).values())
    expected = sorted(["/dev/null"] * 3 + ["socket"] * 4)  # two are the listeners
    wait.until(lambda: files() == expected, what=files)
    assert os.stat(host.state / "run/vprox/listeners.sock").st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_holder_that_dies_or_stands_still_keeps_no_server_from_starting(host, client, number):
    server = host.start(KEEP)
    pid = the_holder(host)
    if number == signal.SIGKILL:
        os.kill(pid, number)
        assert server.logged("the holder of the listening sockets has ended; starting another", 40)
        wait.until(lambda: the_holder(host) != pid)
    wait.until(lambda: status(the_holder(host))["Seccomp"] == "2")
    if number == signal.SIGSTOP:
        os.kill(pid, number)
    server.stop()
    server = host.start(KEEP)
    assert host.api(client).get("/healthz").status == 200
    if number == signal.SIGSTOP:
        assert server.logged(f"the holder of the listening sockets, process {pid}, does not answer")
        wait.until(lambda: the_holder(host) != pid)
    else:
        assert server.logged("TCP port 443: goes on listening"), host.servers[0].log + server.log


def test_a_service_of_which_all_are_told_to_end_does_not_wait_for_the_holder(host, client):
    """As systemd does it with a unit that says nothing of it, and where it has no socket to be told
    of ours."""
    server = host.start(KEEP)
    pid = the_holder(host)
    wait.until(lambda: status(pid)["Seccomp"] == "2")
    with Connection(client, host.address) as connection:
        connection.send(b"POST /connect-ipip HTTP/1.1\r\n")  # the server waits for the rest
        host.wait_until_read(connection)
        for each in (pid, server.pid):
            os.kill(each, signal.SIGTERM)
        wait.until(lambda: not host.listener_holders())
        wait.throughout(lambda: not host.listener_holders(), 2)
    server.wait()
    assert not host.listener_holders()


FALSE_HOLDER = """
import os, socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
listener.bind((sys.argv[2], 443))
listener.listen(10)
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
door.bind(sys.argv[1])
door.listen(8)
print("ready", flush=True)
while True:
    asking, _ = door.accept()
    asked = bytearray(asking.recv(256))
    if not asked:
        continue
    asked[4:6] = (6).to_bytes(2, sys.byteorder)  # HOLDING_TAKEN
    socket.send_fds(asking, [asked], [listener.fileno()])
"""


def test_another_users_holder_is_not_asked(host, client):
    """Here somebody has let others write into the folder, and made a listener for them, which in a
    namespace of one's own is no feat."""
    folder = host.state / "run/vprox"
    folder.mkdir(parents=True)
    for path in (host.state, host.state / "run", folder):
        path.chmod(0o777)
    other = client.ns.popen([sys.executable, "-c", FALSE_HOLDER, folder / "listeners.sock", host.address],
                            stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"ready\n"
    server = host.start()
    assert server.logged(rf"listeners.sock: who listens there, process {other.pid} of user 65534, "
                         "is no holder of ours")
    assert host.api(client).get("/healthz").status == 200
    assert other.poll() is None
    stop(other)


def test_a_listener_of_another_namespace_is_not_used(host, client, manager):
    """It has the right address and port, and no client could come to it."""
    def listen():
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
        listener.bind((host.address, 443))
        listener.listen(10)
        return listener
    with client.ns.enter(listen) as foreign:
        manager.kept[f"listener-{host.address}-443"] = os.dup(foreign.fileno())
        server = manager.start()
    assert server.logged(f"{host.address}, TCP port 443: {NOT_AS_IT_SHOULD_BE} .SO_NETNS_COOKIE"), server.log
    assert host.api(client).get("/healthz").status == 200


def test_a_server_that_cannot_start_leaves_clients_to_be_refused(host, client):
    """They are not kept waiting by one failure after another."""
    host.start(KEEP).stop()
    assert not is_refused(client, host.address)
    server = host.launch(f"{KEEP} --tls-cert=/nowhere --tls-key=/nowhere", expected=["."])
    assert server.wait() != 0
    wait.until(lambda: is_refused(client, host.address))


def test_clean_ends_the_holder(host, client):
    host.start(KEEP).stop()
    code, said = host.run("clean")
    assert code == 0 and "removed the process that holds an earlier server's listening sockets" in said
    assert is_refused(client, host.address) and not host.listener_holders()
    assert not list((host.state / "run/vprox").glob("listeners*"))


def test_an_address_that_goes_and_comes_is_listened_at_again(host, client):
    """Sockets are bound to an address that the host need not have."""
    host.start("--reap-interval=1h")
    host.ns.ip(f"addr del {host.address}/32 dev wan0")
    assert not can_connect(client, host.address, timeout=0.5)
    host.ns.ip(f"addr add {host.address}/32 dev wan0")
    assert host.api(client).get("/healthz").status == 200


def can_connect(node, address, timeout):
    try:
        Connection(node, address, timeout=timeout).socket.close()
    except OSError:
        return False
    return True
