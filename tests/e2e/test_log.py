"""A log that nobody reads, or that has no room, holds nobody up."""

import os
import re
import signal
import socket
import subprocess

import pytest

from lab.api import PORT
from lab.server import BLOCK
from lib import wait
from lib.netns import stop
from lib.process import children

DRAINS = 10  # seconds: for requests in flight
SLACK = 10  # for a machine that has much else to do
MANY = 2000  # lines: no pipe and no socket holds so many


def start(host, stderr):
    """A server that logs there; one gate more than one, since all of them log."""
    words = ["server", "--ip", host.address, "--wg-block", BLOCK, "--log-level=debug",
             f"--plane={host.options.plane}", "--gates=2"]
    process = host.ns.popen([host.options.vprox, *words], host.mounts, env=host.environment(),
                            stdout=subprocess.DEVNULL, stderr=stderr)
    return process


def cause_lines(node, address, n):
    """Each of these connections is a line of the log: it does not speak TLS."""
    def connect():
        for _ in range(n):
            with socket.create_connection((address, PORT), 10) as client:
                client.sendall(b"x")
                client.settimeout(10)
                try:
                    client.recv(1)
                except ConnectionError:
                    pass
    node.ns.enter(connect)


def assert_goes_on_and_stops(host, node, process):
    try:
        wait.until(host.api(node).is_served, 60, "it serves")
        pids = [process.pid, *children(process.pid)]
        cause_lines(node, host.address, MANY)
        assert host.api(node).is_served(), "it waits for the log"
        tunnel = host.tunnel("ipip", node).up()
        assert tunnel.visit() == host.address
        process.send_signal(signal.SIGTERM)
        assert process.wait(DRAINS + SLACK) == 0
        wait.until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), SLACK,
                   "the end of the gates")
    finally:
        stop(process)


def drain(fd):
    os.set_blocking(fd, False)
    text = b""
    try:
        while (more := os.read(fd, 1 << 20)):
            text += more
    except BlockingIOError:
        pass
    return text.decode()


def test_a_pipe_that_nobody_reads_stops_nobody(host, client):
    reader, writer = os.pipe()
    process = start(host, writer)
    os.close(writer)
    try:
        assert_goes_on_and_stops(host, client, process)
        lines = drain(reader).splitlines()
    finally:
        os.close(reader)
    assert all(re.match(r"\d{4}-\d\d-\d\dT\S+Z (error|warning|info|debug) ", line)
               for line in lines), "a line is torn"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_that_nobody_reads_stops_nobody(host, client, kind):
    reader, writer = socket.socketpair(socket.AF_UNIX, kind)
    with reader:
        process = start(host, writer.fileno())
        writer.close()
        assert_goes_on_and_stops(host, client, process)


def test_what_was_lost_is_said_once_somebody_reads_again(host, client):
    """Whether or not there is something else to say."""
    reader, writer = os.pipe()
    process = start(host, writer)
    os.close(writer)
    try:
        wait.until(host.api(client).is_served, 60, "it serves")
        cause_lines(client, host.address, MANY)
        text = [drain(reader)]

        def is_said():
            text.append(drain(reader))
            return re.search(r" warning gate \d: \d+ lines of the log are lost", "".join(text))
        wait.until(is_said, what="what is lost")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DRAINS + SLACK) == 0
    finally:
        os.close(reader)
        stop(process)


@pytest.fixture(name="small_disk")
def fixture_small_disk(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


def test_a_full_disk_stops_nobody(host, client, small_disk):
    with open(small_disk / "log", "ab") as log:
        process = start(host, log)
    assert_goes_on_and_stops(host, client, process)
    assert (small_disk / "log").stat().st_size <= 64 << 10


def test_a_reader_that_goes_away_stops_nobody(host, client):
    reader, writer = os.pipe()
    process = start(host, writer)
    os.close(writer)
    wait.until(host.api(client).is_served, 60, "it serves")
    os.close(reader)
    assert_goes_on_and_stops(host, client, process)


def test_a_device_goes_on_without_the_reader_of_its_log(host):
    """It is what carries all tunnels."""
    reader, writer = os.pipe()
    device = host.ns.popen([host.options.vprox, "device", "--foreground", "vprox7"], host.mounts,
                           env=host.environment(), stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    try:
        wait.until(lambda: b"ready" in os.read(reader, 4096), what="the device")
        os.close(reader)
        host.ns.run("ip link del vprox7")  # is told in the log
        assert device.wait(SLACK) == 0
    finally:
        stop(device)


def test_each_line_has_its_priority_where_the_journal_reads_and_nowhere_else(host):
    """Of all processes; and whoever has another standard error inherits the variable all the same."""
    names = {"3": "error", "4": "warning", "6": "info", "7": "debug"}
    path = host.state / "log-0"
    path.touch()
    own = path.stat()
    server = host.start(environment={"JOURNAL_STREAM": f"{own.st_dev}:{own.st_ino}"})
    wait.until(lambda: re.search("debug gate 0", server.log), what=lambda: server.log)
    server.stop()
    for line in server.log.splitlines():
        assert re.match(r"<[3467]>", line) and line.split()[1] == names[line[1]], line
    assert {names[line[1]] for line in server.log.splitlines()} >= {"info", "debug"}
    other = host.start(environment={"JOURNAL_STREAM": f"{own.st_dev}:{own.st_ino}"})
    other.stop()
    assert "<" not in {line[0] for line in other.log.splitlines()}


def test_what_is_wrong_before_it_serves_has_its_priority_too(host):
    """It is what one looks for when a service does not start."""
    def launch(arguments, **kwargs):
        path = host.state / f"log-{len(host.servers)}"
        path.touch()
        own = path.stat()
        environment = {"JOURNAL_STREAM": f"{own.st_dev}:{own.st_ino}", "VPROX_PASSWORD": None}
        return host.launch(arguments, environment=environment, **kwargs)
    server = launch("--password-file=/nowhere", expected=["cannot read the password"])
    wait.until(lambda: server.process.poll() == 2)
    assert server.log.startswith("<3>vprox server: cannot read the password's file"), server.log
    password = host.state / "password"
    password.write_text("the correct horse battery")
    password.chmod(0o640)
    server = launch(f"--password-file={password}").wait_ready()
    assert re.search(r"^<4>\S+ warning server: \S+ is exposed", server.log, re.MULTILINE), server.log
