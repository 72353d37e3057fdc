"""Network namespaces, and doing things inside them."""

import ctypes
import errno
import fcntl
import functools
import os
import shlex
import signal
import socket
import subprocess
import threading

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 0x1000, 0x4000, 0x40000, 0x100000
MNT_DETACH = 2
NAMESPACES = "/run/netns"  # where `ip netns` looks for them
RUN_FOLDER = "/run/wireguard"  # where userspace devices have their control sockets
COMMAND_SECONDS = 60
# What `ip` says of somebody else's namespace that comes or goes just now.
NAMESPACE_GOES = "Error: Peer netns reference is invalid.\n"

LIBC = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    """Calls a function of libc's that sets errno; it must succeed."""
    encoded = [os.fsencode(arg) if isinstance(arg, str) else arg for arg in args]
    if getattr(LIBC, name)(*encoded):
        error = ctypes.get_errno()
        raise OSError(error, f"{name}{args}: {os.strerror(error)}")


def setns(path):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        call("setns", fd, CLONE_NEWNET)
    finally:
        os.close(fd)


@functools.cache
def prepare():
    """Makes the folder of namespaces a mount that is shared, as the first `ip netns add` of a machine
    would. If that came later, it would put a copy of each of our mounts over it, and no namespace
    could be removed any more."""
    os.makedirs(NAMESPACES, exist_ok=True)
    folder = os.open(NAMESPACES, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            call("mount", "none", NAMESPACES, None, MS_SHARED | MS_REC, None)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            call("mount", NAMESPACES, NAMESPACES, None, MS_BIND | MS_REC, None)
            call("mount", "none", NAMESPACES, None, MS_SHARED | MS_REC, None)
    finally:
        os.close(folder)


def mount_over(mounts):
    """Gives the calling thread, and what it starts, mounts of its own: (source, target) pairs."""
    call("unshare", CLONE_NEWNS)
    call("mount", "none", "/", None, MS_REC | MS_PRIVATE, None)
    for source, target in mounts:
        call("mount", str(source), target, None, MS_BIND, None)


def in_a_thread(function, *args, **kwargs):
    """Calls the function in a thread of its own, which may change its namespaces."""
    outcome = {}

    def inside():
        try:
            outcome["result"] = function(*args, **kwargs)
        except BaseException as error:  # handed to the caller, whatever it is
            outcome["error"] = error
    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def enter(where, function, *args, **kwargs):
    """Calls the function in a namespace: a Namespace, the name of one, or None for the one we are
    in. Its sockets and the processes that it starts are there too."""
    if where is None:
        return function(*args, **kwargs)
    path = where.path if isinstance(where, Namespace) else f"{NAMESPACES}/{where}"

    def inside():
        setns(path)
        return function(*args, **kwargs)
    return in_a_thread(inside)


def words(command):
    """Of a command, given as one text, as one list or as several words."""
    if len(command) > 1:
        return list(map(str, command))
    return shlex.split(command[0]) if isinstance(command[0], str) else list(map(str, command[0]))


class CommandError(AssertionError):
    """A command that a test needs failed."""


class Namespace:
    """A network namespace, as `ip netns add` makes it; but starting a process costs 0.1 s in an
    emulated machine. All namespaces see one /run: run_folder is what its commands are to see as
    RUN_FOLDER, so that two can have userspace devices of one name."""

    def __init__(self, name, run_folder=None):
        self.name = name
        self.path = f"{NAMESPACES}/{name}"
        self.popens = []
        self.run_folder = run_folder
        if run_folder:
            os.makedirs(RUN_FOLDER, exist_ok=True)
        prepare()
        os.close(os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444))

        def make():
            call("unshare", CLONE_NEWNET)
            call("mount", "/proc/thread-self/ns/net", self.path, None, MS_BIND, None)
        in_a_thread(make)

    def remove(self):
        for process in self.popens:
            stop(process)
        if self.run_folder:
            self._end_processes()
        call("umount2", self.path, MNT_DETACH)
        os.unlink(self.path)

    def processes(self):
        """The pids of all processes that are in the namespace."""
        own = os.stat(self.path)
        found = []
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and os.path.samestat(os.stat(f"/proc/{entry}/ns/net"), own):
                    found.append(int(entry))
            except OSError:
                pass  # it has just ended
        return found

    def _end_processes(self):
        """Devices that go on when what started them has ended would keep the namespace alive."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def exists(self):
        return os.path.exists(self.path)

    def enter(self, function, *args, **kwargs):
        """Calls the function there, as enter() does."""
        return enter(self, function, *args, **kwargs)

    def try_run(self, *command, **kwargs):
        """Runs a command: a text, a list or several words. Returns what subprocess.run does, output
        of both kinds as one text."""
        kwargs.setdefault("timeout", COMMAND_SECONDS)
        kwargs.setdefault("stdin", None if "input" in kwargs else subprocess.DEVNULL)
        if kwargs["stdin"] is None:
            del kwargs["stdin"]
        kwargs.setdefault("stderr", subprocess.STDOUT)
        done = self._enter_with_mounts((), subprocess.run, words(command), text=True,
                                       stdout=subprocess.PIPE, check=False, **kwargs)
        done.stdout = done.stdout.replace(NAMESPACE_GOES, "")
        return done

    def _enter_with_mounts(self, mounts, function, *args, **kwargs):
        if not mounts and self.run_folder:
            mounts = [(self.run_folder, RUN_FOLDER)]

        def inside():
            if mounts:
                mount_over(mounts)
            return function(*args, **kwargs)
        return self.enter(inside)

    def run(self, *command, **kwargs):
        """Runs a command that must succeed, and returns its output."""
        done = self.try_run(*command, **kwargs)
        if done.returncode:
            raise CommandError(f"in {self.name}: {shlex.join(words(command))}: "
                               f"status {done.returncode}: {done.stdout}")
        return done.stdout

    def ip(self, *lines):
        """Runs lines of `ip`, in one process."""
        return self.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n")

    def popen(self, command, mounts=(), **kwargs):
        """Starts a command, a text or a list, that ends with the namespace at the latest. mounts:
        what it is to see elsewhere, (source, target) pairs."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        process = self._enter_with_mounts(mounts, subprocess.Popen, words([command]), **kwargs)
        self.popens.append(process)
        return process

    def socket(self, *args):
        return self.enter(socket.socket, *args)

    def sysctl(self, **settings):
        """net__ipv4__ip_forward=1: dots in the name are two underscores."""
        def write():
            for name, value in settings.items():
                with open("/proc/sys/" + name.replace("__", "/"), "w", encoding="ascii") as file:
                    file.write(str(value))
        self.enter(write)

    def read(self, path):
        """The text of a file that each network namespace has its own of; those of /proc/net are
        in /proc/thread-self/net here."""
        def read():
            with open(path, encoding="ascii") as file:
                return file.read()
        return self.enter(read)


def stop(process, seconds=5):
    """Ends a process that a test started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in process.stdout, process.stderr:
        if stream:
            stream.close()
