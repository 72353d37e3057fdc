"""Devices and servers are killed amid a storm of requests: afterwards the data plane, the server's
table and its pool tell the same, and nobody has lost an address that could be kept."""

import os
import random
import re
import signal
import time

import pytest

from lab.storm import Storm
from lab.tunnels import random_key
from lib import wait

pytestmark = pytest.mark.plane

SEED = int(os.environ.get("STORM_SEED", "8"))
ROUNDS = int(os.environ.get("STORM_ROUNDS", "6"))
STORM_SECONDS = 1.5
BACK = 60
NEW = 5  # clients that come last, and must find addresses that nobody has


def kill_device(host):
    """False: there is none."""
    if host.options.plane == "kernel":
        return host.ns.try_run("ip link del vprox0").returncode == 0
    processes = host.device_processes()
    if processes:
        os.kill(processes[0], signal.SIGKILL)
    return bool(processes)


def kill_server(host, server):
    server.expect("vprox. has vanished|has not its tunnel|cannot")
    server.kill()
    return host.start("--reap-interval=1h")


def n_back(server):
    return len(re.findall("is back, ", server.log))


def only_the_device(host, server, dice):
    server.expect("vprox. has vanished")
    before = n_back(server)
    kill_device(host)
    wait.until(lambda: n_back(server) > before, BACK, "the device is back")
    time.sleep(dice.uniform(0, 0.3))
    return server


def only_the_server(host, server, dice):
    time.sleep(dice.uniform(0, 0.3))
    return kill_server(host, server)


def the_server_once_the_peers_are_back(host, server, dice):
    """As soon as that is done, with the handshakes still going."""
    return kill_server(host, only_the_device(host, server, dice))


def devices_one_after_the_other(host, server, dice):
    for _ in range(3):
        server = only_the_device(host, server, dice)
    return server


DEATHS = [only_the_device, only_the_server, the_server_once_the_peers_are_back,
          devices_one_after_the_other]


def assert_agreement(host, storm, clients):
    """holders() fails by itself where two have one address."""
    plane = host.holders()
    table = {peer["inner"]: peer for peer in host.shown_peers()}
    assert set(table) == set(plane)
    assert {who: plane.get(inner) for who, inner in storm.granted.items()} == \
        {who: who for who in storm.granted}
    keys = [random_key() for _ in range(NEW)]
    given = [host.api(clients[0]).connect(key).inner for key in keys]
    assert len(set(given)) == NEW and not set(given) & set(plane)
    assert len(host.holders()) == len(plane) + NEW
    storm.granted.update(zip(keys, given))


def test_whoever_dies_amid_a_storm_of_requests_nobody_gets_another_address(host, clients):
    dice = random.Random(SEED)
    nodes = clients(3)
    storm = Storm(host, nodes)
    server = host.start("--reap-interval=1h")
    for n in range(ROUNDS):
        death = DEATHS[n] if n < len(DEATHS) else dice.choice(DEATHS)

        def round_():
            time.sleep(dice.uniform(0.2, STORM_SECONDS))
            return death(host, server, dice)
        server = storm.during(SEED * 1000 + n, round_)
        storm.all_ask_again()
        assert not storm.moved, f"seed {SEED}, round {n}: {death.__name__}"
        assert_agreement(host, storm, nodes)
    print(f"seed {SEED}: {ROUNDS} deaths, {len(storm.granted)} peers, all as they were")


def test_what_is_lost_with_device_and_server_is_in_agreement_all_the_same(host, clients):
    """Both die, the device first: what had not been given back yet is nowhere any more."""
    dice = random.Random(SEED)
    nodes = clients(2)
    storm = Storm(host, nodes)
    server = host.start("--reap-interval=1h")
    for n in range(ROUNDS // 2):
        def both():
            time.sleep(dice.uniform(0.2, STORM_SECONDS))
            kill_device(host)
            time.sleep(dice.uniform(0, 0.2))
            return kill_server(host, server)
        server = storm.during(SEED * 2000 + n, both)
        storm.all_ask_again()
        assert_agreement(host, storm, nodes)
    print(f"seed {SEED}: {len(storm.granted)} peers, {len(storm.moved)} got another address")
