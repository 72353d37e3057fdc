"""What the clients visit: servers that say which address and port they are visited from."""

import hashlib
import socket
import socketserver
import threading

VISITED = "198.51.100.80"
HTTP_PORT = 80
UDP_PORT = 7777
ANSWER_SECONDS = 120  # for all of it: a visitor may be slow, or not to be reached for a while
DATA_SIZE = 2 << 20
DATA = hashlib.shake_128(b"vprox").digest(DATA_SIZE)


class HttpHandler(socketserver.BaseRequestHandler):
    """GET /: the visitor's address and port. GET /data: two megabytes."""

    def handle(self):
        request = b""
        self.request.settimeout(ANSWER_SECONDS)
        while b"\r\n\r\n" not in request:
            data = self.request.recv(65536)
            if not data:
                return
            request += data
        body = DATA if request.startswith(b"GET /data") else \
            "{} {}\n".format(*self.client_address).encode()
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                             % len(body) + body)


class UdpHandler(socketserver.BaseRequestHandler):
    def handle(self):
        self.server.seen.append((self.request[0], self.client_address))
        self.request[1].sendto("{} {}\n".format(*self.client_address).encode(),
                               self.client_address)


class Http(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A visitor that goes away is none of the tests' business."""


class Udp(socketserver.UDPServer):
    def __init__(self, *args):
        super().__init__(*args)
        self.seen = []

    def handle_error(self, request, client_address):
        """Some are asked by those who cannot be answered."""


class Echo:
    def __init__(self, namespace, address):
        self.servers = [namespace.enter(kind, (address, port), handler)
                        for kind, port, handler in ((Http, HTTP_PORT, HttpHandler),
                                                    (Udp, UDP_PORT, UdpHandler))]
        for server in self.servers:
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()

    @property
    def datagrams(self):
        """What came by UDP: (payload, (address, port))."""
        return self.servers[1].seen

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()


def bound(namespace, kind, device, port, seconds):
    """A socket whose traffic goes through a device, or None for wherever it goes."""
    sock = namespace.socket(socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if device:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    sock.bind(("0.0.0.0", port))
    sock.settimeout(seconds)
    return sock


def visit(namespace, device, port=0, seconds=15, address=VISITED):
    """Asks the HTTP echo through a device: the address and port it is visited from, or None."""
    try:
        with bound(namespace, socket.SOCK_STREAM, device, port, seconds) as sock:
            sock.connect((address, HTTP_PORT))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while data := sock.recv(4096):
                answer += data
    except OSError:
        return None
    seen, port = answer.partition(b"\r\n\r\n")[2].decode().split()
    return seen, int(port)


def ask_udp(namespace, device, port=0, seconds=10, payload=b"?", address=VISITED):
    """The same of the UDP echo."""
    with bound(namespace, socket.SOCK_DGRAM, device, port, seconds) as sock:
        try:
            sock.sendto(payload, (address, UDP_PORT))
            seen, port = sock.recv(100).decode().split()
        except OSError:
            return None
    return seen, int(port)
