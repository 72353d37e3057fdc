"""The client finds its server by a name of DNS, also while everything is blocked, and whatever name
servers answer; nobody else's question leaves beside the tunnel meanwhile."""

import pathlib
import shutil
import socket
import struct

import pytest

from lab.client import ALL, UNREACHABLE
from lab.dual import pings
from lab.etc import Etc
from lab.name_server import (A, AAAA, ADDRESS, ADDRESS6, ANSWERED, CNAME, TRUNCATED, NameServer,
                             encode, record)
from lib import wait

NAME = "vpn.example"
SECONDS = 40


@pytest.fixture(name="etc")
def fixture_etc(machine):
    etc = Etc(machine)
    etc.file.write_text(f"nameserver {ADDRESS}\n")
    return etc


@pytest.fixture(name="names")
def fixture_names(world):
    server = NameServer(world.internet)
    yield server
    server.close()


def has_the_key_of(other_host, host):
    shutil.copytree(host.state / "lib/vprox", other_host.state / "lib/vprox", dirs_exist_ok=True,
                    ignore=lambda _, found: [name for name in found if not name.startswith("tls")])


def moves(host, other_host, machine, names, kind="wireguard"):
    """The server's name comes to mean another host, while the client has everything blocked, and what
    the host asks is to be asked through the tunnel, which is dead."""
    server = host.start()
    names.names[NAME] = [host.address]
    client = machine.connect(NAME, f"{ALL} --dns 9.9.9.9", kind=kind).up()
    has_the_key_of(other_host, host)
    other_host.start()
    server.stop()
    names.names[NAME] = [other_host.address]
    client.up(times=2, seconds=90)
    wait.until(lambda: machine.visit(seconds=3) == other_host.address, SECONDS, lambda: client.log)
    client.stop()


@pytest.mark.parametrize("strict", [False, True])
def test_a_server_that_has_moved_is_found_while_everything_is_blocked(
        host, other_host, machine, etc, names, kind, strict):
    """Also where the kernel checks source addresses strictly."""
    for name in "all", "eth0":
        machine.ns.run(["sysctl", "-w", f"net.ipv4.conf.{name}.rp_filter={int(strict)}"])
    moves(host, other_host, machine, names, kind)


def test_so_it_is_by_a_name_server_with_an_ipv6_address(host, other_host, dual, etc, names):  # noqa: F811
    wait.until(lambda: pings(dual, ADDRESS6, 2), SECONDS, "IPv6 works")
    etc.file.write_text(f"nameserver {ADDRESS6}\n")
    moves(host, other_host, dual, names)


def test_so_it_is_where_systemd_resolved_is_asked_by_whom_that_asks(
        host, other_host, machine, etc, names):
    folder = machine.state / "run/systemd/resolve"
    folder.mkdir(parents=True)
    (folder / "resolv.conf").write_text(f"nameserver {ADDRESS}\n")
    etc.file.write_text("nameserver 127.0.0.53\n")
    moves(host, other_host, machine, names)


def test_nobody_elses_question_leaves_beside_the_tunnel(host, machine, etc, names):
    """Not even before there is one, when the client's own does."""
    names.names[NAME] = [host.address]
    client = machine.connect(NAME, ALL)
    client.logged("cannot connect")

    def ask(kind):
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.settimeout(2)
            try:
                sock.connect((ADDRESS, 53))
                message = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + encode("mine.example") + \
                    struct.pack("!HH", A, 1)
                sock.send(message if kind == socket.SOCK_DGRAM else
                          struct.pack("!H", len(message)) + message)
                return len(sock.recv(1000)) > 0
            except OSError:
                return False
    assert not machine.ns.enter(ask, socket.SOCK_DGRAM)
    assert not machine.ns.enter(ask, socket.SOCK_STREAM)
    assert set(names.asked) == {NAME}
    client.stop()
    assert machine.ns.enter(ask, socket.SOCK_DGRAM), "it would be answered"


def test_the_search_list_is_used_and_so_is_a_file_that_has_changed(host, machine, etc, names):
    """As DHCP changes it."""
    host.start()
    names.names[NAME] = [host.address]
    etc.file.write_text("nameserver 192.0.2.1\n")  # where none listens
    client = machine.connect("vpn", ALL)
    client.logged("cannot find vpn: no answer of 192.0.2.1, the name server of /etc/resolv.conf")
    etc.file.write_text(f"search office.test example\nnameserver {ADDRESS}\n")
    client.up().stop()
    assert names.asked[0] == "vpn.office.test" and NAME in names.asked


@pytest.mark.parametrize("text", ["# nothing\n", None])
def test_without_a_name_server_the_message_says_so(machine, etc, text):
    if text is None:
        etc.file.unlink()
    else:
        etc.file.write_text(text)
    client = machine.connect(NAME, "--timeout=2s")
    assert client.wait() == UNREACHABLE
    assert f"cannot find {NAME}: /etc/resolv.conf names no name server" in client.log


def test_the_end_of_a_time_that_is_shorter_than_a_look_up_names_the_look_up(world, machine, etc, names, drop):
    drop(world.internet, "input", "udp dport 53")
    client = machine.connect(NAME, "--timeout=400ms")
    assert client.wait() == UNREACHABLE
    assert f"within 0.4 s: cannot find {NAME}: no name server has answered yet" in client.log, client.log


def test_a_name_that_is_not_there_and_one_with_ipv6_alone_are_told_apart(machine, etc, names):
    client = machine.connect(NAME, "--timeout=2s")
    assert client.wait() == UNREACHABLE
    assert f"cannot find {NAME}: there is no such name" in client.log
    names.answer = lambda question: question.answer(
        *[record(AAAA, socket.inet_pton(socket.AF_INET6, "2001:db8::7"))] * (question.type == AAAA))
    client = machine.connect(NAME, "--timeout=2s")
    assert client.wait() == UNREACHABLE
    assert f"{NAME} has IPv6 addresses alone" in client.log


def test_an_answer_of_no_address_is_none(host, machine, etc, names):
    """As filters of names give it: 0.0.0.0 would be this host itself."""
    names.names[NAME] = ["0.0.0.0"]
    client = machine.connect(NAME, "--timeout=2s")
    assert client.wait() == UNREACHABLE
    assert f"cannot find {NAME}: the answer is 0.0.0.0, as filters of names give it" in client.log
    names.answer = lambda question: question.answer(
        record(AAAA, socket.inet_pton(socket.AF_INET6, "2001:db8::7")) if question.type == AAAA
        else record(A, bytes(4)))
    client = machine.connect(NAME, "--timeout=2s")
    assert client.wait() == UNREACHABLE
    assert "the answer is 0.0.0.0" in client.log and "IPv6 addresses alone" not in client.log
    names.answer = None
    host.start()
    names.names[NAME] = ["0.0.0.0", host.address]
    machine.connect(NAME).up().stop()


def by_tcp(answer):
    """What is answered over TCP, after it was said that it has no room in a datagram."""
    return lambda question: answer(question) if question.by_tcp else question.answer(flags=TRUNCATED)


def fill(question, data):
    """As much of that record as a message can have."""
    one = record(A, data)
    return question.answer(*[one] * ((65535 - 12 - len(question.text)) // len(one)))


ANSWERS = {
    "garbage": lambda question: b"\xff" * 500,
    "nothing": lambda question: b"",
    "a header alone": lambda question: question.id + struct.pack("!HHHHH", ANSWERED, 1, 9, 9, 9),
    "another id": lambda question: bytes([question.id[0] ^ 1]) + question.answer(
        record(A, b"\x7f\0\0\1"))[1:],
    "another question": lambda question: question.answer()[:12] + encode("x.example") + b"\0\1\0\1",
    "a pointer to itself": lambda question: question.answer(
        record(CNAME, struct.pack("!H", 0xc000 | 12 + len(question.text) + 12))),
    "an alias of itself": lambda question: question.answer(record(CNAME, b"\xc0\x0c")),
    "a loop of aliases": lambda question: question.answer(
        record(CNAME, encode("a.example")), record(CNAME, encode("b.example"), encode("a.example")),
        record(CNAME, encode("a.example"), encode("b.example"))),
    "addresses of other lengths": lambda question: question.answer(
        record(A, b"\1"), record(A, b""), record(A, b"\1" * 400)),
    "64 KB": by_tcp(lambda question: fill(question, b"\1\2\3")),
    "64 KB of an alias": by_tcp(lambda question: question.answer(
        *[record(CNAME, encode(("x" * 60 + ".") * 4 + "y"))] * 220)),
    "pieces that end": by_tcp(lambda question: [b"\xff", b"\xff", b"\0" * 100]),
    "an answer of no bytes by TCP": by_tcp(lambda question: [b"\0\0"]),
}


@pytest.mark.sanitize
def test_whatever_a_name_server_answers_the_look_up_only_fails(machine, etc, names):
    for what, answer in ANSWERS.items():
        names.answer = answer
        asked = len(names.asked)
        client = machine.connect(NAME, "--timeout=3s")
        assert client.wait() == UNREACHABLE, what
        assert "broke off" not in client.log, f"{what}:\n{client.log}"
        assert len(names.asked) > asked, f"{what}:\n{client.log}"


def test_more_addresses_than_a_client_takes_are_left_out(host, machine, etc, names):
    """64 KB of them; the first do."""
    host.start()
    names.answer = by_tcp(lambda question: fill(question, socket.inet_aton(host.address)))
    machine.connect(NAME).up().stop()


def is_confined(pid):
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False  # it is gone
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return status["Seccomp"] == ["2"] and status["NoNewPrivs"] == ["1"] and "0" not in status["Uid"] and \
        all(status[name] == ["0" * 16] for name in ("CapEff", "CapPrm", "CapBnd", "CapInh"))


@pytest.mark.sanitize
def test_the_process_that_asks_has_no_rights(machine, etc, names):
    names.answer = lambda question: None
    client = machine.connect(NAME)
    wait.until(lambda: any(is_confined(pid) for pid in machine.processes()), SECONDS, lambda: client.log)
    wait.until(lambda: names.asked, SECONDS, lambda: client.log)
