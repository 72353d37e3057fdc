"""A server of the control plane that answers what a test tells it to, and keeps what it was asked."""

import json
import socket
import ssl
import threading
import time

PORT = 443
GRANT = {"AssignedAddr": "10.100.0.2/16",
         "ServerPublicKey": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
         "ServerListenPort": 50227}


def answer(status, body=b"", *headers, length=True):
    lines = [f"HTTP/1.1 {status} Whatever", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def grant(**changes):
    """An answer as the server gives it, with changes; None takes a field away."""
    fields = {**GRANT, **changes}
    body = json.dumps({name: value for name, value in fields.items() if value is not None})
    return answer(200, body.encode(), "Content-Type: application/json")


class Pretender:
    """answers: path to bytes, or to a function that is given the connection. "*" is any other
    path."""

    def __init__(self, host, answers, folder=None):
        """folder: where tls-cert.pem and tls-key.pem are; made if None."""
        folder = folder or self._make_key(host)
        self.answers = answers
        self.requests = []  # (when, what)
        self.protocols = []  # what ALPN settled on
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls-cert.pem", folder / "tls-key.pem")
        context.set_alpn_protocols(["h2", "http/1.1"])
        self.context = context
        self.listener = host.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host.address, PORT))
        self.listener.listen(16)
        self.open = True
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @staticmethod
    def _make_key(host):
        folder = host.state / "pretender"
        folder.mkdir()
        host.ns.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=pretender", "-days", "2",
                     "-keyout", str(folder / "tls-key.pem"), "-out", str(folder / "tls-cert.pem")])
        return folder

    def _serve(self):
        while self.open:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_one, args=(raw,), daemon=True).start()

    def _serve_one(self, raw):
        try:
            raw.settimeout(20)
            with self.context.wrap_socket(raw, server_side=True) as connection:
                self.protocols.append(connection.selected_alpn_protocol())
                request = b""
                while b"\r\n\r\n" not in request:
                    data = connection.recv(65536)
                    if not data:
                        return
                    request += data
                self.requests.append((time.monotonic(), request.decode()))
                path = request.split(b" ")[1].decode()
                what = self.answers.get(path, self.answers.get("*", answer(404)))
                if callable(what):
                    what(connection)
                else:
                    connection.sendall(what)
        except OSError:
            pass  # the client has gone

    def close(self):
        self.open = False
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
