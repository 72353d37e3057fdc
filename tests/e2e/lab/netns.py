"""Network namespaces, and doing things inside them."""

import ctypes
import os
import shlex
import socket
import subprocess
import threading

CLONE_NEWNET = 0x40000000
COMMAND_SECONDS = 60

LIBC = ctypes.CDLL(None, use_errno=True)


def setns(path):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if LIBC.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)


class CommandError(AssertionError):
    """A command that a test needs failed."""


class Namespace:
    """A network namespace, made with `ip netns add`."""

    def __init__(self, name):
        self.name = name
        self.path = f"/run/netns/{name}"
        self.popens = []
        subprocess.run(["ip", "netns", "add", name], check=True)

    def remove(self):
        for process in self.popens:
            stop(process)
        subprocess.run(["ip", "netns", "del", self.name], check=True)

    def enter(self, function, *args, **kwargs):
        """Calls the function in a thread that is in the namespace: its sockets and the processes
        that it starts are too."""
        outcome = {}

        def inside():
            try:
                setns(self.path)
                outcome["result"] = function(*args, **kwargs)
            except BaseException as error:  # handed to the caller, whatever it is
                outcome["error"] = error
        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["result"]

    def try_run(self, command, **kwargs):
        """Runs a command, a text or a list. Returns what subprocess.run does, output as text."""
        words = shlex.split(command) if isinstance(command, str) else command
        kwargs.setdefault("timeout", COMMAND_SECONDS)
        kwargs.setdefault("stdin", None if "input" in kwargs else subprocess.DEVNULL)
        if kwargs["stdin"] is None:
            del kwargs["stdin"]
        return self.enter(subprocess.run, words, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **kwargs)

    def run(self, command, **kwargs):
        """Runs a command that must succeed, and returns its output."""
        done = self.try_run(command, **kwargs)
        if done.returncode:
            raise CommandError(f"in {self.name}: {command}: status {done.returncode}: {done.stdout}")
        return done.stdout

    def ip(self, *lines):
        """Runs lines of `ip`, in one process."""
        return self.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n")

    def popen(self, command, **kwargs):
        """Starts a command that ends with the namespace at the latest."""
        words = shlex.split(command) if isinstance(command, str) else command
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        process = self.enter(subprocess.Popen, words, **kwargs)
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
        """The text of a file that each network namespace has its own of."""
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
