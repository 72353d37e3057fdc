"""A web server that answers what a test tells it to, in clear or by TLS, and keeps what it was asked."""

import socket
import ssl
import threading
import time


class Request:
    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = first.split(" ", 2)
        self.headers = dict(line.split(": ", 1) for line in lines)
        self.time = time.monotonic()


def answer(status, body=b"", length=None):
    body = body.encode() if isinstance(body, str) else body
    return (f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body) if length is None else length}\r\n"
            "Connection: close\r\n\r\n").encode() + body


class WebServer:
    """answers: a function that is given the Request and returns bytes, or something that is iterated over, bytes by
    bytes; it may be replaced. certificate: path of a chain and of its key. protocols: what ALPN offers."""

    def __init__(self, namespace, address, port, answers, certificate=None, protocols=()):
        self.answers = answers
        self.requests = []
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
            if protocols:
                self.context.set_alpn_protocols(protocols)
        self.listener = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(64)
        self.is_open = True
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def close(self):
        self.is_open = False
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def _serve(self):
        while self.is_open:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_one, args=(raw,), daemon=True).start()

    def _serve_one(self, raw):
        try:
            with raw:
                raw.settimeout(20)
                connection = self.context.wrap_socket(raw, server_side=True) if self.context else raw
                with connection:
                    self._answer(connection)
        except OSError:
            pass  # the other side has had enough

    def _answer(self, connection):
        data = b""
        while b"\r\n\r\n" not in data or \
                len(data.partition(b"\r\n\r\n")[2]) < int(Request(data).headers.get("Content-Length", 0)):
            more = connection.recv(65536)
            if not more:
                return
            data += more
        request = Request(data)
        self.requests.append(request)
        said = self.answers(request)
        for part in [said] if isinstance(said, bytes) else said:
            connection.sendall(part)
