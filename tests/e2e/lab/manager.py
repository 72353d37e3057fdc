"""What systemd does with the sockets of a service: it keeps those that are sent to $NOTIFY_SOCKET
(FDSTORE=1, sd_notify(3)), and starts the next process with them (sd_listen_fds(3))."""

import array
import os
import select
import socket
import threading

MAX_DESCRIPTORS = 16
START = """#!/bin/bash
# The descriptors in $KEPT as those from 3 on, by way of high ones that are nobody's.
n=3
for fd in $KEPT; do eval "exec $((n + 200))<&$fd $fd<&-"; n=$((n + 1)); done
for ((i = 3; i < n; i++)); do eval "exec $i<&$((i + 200)) $((i + 200))<&-"; done
unset KEPT
LISTEN_PID=$$ exec {vprox} "$@"
"""


class ServiceManager:
    def __init__(self, host):
        self.host = host
        self.kept = {}  # name to descriptor
        self.lock = threading.Lock()
        self.path = host.state / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.program = host.state / "start"
        self.program.write_text(START.format(vprox=host.options.vprox))
        self.program.chmod(0o755)
        self.end, self.stop = os.pipe()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def close(self):
        os.close(self.stop)
        self.thread.join()
        os.close(self.end)
        self.socket.close()
        self.discard()

    def discard(self):
        """As when a service is stopped for good."""
        with self.lock:
            for fd in self.kept.values():
                os.close(fd)
            self.kept.clear()

    def _serve(self):
        while True:
            ready, _, _ = select.select([self.socket, self.end], [], [])
            if self.end in ready:
                return
            self._receive()

    def _receive(self):
        room = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
        data, ancillary, _, _ = self.socket.recvmsg(4096, room)
        received = array.array("i")
        for _, kind, content in ancillary:
            if kind == socket.SCM_RIGHTS:
                received.frombytes(content)
        state = dict(line.split("=", 1) for line in data.decode().splitlines())
        with self.lock:
            self._handle(state, list(received))

    def _handle(self, state, received):
        name = state.get("FDNAME")
        if "FDSTOREREMOVE" in state and name in self.kept:
            os.close(self.kept.pop(name))
        if "FDSTORE" not in state:
            assert not received
            return
        (fd,) = received
        assert name and ":" not in name and len(name) < 256, "sd_notify(3) allows no other"
        if name in self.kept:
            assert os.path.sameopenfile(self.kept[name], fd), "two of one name"
            os.close(fd)
        else:
            self.kept[name] = fd

    def launch(self, arguments="--on-exit=keep", **kwargs):
        """Starts a server with what is kept."""
        with self.lock:
            descriptors = list(self.kept.values())
            environment = {"NOTIFY_SOCKET": str(self.path), "LISTEN_FDS": str(len(descriptors)),
                           "LISTEN_FDNAMES": ":".join(self.kept),
                           "KEPT": " ".join(map(str, descriptors))}
            return self.host.launch(arguments, environment=environment, program=self.program,
                                    descriptors=descriptors, **kwargs)

    def start(self, arguments="--on-exit=keep", **kwargs):
        return self.launch(arguments, **kwargs).wait_ready()
