"""Two namespaces joined by a veth, and devices in them: what the tests of the device are made of."""

import itertools
import os
import signal
import socket
import subprocess
import tempfile

from lib import kernel
from lib.netns import Namespace
from lib.process import status
from lib.wait import until as wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEVICE = os.environ.get("VPROX_DEVICE", os.path.join(ROOT, "build", "vprox"))
OTHER = os.environ.get("DEVICE") or "wireguard-go"  # another implementation
OUTER = {"a": ("10.9.0.1", "fd09::1"), "b": ("10.9.0.2", "fd09::2")}
INNER = {"a": ("10.8.0.1", "fd08::1"), "b": ("10.8.0.2", "fd08::2")}
IPIP_INNER = {"a": "10.7.0.1", "b": "10.7.0.2"}
# With a router between them: theirs and, of its two, the one on their side.
ROUTED = {"a": ("10.91.0.2", "fd91::2"), "b": ("10.92.0.2", "fd92::2")}
HOPS = {"a": ("10.91.0.1", "fd91::1"), "b": ("10.92.0.1", "fd92::1")}
ROUTED_LINK = "dpv-n"
# Of a second pair of devices.
SECOND = {"a": ("10.6.0.1", "fd06::1"), "b": ("10.6.0.2", "fd06::2")}


def run(*command, check=True, **kwargs):
    return subprocess.run(
        [str(c) for c in command], check=check, text=True, capture_output=True, **kwargs
    )


class Network:
    """Namespaces a and b, with an outer address of each family."""

    numbers = itertools.count()

    def __init__(self):
        suffix = f"{os.getpid()}-{next(self.numbers)}"
        self.spaces = {side: Namespace(f"datapath-{suffix}-{side}") for side in "ab"}
        self.closers = []
        self.veth = {side: f"dpv-{side}" for side in "ab"}
        run("ip", "link", "add", self.veth["a"], "netns", self.spaces["a"].name, "type", "veth",
            "peer", "name", self.veth["b"], "netns", self.spaces["b"].name)
        for side, space in self.spaces.items():
            space.ip("link set lo up")
            for address, length in zip(OUTER[side], (24, 64)):
                space.ip(f"addr add {address}/{length} dev {self.veth[side]} nodad")
            space.ip(f"link set {self.veth[side]} up")
        for side, space in self.spaces.items():
            wait_for_addresses(space, self.veth[side])

    def __getitem__(self, side):
        return self.spaces[side]

    def close(self):
        for closer in reversed(self.closers):
            closer()
        for space in self.spaces.values():
            space.remove()


def add_router(network):
    """A namespace between a and b, which are joined by it too from now on: what is not on their own
    link goes that way. Its interfaces are dpv-a and dpv-b."""
    router = Namespace(f"{network['a'].name}-r")
    network.closers.append(router.remove)
    for side in "ab":
        run("ip", "link", "add", ROUTED_LINK, "netns", network[side].name, "type", "veth",
            "peer", "name", network.veth[side], "netns", router.name)
        for space, link, own in ((network[side], ROUTED_LINK, ROUTED),
                                 (router, network.veth[side], HOPS)):
            set_addresses(space, link, [f"{own[side][0]}/24", f"{own[side][1]}/64"])
        for space, link in (network[side], ROUTED_LINK), (router, network.veth[side]):
            wait_for_addresses(space, link)
        network[side].ip(*(f"route add default via {hop}" for hop in HOPS[side]))
    router.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
    return router


def at(address, port):
    """An endpoint, as wg(8) writes it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def make_device(network, side, name, kind):
    if kind == "kernel":
        return KernelDevice(network, side, name)
    return Device(network, side, name, kind)


def has_fast_path(device):
    """Whether the kernel takes the programs of the fast path that a device, if it is to have one, has
    from its first address for IPIP on. Linux before 6.6 cannot."""
    refused = "the kernel refuses its BPF programs" in device.log_text()
    assert not refused or not kernel.must_have("tcx"), device.log_text()
    return not refused


def make_keys():
    """A private key and its public one, as wg(8) writes them."""
    private = run("wg", "genkey").stdout.strip()
    return private, run("wg", "pubkey", input=private).stdout.strip()


class KernelDevice:
    """A WireGuard interface of the kernel's, with what connect() needs of a Device."""

    def __init__(self, network, side, name):
        self.space, self.side, self.name = network[side], side, name
        self.folder = tempfile.mkdtemp(prefix="datapath-")
        self.space.ip(f"link add {name} type wireguard")
        self.private_key, self.public_key = make_keys()

    def set(self, *arguments, **kwargs):
        return self.space.run("wg", "set", self.name, *arguments, **kwargs)

    def show(self, what):
        return self.space.run("wg", "show", self.name, what)

    def address(self, *addresses):
        set_addresses(self.space, self.name, addresses)
        wait_for_addresses(self.space, self.name)

    def log_text(self):
        return ""


def set_addresses(space, interface, addresses):
    for address in addresses:
        space.ip(f"addr replace {address} dev {interface} nodad")
    space.ip(f"link set {interface} up")


def wait_for_addresses(space, interface):
    """Until packets for them are taken. The kernel makes the local route of one of IPv6 in its own time, without duplicate
    address detection too: what comes for it before is dropped."""
    def lacking():
        shown = space.run(f"ip -6 -o addr show dev {interface} scope global")
        own = {line.split()[3].split("/")[0] for line in shown.splitlines()}
        return own - set(space.run("ip -6 route show table local").split())
    wait_until(lambda: not lacking(), what=lacking)


class Device:
    """A WireGuard device in a namespace, ours or wireguard-go, with a /run/wireguard of its own. kind: "vprox", "go",
    or the path of another wireguard-go."""

    def __init__(self, network, side, name, kind="vprox", flags=(), log_level="debug",
                 environment=(), made_name=None):
        self.space, self.side, self.kind = network[side], side, kind
        self.name = made_name or name  # of a pattern, such as dp%d, the interface's
        self.folder = tempfile.mkdtemp(prefix="datapath-")
        program = [DEVICE, "device", "-f", *flags] if kind == "vprox" else [OTHER if kind == "go" else kind, "-f"]
        if os.path.basename(DEVICE) == "vprox-device" and kind == "vprox":
            program = [DEVICE, "-f", *flags]
        if kind != "vprox":
            log_level = "error"
        self.log = open(os.path.join(self.folder, "log"), "w+", encoding="utf-8")
        self.process = self.space.popen(
            self.in_folder(*program, name),
            env={**os.environ, "LOG_LEVEL": log_level, **dict(environment)},
            stdout=self.log, stderr=self.log)
        network.closers.append(self.close)
        wait_until(lambda: os.path.exists(self.socket_path) and self.has_interface() or
                   self.process.poll() is not None, 60, what="control socket and interface")
        assert self.process.poll() is None, self.log_text()
        self.uapi("get=1\n\n")  # it is answered when the device is made: its socket and interface are there before
        self.private_key, self.public_key = make_keys()

    def has_interface(self):
        return self.space.try_run(f"ip link show {self.name}").returncode == 0

    def in_folder(self, *command):
        """A command that has this device's folder for /run/wireguard."""
        return ["unshare", "-m", "sh", "-c",
                f"mkdir -p /run/wireguard && mount --bind {self.folder} /run/wireguard && "
                'exec "$@"', "sh", *command]

    @property
    def socket_path(self):
        return os.path.join(self.folder, f"{self.name}.sock")

    def log_text(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as log:
            return log.read()

    def wg(self, *arguments, **kwargs):
        return run(*self.in_folder("wg", *arguments), **kwargs)

    def set(self, *arguments, **kwargs):
        return self.wg("set", self.name, *arguments, **kwargs)

    def show(self, what):
        return self.wg("show", self.name, what).stdout

    def uapi(self, text):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(self.socket_path)
            connection.sendall(text.encode())
            answer = b""
            while not answer.endswith(b"\n\n"):
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
        return answer.decode()

    def values(self, text):
        return dict(line.split("=", 1) for line in self.uapi(text).split("\n") if "=" in line)

    def last_handshake(self):
        """When it was, of a device with one peer."""
        values = self.values("get=1\n\n")
        return values["last_handshake_time_sec"], values["last_handshake_time_nsec"]

    def drops(self):
        return {k: int(v) for k, v in self.values("get_drops=1\n\n").items()}

    def address(self, *addresses):
        set_addresses(self.space, self.name, addresses)
        wait_for_addresses(self.space, self.name)

    def status(self, field):
        return status(self.process.pid)[field]

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # another process may have taken its place: that keeps its namespace, and ends with this
        self.space.try_run(f"ip link del {self.name}")
        self.log.close()


def connect(a, b, outer=0, psk=False, port=7000, keepalive=0, ends=OUTER, inner=INNER):
    """Makes two devices each other's peers. ends, inner: their addresses of each family."""
    psk_text = run("wg", "genpsk").stdout
    for me, other in ((a, b), (b, a)):
        key = os.path.join(me.folder, "key")
        with open(key, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(me.private_key)
        arguments = ["private-key", key, "listen-port", port, "peer", other.public_key]
        if psk:
            path = os.path.join(me.folder, "psk")
            with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as f:
                f.write(psk_text)
            arguments += ["preshared-key", path]
        arguments += ["endpoint", at(ends[other.side][outer], port),
                      "persistent-keepalive", keepalive,
                      "allowed-ips", ",".join(f"{i}/{n}" for i, n in
                                              zip(inner[other.side], (32, 128)))]
        me.set(*arguments)
        me.address(f"{inner[me.side][0]}/24", f"{inner[me.side][1]}/64")


def make_pair(network, **kwargs):
    """Two devices of ours that are each other's peers."""
    a, b = Device(network, "a", "dp0"), Device(network, "b", "dp1")
    connect(a, b, **kwargs)
    return a, b


def connect_ipip(a, b, inner=IPIP_INNER, ends=OUTER):
    """Makes two devices each other's ends of an IPIP tunnel. inner: their addresses inside."""
    for me, other in ((a, b), (b, a)):
        me.address(f"{inner[me.side]}/24")
        assert me.values(
            f"set=1\nipip_local={ends[me.side][0]}\nipip_peer={ends[other.side][0]}\n"
            f"ipip_inner={inner[other.side]}\n\n")["errno"] == "0"


def ping(space, address, count=3, wait=15):
    return space.try_run("ping", "-n", "-q", "-c", count, "-i", "0.2", "-W", wait,
                         address).returncode == 0


class Transfer:
    """Random bytes over TCP, from their beginning to close()."""

    def __init__(self, client, server, address, size):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stream.py")
        self.receiver = server.popen(["/usr/bin/python3", script, "receive", address, "9000"],
                                     text=True, stdout=subprocess.PIPE)
        self.receiver.stdout.readline()
        self.sender = client.popen(["/usr/bin/python3", script, "send", address, "9000", size],
                                   text=True, stdout=subprocess.PIPE)

    def arrives_intact(self, seconds):
        """Whether all has arrived within so long."""
        sent = self.sender.communicate(timeout=seconds)[0].strip()
        received = self.receiver.communicate(timeout=seconds)[0].strip()
        return sent == received and sent != ""

    def close(self):
        for process in self.sender, self.receiver:
            process.kill()
            process.communicate()


def transfer(client, server, address, size, seconds=60):
    """Sends random bytes over TCP and returns whether they arrive intact."""
    made = Transfer(client, server, address, size)
    try:
        return made.arrives_intact(seconds)
    finally:
        made.close()
