"""Clients' ends of tunnels, made with `wg`, `ip` and what /connect answers."""

import base64
import os
import re
import socket

from lab.api import PASSWORD, Api
from lab.echo import HTTP_PORT, VISITED, bound, visit

KEEPALIVE_SECONDS = 25  # as the Go client has it


def random_key():
    """A public key that nobody has the private key of."""
    return base64.b64encode(os.urandom(32)).decode()


class Tunnel:
    """What both kinds have in common. `device` is the client's interface, `inner` its address."""

    made = []  # those of the running test, for conftest.py to clear up

    def __init__(self, node, server_address, device):
        Tunnel.made.append(self)
        self.node = node
        self.ns = node.ns
        self.ends = node.world.ends
        self.server_address = server_address
        self.api = Api(node, server_address)
        self.password = PASSWORD
        self.device = device
        self.inner = None
        self.gateway = None

    def _take_address(self, response):
        """Notes and configures the address that was assigned."""
        assert response.status == 200, response
        assigned = response.json["AssignedAddr"]
        self.inner, length = assigned.split("/")
        mask = (0xffffffff << (32 - int(length))) & 0xffffffff
        value = int.from_bytes(bytes(map(int, self.inner.split("."))), "big")
        self.gateway = ".".join(str(byte) for byte in ((value & mask) + 1).to_bytes(4, "big"))
        return assigned

    def has_device(self):
        names = self.ns.read("/proc/thread-self/net/dev")
        return re.search(rf"^\s*{re.escape(self.device)}:", names, re.MULTILINE) is not None

    def request(self):
        raise NotImplementedError

    def up(self):
        raise NotImplementedError

    def disconnect(self):
        raise NotImplementedError

    def down(self):
        """Removes the client's end, if there is one."""
        if self.has_device():
            self.ns.run(f"ip link del {self.device}")
        self.ends.gone(self.ns, self.device)

    def clear_up(self):
        """Whatever became of it in a test, the next one must not find it."""
        if self.ns.exists():
            self.down()
        # A host that is gone would keep us waiting.
        if self.ns.exists() and self.node.world.has(self.server_address):
            try:
                self.disconnect()
            except OSError:
                pass  # its server is gone

    def curl(self, path="", seconds=10):
        """Fetches from the Internet through the tunnel, with curl; None if that fails."""
        done = self.ns.try_run(f"curl -sS --interface {self.device} -m {seconds} "
                               f"http://{VISITED}:{HTTP_PORT}/{path}")
        return done.stdout if done.returncode == 0 else None

    def download(self, seconds=30):
        """The SHA-256 of two megabytes, fetched through the tunnel."""
        return self.ns.run(["bash", "-c", f"set -o pipefail; curl -sS -m {seconds} "
                            f"--interface {self.device} http://{VISITED}:{HTTP_PORT}/data "
                            "| sha256sum"]).split()[0]

    def visit(self, **kwargs):
        """Visits the Internet through the tunnel: the address it is visited from, or None."""
        seen = self.visit_from_port(0, **kwargs)
        return seen and seen[0]

    def visit_from_port(self, port, seconds=15):
        """The same from a source port: the address and port that it is visited from, or None."""
        return visit(self.ns, self.device, port, seconds)

    def connects(self, address, port):
        """What a TCP connection through the tunnel came to: None if it is there, else the error."""
        with bound(self.ns, socket.SOCK_STREAM, self.device, 0, 10) as sock:
            try:
                sock.connect((address, port))
            except OSError as error:
                return type(error)
        return None

    def ping(self, address=None, count=1, seconds=10, options=""):
        """Whether count echoes came back, through the tunnel; from the server's inner address if
        none is given. An interval shorter than 0.2 s makes them a burst."""
        done = self.ns.try_run(f"ping -n -q -I {self.device} -c {count} -i 0.1 -W {seconds} "
                               f"-w {seconds + count // 10} {options} {address or self.gateway}")
        received = re.search(r"(\d+) received", done.stdout)
        # On a busy machine the answers to later ones, which -w sends, may be read together with the last.
        return bool(received) and int(received.group(1)) >= count

    def works(self):
        """The server's address if the tunnel carries traffic: the client's own health check."""
        return self.ping()


class WireguardTunnel(Tunnel):
    kind = "wireguard"

    def __init__(self, node, server_address, device="wg0"):
        super().__init__(node, server_address, device)
        self.private_key = random_key()  # WireGuard clears and sets the bits it must
        self.public_key = self.ns.run("wg pubkey", input=self.private_key + "\n").strip()
        self.port = None

    def request(self):
        return self.api.connect(self.public_key, password=self.password)

    def disconnect(self):
        return self.api.disconnect(self.public_key, password=self.password)

    def up(self, listen_port=0):
        """Connects, and makes the client's end if there is none."""
        response = self.request()
        assigned = self._take_address(response)
        answer = response.json
        self.port = answer["ServerListenPort"]
        if not self.has_device():
            self.ends.gone(self.ns, self.device)
            self.ends.wireguard(self.ns, self.device)
            self.ns.ip(f"addr add {assigned} dev {self.device}", f"link set {self.device} up")
            self.ns.run(["wg", "setconf", self.device, "/dev/stdin"], input=f"""
[Interface]
PrivateKey = {self.private_key}
ListenPort = {listen_port}
[Peer]
PublicKey = {answer["ServerPublicKey"]}
AllowedIPs = 0.0.0.0/0
Endpoint = {self.server_address}:{self.port}
PersistentKeepalive = {KEEPALIVE_SECONDS}
""")
        return self


class IpipTunnel(Tunnel):
    kind = "ipip"

    def __init__(self, node, server_address, device="ipip0"):
        super().__init__(node, server_address, device)

    def request(self):
        return self.api.connect_ipip(password=self.password)

    def disconnect(self):
        return self.api.disconnect_ipip(password=self.password)

    def up(self):
        assigned = self._take_address(self.request())
        if not self.has_device():
            self.ends.gone(self.ns, self.device)
            self.ends.ipip(self.ns, self.device, self.node.address, self.server_address)
            self.ns.ip(f"addr add {assigned} dev {self.device}", f"link set {self.device} up")
        return self


TUNNELS = {kind.kind: kind for kind in (WireguardTunnel, IpipTunnel)}


def known_place(host):
    """Whether the store knows where a peer is."""
    return host.stored("SELECT 1 FROM peer WHERE outer_port > 0")


def begun_by_server(host):
    """Whether there was a handshake since its start with the one peer that it has, whose client has nothing to send
    meanwhile."""
    peer, = host.shown_peers()
    return peer["last_handshake"] is not None
