"""The control plane as its clients see it: requests over TLS, down to the bytes."""

import dataclasses
import json
import os
import socket
import ssl
import time

PORT = 443
PASSWORD = "correct horse battery staple"


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


CONTEXT = tls_context()


@dataclasses.dataclass
class Response:
    status: int
    headers: dict  # names in lower case
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        assert self.headers["content-type"].split(";")[0] == "application/json", self
        return json.loads(self.body)

    @property
    def inner(self):
        """The assigned address, without the length of its block."""
        assert self.status == 200, self
        return self.json["AssignedAddr"].split("/")[0]


def parse(data):
    """Parses an answer; None while it is not whole."""
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    first, *lines = head.decode().split("\r\n")
    version, status, _ = first.split(" ", 2)
    assert version == "HTTP/1.1", first
    headers = {}
    for line in lines:
        name, value = line.split(":", 1)
        assert name.lower() not in headers, f"twice: {line}"
        headers[name.lower()] = value.strip()
    length = int(headers["content-length"])
    assert len(body) <= length, "more than Content-Length says"
    return Response(int(status), headers, body) if len(body) == length else None


class Connection:
    """A TLS connection from a node to a server."""

    def __init__(self, node, address, timeout=10, device=None, source=None, context=CONTEXT):
        raw = node.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            raw.settimeout(timeout)
            if device:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            if source:
                raw.bind((source, 0))
            raw.connect((address, PORT))
            self.port = raw.getsockname()[1]
            self.socket = context.wrap_socket(raw, server_hostname=address)
        except BaseException:
            raw.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """Reads one answer. Skips 100 Continue."""
        data = b""
        while True:
            if data.startswith(b"HTTP/1.1 100"):
                data = data.partition(b"\r\n\r\n")[2]
                continue
            response = parse(data)
            if response:
                return response
            more = self.socket.recv(65536)
            assert more, f"closed in the middle of an answer: {data!r}"
            data += more

    def closed_within(self, seconds):
        """The seconds until the server closed the TCP connection; None if it did not in this time.
        What TLS says of closing does not count."""
        began = time.monotonic()
        with socket.socket(fileno=os.dup(self.socket.fileno())) as raw:
            while (left := began + seconds - time.monotonic()) > 0:
                raw.settimeout(left)
                try:
                    if not raw.recv(65536):
                        return time.monotonic() - began
                except socket.timeout:
                    return None
                except ConnectionError:
                    return time.monotonic() - began
        return None


def is_refused(node, address):
    """Whether nobody listens there."""
    try:
        Connection(node, address, timeout=2).socket.close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass  # it got in line just before the end
    return False


def request_bytes(method, path, body=None, headers=None, password=PASSWORD, host="server"):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    if password is not None:
        lines.append(f"Authorization: Bearer {password}")
    if isinstance(body, dict):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    if body is not None and "Transfer-Encoding" not in (headers or {}):
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


class Api:
    """A client's view of one of the server's addresses."""

    def __init__(self, node, address):
        self.node = node
        self.address = address

    def raw(self, data, **kwargs):
        with Connection(self.node, self.address, **kwargs) as connection:
            connection.send(data)
            return connection.receive()

    def request(self, method, path, body=None, headers=None, password=PASSWORD, **kwargs):
        return self.raw(request_bytes(method, path, body, headers, password), **kwargs)

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def is_served(self, seconds=10, **kwargs):
        """Whether the server is there and answers, each step in so many seconds."""
        try:
            return self.get("/healthz", timeout=seconds, **kwargs).status == 200
        except OSError:
            return False

    def post(self, path, body=None, **kwargs):
        return self.request("POST", path, body, **kwargs)

    def connect(self, public_key, **kwargs):
        return self.post("/connect", {"PeerPublicKey": public_key}, **kwargs)

    def disconnect(self, public_key, **kwargs):
        return self.post("/disconnect", {"PeerPublicKey": public_key}, **kwargs)

    def connect_ipip(self, **kwargs):
        return self.post("/connect-ipip", **kwargs)

    def disconnect_ipip(self, **kwargs):
        return self.post("/disconnect-ipip", **kwargs)
