"""A server and its firewall in namespaces: TUN devices with tunnels' names stand in for tunnels.

    firewall-internet  eth0 203.0.113.254 ---- 203.0.113.1, .2, .9 eth0  firewall-server
                       eth1 192.0.2.254   ---- 192.0.2.1           eth1  vprox0, vp0-1, vp0-2
                       198.51.100.1, .7 on lo                            vprox1, vp1-1
"""

import os
import pathlib
import subprocess

import pytest

from lib.capture import Tun, mac_of, send

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(os.environ.get("VPROX_BUILD", ROOT / "build")) / "tests/firewall/firewall-tool"
# Their own of each run: others may be at it too.
SERVER, INTERNET, CLIENT = (f"firewall-{name}-{os.getpid()}"
                            for name in ("server", "internet", "client"))

BLOCK = "10.100.0.0/16"
ENDPOINTS = ["0,203.0.113.1,10.100.0.0/20,50227", "1,203.0.113.2,10.100.16.0/20,50228"]
PEERS = {"vp0-1": "10.100.0.2", "vp0-2": "10.100.0.3", "vp1-1": "10.100.16.2"}
DEVICES = {"vprox0": "10.100.0.1/20", "vprox1": "10.100.16.1/20"}


def sh(namespace, command, check=True, **options):
    """Runs a command (words, or one text that is split) in a namespace; returns what it printed."""
    words = command.split() if isinstance(command, str) else command
    done = subprocess.run(["ip", "netns", "exec", namespace, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=30, **options)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Tool:
    """A firewall-tool that is running in a namespace."""

    def __init__(self, namespace=SERVER, flags=(), endpoints=ENDPOINTS, environment=None):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, str(TOOL), *flags, BLOCK, *endpoints],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **(environment or {})})

    def run(self, command):
        """Returns what the command printed; it must succeed."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        printed = []
        for line in self.process.stdout:
            if line.startswith("done "):
                assert line == "done 0\n", f"{command}: {line}"
                return "".join(printed)
            printed.append(line)
        raise AssertionError(f"{command}: the tool died: {self.process.stderr.read()}")

    def close(self):
        """Ends it; returns what it logged."""
        return self.process.communicate(timeout=30)[1]

    def kill(self):
        self.process.kill()
        self.process.communicate()


def run_tool(*commands, flags=(), namespace=SERVER, endpoints=ENDPOINTS):
    """Runs the commands; returns what was logged."""
    tool = Tool(namespace, flags, endpoints)
    for command in commands:
        tool.run(command)
    return tool.close()


class World:
    """The namespaces, and the firewall as a test wants it."""

    def __init__(self):
        self.tuns = {}
        self.delete()
        for name in SERVER, INTERNET:
            subprocess.run(["ip", "netns", "add", name], check=True)
            sh(name, "ip link set lo up")
            for key in "all", "default":
                sh(name, f"sysctl -qw net.ipv6.conf.{key}.disable_ipv6=1")
                sh(name, f"sysctl -qw net.ipv4.conf.{key}.rp_filter=0")
        for link in "eth0", "eth1":
            sh(SERVER, f"ip link add {link} type veth peer name {link} netns {INTERNET}")
        self.add_addresses()
        sh(SERVER, "sysctl -qw net.ipv4.ip_forward=1")
        for name in [*DEVICES, *PEERS]:
            self.tuns[name] = Tun(SERVER, name)
            sh(SERVER, f"ip link set {name} mtu 1420 up")
        for name, address in DEVICES.items():
            sh(SERVER, f"ip addr add {address} dev {name}")
        for name, address in PEERS.items():
            sh(SERVER, f"ip route add {address}/32 dev {name} scope link")
        self.server_mac = mac_of(SERVER, "eth0")

    @staticmethod
    def add_addresses():
        for address in "203.0.113.1/24", "203.0.113.2/32", "203.0.113.9/32":
            sh(SERVER, f"ip addr add {address} broadcast + dev eth0")
        sh(SERVER, "ip addr add 192.0.2.1/24 dev eth1")
        sh(INTERNET, "ip addr add 203.0.113.254/24 dev eth0")
        sh(INTERNET, "ip addr add 192.0.2.254/24 dev eth1")
        for address in "198.51.100.1", "198.51.100.7", "169.254.169.254":
            sh(INTERNET, f"ip addr add {address}/32 dev lo")
        for name in SERVER, INTERNET:
            for link in "eth0", "eth1":
                sh(name, f"ip link set {link} up")
        sh(SERVER, "ip route add default via 203.0.113.254")
        sh(SERVER, "ip route add 169.254.169.254 via 203.0.113.254")

    def load(self, without=(), flags=()):
        """Loads the firewall, but for the lines that hold one of the texts; a pair of texts is a
        replacement."""
        text = Tool(flags=flags)
        lines = text.run("text").splitlines()
        text.close()
        for part in without:
            old, new = part if isinstance(part, tuple) else (part, None)
            assert any(old in line for line in lines), f"no line with {old}"
            lines = [line.replace(old, new) if new is not None else line
                     for line in lines if new is not None or old not in line]
        sh(SERVER, "nft -f -", input="\n".join(lines) + "\n")
        sh(SERVER, "conntrack -F", check=False)
        for tun in self.tuns.values():
            tun.forget()

    def send_from_lan(self, packet):
        """As a neighbour on the Internet's side of the server's eth0."""
        send(INTERNET, "eth0", packet, mac=self.server_mac)

    def delete(self):
        for tun in self.tuns.values():
            tun.close()
        for name in SERVER, INTERNET, CLIENT:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def world():
    it = World()
    yield it
    it.delete()


@pytest.fixture
def empty_server():
    """A namespace without anything in it."""
    for name in SERVER, CLIENT, INTERNET:
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
    subprocess.run(["ip", "netns", "add", SERVER], check=True)
    sh(SERVER, "ip link set lo up")
    yield SERVER
    subprocess.run(["ip", "netns", "del", SERVER])
