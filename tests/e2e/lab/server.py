"""A vprox server under test, and the host it runs on."""

import contextlib
import difflib
import fcntl
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile

from lab.api import PASSWORD, Api
from lab.ends import ask
from lab.tunnels import TUNNELS
from lib import wait
from lib.netns import stop
from lib.process import children, command_line, kill, status
from lib.ruleset import lasting

BLOCK = "10.100.0.0/16"
# A disk that is busy for longer than the server waits for it by default would be tested, and not what the test is
# about. A store that is slow or gone for good is waited for in vain all the same.
PATIENT = "--store-wait=30s"
SHARED = "vprox-ipip"  # the interface of IPIP peers with --ipip-mode=shared
START_SECONDS = 180
STOP_SECONDS = 60
SIOCOUTQ = 0x5411  # linux/sockios.h
ESTABLISHED = "01"  # in /proc/net/tcp

SANITIZER_REPORT = re.compile(
    r"runtime error:|ERROR: (Address|Leak|Undefined|Thread)\w*Sanitizer|SUMMARY: \w+Sanitizer")
# A device that has to be made again is none of the server's errors, but of the device.
ERROR_LINE = re.compile(r"^\S+ error |^\S+ warning .*: vprox\d+ has vanished, making it again")


class Server:
    """One server process and its gates."""

    def __init__(self, host, arguments, environment, expected, program=None, descriptors=()):
        self.host = host
        self.expected = list(expected)  # patterns of error lines that the test provokes
        self.log_path = host.state / f"log-{len(host.servers)}"
        self.checked = False
        with open(self.log_path, "wb") as log:
            self.process = host.ns.popen([program or host.options.vprox, *arguments], host.mounts,
                                         env=environment, stdout=log, stderr=log,
                                         pass_fds=descriptors)

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def pid(self):
        return self.process.pid

    def expect(self, pattern):
        """An error line that this test provokes."""
        self.expected.append(pattern)

    def logged(self, pattern, seconds=0):
        """Whether a line of the log matches, at the latest after so long."""
        try:
            return wait.until(lambda: re.search(pattern, self.log, re.MULTILINE), seconds)
        except AssertionError:
            return None

    def wait_ready(self):
        def ready():
            assert self.process.poll() is None, \
                f"ended with status {self.process.returncode}:\n{self.log}"
            return re.search(r"\bready$|\bready, waiting|\"message\":\s*\"ready\"", self.log, re.MULTILINE)
        wait.until(ready, START_SECONDS, lambda: f"ready:\n{self.log}")
        return self

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=STOP_SECONDS):
        """Waits for its end; returns its exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {seconds} s:\n{self.log}") from None

    def stop(self, number=signal.SIGTERM):
        """Ends it in order."""
        self.send_signal(number)
        assert self.wait() == 0, self.log
        self.check()

    def kill(self):
        """Ends it with its gates in no order at all, as a crash or a loss of power does."""
        children = self.children()
        self.expect("the broker is gone")
        self.process.kill()
        self.wait()
        wait.until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children),
                   what="gates and signer go with the broker")
        self.check()

    def children(self):
        """The pids of the processes that it started."""
        return children(self.pid)

    def children_called(self, command):
        """The pids of those that are `vprox COMMAND`, or the program vprox-COMMAND."""
        def is_one(pid):
            words = command_line(pid)
            return words[1:2] == [command.encode()] or \
                any(word.endswith(f"/vprox-{command}".encode()) for word in words[:1])
        return [pid for pid in self.children() if is_one(pid)]

    def gates(self):
        return self.children_called("gate")

    def signers(self):
        return self.children_called("signer")

    def stores(self):
        return self.children_called("store")

    def processes(self):
        return [self.pid, *self.children()]

    def check(self):
        """Fails if the log has what no log may have. Once: a second call would tell it again."""
        if self.checked:
            return
        self.checked = True
        log = self.log
        assert not SANITIZER_REPORT.search(log), log
        unexpected = [line for line in log.splitlines() if ERROR_LINE.match(line)
                      and not any(re.search(pattern, line) for pattern in self.expected)]
        assert not unexpected, "\n".join(unexpected) + "\n\nThe whole log:\n" + log

    def discard(self):
        """For the end of a test: ends it whatever state it is in."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                stop(self.process, 0)
                raise AssertionError(f"did not stop:\n{self.log}") from None
        self.check()


def pins_of(*servers):
    """The TLS keys that servers say they have."""
    return [re.search(r"TLS public key: (sha256//\S+)", server.log).group(1) for server in servers]


class Host:
    """A machine to run servers on: a namespace, and the folders that vprox keeps things in."""

    def __init__(self, world, options):
        self.world = world
        self.options = options
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="vprox-e2e-"))
        self.devices = self.state / "run/wireguard"  # control sockets, in the embedded plane
        self.devices.mkdir(parents=True)
        (self.state / "lib").mkdir()
        self.node = world.add_host(self.devices)
        self.ns = self.node.ns
        self.address, self.second, self.third, self.absent = self.node.addresses
        self.servers = []
        self.mounts = [(self.state / "run", "/run"), (self.state / "lib", "/var/lib")]

    def close(self):
        problems = []
        for server in self.servers:
            try:
                server.discard()
            except AssertionError as error:
                problems.append(str(error))
        self.world.remove(self.node)
        shutil.rmtree(self.state, ignore_errors=True)
        assert not problems, "\n".join(problems)

    def environment(self, more=None):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("VPROX")}
        environment.update({
            "VPROX_PASSWORD": PASSWORD,
            "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
            "UBSAN_OPTIONS": "print_stacktrace=1"})
        for name, value in (more or {}).items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        return environment

    def run(self, arguments, environment=None, seconds=30):
        """Runs `vprox ARGUMENTS` to its end: (exit status, output)."""
        words = shlex.split(arguments) if isinstance(arguments, str) else arguments
        process = self.ns.popen([self.options.vprox, *words], self.mounts, text=True,
                                env=self.environment(environment), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        try:
            said = process.communicate(timeout=seconds)[0]
        finally:
            stop(process)
        assert not SANITIZER_REPORT.search(said), said
        return process.returncode, said

    def shown(self, arguments="", **kwargs):
        """What `vprox show --json` tells."""
        status, said = self.run(f"show --json {arguments}", **kwargs)
        assert status == 0, said
        return json.loads(said)

    def shown_peers(self):
        """Those of all endpoints."""
        return [peer for endpoint in self.shown()["endpoints"] for peer in endpoint["peers"]]

    def stored(self, query):
        """What an operator reads with sqlite3, while the store has the file open."""
        with contextlib.closing(sqlite3.connect(self.state / "lib/vprox/store/store.db")) as database:
            return database.execute(query).fetchall()

    def launch(self, arguments="", ips=None, block=BLOCK, gates=1, environment=None, expected=(),
               program=None, descriptors=()):
        """Starts a server, and does not wait for it. It waits for a store of its own, unless the
        arguments say of the store what they want. gates: None to leave the flag out; one saves
        time. expected: patterns of the error lines that the test provokes. program: what to start
        instead of vprox. descriptors: what it is to have besides."""
        words = ["server"]
        for address in [self.address] if ips is None else ips:
            words += ["--ip", address]
        words += ["--wg-block", block, f"--plane={self.options.plane}", "--log-level=debug"]
        if self.options.ipip_mode == "shared" and "--ipip-mode" not in arguments:
            words.append("--ipip-mode=shared")
        words += shlex.split(arguments)
        if "--store" not in arguments:
            words.append(PATIENT)
        if gates:
            words.append(f"--gates={gates}")
        return self.launch_as(words, environment, expected, program, descriptors)

    def launch_as(self, words, environment=None, expected=(), program=None, descriptors=()):
        """Likewise, with these words on its command line."""
        server = Server(self, words, self.environment(environment), expected, program, descriptors)
        self.servers.append(server)
        return server

    def start(self, arguments="", **kwargs):
        """Starts a server and waits until it serves."""
        return self.launch(arguments, **kwargs).wait_ready()

    def api(self, node, address=None):
        return Api(node, address or self.address)

    def tunnel(self, kind, node, address=None, **kwargs):
        return TUNNELS[kind](node, address or self.address, **kwargs)

    def wait_until_read(self, connection):
        """Until the server has read all that a client's connection has sent."""
        def is_read():
            left = fcntl.ioctl(connection.socket, SIOCOUTQ, bytes(4))
            if int.from_bytes(left, sys.byteorder):
                return False
            for line in self.ns.read("/proc/thread-self/net/tcp").splitlines()[1:]:
                _, _, remote, state, queues, *_ = line.split()
                if int(remote.split(":")[1], 16) == connection.port and state == ESTABLISHED:
                    return int(queues.split(":")[1], 16) == 0
            return False
        wait.until(is_read, what="the server has read it")

    # What is there

    def links(self):
        """Of all interfaces: name to what `ip` knows of it."""
        return {link["ifname"]: link
                for link in json.loads(self.ns.run("ip -j -d link show"))}

    def ipip_links(self):
        return {name: link for name, link in self.links().items() if re.match(r"vp\d+-\d+$", name)}

    def wireguard_peers(self, device="vprox0"):
        """Public key to allowed addresses, a text."""
        lines = self.ns.run(f"wg show {device} allowed-ips").splitlines()
        return dict(line.split("\t") for line in lines)

    def holders(self, index=0):
        """Inner address to who holds it, over both kinds."""
        found = {}
        device = f"vprox{index}"
        has_device = device in self.links()
        peers = self.wireguard_peers(device).items() if has_device else ()
        for key, allowed in peers:
            found.setdefault(allowed.removesuffix("/32"), []).append(key)
        for inner, remote in self._ipip_holders(index):
            found.setdefault(inner, []).append(remote)
        assert all(len(who) == 1 for who in found.values()), f"one address, two peers: {found}"
        return {address: who[0] for address, who in found.items()}

    def _ipip_holders(self, index):
        if self.options.plane == "embedded":
            path = self.devices / f"vprox{index}.sock"
            lines = ask(path, "get_ipip=1\n\n") if path.exists() else []
            values = [[value for key, value in lines if key == name]
                      for name in ("ipip_inner", "ipip_peer")]
            return list(zip(*values))
        links = self.ipip_links()
        own = [(route["dst"], links[route["dev"]]["linkinfo"]["info_data"]["remote"])
               for route in json.loads(self.ns.run("ip -j route show"))
               if route["dev"] in links and route["dev"].startswith(f"vp{index}-")]
        return own + self.sharers(index)

    def sharers(self, index=0):
        """Inner address and remote address of those that share an interface."""
        shown = self.ns.try_run(f"tc filter show dev {SHARED} egress chain {index + 1}").stdout
        return re.findall(r"  dst_ip (\S+)\n.*?\n\tdst_ip (\S+)\n", shown, re.DOTALL)

    def device_processes(self, index=0):
        """The pids of a device of the embedded plane: its own, and that of the process which opens
        sockets for it; none if there is none."""
        def is_its(words):
            return b"device" in words[1:-1] and words[-1] == f"vprox{index}".encode()
        pids = [pid for pid in self.ns.processes() if is_its(command_line(pid))]
        return sorted(pids, key=lambda pid: parent(pid) in pids)

    def listener_holders(self):
        """The pids of the processes that hold listening sockets for the next server."""
        return [pid for pid in self.ns.processes()
                if command_line(pid)[1:2] == [b"holder"]]

    def free_port(self):
        """After a server was killed: else another program finds its port taken for some seconds."""
        for pid in self.listener_holders():
            kill(pid)
        wait.until(lambda: not self.listener_holders())

    def reboot(self):
        """As a host whose power fails: everything goes but the disk."""
        server = self.servers[-1]
        server.expect("vprox. has vanished")
        devices = self.device_processes() if self.options.plane == "embedded" else []
        if server.process.poll() is None:
            server.kill()
        self.free_port()
        for pid in devices:
            kill(pid)
        for name in self.links():
            if name.startswith(("vprox", "vp0-")):  # the one that is shared too
                self.ns.try_run(f"ip link del {name}")
        self.ns.run("nft flush ruleset")
        wait.until(lambda: not self.device_processes(), what="the devices are gone")
        for left in (self.state / "run").iterdir():
            if left.name != "wireguard":
                shutil.rmtree(left) if left.is_dir() else left.unlink()

    def snapshot(self):
        """All that a server may change on its host, as the tools print it."""
        commands = {"nft": "nft list ruleset", "iptables-nft": "iptables-nft-save",
                    "iptables-legacy": "iptables-legacy-save"}
        found = {name: self.ns.run(command) for name, command in commands.items()}
        found["ip"] = self.ns.run(["ip", "-d", "-batch", "-"], input="link show\naddr show\n"
                                  "route show table all\nrule show\n")
        return {name: without_counters(text) for name, text in found.items()}

    def difference(self, before):
        """What is not as it was at that snapshot(), as a text; "": nothing."""
        now = self.snapshot()
        return "\n".join(line for name, text in before.items() for line in difflib.unified_diff(
            text.splitlines(), now[name].splitlines(), f"{name} before", f"{name} now", "", "", 0))

    def ruleset(self):
        """All of nftables, but for what packets change by themselves."""
        return lasting(self.ns.run("nft list ruleset"))

    def assert_same(self, before):
        """Fails unless all is as it was at that snapshot()."""
        difference = self.difference(before)
        assert not difference, difference


def parent(pid):
    try:
        return int(status(pid)["PPid"])
    except OSError:
        return None


def without_counters(text):
    """What changes by itself: the dates in iptables-save, remaining lifetimes, packet counts."""
    text = lasting(text)
    text = re.sub(r"^# (Generated|Completed).*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\[\d+:\d+\]", "[0:0]", text)
    return re.sub(r"valid_lft \d+sec preferred_lft \d+sec", "limited", text)
