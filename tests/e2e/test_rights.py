"""What the processes that keep rights have given up: broker and client, started by hand as root; and that the one
which hears of all connections has none."""

import errno
import pathlib
import socket
import subprocess

import pytest

from lib import inject, wait
from lib.process import open_files, socket_of, status

BROKER_FD = 3  # of the flow log: src/ipc/flow_process.h

# linux/capability.h: NET_BIND_SERVICE, NET_ADMIN, NET_RAW, SETGID, SETUID, SETPCAP, KILL
OWN = sum(1 << number for number in (10, 12, 13, 6, 7, 8, 5))
DAC_READ_SEARCH, BPF = 1 << 2, 1 << 39

injects = pytest.mark.skipif(not inject.CAN_INJECT, reason="knows the registers of x86-64 only")

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PTRACE_ATTACH, BPF_MAP_CREATE = 16, 0
# With arguments that have another error, or none, where they are not refused.
REFUSED = [("ptrace", PTRACE_ATTACH, "bystander", 0, 0), ("process_vm_readv", "bystander", 0, 0, 0, 0, 0),
           ("init_module", 0, 0, 0), ("finit_module", -1, 0, 0), ("kexec_load", 0, 0, 0, -1),
           ("iopl", 3), ("ioperm", 0, 1, 1), ("mount", 0, 0, 0, 0, 0), ("unshare", CLONE_NEWUSER),
           ("unshare", CLONE_NEWNET), ("perf_event_open", 0, 0, -1, -1, 0), ("keyctl", 0, 0, 0),
           ("userfaultfd", 0), ("io_uring_setup", 1, 0), ("pidfd_getfd", -1, 0, 0),
           ("reboot", 0, 0, 0, 0)]


@pytest.fixture(name="bystander")
def fixture_bystander():
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def assert_has_no_more_than(pid, bounding):
    found = status(pid)
    assert found["NoNewPrivs"] == "1" and found["Seccomp"] == "2"
    assert int(found["CapEff"], 16) & ~OWN == 0
    assert int(found["CapPrm"], 16) & ~bounding == int(found["CapBnd"], 16) & ~bounding == 0
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
    core = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core[0][4:6] == ["0", "0"]


def assert_refuses(pid, bystander, calls):
    for name, *arguments in calls:
        words = [bystander.pid if word == "bystander" else word for word in arguments]
        assert inject.system_call(pid, name, *words) == -errno.EPERM, name
    assert status(bystander.pid)["TracerPid"] == "0"


@pytest.mark.plane
def test_the_broker_has_the_rights_that_it_needs_and_no_others(host):
    server = host.start()
    devices = BPF if host.options.plane == "embedded" else 0
    assert_has_no_more_than(server.pid, OWN | devices)


@pytest.mark.only("embedded", reason="the kernel's plane has no devices")
def test_a_device_that_the_broker_starts_may_use_bpf(host, client):
    """It is what the fast path of IPIP is made of."""
    host.start()
    helper = host.device_processes()[1]
    assert int(status(helper)["CapPrm"], 16) & BPF


@injects
def test_the_broker_looks_into_nobody_and_loads_nothing_into_the_kernel(host, client, bystander):
    server = host.start()
    calls = REFUSED + [("bpf", BPF_MAP_CREATE, 0, 0)] * (host.options.plane == "kernel")
    assert_refuses(server.pid, bystander, calls)
    assert host.tunnel("wireguard", client).up().visit() == host.address, "it goes on"


def test_the_client_has_the_rights_that_it_needs_and_no_others(host, machine, kind):
    host.start()
    client = machine.connect(host.address, kind=kind).up()
    assert_has_no_more_than(client.process.pid, OWN | BPF | DAC_READ_SEARCH)
    assert client.works(host.address)


@injects
def test_the_client_looks_into_nobody_and_loads_nothing_into_the_kernel(host, machine, bystander):
    host.start()
    client = machine.connect(host.address).up()
    assert_refuses(client.process.pid, bystander, REFUSED)
    wait.throughout(lambda: client.process.poll() is None, 1)
    assert client.works(host.address)


def start_flow_log(host, **kwargs):
    """The pid of its process, once it is confined."""
    server = host.start(f"--flow-log={host.state}/flows.jsonl", **kwargs)
    wait.until(lambda: [pid for pid in server.children_called("flows") if status(pid)["Seccomp"] == "2"])
    pid, = server.children_called("flows")
    return server, pid


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_the_process_of_the_flow_log_has_no_rights_and_nothing_but_its_sockets_and_its_file(host, client):
    server, pid = start_flow_log(host)
    found = status(pid)
    assert found["Name"] == "vprox-flows" and found["NoNewPrivs"] == "1"
    for name in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
        assert int(found[name], 16) == 0, name
    users = set(found["Uid"].split())
    assert len(users) == 1 and "0" not in users and found["Groups"].strip() == ""
    others = [each for each in server.processes() if each != pid]
    assert users.isdisjoint(user for each in others for user in status(each)["Uid"].split())
    files = sorted(name.split(":")[0] for fd, name in open_files(pid).items() if fd > 2)
    assert files == [str(host.state / "flows.jsonl"), "socket", "socket"]


@injects
@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_the_process_of_the_flow_log_that_makes_a_socket_is_ended(host, client):
    server, pid = start_flow_log(host, expected=["flows .* killed"])
    with pytest.raises(inject.Killed):
        inject.system_call(pid, "socket", socket.AF_NETLINK, socket.SOCK_RAW, 0)
    wait.until(lambda: server.children_called("flows") not in ([], [pid]), what="another one takes its place")


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_a_process_of_the_flow_log_that_says_nonsense_is_replaced_and_the_server_goes_on(host, client):
    server, pid = start_flow_log(host, expected=["flows .* cannot read what it says", "flows .* killed"])
    with socket_of(pid, BROKER_FD) as its:
        its.send(b"x" * 17)
    wait.until(lambda: server.children_called("flows") not in ([], [pid]), what="another one takes its place")
    assert server.logged(f"flows 0, process {pid}: cannot read what it says: Protocol error")
    assert host.tunnel("wireguard", client).up().visit() == host.address
