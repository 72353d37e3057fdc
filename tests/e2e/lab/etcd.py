"""etcd, as servers of a fleet have it in common: Debian's etcd-server, its members on one node."""

import base64
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

from lib import wait
from lib.netns import stop

FIRST_PORT = 23790
MOST_MEMBERS = 3
clusters = itertools.count()  # each has ports of its own
START_SECONDS = 60


def encoded(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


class Member:
    def __init__(self, cluster, number):
        self.cluster, self.number = cluster, number
        self.folder = cluster.folder / f"member-{number}"
        # For clients, for an operator, and for the other members.
        self.port, self.own_port, self.peer_port = (
            FIRST_PORT + (cluster.serial * MOST_MEMBERS + number) * 3 + i for i in range(3))
        self.process = None

    @property
    def address(self):
        return f"{self.cluster.node.address}:{self.port}"

    def start(self):
        scheme = "https" if self.cluster.tls else "http"
        peers = [f"m{member.number}=http://127.0.0.1:{member.peer_port}" for member in self.cluster.members]
        words = ["etcd", "--name", f"m{self.number}", "--data-dir", self.folder,
                 "--listen-client-urls", f"{scheme}://{self.address},http://127.0.0.1:{self.own_port}",
                 "--advertise-client-urls", f"{scheme}://{self.address}",
                 "--listen-peer-urls", peers[self.number].split("=")[1],
                 "--initial-advertise-peer-urls", peers[self.number].split("=")[1],
                 "--initial-cluster", ",".join(peers), "--heartbeat-interval=100",
                 "--election-timeout=1000", "--bcrypt-cost=4", *self.cluster.options]
        if self.cluster.tls:
            words += ["--cert-file", self.cluster.tls / "etcd.pem", "--key-file", self.cluster.tls / "etcd.key"]
        with open(self.cluster.folder / f"log-{self.number}", "ab") as log:
            self.process = self.cluster.node.ns.popen(list(map(str, words)), stdout=log, stderr=log,
                                                      cwd=self.cluster.folder)
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ask(self, path, question, seconds=10):
        """An operator's question, on the loopback, where no certificate is asked for."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.own_port}{path}",
                                         json.dumps(question).encode(), self.cluster.headers)

        def inside():
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return json.load(answer)
        return self.cluster.node.ns.enter(inside)


class Etcd:
    """One member, or a cluster of several."""

    def __init__(self, node, n=1, options=(), tls=None):
        """node: where it runs. options: of all members. tls: a folder with etcd.pem and etcd.key; None: plain."""
        self.node, self.n, self.options, self.tls = node, n, options, tls
        self.serial = next(clusters)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vprox-etcd-"))
        self.headers = {}
        self.members = [Member(self, number) for number in range(n)]

    def start(self):
        for member in self.members:
            member.start()
        self.wait()
        return self

    def wait(self):
        wait.until(self.is_serving, START_SECONDS, lambda: f"etcd serves:\n{self.log}")

    def is_serving(self):
        try:
            return bool(self.ask("/v3/kv/range", {"key": encoded("x")}))
        except (OSError, http.client.HTTPException, ValueError):  # or it ends amid its answer
            return False

    @property
    def log(self):
        return "".join(path.read_text() for path in self.folder.glob("log-*"))[-4000:]

    def kill(self):
        for member in self.members:
            if member.process.poll() is None:
                member.kill()

    def close(self):
        for member in self.members:
            if member.process:
                stop(member.process, 0)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask_for_passwords(self, fleet, name, password):
        """From now on: this user may read and write what the fleet has, and nothing else."""
        begin = f"/vprox/{fleet}/".encode()
        permission = {"permType": "READWRITE", "key": encoded(begin),
                      "range_end": encoded(begin[:-1] + bytes([begin[-1] + 1]))}
        for path, question in [
                ("user/add", {"name": "root", "password": "root"}), ("role/add", {"name": "root"}),
                ("user/grant", {"user": "root", "role": "root"}),
                ("user/add", {"name": name, "password": password}), ("role/add", {"name": "fleet"}),
                ("role/grant", {"name": "fleet", "perm": permission}),
                ("user/grant", {"user": name, "role": "fleet"}), ("enable", {})]:
            self.ask(f"/v3/auth/{path}", question)
        self.authenticate()

    def authenticate(self):
        """As the operator."""
        self.headers = {}
        self.headers["Authorization"] = self.ask("/v3/auth/authenticate", {"name": "root", "password": "root"})["token"]

    def store(self, fleet, members=None):
        """What --store is to be."""
        return f"etcd://{','.join(member.address for member in members or self.members)}/{fleet}"

    def ask(self, path, question):
        running = [member for member in self.members if member.process.poll() is None]
        if not running:
            raise OSError("none runs")
        return running[0].ask(path, question)

    def leader(self):
        for member in self.members:
            status = member.ask("/v3/maintenance/status", {})
            if status["leader"] == status["header"]["member_id"]:
                return member
        return None

    def records(self, prefix):
        """Name to value, of all whose names begin so."""
        found, more, key = {}, True, prefix.encode()
        end = encoded(key[:-1] + bytes([key[-1] + 1]))
        while more:
            answer = self.ask("/v3/kv/range", {"key": encoded(key), "range_end": end, "limit": 1000})
            for entry in answer.get("kvs", []):
                key = base64.b64decode(entry["key"])
                found[key.decode()] = base64.b64decode(entry.get("value", ""))
            key += b"\0"
            more = answer.get("more", False)
        return found

    def put(self, name, value):
        self.ask("/v3/kv/put", {"key": encoded(name), "value": encoded(value)})

    def make_room(self, prefix):
        """As an operator does it whose etcd is full: removes what begins so, for good, and ends the alarm."""
        key = prefix.encode()
        self.ask("/v3/kv/deleterange", {"key": encoded(key), "range_end": encoded(key[:-1] + bytes([key[-1] + 1]))})
        revision = self.ask("/v3/kv/range", {"key": encoded("x")})["header"]["revision"]
        self.ask("/v3/kv/compaction", {"revision": revision, "physical": True})
        self.ask("/v3/maintenance/defragment", {})
        for alarm in self.ask("/v3/maintenance/alarm", {"action": "GET"}).get("alarms", []):
            self.ask("/v3/maintenance/alarm", {**alarm, "action": "DEACTIVATE"})

    def revision(self):
        return int(self.ask("/v3/kv/range", {"key": encoded("x")})["header"]["revision"])

    def compact(self, revision):
        self.ask("/v3/kv/compaction", {"revision": str(revision)})

    def is_compacted(self, revision):
        """Whether nobody can read any more what there was at that revision."""
        try:
            self.ask("/v3/kv/range", {"key": encoded("x"), "revision": str(revision)})
        except urllib.error.HTTPError as error:
            return "required revision has been compacted" in error.read().decode()
        return False

    def delete(self, name):
        self.ask("/v3/kv/deleterange", {"key": encoded(name)})


class SlowWay:
    """A TCP proxy before a member: what comes in goes out so many seconds later."""

    def __init__(self, node, member, seconds):
        self.member, self.seconds = member, seconds
        self.sockets = []
        self.listener = node.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.bind((node.address, 0))
        self.listener.listen()
        self.node = node
        self.address = "{}:{}".format(*self.listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                inner, _ = self.listener.accept()
                outer = self.node.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
                host, port = self.member.address.split(":")
                outer.connect((host, int(port)))
                self.sockets += inner, outer
                for one, other in (inner, outer), (outer, inner):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                time.sleep(self.seconds)
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        for each in [self.listener, *self.sockets]:
            each.close()


def make_fleet_key(vprox, folder):
    path = pathlib.Path(folder) / "fleet-key"
    subprocess.run([vprox, "fleet-key", path], check=True)
    os.chmod(path, 0o600)
    return path
