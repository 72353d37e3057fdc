"""What the kernel says of a process, and how one is stopped."""

import contextlib
import ctypes
import os
import signal
import socket

from lib import wait

PIDFD_GETFD = 438  # asm-generic/unistd.h


def status(pid):
    """The fields of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return {name: value.strip() for name, value in (line.split(":", 1) for line in file)}


def state(pid):
    """Its letter, as proc(5) has it: T stands still; Z or X has ended, as one has that is not there."""
    try:
        return status(pid)["State"][0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def command_line(pid):
    """The words that it was started with; none if it has ended, be it after its file was opened."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def children(pid):
    """The pids of those that the process started by its first thread."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def open_files(pid):
    """What the process has open: by the descriptor, what proc(5) says of it, such as a path or "socket:[N]". One that is
    closed meanwhile is left out; of a process that has ended there is none."""
    folder, found = f"/proc/{pid}/fd", {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for fd in sorted(map(int, os.listdir(folder))):
            with contextlib.suppress(FileNotFoundError):
                found[fd] = os.readlink(f"{folder}/{fd}")
    return found


def socket_of(pid, descriptor):
    """A copy of another process's."""
    pidfd = os.pidfd_open(pid)
    fd = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, descriptor, 0)
    os.close(pidfd)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return socket.socket(fileno=fd)


def kill(pid):
    """Ends it at once, if it has not ended by itself meanwhile."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def stand_still(pid):
    """Until it gets SIGCONT. kill(2) returns before it has stopped, which on a busy machine takes as
    long as it takes."""
    os.kill(pid, signal.SIGSTOP)
    wait.until(lambda: state(pid) in "TZX", what=f"process {pid} stands still")
