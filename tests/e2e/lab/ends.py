"""What makes a client's end of a tunnel: an interface, of whatever program.

  KernelEnds       the kernel's own WireGuard and IPIP
  IndependentEnds  wireguard-go, and a few lines of Python for IPIP: for kernels without, and sharing
                   no mistake with what is tested
  DeviceEnds       vprox's own userspace device

Each has wireguard() and ipip(), which make an interface that is not set up yet, and gone(), which
waits until nothing of one that was deleted is in the way of the next.
"""

import errno
import os
import pathlib
import select
import socket
import threading

from lib import wait
from lib.capture import open_tun

PACKET_MAX = 65536
IP_HEADER = 20
IPIP_MTU = 1500 - IP_HEADER


class KernelEnds:
    name = "kernel"
    needs_run_folder = False
    needs_whole_packets = False

    def __init__(self, options):
        pass

    def wireguard(self, ns, device):
        ns.ip(f"link add {device} type wireguard")

    def ipip(self, ns, device, local, remote):
        ns.ip(f"link add {device} type ipip local {local} remote {remote}")

    def gone(self, ns, device):
        """Its removal is done when it is acknowledged."""


class UserspaceEnds:
    """Ends that are processes with control sockets: each namespace has a run_folder of its own."""

    needs_run_folder = True
    needs_whole_packets = False

    def __init__(self, options):
        self.options = options
        self.processes = {}

    def _start(self, ns, device, command):
        with open(f"{ns.run_folder}/{device}.log", "wb") as log:
            process = ns.popen([*command, device], stdout=log, stderr=log)
        self.processes[ns.name, device] = process
        path = f"{ns.run_folder}/{device}.sock"

        def is_ready():
            assert process.poll() is None, pathlib.Path(log.name).read_text(errors="replace")
            # Either may come first.
            return os.path.exists(path) and f"{device}:" in ns.read("/proc/thread-self/net/dev")
        wait.until(is_ready, 20, path)

    def gone(self, ns, device):
        process = self.processes.pop((ns.name, device), None)
        if process:
            process.wait(20)


class DeviceEnds(UserspaceEnds):
    name = "device"

    def wireguard(self, ns, device):
        self._start(ns, device, [self.options.vprox, "device", "-f"])

    def ipip(self, ns, device, local, remote):
        self.wireguard(ns, device)
        # Where the server has the kernel's IPIP, the client's namespace has it too, and it answers
        # what it has no tunnel for. A client that has it would use it.
        ns.run("nft add table ip quiet '{ chain output { type filter hook output priority 0; "
               "icmp type destination-unreachable drop; }; }'")
        # All of the Internet lies behind the server: its one "inner address" is everybody's.
        ask(f"{ns.run_folder}/{device}.sock",
            f"set=1\nipip_local={local}\nipip_peer={remote}\nipip_inner=0.0.0.0\n\n")


def ask(path, request):
    """Talks to a device by its control socket: the lines of the answer as (key, value) pairs."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(path))
        sock.sendall(request.encode())
        answer = b""
        while not answer.endswith(b"\n\n"):
            part = sock.recv(PACKET_MAX)
            assert part, f"{path}: closed amid {answer!r}"
            answer += part
    lines = [tuple(line.split("=", 1)) for line in answer.decode().split("\n") if line]
    assert lines.pop() == ("errno", "0"), (request, answer)
    return lines


class IndependentEnds(UserspaceEnds):
    name = "independent"
    needs_whole_packets = True

    def __init__(self, options):
        super().__init__(options)
        self.carriers = {}

    def wireguard(self, ns, device):
        self._start(ns, device, ["wireguard-go", "-f"])

    def ipip(self, ns, device, local, remote):
        self.carriers[ns.name, device] = IpipCarrier(ns, device, local, remote)
        ns.ip(f"link set {device} mtu {IPIP_MTU}")

    def gone(self, ns, device):
        super().gone(ns, device)
        carrier = self.carriers.pop((ns.name, device), None)
        if carrier:
            carrier.thread.join(20)
            assert not carrier.thread.is_alive()


class IpipCarrier:
    """RFC 2003 in its simplest form, between a TUN device and a raw socket. Ends with the device."""

    def __init__(self, ns, device, local, remote):
        self.tun = ns.enter(open_tun, device)
        self.raw = ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)
        self.raw.bind((local, 0))
        self.raw.connect((remote, 0))  # takes packets from there alone
        self.raw.setblocking(False)
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()

    def _carry(self):
        try:
            while True:
                ready, _, _ = select.select([self.tun, self.raw], [], [])
                if self.tun in ready:
                    self._send(os.read(self.tun, PACKET_MAX))
                if self.raw in ready:
                    self._receive()
        except OSError as error:
            # The interface was deleted.
            assert error.errno in (errno.EBADFD, errno.EIO, errno.EBADF, errno.EFAULT), error
        finally:
            os.close(self.tun)
            self.raw.close()

    def _send(self, packet):
        try:
            self.raw.send(packet)
        except OSError:
            pass  # an earlier packet's ICMP error, or no route: it is lost, as on any wire

    def _receive(self):
        try:
            packet = self.raw.recv(PACKET_MAX)
        except OSError:
            return
        inner = packet[(packet[0] & 15) * 4:]
        if inner[:1] and inner[0] >> 4 == 4:
            try:
                os.write(self.tun, inner)
            except OSError as error:
                if error.errno != errno.EIO:  # the interface is down
                    raise


ENDS = {ends.name: ends for ends in (KernelEnds, IndependentEnds, DeviceEnds)}
