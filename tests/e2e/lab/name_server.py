"""A name server on the lab's Internet, that answers what a test tells it to (RFC 1035)."""

import socket
import struct
import threading

ADDRESS, ADDRESS6 = "192.0.2.53", "2001:db8:1::53"
A, CNAME, SOA, AAAA = 1, 5, 6, 28
HEADER = struct.Struct("!HHHHHH")
ANSWERED, TRUNCATED = 0x8180, 0x8380  # QR, RD, RA; and TC
NO_SUCH_NAME = 3


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


class Question:
    """One that was asked."""

    def __init__(self, message, by_tcp):
        self.id = message[:2]
        self.by_tcp = by_tcp
        labels, at = [], HEADER.size
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
        self.name = ".".join(labels)
        self.type = struct.unpack_from("!H", message, at + 1)[0]
        self.text = message[HEADER.size:at + 5]

    def answer(self, *records, flags=ANSWERED, code=0):
        head = struct.pack("!HHHHH", flags | code, 1, len(records), 0, 0)
        return self.id + head + self.text + b"".join(records)


def record(kind, data, name=b"\xc0\x0c"):
    """name: by default the question's."""
    return name + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


class NameServer:
    """names: name to a list of IPv4 addresses. answer, if it is set, makes the whole answer of a
    Question, or None for none; over TCP without its length, or a list of pieces that are sent as they
    are."""

    def __init__(self, internet):
        self.internet = internet
        self.names = {}
        self.answer = None
        self.asked = []  # names
        internet.ip(f"addr add {ADDRESS}/32 dev lo", f"addr add {ADDRESS6}/128 dev lo nodad")
        self.sockets = []
        for family, address in (socket.AF_INET, ADDRESS), (socket.AF_INET6, ADDRESS6):
            for kind, serve in (socket.SOCK_DGRAM, self._serve_udp), (socket.SOCK_STREAM, self._serve_tcp):
                sock = internet.socket(family, kind)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((address, 53))
                sock.settimeout(0.2)
                if kind == socket.SOCK_STREAM:
                    sock.listen()
                self.sockets.append((sock, threading.Thread(target=serve, args=[sock])))
        self.open = True
        for _, thread in self.sockets:
            thread.start()

    def close(self):
        self.open = False
        for sock, thread in self.sockets:
            thread.join()
            sock.close()
        self.internet.ip(f"addr del {ADDRESS}/32 dev lo", f"addr del {ADDRESS6}/128 dev lo")

    def _reply(self, message, by_tcp):
        question = Question(message, by_tcp)
        self.asked.append(question.name)
        if self.answer:
            return self.answer(question)
        if question.name not in self.names:
            return question.answer(code=NO_SUCH_NAME)
        return question.answer(*[record(A, socket.inet_aton(address)) for address in
                                 self.names[question.name] if question.type == A])

    def _serve_udp(self, sock):
        while self.open:
            try:
                message, peer = sock.recvfrom(4096)
                reply = self._reply(message, False)
                if reply is not None:
                    sock.sendto(reply, peer)
            except (socket.timeout, ConnectionError):
                pass

    def _serve_tcp(self, sock):
        while self.open:
            try:
                connection, _ = sock.accept()
            except socket.timeout:
                continue
            with connection:
                connection.settimeout(5)
                try:
                    self._serve_connection(connection)
                except (OSError, struct.error, IndexError):
                    pass  # it is gone

    def _serve_connection(self, connection):
        while self.open:
            length = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))[0]
            reply = self._reply(connection.recv(length, socket.MSG_WAITALL), True)
            if reply is None:
                return
            for piece in reply if isinstance(reply, list) else [struct.pack("!H", len(reply)) + reply]:
                connection.sendall(piece)
