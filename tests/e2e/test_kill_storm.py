"""The processes of a server are killed again and again, one or two at a time, while clients of both
kinds ask and send: nobody is ever told another address than its first, and at the end data plane,
table and store tell the same, and nothing is left over.

KILL_STORM_KILLS (`make kill-storm`: 300) and KILL_STORM_SEED, which is printed, choose another
storm; KILL_STORM_BUSY is how many processes keep the processors from it meanwhile."""

import collections
import json
import os
import random
import re
import subprocess
import sys
import time

import pytest

from lab.client import Machine
from lab.storm import Storm
from lib import wait
from lib.process import kill, open_files

pytestmark = pytest.mark.plane

KILLS = {"embedded": 24, "kernel": 10}
SEED = int(os.environ.get("KILL_STORM_SEED", "10"))
BUSY = int(os.environ.get("KILL_STORM_BUSY", "0"))
BACK = 90
BLOCK = "10.100.0.0/24"  # small enough that freed addresses are given out again
CLIENTS_OF_A_NODE = 40
OPTIONS = "--reap-interval=1s --idle-timeout=2h --connect-grace=2h --store-wait=200ms"
EXPECTED = [r"was killed", r"vprox. has vanished", r"has not its tunnel", r"cannot",
            r"the broker is gone", r"was lost", r"the store has not answered"]
PING_SECONDS = 0.02
ROUNDS_BETWEEN_CHECKS = 5
WAITED_FOR = 0.7  # of all times


class Pings:
    """Echoes through a client's tunnel all the time."""

    def __init__(self, client, gateway):
        self.path = client.machine.state / f"pings-{client.device}"
        with open(self.path, "wb") as out:
            self.process = client.machine.ns.popen(
                f"ping -n -D -i {PING_SECONDS} -I {client.device} {gateway}",
                stdout=out, stderr=subprocess.DEVNULL)

    def gaps(self):
        """Ends them: (when it began, how long it was) of each pause, in seconds of the clock."""
        assert self.process.poll() is None, "ping has ended by itself"
        ended = time.time()
        self.process.kill()
        self.process.wait()
        times = [float(at) for at in re.findall(r"^\[(\d+\.\d+)\] \d+ bytes from",
                                                self.path.read_text(), re.MULTILINE)]
        return [(before, after - before) for before, after in zip(times, [*times[1:], ended])]


class Victims:
    """What can be killed, and what must be done about it: nothing but for the broker, which the
    service manager would start again."""

    names = ["broker", "gate", "signer", "device", "store"]

    def __init__(self, host, dice):
        self.host = host
        self.dice = dice
        self.server = self.launch().wait_ready()

    def launch(self):
        return self.host.launch(OPTIONS, block=BLOCK, gates=2, expected=EXPECTED)

    def pids(self, name):
        if name == "broker":
            return [self.server.pid]
        if name == "device":
            return self.host.device_processes()[:1]
        return self.server.children_called(name)

    def kill(self, name):
        if name == "device" and self.host.options.plane == "kernel":
            # Not an interface of IPIP: who removes that removes a peer.
            self.host.ns.try_run("ip link del vprox0")
            return
        pids = self.pids(name)
        if pids:
            kill(self.dice.choice(pids))

    def kill_some(self, names):
        for name in names:
            self.kill(name)
        if "broker" in names:
            self.server.wait()
            self.server.check()
            self.server = self.launch()

    def shown(self):
        status, said = self.host.run("show --json")
        return json.loads(said) if status == 0 else None

    def is_settled(self):
        """All is there again, and all is stored."""
        shown = self.shown()
        return (shown and all(process["ready"] for process in
                              [*shown["gates"], *shown["signers"], shown["store"]["process"]])
                and not any(endpoint["lost"] for endpoint in shown["endpoints"])
                and shown["store"]["behind"] == 0)

    def check(self):
        """While clients go on asking: what is under way is no disagreement."""
        status, said = self.host.run("check --server", seconds=BACK)
        assert status == 0, f"{said}\n{self.server.log[-4000:]}"

    def settle(self):
        wait.until(self.is_settled, BACK, lambda: f"all is there again: {self.shown()}\n"
                   f"{self.server.log[-4000:]}")


def n_kills(host):
    return int(os.environ.get("KILL_STORM_KILLS", KILLS[host.options.plane]))


def rage(victims, dice, kills):
    """Kills, one or two at a time, the second one also while the first is being replaced; most
    times it waits until all is there again. Returns (when, whom) of each time."""
    happened = []
    n = 0
    while n < kills:
        time.sleep(dice.uniform(0.05, 0.4))
        names = dice.sample(Victims.names, 2 if dice.random() < 0.4 else 1)
        began = time.time()
        victims.kill_some(names[:1])
        if len(names) > 1:
            time.sleep(dice.choice([0, dice.uniform(0, 0.1), dice.uniform(0, 0.5)]))
        victims.kill_some(names[1:])
        if dice.random() < WAITED_FOR:
            victims.settle()
        happened.append((began, "+".join(sorted(names))))
        n += len(names)
        if len(happened) % ROUNDS_BETWEEN_CHECKS == 0:
            victims.settle()
            victims.check()
    victims.settle()
    return happened


def descriptors(pid):
    return sorted(re.sub(r"\d+", "N", name) for name in open_files(pid).values())


class Belongings:
    """What the server has of the machine while nobody asks: processes with what they have open,
    interfaces, files under /run."""

    def __init__(self, host, victims):
        self.host, self.victims = host, victims

    def take(self):
        host = self.host
        processes = collections.Counter()
        for name in Victims.names:
            for pid in victims_pids(self.victims, name):
                processes[name, *descriptors(pid)] += 1
        in_all = len(host.ns.processes())
        files = sorted(str(path.relative_to(host.state)) for path in
                       (host.state / "run").rglob("*"))
        links = sorted(name for name in host.links() if not re.match(r"vp\d+-\d+$", name))
        return {"processes": processes, "in all": in_all, "files": files, "links": links}


def victims_pids(victims, name):
    return victims.host.device_processes() if name == "device" else victims.pids(name)


def assert_nothing_is_left(before, belongings):
    def is_same():
        try:
            return belongings.take() == before
        except OSError:
            return False  # one ended meanwhile
    wait.until(is_same, BACK, lambda: f"before: {before}\nnow: {belongings.take()}")


def shown_peers(victims):
    return {peer["inner"]: peer["public_key"] or peer["outer"]
            for endpoint in victims.shown()["endpoints"] for peer in endpoint["peers"]}


def assert_agreement(host, victims, storm):
    victims.check()
    plane = host.holders()
    assert shown_peers(victims) == plane
    assert {inner: who for who, inner in storm.granted.items()}.items() <= plane.items()


def victim_of(happened, at, gap):
    """Who was killed in the middle of a pause, or last before it."""
    amid = [names for began, names in happened if at <= began < at + gap]
    before = [names for began, names in happened if began < at]
    return amid[0] if amid else before[-1] if before else "nobody"


def report(happened, pauses, storm):
    """The longest pause of a tunnel for each kind of victim."""
    kills = sum(names.count("+") + 1 for _, names in happened)
    longest = collections.defaultdict(float)
    for kind, gaps in pauses.items():
        for at, gap in gaps:
            who = victim_of(happened, at, gap)
            longest[who, kind] = max(longest[who, kind], gap)
    print(f"\nseed {SEED}: {kills} kills, {storm.n_requests} requests, "
          f"{storm.n_answered} answered, {storm.n_left} left, {len(storm.granted)} clients at the "
          f"end, {len(storm.moved)} told another address, {len(storm.shared)} told somebody else's")
    for (names, kind), seconds in sorted(longest.items()):
        print(f"  {names:16} {kind:10} longest pause {1000 * seconds:6.0f} ms")


@pytest.fixture(name="busy", autouse=True)
def fixture_busy():
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    yield
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture(name="tunnels")
def fixture_tunnels(clients, options):
    """Two machines, for a real client of each kind."""
    machines = [Machine(node, options) for node in clients(2)]
    yield machines
    for machine in machines:
        machine.close()


def test_whoever_is_killed_nobody_is_told_another_address(host, clients, tunnels):
    dice = random.Random(SEED)
    storm = Storm(host, clients(3), leaving=0.1, at_most=CLIENTS_OF_A_NODE)
    victims = Victims(host, dice)
    real = {kind: machine.connect(host.address, kind=kind)
            for kind, machine in zip(("wireguard", "ipip"), tunnels)}
    for client in real.values():
        client.up()
    given = {kind: shown_of(victims, client) for kind, client in real.items()}
    victims.settle()
    belongings = Belongings(host, victims)
    before = belongings.take()
    pings = {kind: Pings(client, "10.100.0.1") for kind, client in real.items()}
    happened = storm.during(SEED, lambda: rage(victims, dice, n_kills(host)))
    storm.all_ask_again()
    pauses = {kind: one.gaps() for kind, one in pings.items()}
    report(happened, pauses, storm)
    assert not storm.moved
    assert not storm.shared
    victims.settle()
    assert {kind: shown_of(victims, client) for kind, client in real.items()} == given
    for client in real.values():
        client.works(host.address)
    assert_agreement(host, victims, storm)
    assert_nothing_is_left(before, belongings)


def shown_of(victims, client):
    """The inner address of the peer that is at the client's place."""
    outer = client.machine.node.address

    def find():
        return [peer["inner"] for endpoint in victims.shown()["endpoints"]
                for peer in endpoint["peers"] if peer["outer"] == outer]
    return wait.until(find, BACK, "the server knows where the client is")
