"""An issuer of tokens, as GitHub, Kubernetes and Modal are: its configuration and keys over HTTPS."""

import http.server
import json
import socket
import ssl
import threading
import time

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"
AUDIENCE = "vprox.example"


class Issuer:
    """answers: by path, what is sent instead: bytes, or an iterator over such, called anew each time. asked: the paths
    so far; shown: what came as Authorization with them. certified: the name that its certificate is for, too."""

    def __init__(self, node, authority, keys=(), name="issuer", host=None, port=0, certified=None):
        self.node = node
        self.keys = list(keys)
        self.answers = {}
        self.asked = []
        self.shown = []
        authority.issue(name, node.address, host=certified)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(authority.folder / f"{name}.pem", authority.folder / f"{name}.key")
        self.host = host or node.address
        self.port = port
        self.open()

    def open(self):
        listener = self.node.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.node.address, self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self.server = http.server.ThreadingHTTPServer(listener.getsockname(), self._handler(), bind_and_activate=False)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # who asked has gone
        self.server.socket.close()
        self.server.socket = self.context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return f"https://{self.host}:{self.port}"

    def document(self, path):
        if path == DISCOVERY:
            return {"issuer": self.url, "jwks_uri": self.url + KEYS}
        return {"keys": [key.published() for key in self.keys]} if path == KEYS else None

    def _handler(issuer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked.append(self.path)
                issuer.shown.append(self.headers.get("Authorization"))
                answer = issuer.answers.get(self.path)
                if answer is None:
                    answer = ok(json.dumps(issuer.document(self.path)).encode())
                try:
                    for part in [answer] if isinstance(answer, bytes) else answer():
                        self.wfile.write(part)
                except OSError:
                    pass  # it has heard enough

            def log_message(self, *_):
                pass
        return Handler

    def claims(self, **more):
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "repo:octo/cat:ref:refs/heads/main",
                  "iat": now, "nbf": now, "exp": now + 300, **more}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, key=None, **claims):
        """With other claims than usual; None leaves one out."""
        return (key or self.keys[0]).token(self.claims(**claims))


def ok(body):
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
