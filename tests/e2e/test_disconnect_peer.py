"""`vprox disconnect-peer`: whom the operator disconnects is gone, and it is said how many went."""

import json
import os
import shutil
import socket
import subprocess
import tempfile

import pytest

from lab.api import PORT
from lab.taken_gate import CONNECT_WIREGUARD, OK, TakenGate
from lib import conntrack, wait

TWO_GONE = "2 clients disconnected; nothing keeps them from coming back\n"
ONE_GONE = "1 client disconnected; nothing keeps it from coming back\n"


def grant_by_name(host, node, gate, name):
    """The key of a client with this name."""
    key = os.urandom(31) + b"\x40"
    with node.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.connect((host.address, PORT))
        with gate.accept() as accepted:
            assert gate.ask(CONNECT_WIREGUARD, accepted, key=key, name=name)[0] == OK


def shown(host, arguments=""):
    status, said = host.run(f"show --json {arguments}")
    peers = [peer for endpoint in json.loads(said)["endpoints"] for peer in endpoint["peers"]] if status == 0 else []
    return status, sorted(peer["name"] for peer in peers if peer["name"])


@pytest.mark.plane
def test_a_client_is_gone_when_it_is_said_whatever_it_is_named_by(host, client, other_client, kind):
    server = host.start()
    stays = host.tunnel("wireguard", other_client).up()
    tunnel = host.tunnel(kind, client).up()
    names = [tunnel.inner, client.address] + ([tunnel.public_key] if kind == "wireguard" else [])
    for name in names:
        assert tunnel.visit() == host.address  # the server knows where it is
        if name == client.address:
            wait.until(lambda: host.run(f"show --peer {client.address}")[0] == 0, what="it is seen there")
        assert host.run(["disconnect-peer", name]) == (0, ONE_GONE)
        assert tunnel.inner not in host.holders() and stays.inner in host.holders()
        assert server.logged(f"removed .*address {tunnel.inner} is free: the operator has disconnected it")
        assert host.run(["disconnect-peer", name])[0] == 1, "there is nobody"
        tunnel.down()
        tunnel.up()  # nothing keeps it from coming back
    assert stays.visit() == host.address


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_all_clients_of_a_name_go_and_others_stay(host, client):
    server = host.start()
    gate = TakenGate(server.gates()[0])
    for name in (b"oidc:ci-1", b"oidc:ci-1", b"oidc:ci-2", b"oidc:repo:a/b", b""):
        grant_by_name(host, client, gate, name)
    assert shown(host, "--name 'oidc:ci-*'") == (0, ["oidc:ci-1", "oidc:ci-1", "oidc:ci-2"])
    assert shown(host, "--name oidc:ci") == (1, []), "a pattern is about the whole name"
    assert host.run("disconnect-peer oidc:ci-1") == (0, TWO_GONE)
    assert shown(host, "--name '*'") == (0, ["oidc:ci-2", "oidc:repo:a/b"])
    status, said = host.run("disconnect-peer oidc:ci")
    assert status == 1 and "oidc:ci: the server has no such client" in said
    assert len(host.holders()) == 3
    gate.close()


def test_its_connections_are_gone_with_it(host, client):
    host.start()
    tunnel = host.tunnel("wireguard", client).up()
    assert tunnel.visit() == host.address
    assert conntrack.count(host.ns, tunnel.inner) > 0, "nothing was there"
    assert host.run(f"disconnect-peer {tunnel.inner}") == (0, ONE_GONE)
    wait.until(lambda: conntrack.count(host.ns, tunnel.inner) == 0, what="the end of its connections")


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_nobody_but_root_can_ask_for_it(host, client):
    host.start()
    tunnel = host.tunnel("ipip", client).up()
    socket_path = host.state / "run/vprox/control.sock"
    socket_path.chmod(0o666)  # also where somebody has opened the door
    socket_path.parent.chmod(0o755)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        program = shutil.copy(host.options.vprox, folder)
        process = host.ns.popen(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "disconnect-peer", tunnel.inner],
            host.mounts, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = process.communicate(timeout=30)[0]
    assert process.returncode == 1 and "root" in said
    assert tunnel.inner in host.holders()


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
@pytest.mark.parametrize("who", ["", "ci", "token:", "0.0.0.0", "203.0.113.0/24"])
def test_what_names_nobody_is_a_usage_error(host, who):
    status, said = host.run(["disconnect-peer", who])
    assert status == 2 and "neither an IPv4 address, nor a public key, nor a client's name" in said


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_without_a_server_it_says_so(host):
    status, said = host.run("disconnect-peer oidc:ci")
    assert status == 1 and "no vprox server runs on this host" in said
