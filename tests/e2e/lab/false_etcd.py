"""What answers in etcd's place, whatever a test tells it to."""

import http.server
import socket
import threading

OK = b"HTTP/1.1 200 OK\r\n"


class FalseEtcd:
    """answer: bytes of an HTTP answer, or a function that is given the question's path and body and returns them; it may
    also return an iterator over such. A connection stays open behind an answer of ok()."""

    def __init__(self, node):
        self.answer = b""
        listener = node.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind((node.address, 0))
        listener.listen(16)
        self.address = "{}:{}".format(*listener.getsockname())
        false_etcd = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = false_etcd.answer
                answer = answer(self.path, body) if callable(answer) else answer
                try:
                    for part in [answer] if isinstance(answer, bytes) else answer:
                        self.wfile.write(part)
                except OSError:
                    pass  # it has heard enough
                self.close_connection = not (isinstance(answer, bytes) and answer.startswith(OK))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # who asked has gone
        self.server.socket.close()
        self.server.socket = listener
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.socket.close()


def ok(body):
    """An answer that is one by HTTP."""
    return OK + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
