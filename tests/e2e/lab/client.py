"""`vprox connect` under test, and the machine it runs on."""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile

from lab.api import PASSWORD
from lab.echo import visit
from lab.server import ERROR_LINE, SANITIZER_REPORT
from lib import wait
from lib.netns import stop
from lib.process import kill

UP_SECONDS = 40
STOP_SECONDS = 20

ALL = "--route 0.0.0.0/0"
# Exit statuses of their own
REFUSED, UNREACHABLE, NO_HANDSHAKE = 3, 4, 5


class Client:
    """One `vprox connect`."""

    def __init__(self, machine, words, environment, device, program=None):
        """program: what to start instead of vprox."""
        self.machine = machine
        self.device = device
        number = len(machine.clients)
        self.log_path = machine.state / f"log-{number}"
        self.out_path = machine.state / f"out-{number}"
        with open(self.log_path, "wb") as log, open(self.out_path, "wb") as out:
            self.process = machine.ns.popen([program or machine.options.vprox, *words],
                                            machine.mounts, env=environment, stdout=out,
                                            stderr=log)

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def said(self):
        """What --json printed: a list of what was assigned."""
        return [json.loads(line) for line in self.out_path.read_text().splitlines()]

    def count(self, pattern):
        return len(re.findall(pattern, self.log, re.MULTILINE))

    def logged(self, pattern, seconds=UP_SECONDS, times=1):
        wait.until(lambda: self.count(pattern) >= times, seconds,
                   lambda: f"{times} times {pattern} ({self.state()}):\n{self.log}")
        return self

    def state(self):
        """For the message of a failure."""
        status = self.process.poll()
        return "it runs" if status is None else f"it ended with status {status}"

    def up(self, times=1, seconds=UP_SECONDS):
        """Waits until it has said so often that the tunnel is up."""
        def is_up():
            assert self.process.poll() is None, \
                f"ended with status {self.process.returncode}:\n{self.log}"
            return self.count("the tunnel is up$|the tunnel is up\"") >= times
        wait.until(is_up, seconds, lambda: f"up:\n{self.log}")
        return self

    def wait(self, seconds=STOP_SECONDS):
        """Waits for its end; returns its exit status."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {seconds} s:\n{self.log}") from None
        assert not SANITIZER_REPORT.search(self.log), self.log
        return status

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        assert self.wait() == 0, self.log

    def kill(self):
        self.process.kill()
        self.wait()

    def visit(self, **kwargs):
        """The address that the Internet is visited from through the tunnel, or None."""
        seen = visit(self.machine.ns, self.device, **kwargs)
        return seen and seen[0]

    def works(self, address):
        """Waits until the Internet sees that address, and fails if it does not."""
        wait.until(lambda: self.visit(seconds=3) == address, UP_SECONDS,
                   lambda: f"seen as {address} ({self.state()}):\n{self.log}")
        return self

    def errors(self):
        return [line for line in self.log.splitlines() if ERROR_LINE.match(line)]


class Machine:
    """A machine to run clients on: a node of the lab's, and the folders that vprox keeps things
    in."""

    def __init__(self, node, options):
        self.node = node
        self.ns = node.ns
        self.options = options
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="vprox-e2e-"))
        for folder in "run/wireguard", "lib":
            (self.state / folder).mkdir(parents=True)
        self.mounts = [(self.state / "run", "/run"), (self.state / "lib", "/var/lib")]
        self.known_servers = self.state / "lib/vprox/known-servers"
        self.clients = []

    def close(self):
        for client in self.clients:
            if client.process.poll() is None:
                stop(client.process, STOP_SECONDS)
        reports = [client.log for client in self.clients if SANITIZER_REPORT.search(client.log)]
        for pid in self.processes():
            kill(pid)
        shutil.rmtree(self.state, ignore_errors=True)
        assert not reports, "\n".join(reports)

    def environment(self, password):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("VPROX")}
        environment.update({"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
                            "UBSAN_OPTIONS": "print_stacktrace=1"})
        if password is not None:
            environment["VPROX_PASSWORD"] = password
        return environment

    def connect(self, server, arguments="", kind="wireguard", device="vprox0", password=PASSWORD,
                program=None):
        """Starts a client, and does not wait for it."""
        words = ["connect", server, f"--tunnel={kind}", f"--plane={self.options.plane}",
                 f"--interface={device}", "--log-level=debug", *shlex.split(arguments)]
        client = Client(self, words, self.environment(password), device, program)
        self.clients.append(client)
        return client

    def script(self, first):
        """A program that does what is first, a line for the shell, and is vprox then."""
        path = self.state / "started"
        path.write_text(f'#!/bin/sh\n{first}\nexec {self.options.vprox} "$@"\n')
        path.chmod(0o755)
        return path

    def run(self, arguments, password=PASSWORD):
        """Runs `vprox connect ARGUMENTS` to its end: (exit status, output of both kinds)."""
        words = ["connect", *(shlex.split(arguments) if isinstance(arguments, str)
                              else arguments)]
        process = self.ns.popen([self.options.vprox, *words], self.mounts, text=True,
                                env=self.environment(password), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        try:
            said = process.communicate(timeout=30)[0]
        finally:
            stop(process)
        assert not SANITIZER_REPORT.search(said), said
        return process.returncode, said

    def processes(self):
        return self.ns.processes()

    def snapshot(self):
        """All that a client may change on its machine."""
        text = self.ns.run(["ip", "-d", "-batch", "-"], input="link show\naddr show\n"
                           "route show table all\nrule show\n")
        text += self.ns.run("nft list tables")
        # What `ip` makes of the other end of a veth depends on what other namespaces there are.
        return re.sub(r"^Error: Peer netns.*\n| link-netns(id)? \S+", "", text, flags=re.MULTILINE)

    def has(self, device):
        return device in [link["ifname"] for link in json.loads(self.ns.run("ip -j link show"))]

    def narrow(self, mtu):
        """Both ends of the machine's uplink."""
        self.node.world.internet.run(f"ip link set {self.node.name} mtu {mtu}")
        self.ns.run(f"ip link set {self.node.device} mtu {mtu}")

    def visit(self, seconds=15):
        """The address that the Internet is visited from without naming an interface."""
        seen = visit(self.ns, None, seconds=seconds)
        return seen and seen[0]
