"""--dns and --announce-dns: which name servers a client's host asks while there is a tunnel, and that
its own are back whatever happens."""

import os

import pytest

from lab.client import ALL
from lab.etc import OWN, Etc
from lib import wait

SECONDS = 30


@pytest.fixture(name="etc")
def fixture_etc(machine):
    return Etc(machine)


def test_name_servers_are_those_given_until_the_end(host, machine, etc):
    host.start()
    client = machine.connect(host.address, f"{ALL} --dns 9.9.9.9 --dns 149.112.112.112").up()
    wait.until(lambda: etc.asked() == ["9.9.9.9", "149.112.112.112"], SECONDS, lambda: client.log)
    assert "search example.org\noptions edns0\n" in etc.file.read_text()
    assert etc.file.stat().st_mode & 0o777 == 0o644
    client.stop()
    assert etc.is_as_before()


def test_with_everything_routed_those_announced_are_asked_and_else_not(host, machine, etc):
    host.start("--announce-dns 9.9.9.9")
    client = machine.connect(host.address, ALL).up()
    client.logged("names are asked of 9.9.9.9, by /etc/resolv.conf")
    assert etc.asked() == ["9.9.9.9"]
    client.stop()
    assert etc.is_as_before()
    client = machine.connect(host.address, "--route 198.51.100.0/24").up()
    client.stop()
    assert "names are asked" not in client.log and etc.is_as_before()


def test_one_that_is_announced_and_not_behind_the_tunnel_is_not_asked(host, machine, etc):
    """A server must not have its clients ask a machine of their own network."""
    machine.ns.ip("addr add 10.9.8.1/24 dev eth0")
    host.start("--announce-dns 10.9.8.7 --announce-dns 9.9.9.9")
    client = machine.connect(host.address, ALL).up()
    client.logged("warning .*announces the name server 10.9.8.7, which is not reached through the tunnel")
    client.logged("names are asked of 9.9.9.9, by")
    assert etc.asked() == ["9.9.9.9"]
    client.stop()
    assert client.count("10.9.8.7, which is not reached") == 1


def test_without_any_the_start_says_who_is_asked_and_which_way(host, machine, etc):
    machine.ns.ip("addr add 10.9.8.1/24 dev eth0")
    etc.file.write_text("nameserver 127.0.0.1\nnameserver 10.9.8.7\nnameserver 198.51.100.53\n")
    host.start()
    client = machine.connect(host.address, ALL).up()
    client.logged("names are asked of 127.0.0.1, a program of this host")
    client.logged("warning .*names are asked of 10.9.8.7, past the tunnel; --dns ADDRESS asks through it")
    client.logged("names are asked of 198.51.100.53, through the tunnel")
    client.stop()


@pytest.mark.parametrize("next_one", ["client", "clean", "disconnect"])
def test_after_a_kill_the_next_one_puts_back_what_was_there(host, machine, etc, next_one):
    host.start()
    client = machine.connect(host.address, "--dns 9.9.9.9").up()
    wait.until(lambda: etc.asked() == ["9.9.9.9"], SECONDS, lambda: client.log)
    client.kill()
    assert etc.asked() == ["9.9.9.9"]
    if next_one == "client":
        other = machine.connect(host.address, device="vprox1").up()
        assert other.count("put back /etc/resolv.conf") == 1
        other.stop()
    elif next_one == "disconnect":
        process = machine.ns.popen([machine.options.vprox, "disconnect", "vprox0"], machine.mounts)
        assert process.wait(SECONDS) == 0
    else:
        process = machine.ns.popen([machine.options.vprox, "clean", "--dry-run"], machine.mounts)
        process.wait(SECONDS)
        assert etc.asked() == ["9.9.9.9"]
        process = machine.ns.popen([machine.options.vprox, "clean"], machine.mounts)
        process.wait(SECONDS)
    assert etc.is_as_before()


def test_a_second_client_neither_replaces_nor_puts_back_the_first_ones(host, machine, etc):
    host.start()
    first = machine.connect(host.address, "--dns 9.9.9.9").up()
    wait.until(lambda: etc.asked() == ["9.9.9.9"], SECONDS, lambda: first.log)
    second = machine.connect(host.address, "--dns 8.8.8.8", device="vprox1").up()
    second.logged("another client has")
    second.stop()
    assert etc.asked() == ["9.9.9.9"], first.log + second.log
    first.stop()
    assert etc.is_as_before()


def test_a_symbolic_link_is_put_back_and_one_that_others_write_is_replaced_again(host, machine, etc):
    (etc.folder / "theirs").write_text(OWN)
    etc.file.unlink()
    etc.file.symlink_to("theirs")
    host.start()
    client = machine.connect(host.address, "--dns 9.9.9.9").up()
    wait.until(lambda: etc.asked() == ["9.9.9.9"], SECONDS, lambda: client.log)
    assert (etc.folder / "theirs").read_text() == OWN
    client.stop()
    assert os.readlink(etc.file) == "theirs"
    etc.file.unlink()
    client = machine.connect(host.address, "--dns 9.9.9.9").up()  # there is none
    wait.until(etc.file.exists, SECONDS, lambda: client.log)
    (etc.folder / "new").write_text(OWN)  # as DHCP does
    (etc.folder / "new").rename(etc.file)
    wait.until(lambda: etc.asked() == ["9.9.9.9"], SECONDS, lambda: client.log)
    client.stop()
    assert etc.file.read_text() == OWN, "what others have written is what comes back"


def test_one_that_is_a_mount_of_its_own_stays_and_the_log_says_why(host, machine, etc):
    theirs = machine.state / "resolv.conf"
    theirs.write_text(OWN)
    machine.mounts.append((theirs, "/etc/resolv.conf"))  # as container engines do
    host.start()
    client = machine.connect(host.address, "--dns 9.9.9.9").up()
    client.logged("it is a mount of its own; names are asked as before")
    client.stop()
    assert theirs.read_text() == OWN and etc.is_as_before()


def test_where_systemd_resolved_is_asked_it_is_told(host, machine, etc):
    etc.file.write_text("nameserver 127.0.0.53\n")
    said = machine.state / "run/said"
    tools = machine.state / "run/tools"
    tools.mkdir()
    (tools / "resolvectl").write_text('#!/bin/sh\necho "$@" >>/run/said\n')
    (tools / "resolvectl").chmod(0o755)
    host.start()
    client = machine.connect(host.address, f"{ALL} --dns 9.9.9.9 --dns 1.1.1.1", program=machine.script(
        "PATH=/run/tools:$PATH")).up()
    client.logged("names are asked of 9.9.9.9 1.1.1.1, by systemd-resolved")
    assert said.read_text() == "dns vprox0 9.9.9.9 1.1.1.1\ndomain vprox0 ~.\n"
    client.stop()
    assert etc.file.read_text() == "nameserver 127.0.0.53\n"
