"""`make demo`'s script: what it says, how it ends, and that nothing is left of it."""

import os
import pathlib
import pty
import re
import signal
import subprocess
import time

import pytest

from lib import kernel, wait

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("VPROX_BUILD", ROOT / "build")).resolve()
SECONDS = 120  # for whatever is waited for
PROMISE = 20  # seconds

NAMES = {"server", "alice", "bob", "to-server", "to-alice", "to-bob", "wg-demo", "ipip-demo"}


def start(build=BUILD, **options):
    return subprocess.Popen([ROOT / "demo/run"], env={**os.environ, "BUILD": str(build)},
                            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                               "stderr": subprocess.STDOUT, **options})


def demo(build=BUILD):
    process = start(build)
    said = process.communicate(timeout=2 * SECONDS)[0].decode()
    return process.returncode, said


def output(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


def left_behind():
    """What this machine has of the demo's links and named namespaces. Other tests make theirs meanwhile."""
    words = output("ip", "-brief", "link") + "\n" + output("ip", "netns")
    return NAMES & set(re.findall(r"^([^\s@]+)", words, re.MULTILINE))


def namespaces_of(pid):
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in ("net", "pid")}


def processes_in(pid_namespace):
    """Those in a namespace of processes."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(folder / "ns/pid") == pid_namespace:
                found.append(folder.name)
        except OSError:
            pass  # it has just ended
    return found


def first_process(process):
    """Of its namespace."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def look():
        for pid in children.read_text().split():
            try:
                if namespaces_of(pid)["pid"] != namespaces_of("self")["pid"]:
                    return pid
            except OSError:
                pass  # one of the script's own, that has just ended
        return None
    return wait.until(look, SECONDS, "the demo is in a namespace of its own")


@pytest.fixture(scope="module", name="pipe")
def fixture_pipe():
    subprocess.run(["modprobe", "-a", "wireguard", "ipip"], check=False, capture_output=True)
    began = time.monotonic()
    status, said = demo()
    return status, said, time.monotonic() - began, left_behind()


@pytest.mark.guest
def test_it_succeeds_and_says_which_plane(pipe):
    status, said, *_ = pipe
    assert status == 0, said
    found = re.search(r"Both tunnels did what they should \(data plane: (kernel|embedded), ", said)
    assert found, said
    if kernel.IN_GUEST:
        assert found[1] == "kernel"


def test_it_is_in_plain_text_in_a_pipe(pipe):
    assert "\x1b" not in pipe[1]


def test_it_is_done_in_the_time_that_it_promises(pipe):
    assert pipe[2] < PROMISE


def test_nothing_is_left_of_it(pipe):
    assert pipe[3] == set()


def test_it_is_in_colour_on_a_terminal():
    leader, follower = pty.openpty()
    process = start(stdout=follower, stderr=follower)
    os.close(follower)
    said = b""
    try:
        while chunk := os.read(leader, 65536):
            said += chunk
    except OSError:
        pass  # how a terminal says that the other end is closed
    os.close(leader)
    assert process.wait(SECONDS) == 0, said.decode()
    assert b"\x1b[32mBoth tunnels did what they should\x1b[0m" in said


def test_two_at_once_do_not_disturb_each_other():
    processes = [start(), start()]
    for process in processes:
        said = process.communicate(timeout=2 * SECONDS)[0].decode()
        assert process.returncode == 0, said


REJECT = """
    nft add table ip wrong
    nft 'add chain ip wrong output { type filter hook output priority 0; }'
    nft 'add rule ip wrong output oifname { wg-demo, ipip-demo } tcp dport 80 reject'
    """


@pytest.mark.parametrize("broken, said_of_it", [
    ("exit 1", "tunnel is not there as its program has ended"),
    (REJECT, "should be 203.0.113.7"),
    ("nft add table ip wrong", "left behind: table ip wrong"),
], ids=["ends", "carries nothing", "leaves something"])
def test_a_tunnel_that_does_not_do_what_it_should_is_a_failure(tmp_path, broken, said_of_it):
    """A stand-in of vprox, of which `connect` is broken."""
    script = tmp_path / "vprox"
    script.write_text(f'#!/bin/bash\nif [ "$1" = connect ]; then {broken}\nfi\nexec {BUILD}/vprox "$@"\n')
    script.chmod(0o755)
    status, said = demo(tmp_path)
    assert status == 1, said
    assert said_of_it in said
    assert "Both tunnels did what they should" not in said


@pytest.mark.parametrize("end", [
    lambda process: process.kill(),
    lambda process: os.killpg(process.pid, signal.SIGINT),  # as a terminal does it
], ids=["kill -9", "Ctrl-C"])
def test_nothing_is_left_of_one_that_is_ended(end):
    process = start(stdout=subprocess.DEVNULL, start_new_session=True)
    inside = namespaces_of(first_process(process))["pid"]
    wait.until(lambda: len(processes_in(inside)) > 5, SECONDS, "the server runs")
    end(process)
    assert process.wait(SECONDS) != 0
    wait.until(lambda: not processes_in(inside), SECONDS, "all its processes have ended")
    assert left_behind() == set()
