"""A server of the control plane that answers what a test tells it to, and keeps what it was asked."""

import json
import time

from lab.web import WebServer

PORT = 443
GRANT = {"AssignedAddr": "10.100.0.2/16",
         "ServerPublicKey": "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
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


class Pretender(WebServer):
    """answers: path to bytes, or to a function that is given the connection. "*" is any other
    path."""

    def __init__(self, host, answers, folder=None):
        """folder: where tls-cert.pem and tls-key.pem are; made if None."""
        folder = folder or self._make_key(host)
        self.protocols = []  # what ALPN settled on
        super().__init__(host.ns, host.address, PORT, answers,
                         (folder / "tls-cert.pem", folder / "tls-key.pem"), ["h2", "http/1.1"])

    @staticmethod
    def _make_key(host):
        folder = host.state / "pretender"
        folder.mkdir()
        host.ns.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=pretender", "-days", "2",
                     "-keyout", str(folder / "tls-key.pem"), "-out", str(folder / "tls-cert.pem")])
        return folder

    def _answer(self, connection):
        """requests becomes (when, what)."""
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
