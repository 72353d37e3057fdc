"""TCP connections through tunnels that go on and on: downloads, uploads, and idle sessions. What arrives is compared
byte for byte with what was sent."""

import selectors
import socket
import threading
import time

from lab.echo import VISITED, bound

PORT = 5001
PERIOD = 251  # no power of two: a segment that is lost or comes twice shows
CHUNK = 2048
PATTERN = bytes(i % PERIOD for i in range(PERIOD + 65536))
PACE_SECONDS = 0.02  # between two chunks of a connection
CONNECT_SECONDS = 30


def pattern(offset, n):
    return PATTERN[offset % PERIOD:][:n]


class End:
    """One end of a connection."""

    def __init__(self, sock, kind, sends):
        self.sock, self.kind, self.sends = sock, kind, sends
        self.n = 0  # bytes, sent or received
        self.is_open = True
        self.last, self.pauses = time.monotonic(), [0]

    def send(self):
        try:
            self.n += self.sock.send(pattern(self.n, CHUNK))
        except BlockingIOError:
            pass

    def receive(self):
        data = self.sock.recv(65536)
        if self.kind == b"i":
            self.sock.sendall(data)
            return
        assert data == pattern(self.n, len(data)), f"after {self.n} bytes"
        now = time.monotonic()
        self.pauses.append(now - self.last)
        self.n, self.last = self.n + len(data), now
        self.is_open = bool(data)


class Transfers:
    """To be made once for a world. Its one thread has all ends."""

    def __init__(self, world):
        self.ends, self.sessions, self.errors = [], [], []
        self.selector = selectors.DefaultSelector()
        self.is_ending = self.is_stopped = False
        self.listener = world.internet.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((VISITED, PORT))
        self.listener.listen(128)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def add(self, tunnel, downloads, uploads, sessions):
        for kind, n in (b"d", downloads), (b"u", uploads), (b"i", sessions):
            for _ in range(n):
                sock = bound(tunnel.ns, socket.SOCK_STREAM, tunnel.device, 0, CONNECT_SECONDS)
                sock.connect((VISITED, PORT))
                sock.sendall(kind)
                if kind == b"i":
                    self.sessions.append(sock)
                else:
                    self._add(sock, kind, kind == b"u")

    def _add(self, sock, kind, sends):
        sock.setblocking(False)
        end = End(sock, kind, sends)
        if not sends:
            self.selector.register(sock, selectors.EVENT_READ, end)
        self.ends.append(end)

    def _accept(self):
        sock, _ = self.listener.accept()
        sock.settimeout(CONNECT_SECONDS)
        kind = sock.recv(1)
        self._add(sock, kind, kind == b"d")

    def _do(self, end, what):
        try:
            what()
        except (OSError, AssertionError) as error:
            self.errors.append(f"{end.kind.decode()}: {error!r}")
            end.is_open = False
        if not end.is_open and not end.sends:
            self.selector.unregister(end.sock)

    def _end(self, end):
        end.is_open = False
        end.sock.shutdown(socket.SHUT_WR)

    def _run(self):
        due = 0
        while not self.is_stopped:
            for key, _ in self.selector.select(PACE_SECONDS):
                if key.data:
                    self._do(key.data, key.data.receive)
                else:
                    self._accept()
            if time.monotonic() < due:
                continue
            due = time.monotonic() + PACE_SECONDS
            for end in self.ends:
                if end.sends and end.is_open:
                    self._do(end, (lambda each=end: self._end(each)) if self.is_ending else end.send)

    @property
    def receivers(self):
        return [end for end in self.ends if not end.sends and end.kind != b"i"]

    def received(self):
        """How many bytes have come, of each transfer."""
        return [end.n for end in self.receivers]

    def longest_pauses(self):
        """In seconds, of each transfer, since the last call."""
        found = []
        for end in self.receivers:
            found.append(max(*end.pauses, time.monotonic() - end.last))
            end.pauses = [0]
        return found

    def talk(self):
        """Each idle session is asked, and answers."""
        for sock in self.sessions:
            sock.sendall(b"ls\n")
        for sock in self.sessions:
            assert sock.recv(100) == b"ls\n"

    def end(self):
        """All that was sent is to arrive."""
        self.is_ending = True

    def all_have_ended(self):
        return not any(end.is_open for end in self.ends if end.kind != b"i")

    def close(self):
        self.is_stopped = True
        self.thread.join()
        for sock in [self.listener, *self.sessions, *(end.sock for end in self.ends)]:
            sock.close()
