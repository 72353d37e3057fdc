"""Where the password comes from, two of them at a time, and a change of them while the server runs."""

import os
import re
import signal

import pytest

from lab.api import PASSWORD, Connection, request_bytes
from lab.client import REFUSED
from lab.server import BLOCK
from lab.tunnels import random_key
from lib import wait

NEXT = "the next correct horse battery"
STAYS = "the configuration cannot be used, and stays as it was"


@pytest.fixture(name="file")
def fixture_file(host):
    path = host.state / "password"
    put(path, PASSWORD)
    return path


def put(path, *lines):
    """Whole, as one should: the server may be reading it."""
    new = path.with_name("new")
    new.write_text("".join(f"{line}\n" for line in lines))
    new.chmod(0o600)
    new.rename(path)


def start(host, file, arguments="", **kwargs):
    return host.start(f"--password-file={file} {arguments}", environment={"VPROX_PASSWORD": None}, **kwargs)


def status(host, client, password):
    return host.api(client).get("/version", password=password).status


def reload(server):
    """Sends a hang-up, and waits until it has been seen to."""
    pattern = re.compile(f"configuration read again|{STAYS}")
    before = len(pattern.findall(server.log))
    server.send_signal(signal.SIGHUP)
    wait.until(lambda: len(pattern.findall(server.log)) > before, what=lambda: server.log)


def holds(server, text):
    """Whether the process has it anywhere in its memory."""
    with open(f"/proc/{server.pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{server.pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            first, last = (int(part, 16) for part in line.split()[0].split("-"))
            if "r" not in line.split()[1] or "[v" in line:
                continue
            memory.seek(first)
            try:
                if text.encode() in memory.read(last - first):
                    return True
            except OSError:
                pass  # of a mapping whose file has no such part
    return False


def test_two_passwords_are_good_and_the_old_one_ends_with_a_hangup_that_breaks_nothing(host, client, kind, file):
    put(file, NEXT, PASSWORD)
    server = start(host, file)
    tunnel = host.tunnel(kind, client).up()
    children = server.children()
    assert [status(host, client, each) for each in (PASSWORD, NEXT, "neither")] == [200, 200, 401]
    with Connection(client, host.address, timeout=30) as connection:
        put(file, NEXT)
        reload(server)
        assert server.logged("configuration read again: the passwords have changed")
        wait.until(lambda: status(host, client, PASSWORD) == 401)
        assert status(host, client, NEXT) == 200
        connection.send(request_bytes("POST", "/connect", {"PeerPublicKey": random_key()}, password=NEXT))
        assert connection.receive().status == 200
    assert tunnel.ping() and server.children() == children
    reload(server)
    assert server.logged("configuration read again: nothing has changed")


def test_a_gate_that_is_replaced_has_the_passwords_of_now(host, client, file):
    server = start(host, file)
    put(file, NEXT)
    reload(server)
    server.expect("gate")
    gate, = server.gates()
    os.kill(gate, signal.SIGKILL)
    wait.until(lambda: server.gates() not in ([], [gate]))
    assert [status(host, client, each) for each in (PASSWORD, NEXT)] == [401, 200]


@pytest.mark.parametrize("damage, complaint", [
    (lambda file: file.unlink(), "cannot read the password's file .*: No such file"),
    (lambda file: put(file), "line 1 is empty"),
    (lambda file: put(file, ""), "line 1 is empty"),
    (lambda file: put(file, "a\rb"), "line 1 has a control character"),
    (lambda file: put(file, NEXT, " blank"), "line 2 has .* a blank at its beginning"),
    (lambda file: put(file, NEXT, "older", "oldest"), "more than two lines"),
    (lambda file: put(file, "x" * 4097), "longer than 4096"),
    (lambda file: file.write_bytes(b"a\0b\n"), "is no text"),
], ids=["missing", "nothing", "empty", "control", "blank", "three", "long", "binary"])
def test_a_file_that_is_wrong_is_named_and_the_password_stays(host, client, file, damage, complaint):
    server = start(host, file)
    server.expect(f"{re.escape(str(file))}|{STAYS}")
    damage(file)
    reload(server)
    assert server.logged(rf" error server: .*{re.escape(str(file))}.*{complaint}|{complaint}"), server.log
    assert STAYS in server.log
    assert status(host, client, PASSWORD) == 200
    server.stop()
    code, said = host.run(f"server --ip={host.address} --wg-block=10.100.0.0/16 --password-file={file}")
    assert code == 2 and re.search(complaint, said), said


def test_hangups_at_any_moment_end_nothing(host, client, file):
    """Also while it starts, and ten at once: what the last one found holds."""
    server = host.launch(f"--password-file={file}", environment={"VPROX_PASSWORD": None})
    wait.until(lambda: " starts" in server.log, what=lambda: server.log)
    put(file, NEXT)
    server.send_signal(signal.SIGHUP)
    server.wait_ready()
    wait.until(lambda: status(host, client, NEXT) == 200, what=lambda: server.log)
    for n in range(10):
        put(file, f"{NEXT} {n}")
        server.send_signal(signal.SIGHUP)
    wait.until(lambda: status(host, client, f"{NEXT} 9") == 200, what=lambda: server.log)
    assert status(host, client, NEXT) == 401


def test_where_there_is_nothing_to_read_again_a_hangup_is_an_end(host):
    host.start().stop(signal.SIGHUP)


def test_the_environment_may_have_two_passwords(host, client):
    host.start(environment={"VPROX_PASSWORD": NEXT, "VPROX_PASSWORD_PREVIOUS": PASSWORD})
    assert [status(host, client, each) for each in (PASSWORD, NEXT, "neither")] == [200, 200, 401]


def test_a_previous_password_alone_is_refused(host):
    code, said = host.run(f"server --ip={host.address} --wg-block=10.100.0.0/16",
                          {"VPROX_PASSWORD": None, "VPROX_PASSWORD_PREVIOUS": "x"})
    assert code == 2 and "VPROX_PASSWORD_PREVIOUS is set, and VPROX_PASSWORD is not" in said


def credential(host, password):
    folder = host.state / "credentials"
    folder.mkdir()
    put(folder / "vprox-password", password)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


@pytest.mark.parametrize("sources", [["file", "environment", "credential"], ["environment", "credential"],
                                     ["credential"]], ids=" ".join)
def test_the_file_comes_before_the_environment_and_that_before_the_credential(host, client, sources):
    environment = {"VPROX_PASSWORD": "of the environment" if "environment" in sources else "",
                   **credential(host, "of the credential")}
    put(host.state / "password", "of the file")
    host.start(f"--password-file={host.state}/password" if "file" in sources else "", environment=environment)
    right = f"of the {sources[0]}"
    assert all((status(host, client, f"of the {each}") == 200) == (f"of the {each}" == right)
               for each in ("file", "environment", "credential"))


def test_a_credential_is_read_again_too(host, client):
    server = host.start(environment={"VPROX_PASSWORD": None, **credential(host, PASSWORD)})
    put(host.state / "credentials/vprox-password", NEXT)
    reload(server)
    wait.until(lambda: status(host, client, NEXT) == 200)


def test_the_environments_password_holds_again_when_the_configuration_has_none_any_more(host, client):
    path = host.state / "server.conf"
    lines = [f"ip={host.address}", f"wg-block={BLOCK}", f"plane={host.options.plane}", "gates=1"]
    put(path, *lines)
    server = host.launch_as(["server", f"--config={path}"], {"VPROX_PASSWORD": PASSWORD}).wait_ready()
    put(path, *lines, f"VPROX_PASSWORD={NEXT}")
    reload(server)
    wait.until(lambda: status(host, client, NEXT) == 200)
    put(path, *lines)
    reload(server)
    wait.until(lambda: status(host, client, NEXT) == 401)
    assert status(host, client, PASSWORD) == 200
    server.expect(f"VPROX_PASSWORD_PREVIOUS is set, and VPROX_PASSWORD is not|{STAYS}")
    put(path, *lines, f"VPROX_PASSWORD_PREVIOUS={NEXT}")
    reload(server)
    assert STAYS in server.log


def test_a_file_that_others_can_read_is_warned_of(host, machine, file):
    file.chmod(0o640)
    server = start(host, file)
    assert server.logged(rf" warning .*{file} is exposed")
    client = machine.connect(host.address, f"--password-file={file}", password=None).up()
    assert re.search(rf" warning .*{file} is exposed", client.log)


def test_it_is_warned_of_whenever_the_file_is_read(host, machine, file):
    server = start(host, file)
    client = machine.connect(host.address, f"--password-file={file}", password=None).up()
    assert "exposed" not in server.log + client.log
    file.chmod(0o644)
    reload(server)
    assert server.logged(rf" warning .*{file} is exposed")
    client.process.send_signal(signal.SIGHUP)
    client.logged(rf" warning .*{file} is exposed")


ANOTHER = {"VPROX_PASSWORD": NEXT}


def test_a_client_that_is_blocked_comes_back_by_a_new_password_in_its_file(host, machine, file, kind):
    server = host.start()
    client = machine.connect(host.address, f"--route 0.0.0.0/0 --password-file={file}", password=None,
                             kind=kind).up()
    server.stop()
    host.start(environment=ANOTHER)
    client.logged(f"what --route names stays blocked until it is: put the right one into {file}", 60)
    put(file, NEXT)
    client.up(times=2, seconds=60)
    client.logged(f"the password was read again from {file}: it has changed")
    client.stop()


def test_a_hangup_has_it_tried_at_once_and_ends_no_client_that_has_a_file(host, machine, file):
    host.start(environment=ANOTHER)
    client = machine.connect(host.address, f"--password-file={file} --route 198.51.100.0/24",
                             password=None)
    assert client.wait() == REFUSED
    put(file, NEXT)
    client = machine.connect(host.address, f"--password-file={file}", password=None).up()
    put(file, "one that is not tried yet")
    client.process.send_signal(signal.SIGHUP)
    client.logged("the password was read again from .*: it has changed")
    put(file, NEXT)
    client.process.send_signal(signal.SIGHUP)
    client.logged("the password was read again from .*: it has changed", times=2)
    assert client.visit() == host.address
    client.stop()


@pytest.mark.parametrize("damage, complaint", [
    (lambda file: file.unlink(), "the password stays as it was: .*: No such file"),
    (lambda file: put(file, ""), "line 1 is empty"),
    (lambda file: put(file, "x" * 4097), "longer than 4096"),
    (lambda file: file.write_bytes(b"a\0b\n"), "is no text"),
], ids=["missing", "empty", "long", "binary"])
def test_a_client_keeps_its_password_while_the_file_is_wrong_and_says_so_once(
        host, machine, file, damage, complaint):
    host.start()
    client = machine.connect(host.address, f"--password-file={file}", password=None).up()
    damage(file)
    for _ in range(3):
        client.process.send_signal(signal.SIGHUP)
    client.logged(complaint)
    machine.ns.run("ip link del vprox0")
    client.works(host.address)
    assert client.count(complaint) == 1, client.log
    client.stop()


def test_a_client_shows_the_first_line_of_its_file(host, machine, file):
    server = start(host, file)
    put(file, PASSWORD, "the one before")
    machine.connect(host.address, f"--password-file={file}", password="none").up()
    assert "exposed" not in server.log


@pytest.mark.parametrize("source", ["file", "environment"])
def test_the_broker_keeps_no_password(host, client, file, source):
    """It would be in reach of whatever reads its memory; the digest is good for nobody but a gate."""
    server = start(host, file) if source == "file" else host.start()
    if source == "file":
        put(file, PASSWORD, NEXT)
        reload(server)
        wait.until(lambda: status(host, client, NEXT) == 200)
    assert status(host, client, PASSWORD) == 200
    assert not holds(server, PASSWORD) and not holds(server, NEXT)
    assert holds(server, str(host.address)), "its memory can be read"
