"""Replacing a device, and standing between its two processes: src/device/handover_messages.h."""

import itertools
import os
import re
import select
import signal
import socket
import struct
import threading

from lib.wait import until
from net import DEVICE

HEADER = struct.Struct("=HHIII")  # version, type, flags, length, reserved
VERSION, OPTIONAL, ALIGN = 1, 1, 8
(HELLO, REFUSED, DESCRIPTION, FILE, ALL_FILES, PEER, ALLOWED_IP, IPIP_PEER, CONFIGURED, READY, COUNTERS,
 PEER_STATE, SESSION, KEYPAIR, PENDING, STAGED, HANDSHAKE, END, TAKEN) = range(1, 20)
UNKNOWN = 999
PACKET_MAX = 128 * 1024


def replace(device):
    """Has a new process take the device's place; as subprocess.run() says how it went."""
    return device.space.try_run(*device.in_folder(DEVICE, "device", "--replace", device.name))


def replaced(device):
    done = replace(device)
    assert done.returncode == 0, done.stdout + device.log_text()


def pauses_ms(device):
    return [float(ms) for ms in
            re.findall(r"handed over to process \d+: packets waited for ([0-9.]+) ms",
                       device.log_text())]


def socket_path(device):
    return os.path.join(device.folder, f"{device.name}.handover")


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid), what="its end")


class Record:
    def __init__(self, kind, data=b"", flags=0, version=VERSION):
        self.kind, self.data, self.flags, self.version = kind, data, flags, version

    def bytes(self):
        data = self.data + bytes(-len(self.data) % ALIGN)
        return HEADER.pack(self.version, self.kind, self.flags, len(self.data), 0) + data


def records_of(packet):
    at, found = 0, []
    while at < len(packet):
        version, kind, flags, length, _ = HEADER.unpack_from(packet, at)
        at += HEADER.size
        found.append(Record(kind, packet[at:at + length], flags, version))
        at += length + -length % ALIGN
    return found


def peer_pid(connection):
    return struct.unpack("=iII", connection.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


class Between:
    """Passes on what the two processes say. on_records(side, records) is called with what has come
    from a side, "old" or "new", and returns what is to be passed on instead; None: nothing more is,
    of either side, and both are hung up on."""

    numbers = itertools.count()

    def __init__(self, device, on_records):
        self.device, self.on_records = device, on_records
        self.path, self.real = socket_path(device), socket_path(device) + "-real"
        self.new_pid = None
        self.error = None
        os.rename(self.path, self.real)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(30)
        self.listener.close()
        os.unlink(self.path)
        os.rename(self.real, self.path)
        if self.error:
            raise self.error

    def _run(self):
        try:
            new, _ = self.listener.accept()
        except OSError:
            return  # nobody came
        with new, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as old:
            old.connect(self.real)
            self.new_pid = peer_pid(new)
            self.ends = {"old": old, "new": new}
            try:
                self._pass_on(old, new)
            except (BrokenPipeError, ConnectionResetError):
                pass
            except BaseException as error:
                self.error = error

    def _pass_on(self, old, new):
        """They speak in turns; the old one last of all but TAKEN."""
        others = {old: new, new: old}
        while True:
            for one in select.select([old, new], [], [])[0]:
                packet, fds, _, _ = socket.recv_fds(one, PACKET_MAX, 4)
                try:
                    if not packet or not self._send(one, others[one], packet, fds):
                        return
                finally:
                    for fd in fds:
                        os.close(fd)

    def _send(self, one, other, packet, fds):
        side = "old" if one is self.ends["old"] else "new"
        records = self.on_records(side, records_of(packet))
        if records is None:
            return False
        for record in records:
            if fds and record.kind == FILE:
                socket.send_fds(other, [record.bytes()], fds)
            else:
                other.send(record.bytes())
        return True
