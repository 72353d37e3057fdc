"""The device as a process: its life, its rights, its control socket."""

import errno
import os
import signal
import socket
import struct
import subprocess
import time

import pytest

from lib import inject, kernel
from lib.process import children, open_files
from net import DEVICE, INNER, OUTER, Device, connect, make_pair, ping, run, wait_until


def test_it_has_no_capabilities_and_a_system_call_filter(network):
    a = Device(network, "a", "dp0")
    wait_until(lambda: a.status("Seccomp") == "2", what="filter")
    for task in os.listdir(f"/proc/{a.process.pid}/task"):
        with open(f"/proc/{a.process.pid}/task/{task}/status", encoding="utf-8") as status:
            text = status.read()
        assert "CapEff:\t0000000000000000" in text
        assert "CapPrm:\t0000000000000000" in text
        assert "NoNewPrivs:\t1" in text
        assert "Seccomp:\t2" in text


def test_it_tells_the_service_manager_when_it_is_ready(network, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = str(tmp_path / "notify")
        manager.bind(path)
        manager.settimeout(30)
        a = Device(network, "a", "dp0", environment={"NOTIFY_SOCKET": path})
        assert b"READY=1" in manager.recv(4096)
        assert a.show("listen-port").strip() != "0"


def test_log_level_is_heeded(network):
    silent = Device(network, "a", "dp0", log_level="silent")
    spoken = Device(network, "b", "dp1", log_level="info")
    wait_until(lambda: "ready" in spoken.log_text(), what="log line")
    silent.close()
    with open(silent.log.name, encoding="utf-8") as log:
        assert log.read() == ""


def test_what_the_kernel_lacks_is_said_at_the_start(network):
    a = Device(network, "a", "dp0")
    wait_until(lambda: "ready" in a.log_text(), what="log line")
    assert a.log_text().count("no USO") == kernel.is_before(6, 2)
    assert "no TSO" not in a.log_text() and "no UDP_GRO" not in a.log_text()


def test_it_ends_with_its_interface_and_takes_its_socket_along(network):
    a = Device(network, "a", "dp0")
    network["a"].ip("link del dp0")
    assert a.process.wait(5) == 0
    wait_until(lambda: not os.path.exists(a.socket_path), what="socket file gone")


def test_it_ends_on_sigterm_and_its_interface_with_it(network):
    a, _ = make_pair(network)
    a.process.terminate()
    assert a.process.wait(5) == 0
    assert network["a"].try_run("ip link show dp0").returncode != 0
    wait_until(lambda: not os.path.exists(a.socket_path), what="socket file gone")


def test_a_killed_device_leaves_no_socket_and_can_be_started_again(network):
    a, b = make_pair(network)
    a.process.kill()
    a.process.wait()
    wait_until(lambda: not os.path.exists(a.socket_path), what="socket file gone")
    again = Device(network, "a", "dp0")
    again.private_key, again.public_key = a.private_key, a.public_key
    connect(again, b)
    assert ping(network["b"], INNER["a"][0])


def test_a_successor_waits_for_the_name_and_keeps_its_socket(network):
    """The interface is deleted, and at once there is another device of the name."""
    a = Device(network, "a", "dp0")
    command = [DEVICE] if os.path.basename(DEVICE) == "vprox-device" else [DEVICE, "device"]
    for _ in range(10):
        network["a"].ip("link del dp0")
        network["a"].run(*a.in_folder(*command, "dp0"), timeout=10, stdin=subprocess.DEVNULL)
        time.sleep(0.2)  # for what the old one does at its end
        assert a.wg("show", "dp0", "listen-port").stdout.strip() != "0"
    network["a"].ip("link del dp0")
    wait_until(lambda: not os.path.exists(a.socket_path), what="socket file gone")


def test_in_the_background_it_returns_when_the_socket_is_ready(network):
    a = Device(network, "a", "dp0")  # for its folder
    command = [DEVICE] if os.path.basename(DEVICE) == "vprox-device" else [DEVICE, "device"]
    network["a"].run(*a.in_folder(*command, "dp9"), timeout=30, stdin=subprocess.DEVNULL)
    assert os.path.exists(os.path.join(a.folder, "dp9.sock"))
    assert a.wg("show", "dp9", "listen-port").stdout.strip() != "0"
    network["a"].ip("link del dp9")
    wait_until(lambda: not os.path.exists(os.path.join(a.folder, "dp9.sock")), what="end")


def test_a_name_that_is_taken_is_refused(network):
    a = Device(network, "a", "dp0")
    command = [DEVICE] if os.path.basename(DEVICE) == "vprox-device" else [DEVICE, "device"]
    other = network["a"].try_run(*command, "-f", "dp0", timeout=30)
    assert other.returncode == 1
    assert "dp0" in other.stdout
    assert a.process.poll() is None


@pytest.mark.parametrize("arguments", [["-f"], ["-f", "sixteen-characte"], ["-f", "a/b"], [""],
                                       ["--workers", "0", "dp0"], ["--nonsense", "dp0"]])
def test_a_wrong_command_line_is_status_2(arguments):
    command = [DEVICE] if os.path.basename(DEVICE) == "vprox-device" else [DEVICE, "device"]
    assert run(*command, *arguments, check=False).returncode == 2


def test_the_port_can_change_under_the_filter(network):
    a, b = make_pair(network)
    assert ping(network["a"], INNER["b"][0])
    b.set("listen-port", 7100)
    a.set("peer", b.public_key, "endpoint", f"{OUTER['b'][0]}:7100")
    assert b.show("listen-port").strip() == "7100"
    assert ping(network["a"], INNER["b"][0])
    b.set("listen-port", 443)
    a.set("peer", b.public_key, "endpoint", f"{OUTER['b'][0]}:443")
    assert ping(network["a"], INNER["b"][0])


def test_a_port_that_is_taken_is_refused_and_the_old_one_stays(network):
    a, b = make_pair(network)
    other = Device(network, "a", "dp3")
    assert other.set("listen-port", 7000, check=False).returncode != 0
    assert ping(network["a"], INNER["b"][0])
    assert other.show("listen-port").strip() not in ("0", "7000")


def test_the_firewall_mark_can_change_under_the_filter(network):
    a, _ = make_pair(network)
    network["a"].ip("rule add fwmark 77 prohibit")
    assert ping(network["a"], INNER["b"][0])
    a.set("fwmark", 77)
    assert not ping(network["a"], INNER["b"][0], count=1, wait=1)
    a.set("fwmark", 0)
    assert ping(network["a"], INNER["b"][0])


def test_the_interface_works_in_another_namespace(network):
    from lib.netns import Namespace

    a, b = make_pair(network)
    assert ping(network["a"], INNER["b"][0])
    inside = Namespace(f"{network['a'].name}-c")
    network.closers.append(inside.remove)
    network["a"].ip(f"link set dp0 netns {inside.name}")
    inside.ip(f"addr add {INNER['a'][0]}/24 dev dp0")
    inside.ip("link set dp0 up")
    assert ping(inside, INNER["b"][0])
    assert a.process.poll() is None
    inside.ip("link del dp0")
    assert a.process.wait(5) == 0


def test_a_super_packet_is_never_more_than_one_send(network):
    def gso_size():
        shown = network["a"].run("ip -d link show dp0").split()
        return int(shown[shown.index("gso_max_size") + 1])

    a, _ = make_pair(network)
    for mtu in 1420, 1280, 9000, 1380, 40000:
        network["a"].ip(f"link set dp0 mtu {mtu}")
        sealed = (mtu + 15) // 16 * 16 + 32  # of the longest packet, at the most
        payload = mtu - 40  # of TCP, with no options
        segments = 65507 // sealed
        # whole segments of it, less what the kernel keeps for its own headers
        wait_until(lambda: gso_size() - 320 - 40 < (segments + 1) * payload, what=f"MTU {mtu}")
        assert gso_size() - 320 - 52 >= segments * (payload - 12) or gso_size() == 65536
    assert a.process.poll() is None


def test_wg_sees_what_was_set(network):
    a, b = make_pair(network, psk=True, keepalive=25)
    assert ping(network["a"], INNER["b"][0])
    dump = a.wg("show", "dp0", "dump").stdout.split("\n")
    assert dump[0].split("\t") == [a.private_key, a.public_key, "7000", "off"]
    key, _, endpoint, allowed, handshake, received, sent, keepalive = dump[1].split("\t")
    assert key == b.public_key
    assert endpoint == f"{OUTER['b'][0]}:7000"
    assert set(allowed.split(",")) == {f"{INNER['b'][0]}/32", f"{INNER['b'][1]}/128"}
    assert abs(time.time() - int(handshake)) < 10
    assert int(received) > 0 and int(sent) > 0
    assert keepalive == "25"


def test_setconf_replaces_everything(network):
    a, b = make_pair(network)
    conf = os.path.join(a.folder, "conf")
    with open(conf, "w", encoding="utf-8") as file:
        file.write(a.wg("showconf", "dp0").stdout)
    a.set("peer", run("wg", "pubkey", input=run("wg", "genkey").stdout).stdout.strip())
    assert len(a.show("peers").split()) == 2
    a.wg("setconf", "dp0", conf)
    assert a.show("peers").split() == [b.public_key]
    assert ping(network["a"], INNER["b"][0])


def test_an_endless_line_ends_the_connection_only(network):
    a = Device(network, "a", "dp0")
    try:
        assert a.uapi("x" * 100000) == "errno=-22\n\n"
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert a.values("get=1\n\n")["errno"] == "0"


def test_ten_thousand_idle_peers_cost_less_than_400_bytes_each(network):
    a = Device(network, "a", "dp0")

    def resident():
        return int(a.status("VmRSS").split()[0]) * 1024

    before, n = resident(), 10000
    text = "set=1\n" + "".join(
        f"public_key={i + 1:064x}\nallowed_ip=10.{i >> 8 & 255}.{i & 255}.0/32\n"
        for i in range(n))
    assert before < 10 << 20
    assert a.values(text + "\n")["errno"] == "0"
    assert (resident() - before) / n < 400


def test_wg_quick_brings_it_up_and_takes_it_down(network):
    a, b = make_pair(network)
    network["a"].ip("link del dp0")
    a.process.wait(5)
    link = os.path.join(a.folder, "vprox-device")
    os.symlink(DEVICE, link)
    conf = os.path.join(a.folder, "dpq0.conf")
    with open(conf, "w", encoding="utf-8") as file:
        file.write(f"[Interface]\nPrivateKey = {a.private_key}\nAddress = {INNER['a'][0]}/24\n"
                   f"ListenPort = 7000\nMTU = 1400\n[Peer]\nPublicKey = {b.public_key}\n"
                   f"AllowedIPs = {INNER['b'][0]}/32\nEndpoint = {OUTER['b'][0]}:7000\n")
    quick = a.in_folder("env", f"WG_QUICK_USERSPACE_IMPLEMENTATION={link}", "wg-quick")
    network["a"].run(*quick, "up", conf, timeout=20, stdin=subprocess.DEVNULL)
    assert ping(network["a"], INNER["b"][0])
    network["a"].run(*quick, "down", conf, timeout=20)
    assert network["a"].try_run("ip link show dpq0").returncode != 0
    wait_until(lambda: not os.path.exists(os.path.join(a.folder, "dpq0.sock")), what="end")


def test_it_has_a_user_of_its_own(network):
    """Not root's: who takes over what parses packets is to be nobody."""
    a = Device(network, "a", "dp0")
    wait_until(lambda: a.status("Seccomp") == "2", what="filter")
    for task in os.listdir(f"/proc/{a.process.pid}/task"):
        with open(f"/proc/{a.process.pid}/task/{task}/status", encoding="utf-8") as status:
            fields = dict(line.split(":", 1) for line in status)
        for name in "Uid", "Gid":
            ids = set(fields[name].split())
            assert len(ids) == 1 and ids.isdisjoint({"0", "65534"}), fields[name]
        assert fields["Groups"].split() == []


@pytest.fixture(name="bystander")
def fixture_bystander():
    """A process of root's, such as sshd."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


READ_EXECUTE, PRIVATE_ANONYMOUS = 5, 0x22
BPF_MAP_CREATE, BPF_PROG_LOAD = 0, 5
F_SETOWN = 8  # whom a descriptor sends a signal to, of the process's choice


@pytest.mark.skipif(not inject.CAN_INJECT, reason="knows the registers of x86-64 only")
@pytest.mark.parametrize("call", [
    ("tgkill", "bystander", "bystander", signal.SIGKILL), ("kill", "bystander", signal.SIGKILL),
    ("mmap", 0, 4096, READ_EXECUTE, PRIVATE_ANONYMOUS, -1, 0), ("mprotect", 0, 0, READ_EXECUTE),
    ("bpf", BPF_PROG_LOAD, 0, 0), ("bpf", BPF_MAP_CREATE, 0, 0), ("socket", 2, 1, 0),
    ("fcntl", 0, F_SETOWN, "bystander"), ("ptrace", 16, "bystander", 0, 0)], ids=lambda call: call[0])
def test_who_takes_it_over_ends_it_and_nothing_else(network, bystander, call):
    a = Device(network, "a", "dp0")
    wait_until(lambda: a.status("Seccomp") == "2", what="filter")
    name, *arguments = [bystander.pid if word == "bystander" else word for word in call]
    with pytest.raises(inject.Killed, match="SIGSYS"):
        inject.system_call(a.process.pid, name, *arguments)
    assert bystander.poll() is None


@pytest.mark.skipif(not inject.CAN_INJECT, reason="knows the registers of x86-64 only")
def test_it_may_signal_itself(network):
    """It is how the C library ends a process that is broken."""
    a = Device(network, "a", "dp0")
    wait_until(lambda: a.status("Seccomp") == "2", what="filter")
    assert inject.system_call(a.process.pid, "getpid") == a.process.pid
    assert inject.system_call(a.process.pid, "tgkill", a.process.pid, a.process.pid, 0) == 0
    assert ping_self(a)


def ping_self(device):
    return device.wg("show", device.name, "listen-port").stdout.strip() != "0"


SET_MARK = struct.pack("=IIHBBIIIIII", 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)  # of device/privileged_helper.c
SET_GSO_SIZE, LOOPBACK = 3, 1  # likewise; the number of lo


def helper_of(device):
    """Its process, and the device's end of the socket to it."""
    (helper,) = children(device.process.pid)
    for fd in open_files(device.process.pid):
        try:
            taken = inject.take(device.process.pid, fd)
        except OSError:
            continue
        if taken.family == socket.AF_UNIX and taken.type == socket.SOCK_SEQPACKET and \
                not taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return helper, taken
        taken.close()
    raise AssertionError("there is no socket to a helper")


@pytest.mark.parametrize("n", [1, 2])
def test_who_takes_it_over_fills_no_table_of_its_helper(network, n):
    """With descriptors that go along with a request, as many as it asks for or more."""
    a = Device(network, "a", "dp0")
    wait_until(lambda: a.status("Seccomp") == "2", what="filter")
    helper, ours = helper_of(a)
    before = len(open_files(helper))
    ours.settimeout(15)
    os.kill(a.process.pid, signal.SIGSTOP)
    with ours, socket.socket() as passed_on:
        try:
            for _ in range(20):
                socket.send_fds(ours, [SET_MARK], [passed_on.fileno()] * n)
                assert n > 1 or ours.recv(64) == bytes(4)
        except ConnectionError:
            assert n > 1, "it has hung up, as it may"
        wait_until(lambda: len(open_files(helper)) <= before, what="the helper's descriptors")
    os.kill(a.process.pid, signal.SIGCONT)


def gso_size(namespace, interface):
    shown = namespace.run(f"ip -d link show {interface}").split()
    return int(shown[shown.index("gso_max_size") + 1])


def test_who_takes_it_over_changes_no_interface_of_the_hosts(network):
    a = Device(network, "a", "dp0")
    wait_until(lambda: a.status("Seccomp") == "2", what="filter")
    before = gso_size(network["a"], "lo")
    _, ours = helper_of(a)
    os.kill(a.process.pid, signal.SIGSTOP)
    with ours:
        ours.settimeout(15)
        ours.send(struct.pack("=IIHBBIIIIII", SET_GSO_SIZE, 0, 0, 0, 0, 0, 0, LOOPBACK, 4096, 0, 0))
        assert struct.unpack("i", ours.recv(64))[0] == -errno.EPERM
    assert gso_size(network["a"], "lo") == before
    os.kill(a.process.pid, signal.SIGCONT)
