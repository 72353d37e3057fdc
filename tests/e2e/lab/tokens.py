"""Clients with a token of their own, and the file that has them."""

import hashlib
import re
import signal

from lib import wait

STAYS = "the configuration cannot be used, and stays as it was"


def sha256(token):
    return hashlib.sha256(token.encode()).hexdigest()


def line(name, token, options=""):
    return f"{name} {sha256(token)} {options}".rstrip()


class Tokens:
    """The file, which is always there as a whole."""

    def __init__(self, host):
        self.host = host
        self.path = host.state / "tokens"
        self.server = None

    def write(self, *lines, mode=0o600):
        new = self.path.with_name("new")
        new.write_text("".join(f"{each}\n" for each in lines))
        new.chmod(mode)
        new.rename(self.path)

    def start(self, *lines, arguments="", **kwargs):
        self.write(*lines)
        self.server = self.host.start(f"--tokens={self.path} {arguments}", **kwargs)
        return self.server

    def reload(self, *lines):
        """What the log says of it."""
        self.write(*lines)
        pattern = re.compile(f"configuration read again.*|{STAYS}")
        before, n = len(self.server.log), len(pattern.findall(self.server.log))
        self.server.send_signal(signal.SIGHUP)
        wait.until(lambda: len(pattern.findall(self.server.log)) > n, what=lambda: self.server.log)
        return self.server.log[before:]


def names(host):
    """Of all peers that there are."""
    return sorted(peer["name"] for peer in host.shown_peers())


def tunnel(host, kind, node, token):
    """Made by this token, with real packets."""
    made = host.tunnel(kind, node)
    made.password = token
    return made.up()
