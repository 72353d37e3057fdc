"""A gate of a running server that an attacker has taken over."""

import select
import socket
import struct
import threading

from lib.inject import take
from lib.process import open_files, stand_still

FD_BROKER, FD_FIRST_LISTENER = 3, 5  # ipc/gate_config.h
VERSION = 7
CONNECT_WIREGUARD, CONNECT_IPIP, DISCONNECT_WIREGUARD, DISCONNECT_IPIP, RELINQUISH, READY, REFUSED = range(1, 8)
OK = 1
REQUEST = struct.Struct("=IHHQ32s128s16x")  # ipc/message.h
REPLY = struct.Struct("=IHHQII48x80x")


class TakenGate:
    """The gate stands still, and what it holds is used in its place: its socket to the broker, its
    listeners, and whatever it accepts. Until it is closed it says that its event loop turns, as an
    attacker's would."""

    def __init__(self, pid):
        self.pid = pid
        stand_still(pid)
        self.broker = take(pid, FD_BROKER)
        self.broker.settimeout(10)
        self.last_id = 1 << 32
        self.closed = threading.Event()
        self.turning = threading.Thread(target=self.turn, daemon=True)
        self.turning.start()

    def close(self):
        self.closed.set()
        self.turning.join()
        self.broker.close()

    def turn(self):
        turns = 1 << 32
        while not self.closed.wait(1):
            turns += 1
            try:
                self.write("vprox-counts", struct.pack("=Q", turns))  # ipc/gate_counts.h
            except (OSError, ValueError):
                return  # it has ended

    def listener(self, endpoint=0):
        return take(self.pid, FD_FIRST_LISTENER + endpoint)

    def accept(self, endpoint=0):
        """The next client of this endpoint."""
        with self.listener(endpoint) as listener:
            assert select.select([listener], [], [], 10)[0], "nobody connects"
            return listener.accept()[0]

    def signer(self):
        """Its socket to the signer: the only other one of that kind."""
        for fd, name in open_files(self.pid).items():
            if fd <= FD_BROKER or not name.startswith("socket:"):
                continue
            sock = take(self.pid, fd)
            if sock.family == socket.AF_UNIX and sock.type == socket.SOCK_SEQPACKET:
                return sock
            sock.close()
        raise AssertionError("it has no signer")

    def send(self, data, sockets=()):
        socket.send_fds(self.broker, [data], [sock.fileno() for sock in sockets])

    def write_sheet(self, count):
        """Has it count so many connections of every source: ipc/source_counts.h."""
        begin, end = self.mapping("vprox-sources")
        self.write("vprox-sources", struct.pack("=I", count) * ((end - begin) // 4))

    def mapping(self, name):
        """Where it has memory of this name that it may write: begin and end."""
        with open(f"/proc/{self.pid}/maps", encoding="ascii") as maps:
            own, = [line for line in maps if " rw-s " in line and name in line]
        begin, end = (int(text, 16) for text in own.split()[0].split("-"))
        return begin, end

    def write(self, name, data):
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(self.mapping(name)[0])
            memory.write(data)

    def ask(self, operation, *sockets, key=bytes(32), name=b""):
        """Sends a request of a client of this name, with these sockets. Returns its answer, (status, inner address); None if
        the broker has hung up instead."""
        self.last_id += 1
        try:
            self.send(REQUEST.pack(VERSION, operation, 0, self.last_id, key, name), sockets)
            reply = self.broker.recv(256)
        except OSError as error:
            assert not isinstance(error, TimeoutError), "neither an answer nor the end"
            return None
        if not reply:
            return None
        _, _, status, number, address, _ = REPLY.unpack(reply)
        assert number == self.last_id
        return status, socket.inet_ntoa(address.to_bytes(4, "big"))
