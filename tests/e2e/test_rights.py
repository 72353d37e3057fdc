"""What the processes that keep rights have given up: broker and client, started by hand as root."""

import errno
import pathlib
import subprocess

import pytest

from lib import inject, wait
from lib.process import status

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
