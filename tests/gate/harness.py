"""A broker in Python that starts one gate, and clients that say exactly what they are told to."""

import fcntl
import hashlib
import os
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections import namedtuple
from dataclasses import dataclass, field

from lib.process import status

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("GATE", str(ROOT / "build/tests/gate/gate-alone"))
with open(PROGRAM, "rb") as program:
    SANITIZER = b"__asan_init" in program.read()  # its memory says nothing about the gate's
PASSWORD = "correct horse"
SERVER_KEY = bytes(range(1, 33))
NOBODY = 65534

# enum ipc_operation, enum ipc_status, enum ipc_reply_kind
CONNECT_WIREGUARD, CONNECT_IPIP, DISCONNECT_WIREGUARD, DISCONNECT_IPIP, RELINQUISH, READY, REFUSED, FETCH_KEYS = range(1, 9)
OK, TOO_MANY_PEERS, POOL_EXHAUSTED, SHUTTING_DOWN, INVALID_KEY, FAILED = range(1, 7)
OTHER_CLIENT = 8
ANSWER, DRAIN, SIGNER, HAND_OVER, ENDPOINT_COMES, ENDPOINT_GONE, LIVE_SETTINGS = range(1, 8)

# struct ipc_request, and the two ends of the client's socket that goes along with it
Request = namedtuple("Request", "version operation issuer id key name source endpoint")
VERSION = 7
REQUEST = struct.Struct("=IHHQ32s128s16x")
REFUSAL = struct.Struct("=IIHHI")  # struct refused_request, the end of it
LIVE = struct.Struct("=64s3I4x")  # struct live_settings
REPLY = struct.Struct("=IHHQII48x80x")
NO_LIVE = bytes(80)  # struct live_settings of all other replies, and the end of the struct
LIVE_REPLY = struct.Struct("=IHHQII48x80s")
CONFIG = struct.Struct("=10I16x80s2Q")
SHEET_SIZE = 2 * 8192 * 4  # struct source_sheet
COUNTS_SIZE = 8192  # holds a struct gate_counts
SIGNING_VERSION = 2
SIGNER_NOTICE = struct.Struct("=5I")
SIGNER_SERVE, SIGNER_PING, SIGNER_READY, SIGNER_ALIVE, SIGNER_DROPPED = range(1, 6)
SIGNER_CONFIG = struct.Struct("=6I")
ENDPOINT = struct.Struct("=IIB3x32s2H")


def ipv4(text):
    return struct.unpack("!I", socket.inet_aton(text))[0]


@dataclass
class Endpoint:
    bind: str = "127.0.0.1"
    block: str = "10.100.0.0"
    length: int = 16
    family: int = socket.AF_INET
    port: int = 50227

    def packed(self, control_port):
        return ENDPOINT.pack(ipv4(self.bind), ipv4(self.block), self.length, SERVER_KEY, self.port,
                             control_port)


@dataclass
class Answer:
    status: int
    headers: dict
    body: str
    clean_end: bool  # the TLS connection was closed, not cut off
    interim: list = field(default_factory=list)  # of status 1xx


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("-newkey", "rsa:2048")


def live(max_per_source, log_level, password, previous=None):
    digests = b"".join(hashlib.sha256(each.encode()).digest() for each in (password, previous or password))
    return LIVE.pack(digests, max_per_source, log_level, 0)


def make_certificate(folder, kind=EC):
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", *kind, "-nodes", "-days", "2", "-subj", "/CN=vprox", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True)
    return certificate.read_bytes(), key.read_bytes()


def spawn(program, fds, log_path):
    """Starts a program with these descriptors at 3 and above, as the broker does."""
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
    actions = [(os.POSIX_SPAWN_DUP2, fd, 3 + i) for i, fd in enumerate(high)]
    actions.append((os.POSIX_SPAWN_OPEN, 2, str(log_path),
                    os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    environment = {"PATH": os.environ["PATH"]}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            environment[name] = os.environ[name]
    pid = os.posix_spawnp(program[0], program, environment, file_actions=actions)
    for fd in high:
        os.close(fd)
    return pid


def unprivileged_user():
    return NOBODY if os.geteuid() == 0 else os.geteuid()


class Signer:
    """A running signer and the broker's end of its socket."""

    def __init__(self, key, log_path):
        self.log_path = log_path
        self.broker, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fd = os.memfd_create("key")
        os.write(fd, key)
        user = unprivileged_user()
        self.broker.send(SIGNER_CONFIG.pack(SIGNING_VERSION, 0, user, user, 3, 0))
        self.pid = spawn([PROGRAM, "signer"], [its_end.fileno(), fd], log_path)
        os.close(fd)
        its_end.close()
        assert self.hear() == (SIGNER_READY, 0, 0, 0), self.log()
        self.last_socket = 0

    def connect(self):
        """A gate's end of a new socket."""
        ours, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.last_socket += 1
        notice = SIGNER_NOTICE.pack(SIGNING_VERSION, SIGNER_SERVE, 0, self.last_socket, 0)
        socket.send_fds(self.broker, [notice], [its_end.fileno()])
        its_end.close()
        return ours

    def hear(self):
        """What it tells the broker: kind, gate, socket and errno."""
        self.broker.settimeout(10)
        version, *notice = SIGNER_NOTICE.unpack(self.broker.recv(64))
        assert version == SIGNING_VERSION
        return tuple(notice)

    def send_ping(self):
        self.broker.send(SIGNER_NOTICE.pack(SIGNING_VERSION, SIGNER_PING, 0, 0, 0))

    def ping(self):
        self.send_ping()
        return self.hear() == (SIGNER_ALIVE, 0, 0, 0)

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def kill(self):
        if self.pid:
            self.broker.close()
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.pid = None

    def stop(self):
        """Hangs up; returns its exit status."""
        self.broker.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Gate:
    """A running gate, its signer, and the broker's end of their sockets."""

    def __init__(self, certificate, key, folder, endpoints=None, user=None, max_connections=500,
                 max_per_source=500, password=PASSWORD, log_level=3, drop=None,
                 with_signer=True, more_endpoints=0, issuers_fd=None):
        self.endpoints = endpoints or [Endpoint()]
        self.listeners = [self._listen(endpoint) for endpoint in self.endpoints]
        self.ports = [listener.getsockname()[1] for listener in self.listeners]
        self.broker, gates_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.log_path = folder / f"gate-{time.monotonic_ns()}.log"
        if user is None:
            user = unprivileged_user()
        self._key = key
        self.signer = None
        config = self._config(certificate, user, max_connections, max_per_source, password,
                              log_level, more_endpoints, issuers_fd is not None)
        sheet = os.memfd_create("sheet")
        os.ftruncate(sheet, SHEET_SIZE)
        counts = os.memfd_create("counts")
        os.ftruncate(counts, COUNTS_SIZE)
        fds = [gates_end.fileno(), config, *[listener.fileno() for listener in self.listeners], sheet, counts]
        if issuers_fd is not None:
            fds.append(issuers_fd)
        self.pid = spawn([*(drop or []), PROGRAM], fds, self.log_path)
        self.exit_status = None
        os.close(config)
        os.close(sheet)
        os.close(counts)
        gates_end.close()
        for listener in self.listeners:
            listener.close()
        self._requests = []
        self.refusals = []  # (source, bind, port, reason, count)
        self.fetches = []  # the issuers whose keys it wants
        self.is_ready = threading.Event()
        self._arrived = threading.Condition()
        self._handler = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        if with_signer:
            self.start_signer()

    def start_signer(self):
        """In place of the one before, if there was one."""
        self.signer = Signer(self._key, self.log_path)
        self.give_signer(self.signer.connect())

    def give_signer(self, its_end):
        try:
            socket.send_fds(self.broker, [REPLY.pack(VERSION, SIGNER, 0, 0, 0, 0)], [its_end.fileno()])
        except BrokenPipeError:
            pass  # it has ended, which is what a test may be about
        its_end.close()

    @staticmethod
    def _listen(endpoint):
        listener = socket.socket(endpoint.family, socket.SOCK_STREAM)
        listener.bind((endpoint.bind if endpoint.family == socket.AF_INET else "::1", 0))
        listener.listen(4096)
        return listener

    def _config(self, certificate, user, max_connections, max_per_source, password,
                log_level, more_endpoints, has_issuers):
        data = CONFIG.pack(7, len(self.endpoints), len(self.endpoints) + more_endpoints, 1, user, user,
                           max_connections, 7, len(certificate), has_issuers,
                           live(max_per_source, log_level, password), 0, 0)
        for endpoint, control_port in zip(self.endpoints, self.ports):
            data += endpoint.packed(control_port)
        fd = os.memfd_create("gate")
        os.write(fd, data + certificate)
        return fd

    # The broker.

    def _read(self):
        while True:
            try:
                packet, fds, _, _ = socket.recv_fds(self.broker, 256, 8)
            except OSError:
                return
            if not packet:
                return
            fields = REQUEST.unpack(packet)
            if fields[1] == READY:
                assert not fds
                self.is_ready.set()
                continue
            if fields[1] == REFUSED:
                assert not fds
                self.refusals.append(REFUSAL.unpack(packet[-REFUSAL.size:]))
                continue
            if fields[1] == FETCH_KEYS:
                assert not fds
                self.fetches.append(fields[2])
                continue
            request = Request(*fields, *self._ends(fds))
            with self._arrived:
                self._requests.append(request)
                self._arrived.notify_all()
                handler = self._handler
            if handler:
                handler(request)

    def _ends(self, fds):
        """The client's address, if it is IPv4, and which endpoint it has come to; None, None if it
        has gone."""
        fd, = fds
        with socket.socket(fileno=fd) as client:
            try:
                source = ipv4(client.getpeername()[0]) if client.family == socket.AF_INET else 0
            except OSError:
                return None, None
            return source, self.ports.index(client.getsockname()[1])

    def answer(self, request, status=OK, address="10.100.0.2"):
        inner = ipv4(address) if status == OK else 0
        self.broker.send(REPLY.pack(VERSION, ANSWER, status, request.id, inner, 0))

    def answer_all(self, status=OK, address="10.100.0.2"):
        self._handler = lambda request: self.answer(request, status, address)

    def answer_none(self):
        self._handler = None

    def requests(self, n, timeout=20):
        """The first n requests, once they are there."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self._requests) >= n, timeout)
            return list(self._requests)

    def request_count(self):
        with self._arrived:
            return len(self._requests)

    def change(self, password=PASSWORD, previous=None, max_per_source=500, log_level=3):
        self.broker.send(LIVE_REPLY.pack(VERSION, LIVE_SETTINGS, 0, 0, 0, 0,
                                         live(max_per_source, log_level, password, previous)))

    def drain(self):
        self.broker.send(REPLY.pack(VERSION, DRAIN, 0, 0, 0, 0))

    def serve(self, endpoint):
        """One more. Returns its number."""
        listener = self._listen(endpoint)
        listener.setblocking(False)
        self.endpoints.append(endpoint)
        self.ports.append(listener.getsockname()[1])
        notice = struct.pack("=IHHQII", VERSION, ENDPOINT_COMES, 0, 0, 0, 0)
        socket.send_fds(self.broker, [notice + endpoint.packed(self.ports[-1]) + NO_LIVE], [listener.fileno()])
        listener.close()
        return len(self.ports) - 1

    def serve_no_more(self, endpoint):
        notice = struct.pack("=IHHQII", VERSION, ENDPOINT_GONE, 0, 0, 0, 0)
        self.broker.send(notice + ENDPOINT.pack(ipv4(endpoint.bind), 0, 0, bytes(32), 0, 0) + NO_LIVE)

    def hang_up(self):
        self.broker.shutdown(socket.SHUT_RDWR)
        self.broker.close()

    # The process.

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def wait(self, timeout):
        """The exit status: negative if a signal ended it; None if it still runs."""
        end = time.monotonic() + timeout
        while self.exit_status is None and time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_status = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.01)
        return self.exit_status

    def status(self):
        return status(self.pid)

    def memory(self):
        """KB in memory."""
        return int(self.status()["VmRSS"].split()[0])

    def processor_time(self):
        """Seconds."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        """Ends it; True if it drained by itself with status 0."""
        if self.wait(0) is None:
            try:
                self.drain()
            except OSError:
                pass
            self.wait(12)
        if self.exit_status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait(5)
        self.broker.close()
        if self.signer:
            self.signer.kill()
        self.signer = None
        self._thread.join(2)
        return self.exit_status == 0

    # The clients.

    def connect(self, endpoint=0, source=None):
        host = "::1" if self.endpoints[endpoint].family == socket.AF_INET6 else "127.0.0.1"
        bind = (source, 0) if source else None
        return socket.create_connection((host, self.ports[endpoint]), 20, source_address=bind)

    def tls(self, endpoint=0, source=None, **options):
        return wrap(self.connect(endpoint, source), **options)

    def ask(self, *pieces, endpoint=0, source=None):
        """Sends the pieces as they are, and reads the answer to its end."""
        with self.tls(endpoint, source) as client:
            for piece in pieces:
                client.sendall(piece)
            return read_answer(client)

    def curl(self, *arguments, path="/", endpoint=0):
        return subprocess.run(
            ["curl", "-sSk", "--noproxy", "*", "--max-time", "15", "-i", *arguments,
             f"https://127.0.0.1:{self.ports[endpoint]}{path}"],
            capture_output=True, text=True, timeout=20)


def wrap(plain, alpn=None, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    if version:
        context.minimum_version = context.maximum_version = version
    return context.wrap_socket(plain, suppress_ragged_eofs=False)


def read_to_end(client):
    """What comes until the other end closes, and whether it closes as TLS has it."""
    data = b""
    try:
        while True:
            piece = client.recv(65536)
            if not piece:
                return data, True
            data += piece
    except ssl.SSLEOFError:
        return data, False


def parse_answer(data, clean_end=True):
    interim = []
    while True:
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        if not status.startswith("1"):
            break
        interim.append(int(status))
        data = body
    headers = {}
    for line in lines[1:]:
        name, value = line.split(": ", 1)
        assert name not in headers
        headers[name] = value
    return Answer(int(status), headers, body.decode(), clean_end, interim)


def read_answer(client):
    return parse_answer(*read_to_end(client))


def head(method, path, *fields, host=True, bearer=PASSWORD):
    lines = [f"{method} {path} HTTP/1.1"]
    if host:
        lines.append("Host: vprox")
    if bearer is not None:
        lines.append(f"Authorization: Bearer {bearer}")
    return "\r\n".join([*lines, *fields, "", ""]).encode()


def post(path, body=b"", **options):
    return head("POST", path, f"Content-Length: {len(body)}", **options) + body


def chunked(*pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def client_hello(version=None):
    """The first message of a client, that may speak no other version of TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if version:
        context.minimum_version = context.maximum_version = version
    try:
        context.wrap_bio(incoming, outgoing).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()
