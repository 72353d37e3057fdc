"""`vprox status` and `vprox disconnect`: what clients tell of themselves, and their end."""

import json
import subprocess

import pytest

from lib import wait
from lib.netns import stop


def run(machine, *words):
    """Runs vprox on the machine: (exit status, standard output, standard error)."""
    process = machine.ns.popen([machine.options.vprox, *words], machine.mounts, text=True,
                               env=machine.environment(None), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        out, errors = process.communicate(timeout=40)
    finally:
        stop(process)
    return process.returncode, out, errors


def states(machine, *words):
    return json.loads(run(machine, "status", "--json", *words)[1])


@pytest.mark.plane
@pytest.mark.sanitize
def test_a_tunnel_is_shown_with_its_server_its_traffic_and_what_is_routed(host, machine, kind):
    host.start()
    client = machine.connect(host.address, "--route 198.51.100.0/24 --except 198.51.100.8/32",
                             kind=kind).up()
    assert client.visit() == host.address
    status, text, _ = run(machine, "status")
    assert status == 0 and text.startswith("vprox0: up for ")
    state, = states(machine)
    assert (state["state"], state["running"], state["fault"]) == ("up", True, "")
    assert (state["server_address"], state["tunnel"]) == (host.address, kind)
    assert state["routed"] == ["198.51.100.0/24"] and "198.51.100.8/32" in state["excepted"]
    assert state["received"] > 0 and state["sent"] > 0
    for part in (host.address, kind, state["address"], "routed: 198.51.100.0/24", "received"):
        assert part in text, text
    client.stop()
    assert run(machine, "status")[0] == 1
    assert states(machine) == []


def test_a_client_without_a_tunnel_says_what_fails(host, machine):
    server = host.start()
    client = machine.connect(host.address).up()
    server.stop()
    client.logged("cannot connect", 60)
    status, text, _ = run(machine, "status", "vprox0")
    assert status == 1 and text.startswith("vprox0: down for ") and "fault: " in text, text
    host.start()
    client.up(times=2, seconds=60)
    wait.until(lambda: run(machine, "status")[0] == 0, 20, "it is up again")


def test_one_that_was_killed_is_not_taken_for_one_that_runs_and_how_it_is_cleared_is_said(host, machine):
    host.start()
    client = machine.connect(host.address).up()
    client.kill()
    status, text, _ = run(machine, "status")
    first, clear = text.splitlines()[0], "vprox disconnect vprox0"
    assert status == 1 and first.startswith("vprox0: left over, as its client was killed") and f"`{clear}`" in first
    assert " up " not in first, "nobody knows"
    assert states(machine)[0]["running"] is False
    assert run(machine, *clear.split(" ")[1:])[0] == 0 and states(machine) == []


@pytest.mark.plane
@pytest.mark.parametrize("how", ["runs", "once", "killed"])
def test_disconnect_takes_everything_away_whether_a_client_runs_or_not(host, machine, kind, how):
    host.start()
    before = machine.snapshot()
    client = machine.connect(host.address, "--once" if how == "once" else "--route 198.51.100.0/24",
                             kind=kind)
    if how == "once":
        assert client.wait(60) == 0, client.log
        assert states(machine)[0]["state"] == "left up" and run(machine, "status")[0] == 0
    else:
        client.up()
    if how == "killed":
        client.kill()
    status, text, errors = run(machine, "disconnect")
    assert (status, text) == (0, "vprox0 is disconnected\n"), errors
    if how == "runs":
        assert client.wait() == 0
    wait.until(lambda: machine.snapshot() == before, 10, "as it was before")
    assert run(machine, "disconnect")[0] == 1
    assert not (machine.state / "run/vprox/client-state-vprox0").exists()


def test_of_several_clients_one_must_be_named(host, machine):
    host.start(ips=[host.address, host.second], arguments="--wg-block-per-ip=/24")
    clients = [machine.connect(host.address).up(), machine.connect(host.second, device="vprox1").up()]
    status, _, errors = run(machine, "disconnect")
    assert status == 2 and "there are 2 clients" in errors
    assert run(machine, "disconnect", "vprox1")[0] == 0
    assert clients[1].wait() == 0
    assert clients[0].visit() == host.address
    assert "vprox7: there is no client of that interface" in run(machine, "status", "vprox7")[2]
    for wrong in "vprox7", "../vprox0", "x" * 20:
        assert run(machine, "disconnect", wrong)[0] in (1, 2)
    assert [state["interface"] for state in states(machine)] == ["vprox0"]
