"""Streams and datagrams from one namespace to another, small ones, by sockets of the test's own
process: a process for each end takes seconds in the guest."""

import hashlib
import os
import socket
import threading

TIMEOUT = 60  # seconds for one of them
AGAIN = 2  # until a datagram is sent again


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def open_socket(space, kind, address, options=b""):
    """options: of the IPv4 header."""
    made = space.socket(family_of(address), kind)
    made.settimeout(TIMEOUT)
    if options:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
    return made


def datagram_arrives(sender, receiver, address, size, options=b""):
    """Whether one does, cut into fragments if it must be. Where routes or MTUs have just changed, the
    first ones may be lost."""
    data = os.urandom(size)
    with open_socket(sender, socket.SOCK_DGRAM, address, options) as source, \
            open_socket(receiver, socket.SOCK_DGRAM, address) as sink:
        if family_of(address) == socket.AF_INET:
            source.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER: IP_PMTUDISC_DONT
        sink.bind((address, 0))
        sink.settimeout(AGAIN)
        for _ in range(TIMEOUT // AGAIN):
            source.sendto(data, sink.getsockname()[:2])
            try:
                return sink.recv(1 << 16) == data
            except TimeoutError:
                pass
    return False


class Stream:
    """One connection, by which random bytes go."""

    def __init__(self, source, listener, size):
        self.source, self.data, self.digest = source, os.urandom(size), None
        source.connect(listener.getsockname()[:2])
        self.sink, _ = listener.accept()
        self.sink.settimeout(TIMEOUT)
        self.threads = [threading.Thread(target=one) for one in (self.send, self.receive)]

    def send(self):
        self.source.sendall(self.data)
        self.source.shutdown(socket.SHUT_WR)

    def receive(self):
        digest = hashlib.sha256()
        while part := self.sink.recv(1 << 16):
            digest.update(part)
        self.digest = digest.digest()

    def has_arrived(self):
        for thread in self.threads:
            thread.join()
        self.source.close()
        self.sink.close()
        return self.digest == hashlib.sha256(self.data).digest()


def streams_arrive(sender, receiver, address, size, count=1, options=b""):
    """Whether all of so many at once do, intact."""
    with open_socket(receiver, socket.SOCK_STREAM, address) as listener:
        listener.bind((address, 0))
        listener.listen(count)
        streams = [Stream(open_socket(sender, socket.SOCK_STREAM, address, options), listener, size)
                   for _ in range(count)]
        for stream in streams:
            for thread in stream.threads:
                thread.start()
        return all([stream.has_arrived() for stream in streams])
