"""The audit: a line for each tunnel that begins or ends, and for those who are refused one."""

import json
import os
import signal
import socket
import struct
import threading
import time

import pytest

from lab.taken_gate import CONNECT_WIREGUARD, REFUSED, REQUEST, VERSION, TakenGate
from lab.tunnels import random_key
from lib import wait

PASSWORD_IS_WRONG = 1  # enum refusal_reason
SLACK = 15


class Audit:
    def __init__(self, path):
        self.path = path

    def lines(self, **fields):
        """Those with these fields."""
        if not self.path.exists():
            return []
        found = [json.loads(line) for line in self.path.read_text(encoding="ascii").splitlines()]
        return [line for line in found if all(line.get(name) == value for name, value in fields.items())]

    def wait_for(self, n=1, **fields):
        wait.until(lambda: len(self.lines(**fields)) >= n, SLACK, f"{fields} in the audit")
        return self.lines(**fields)[-1]


@pytest.fixture(name="audit")
def fixture_audit(host):
    return Audit(host.state / "audit")


def start(host, audit, arguments="", **kwargs):
    return host.start(f"--audit={audit.path} {arguments}", **kwargs)


def identity(tunnel):
    return {"key": tunnel.public_key} if tunnel.kind == "wireguard" else {}


def sent_to(host, tunnel):
    return sum(peer["sent_bytes"] for peer in host.shown_peers() if peer["inner"] == tunnel.inner)


@pytest.mark.plane
def test_a_tunnel_is_in_the_audit_when_it_begins_and_when_it_ends(host, client, kind, audit):
    start(host, audit)
    tunnel = host.tunnel(kind, client).up()
    who = {"kind": kind, "source": client.address, "inner": tunnel.inner, "serving": host.address, **identity(tunnel)}
    begun = audit.wait_for(event="grant", **who)
    assert 0 < begun["source_port"] < 65536 and begun["time"].endswith("Z")
    assert set(begun) == {"time", "event", "source_port", *who}, "nothing that is not known"
    assert len(tunnel.download()) == 64
    if host.options.plane == "kernel":  # emulated: a reading may take too long to be made for a removal
        wait.until(lambda: sent_to(host, tunnel) > 2_000_000, what="an inspection sees the bytes")
    time.sleep(1)  # a reading before this is too old to be the last
    tunnel.disconnect()
    ended = audit.wait_for(event="removal", reason="it asked to go", **who)
    assert ended["sent_bytes"] > 2_000_000 > ended["received_bytes"] > 0
    assert 0 <= ended["seconds"] < 300
    assert (audit.path.stat().st_mode & 0o7777, len(audit.lines())) == (0o640, 2)


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_the_ordinary_log_has_the_same_fields_in_the_form_of_json(host, client, audit):
    server = start(host, audit, "--log-format=json")
    tunnel = host.tunnel("wireguard", client).up()
    tunnel.disconnect()
    in_audit = audit.lines()
    lines = [json.loads(line) for line in server.log.splitlines()]
    in_log = [line for line in lines if line.get("event")]
    for line in in_log:
        assert line.pop("level") == "info" and line.pop("process") == "server" and line.pop("message")
    for line in in_log + in_audit:
        line.pop("time")
    assert in_log == in_audit and [line["event"] for line in in_log] == ["grant", "removal"]


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_wrong_passwords_of_one_source_are_one_line_a_second_with_their_number(host, client, audit):
    start(host, audit, gates=2)
    began = time.monotonic()
    threads = [threading.Thread(target=host.api(client).get, args=("/version",), kwargs={"password": "wrong"})
               for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    who = {"event": "refusal", "reason": "password", "source": client.address, "serving": host.address}
    wait.until(lambda: sum(line["count"] for line in audit.lines(**who)) == 24, SLACK, "all are counted")
    assert len(audit.lines()) == len(audit.lines(**who)) <= time.monotonic() - began + 2


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_a_gate_that_was_taken_over_cannot_fill_the_audit(host, client, audit):
    server = start(host, audit)
    gate = TakenGate(server.gates()[0])
    began = time.monotonic()
    for i in range(2000):
        message = REQUEST.pack(VERSION, REFUSED, 0, 0, bytes(32), b"")
        gate.send(message[:-16] + struct.pack("=IIHHI", 0x0a000000 + i, 0, 1, PASSWORD_IS_WRONG, 1))
    wait.until(lambda: sum(line["count"] for line in audit.lines()) == 2000, SLACK, "all are counted")
    assert len(audit.lines()) <= 65 * (time.monotonic() - began + 2)
    assert audit.lines(reason="various"), "those that found no place"
    gate.close()


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_who_finds_no_address_is_in_the_audit(host, client, other_client, audit):
    start(host, audit, block="10.100.0.0/30")
    assert host.tunnel("wireguard", client).up().inner == "10.100.0.2"
    key = random_key()
    assert host.api(other_client).connect(key).status == 503
    refused = audit.wait_for(event="refusal", reason="pool", source=other_client.address, kind="wireguard", key=key)
    assert refused["count"] == 1 and refused["serving"] == host.address


def test_who_is_there_at_the_start_is_in_the_audit_again_and_so_is_the_end(host, client, kind, audit):
    start(host, audit, "--on-exit=keep").stop()
    server = start(host, audit, "--on-exit=keep")
    tunnel = host.tunnel(kind, client).up()
    server.stop()
    assert not audit.lines(event="removal"), "it stays"
    server = start(host, audit)
    who = {"kind": kind, "inner": tunnel.inner, "source": client.address, **identity(tunnel)}
    assert len(audit.lines(event="adoption", **who)) == 1
    server.stop()
    assert len(audit.lines(event="removal", reason="the server stops", **who)) == 1


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_with_sighup_the_audit_goes_on_in_another_file_and_the_server_goes_on(host, client, audit):
    server = start(host, audit)
    first = host.tunnel("wireguard", client).up()
    old = audit.path.with_name("audit.1")
    os.rename(audit.path, old)
    first.disconnect()
    server.send_signal(signal.SIGHUP)
    wait.until(audit.path.exists, SLACK, "the file is there again")
    host.tunnel("wireguard", client).up()
    assert audit.wait_for(event="grant") and len(audit.lines()) == 1
    assert [line["event"] for line in Audit(old).lines()] == ["grant", "removal"]
    assert server.process.poll() is None


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_an_audit_without_room_keeps_nobody_from_a_tunnel(host, client):
    server = host.start("--audit=/dev/full", expected=["cannot write the audit"])
    for _ in range(3):
        tunnel = host.tunnel("wireguard", client).up()
        assert tunnel.visit() == host.address
        tunnel.disconnect()
        tunnel.down()
    assert server.log.count("cannot write the audit: No space left on device") == 1
    assert host.shown()["audit"] == {"lost": 6, "failing": True}
    assert "audit: 6 lines lost (cannot be written)" in host.run("show")[1]
    assert "vprox_audit_lost_total 6\n" in host.run("show --metrics")[1]


def fields_of(entry):
    """systemd.io/JOURNAL_NATIVE_PROTOCOL, of fields with their length."""
    fields = {}
    while entry:
        name, _, entry = entry.partition(b"\n")
        length, = struct.unpack("<Q", entry[:8])
        fields[name.decode()] = entry[8:8 + length].decode()
        assert entry[8 + length:9 + length] == b"\n"
        entry = entry[9 + length:]
    return fields


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_in_the_journal_the_fields_can_be_chosen_by(host, client):
    folder = host.state / "run/systemd/journal"
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(folder / "socket"))
        journal.settimeout(SLACK)
        server = host.start("--audit=journal")
        tunnel = host.tunnel("wireguard", client).up()
        fields = fields_of(journal.recv(65536))
        server.stop()
    assert fields["VPROX_EVENT"] == "grant" and fields["VPROX_SOURCE"] == client.address
    assert fields["VPROX_KEY"] == tunnel.public_key and fields["VPROX_INNER"] == tunnel.inner
    assert fields["SYSLOG_IDENTIFIER"] == "vprox-audit" and fields["PRIORITY"] == "6"
    assert json.loads(fields["MESSAGE"])["key"] == tunnel.public_key


def test_an_audit_that_cannot_be_opened_is_no_start(host):
    said = host.run(f"server --ip {host.address} --wg-block=10.100.0.0/16 --audit={host.state}")
    assert said[0] == 1 and "cannot open the audit" in said[1] and "Is a directory" in said[1]


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_the_clients_name_is_in_the_audit(host, client, audit):
    server = start(host, audit)
    gate = TakenGate(server.gates()[0])
    with client.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.connect((host.address, 443))
        key = os.urandom(31) + b"\x40"
        assert gate.ask(CONNECT_WIREGUARD, gate.accept(), key=key, name=b"oidc:ci")[0] == 1
    assert audit.wait_for(event="grant")["name"] == "oidc:ci"
    gate.close()
