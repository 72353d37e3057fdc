"""`vprox connect`: one tunnel, kept up whatever happens to it, and nothing left of it at the end."""

import os
import re
import signal
import socket
import time

import pytest

from lab.api import PASSWORD, PORT
from lab.client import REFUSED
from lab.server import pins_of
from lab.world import ROUTER_TO_CLIENTS
from lib import wait
from lib.memory import holds
from lib.process import command_line, kill, stand_still


# That its interface is gone: before a round of echoes, or by its end.
NOTICED = "gone or down|no echo comes back"


def is_seen_as(machine, address):
    """Waits until the Internet sees the machine, without naming an interface, as that address."""
    wait.until(lambda: machine.visit(seconds=3) == address, 40, f"seen as {address}")


# The tunnel

@pytest.mark.plane
@pytest.mark.sanitize
def test_a_client_gets_a_tunnel_and_leaves_nothing_behind(host, machine, kind):
    server = host.start()
    before = machine.snapshot()
    client = machine.connect(host.address, kind=kind, arguments="--json").up()
    assert client.visit() == host.address
    assert machine.visit() == machine.node.address, "the default route is as it was"
    assigned = client.said[0]
    assert server.logged(f"has a tunnel, address {assigned['address']}, ")
    assert (assigned["interface"], assigned["tunnel"]) == ("vprox0", kind)
    assert (assigned["gateway"], assigned["server"]) == ("10.100.0.1", host.address)
    client.stop()
    wait.until(lambda: machine.snapshot() == before, what="as it was before")
    wait.until(lambda: not machine.processes(), 10, "no process is left")
    assert server.logged(f"removed .* address {assigned['address']} is free", 40), "it was told"
    assert not client.errors(), client.log


@pytest.mark.plane
def test_once_ends_when_the_tunnel_works_and_leaves_it(host, machine, kind):
    host.start()
    client = machine.connect(host.address, "--once --json", kind=kind)
    assert client.wait(40) == 0, client.log
    assert client.works(host.address)
    assert len(client.said) == 1
    # The next one takes it over.
    again = machine.connect(host.address, kind=kind).up()
    again.logged("taking over")
    assert again.visit() == host.address
    again.stop()
    assert not machine.has("vprox0")


def test_what_was_assigned_is_told_once_it_could_be_set_up(host, machine, kind):
    host.start()
    obstacle = machine.state / "run/vprox/client-creating-vprox0"
    obstacle.mkdir(parents=True)
    client = machine.connect(host.address, "--json", kind=kind)
    client.logged("cannot make the interface", times=2)
    assert not client.said
    obstacle.rmdir()
    client.up()
    assert len(client.said) == 1


def test_the_key_is_kept_from_one_start_to_the_next(host, machine):
    host.start()
    addresses = []
    for _ in range(2):
        client = machine.connect(host.address, "--json").up()
        addresses.append(client.said[0]["address"])
        client.kill()
        machine.ns.run("ip link del vprox0")
    assert addresses[0] == addresses[1]
    key = machine.state / "run/vprox/client-key-vprox0"
    assert key.stat().st_mode & 0o777 == 0o600


def test_two_clients_of_one_machine_have_tunnels_to_two_servers(host, machine):
    host.start(ips=[host.address, host.second], arguments="--wg-block-per-ip=/24")
    one = machine.connect(host.address).up()
    two = machine.connect(host.second, kind="ipip", device="vprox1").up()
    three = machine.connect(host.second, device="vprox2").up()
    for client, address in ((one, host.address), (two, host.second), (three, host.second)):
        client.works(address)
    one.stop()
    assert two.visit() == host.second
    two.stop()
    assert three.visit() == host.second
    three.stop()


def test_a_second_client_of_one_interface_is_refused(host, machine):
    host.start()
    first = machine.connect(host.address).up()
    second = machine.connect(host.address)
    assert second.wait() == 1
    assert "another vprox client runs for vprox0" in second.log
    assert first.visit() == host.address


@pytest.mark.plane
def test_an_interface_that_is_not_the_clients_is_left_alone(host, machine, kind):
    host.start()
    machine.ns.run("ip link add vprox0 type veth peer name other0")
    before = machine.snapshot()
    client = machine.connect(host.address, kind=kind)
    assert client.wait() == 1
    assert "not this client's" in client.log
    assert machine.snapshot() == before


@pytest.mark.plane
def test_a_tunnel_with_another_key_is_left_alone(host, machine, kind):
    host.start()
    client = machine.connect(host.address, kind=kind).up()
    client.kill()
    (machine.state / "run/vprox/client-key-vprox0").unlink()
    other = machine.connect(host.address, kind=kind)
    assert other.wait() == 1
    assert "not this client's" in other.log
    assert client.visit() == host.address


@pytest.mark.plane
def test_a_client_that_is_killed_while_it_makes_its_interface_is_cleared_up_after(
        host, machine, kind):
    host.start()
    client = machine.connect(host.address, kind=kind)

    def kill_once_it_is_there():
        end = time.monotonic() + 40
        while "vprox0" not in [name for _, name in socket.if_nameindex()]:
            assert time.monotonic() < end, client.log
        client.kill()
    machine.ns.enter(kill_once_it_is_there)
    again = machine.connect(host.address, kind=kind).up()
    again.works(host.address)
    again.stop()
    assert not machine.has("vprox0")


@pytest.mark.plane
def test_a_killed_clients_tunnel_makes_room_for_one_of_the_other_kind(host, machine, kind):
    host.start()
    client = machine.connect(host.address, kind=kind).up()
    client.kill()
    other = machine.connect(host.address, kind={"ipip": "wireguard", "wireguard": "ipip"}[kind]).up()
    assert "of another kind" in other.log
    other.works(host.address)


@pytest.mark.plane
@pytest.mark.sanitize
def test_a_killed_client_leaves_its_tunnel_and_the_next_one_takes_it_over(host, machine, kind):
    host.start()
    client = machine.connect(host.address, kind=kind).up()
    client.kill()
    assert client.visit() == host.address
    pings = machine.ns.popen("ping -n -q -i 0.1 -w 60 -I vprox0 198.51.100.80", stdout=-1,
                             text=True)
    again = machine.connect(host.address, kind=kind).up()
    assert again.visit() == host.address
    pings.send_signal(2)
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received",
                                        pings.communicate(timeout=10)[0]).groups())
    assert sent - received <= 1, f"{received} of {sent}"
    again.stop()
    assert not machine.has("vprox0")


def test_a_second_signal_does_not_wait_for_the_goodbye(host, machine):
    server = host.start()
    client = machine.connect(host.address).up()
    server.send_signal(signal.SIGSTOP)
    for pid in server.gates():
        stand_still(pid)
    client.process.send_signal(signal.SIGTERM)
    client.logged("stopping")
    client.process.send_signal(signal.SIGTERM)
    assert client.wait() == 0
    assert not machine.has("vprox0")
    for pid in [server.pid, *server.gates()]:
        os.kill(pid, signal.SIGCONT)


# What goes wrong with it

@pytest.mark.plane
@pytest.mark.sanitize
def test_an_interface_that_is_deleted_is_made_again(host, machine, kind):
    host.start()
    client = machine.connect(host.address, kind=kind).up()
    for times in 1, 2:
        machine.ns.run("ip link del vprox0")
        client.logged(NOTICED, times=times)
        client.works(host.address)


@pytest.mark.only("embedded", reason="the kernel has no device process")
def test_a_device_process_that_ends_is_started_again(host, machine, kind):
    host.start()
    client = machine.connect(host.address, kind=kind).up()
    for pid in machine.processes():
        if b"device" in command_line(pid):
            kill(pid)
    client.logged(NOTICED)
    client.works(host.address)


@pytest.mark.plane
def test_an_interface_that_is_set_down_is_set_up_again(host, machine, kind):
    host.start()
    client = machine.connect(host.address, "--route 198.51.100.0/24", kind=kind).up()
    machine.ns.run("ip link set vprox0 down")
    client.logged(NOTICED)
    client.works(host.address)
    is_seen_as(machine, host.address)


@pytest.mark.plane
@pytest.mark.sanitize
def test_a_server_that_starts_anew_with_another_key_is_found_again(host, machine, kind):
    server = host.start()
    client = machine.connect(host.address, kind=kind).up()
    server.stop()
    (host.state / "run/vprox/server-key").unlink()
    host.start()
    client.up(times=2, seconds=60).works(host.address)
    assert client.process.poll() is None


@pytest.mark.plane
def test_another_address_is_taken(host, machine, other_client, kind):
    """As if the server had forgotten it."""
    server = host.start("--store=none")
    client = machine.connect(host.address, "--json", kind=kind).up()
    server.stop()
    stand_still(client.process.pid)  # so that the other one asks first
    host.start("--store=none")
    taken = host.api(other_client).connect_ipip().inner
    client.process.send_signal(signal.SIGCONT)
    client.up(times=2, seconds=60).works(host.address)
    addresses = [said["address"] for said in client.said]
    assert addresses[0] == taken and addresses[-1] != taken, addresses
    assert f"inet {taken}/" not in machine.ns.run("ip -4 addr show vprox0")


def back_after_reboot(host, client):
    """Whether the tunnel was back before the client noticed that it had gone."""
    n = client.log.count("no echo comes back")
    host.reboot()
    server = host.start()
    wait.until(lambda: client.visit(seconds=3) == host.address, 40, "the tunnel works again")
    return server, client.log.count("no echo comes back") == n


def test_after_a_reboot_of_the_server_the_tunnel_goes_on_and_the_client_does_not_ask(host, machine, kind):
    """Its echoes are the traffic. They may be without an answer for 5 s: a machine that is so busy that a reboot takes
    longer has more than one try."""
    host.start()
    client = machine.connect(host.address, kind=kind, arguments="--json").up()
    assert client.visit() == host.address
    if kind == "wireguard":
        wait.until(lambda: host.stored("SELECT 1 FROM peer WHERE outer_port > 0"), 40)
    server, in_time = back_after_reboot(host, client)
    for _ in range(4):
        if not in_time:
            server, in_time = back_after_reboot(host, client)
    assert len(client.said) == 1, "another address"
    assert in_time
    assert not server.logged("has a tunnel, address", 0)


def test_a_server_that_is_gone_for_a_while_is_waited_for(host, machine, kind):
    server = host.start()
    client = machine.connect(host.address, kind=kind).up()
    server.stop()
    client.logged("trying again")
    time.sleep(15)
    assert client.process.poll() is None
    host.start()
    client.up(times=2, seconds=60).works(host.address)


def test_a_server_that_is_not_there_yet_is_waited_for(host, machine):
    client = machine.connect(host.address)
    client.logged("cannot connect")
    host.start()
    client.up().works(host.address)


@pytest.mark.plane
@pytest.mark.sanitize
def test_a_client_follows_an_address_that_moves_to_another_host(
        host, other_host, machine, kind):
    first, second = host.start(), other_host.start(ips=[host.address])
    pins = pins_of(first, second)
    assert pins[0] != pins[1]
    client = machine.connect(host.address, " ".join(f"--pin {pin}" for pin in pins),
                             kind=kind).up()
    machine.node.world.internet.ip(
        f"route replace {host.address}/32 dev {other_host.node.name}")
    client.up(times=2, seconds=60).works(host.address)
    assert second.logged("has a tunnel")


# Who the server is

def test_the_first_time_is_remembered_and_a_change_refused(host, machine):
    server = host.start()
    client = machine.connect(host.address).up()
    client.stop()
    [pin] = pins_of(server)
    assert machine.known_servers.read_text() == f"{host.address} {pin}\n"
    server.stop()
    for name in "tls-key.pem", "tls-cert.pem":
        (host.state / "lib/vprox" / name).unlink()
    server = host.start()
    client = machine.connect(host.address)
    assert client.wait() == REFUSED
    assert "has another TLS key than before" in client.log
    assert pins_of(server)[0] in client.log and str("/var/lib/vprox/known-servers") in client.log
    assert machine.known_servers.read_text() == f"{host.address} {pin}\n"
    assert not server.logged("has a tunnel")
    # What the message says to do helps.
    machine.known_servers.write_text("")
    machine.connect(host.address).up().stop()
    machine.known_servers.write_text(f"{host.address} {pin}\n")
    machine.connect(host.address, f"--pin {pins_of(server)[0]}").up().stop()


def test_a_change_while_connected_is_refused_until_the_right_server_is_back(host, machine):
    server = host.start()
    client = machine.connect(host.address).up()
    keys = [host.state / "lib/vprox" / name for name in ("tls-key.pem", "tls-cert.pem")]
    before = [key.read_bytes() for key in keys]
    server.stop()
    for key in keys:
        key.unlink()
    other = host.start()
    client.logged("has another TLS key than before", seconds=60)
    assert client.process.poll() is None
    assert not other.logged("has a tunnel")
    other.stop()
    for key, content in zip(keys, before):
        key.write_bytes(content)
    host.start()
    client.up(times=2, seconds=60).works(host.address)


def test_a_server_that_was_not_recognised_yet_finds_no_password_to_take(host, machine):
    """Not even by a hole in the client's TLS: what speaks to it is not given the password yet."""
    def listen():
        server = socket.create_server((host.address, PORT))
        server.settimeout(60)
        return server
    with host.ns.enter(listen) as server:
        client = machine.connect(host.address, "--log-level=debug")
        with server.accept()[0] as connection:
            connection.settimeout(60)
            assert connection.recv(1) == b"\x16", "its handshake has begun"
            asking = [pid for pid in machine.processes() if pid != client.process.pid]
            assert asking and not any(holds(pid, PASSWORD.encode()) for pid in asking)
            assert holds(client.process.pid, PASSWORD.encode()), "so the search finds it"
        client.stop()


def test_a_wrong_pin_is_refused_before_the_password_goes_out(host, machine):
    server = host.start()
    wrong = "sha256//" + "A" * 43 + "="
    client = machine.connect(host.address, f"--pin {wrong}")
    assert client.wait() == REFUSED
    assert "which no --pin names" in client.log and pins_of(server)[0] in client.log
    assert not server.logged("has a tunnel|wrong bearer")
    assert not machine.known_servers.exists()
    machine.connect(host.address, f"--pin {wrong} --pin {pins_of(server)[0]}").up()


def test_a_certificate_authority_vouches_for_a_server(host, machine):
    host.start()
    certificate = host.state / "lib/vprox/tls-cert.pem"
    machine.connect(host.address, f"--cacert {certificate}").up().stop()
    assert not machine.known_servers.exists()
    # Not for one of another name.
    hosts = machine.state / "hosts"
    hosts.write_text(f"{host.address} elsewhere.example\n")
    machine.mounts.append((hosts, "/etc/hosts"))
    client = machine.connect("elsewhere.example", f"--cacert {certificate}")
    assert client.wait() == REFUSED
    assert "is not good by --cacert" in client.log


def test_the_file_with_the_authority_may_be_a_users_own(host, machine):
    """Of one who calls it by sudo, in a home that is closed to others."""
    host.start()
    home = machine.state / "home"
    home.mkdir()
    certificate = home / "ca.pem"
    certificate.write_bytes((host.state / "lib/vprox/tls-cert.pem").read_bytes())
    for path, mode in (certificate, 0o600), (home, 0o700):
        os.chown(path, 1234, 1234)
        path.chmod(mode)
    machine.connect(host.address, f"--cacert {certificate}").up().stop()


def test_insecure_takes_any_server(host, machine):
    host.start()
    machine.known_servers.parent.mkdir()
    machine.known_servers.write_text(f"{host.address} sha256//{'A' * 43}=\n")
    machine.connect(host.address, "--insecure").up()


def test_a_server_may_be_named(host, machine, kind):
    server = host.start()
    hosts = machine.state / "hosts"
    hosts.write_text(f"{host.address} proxy.example\n")
    machine.mounts.append((hosts, "/etc/hosts"))
    client = machine.connect("proxy.example", kind=kind).up()
    client.works(host.address)
    assert machine.known_servers.read_text() == f"proxy.example {pins_of(server)[0]}\n"


def test_a_server_that_is_known_needs_nothing_written(host, machine):
    """An image whose /var is read-only; the server's key was put there when it was made."""
    host.start()
    machine.connect(host.address).up().stop()
    read_only = machine.script("mount -o remount,bind,ro /var/lib && ! touch /var/lib/x || exit 9")
    machine.connect(host.address, program=read_only).up().stop()
    machine.known_servers.write_text("")
    client = machine.connect(host.address, program=read_only)
    assert client.wait() == REFUSED
    assert "Read-only file system" in client.log


def test_a_wrong_password_ends_the_client(host, machine):
    host.start()
    before = machine.snapshot()
    client = machine.connect(host.address, password="wrong")
    assert client.wait() == REFUSED
    assert "VPROX_PASSWORD is not the server's password" in client.log
    assert machine.snapshot() == before


def test_a_password_that_is_changed_ends_a_running_client(host, machine):
    server = host.start()
    before = machine.snapshot()
    client = machine.connect(host.address).up()
    server.stop()
    host.start(environment={"VPROX_PASSWORD": "another"})
    assert client.wait(60) == REFUSED
    assert machine.snapshot() == before


# --route

@pytest.mark.plane
@pytest.mark.sanitize
def test_a_route_leads_through_the_tunnel_and_is_taken_back(host, machine, kind):
    host.start()
    before = machine.snapshot()
    client = machine.connect(host.address, "--route 198.51.100.0/25 --route 192.168.7.0/24",
                             kind=kind).up()
    is_seen_as(machine, host.address)
    client.stop()
    wait.until(lambda: machine.snapshot() == before, what="as it was before")
    assert machine.visit() == machine.node.address


@pytest.mark.parametrize("rp_filter", [0, pytest.param(1, marks=pytest.mark.plane)])
def test_the_default_route_does_not_cut_off_the_tunnel_itself(host, machine, kind, rp_filter):
    machine.ns.sysctl(net__ipv4__conf__all__rp_filter=rp_filter,
                      net__ipv4__conf__eth0__rp_filter=rp_filter)
    server = host.start()
    before = machine.snapshot()
    client = machine.connect(host.address, "--route 0.0.0.0/0", kind=kind).up()
    is_seen_as(machine, host.address)
    # The control connection too.
    server.stop()
    host.start()
    client.up(times=2, seconds=60)
    is_seen_as(machine, host.address)
    client.stop()
    wait.until(lambda: machine.snapshot() == before, what="as it was before")


@pytest.mark.parametrize("rp_filter", [0, pytest.param(1, marks=pytest.mark.plane)])
def test_a_default_route_in_a_table_of_its_own_goes_on_leading_to_the_server(
        host, machine, kind, rp_filter):
    machine.ns.sysctl(net__ipv4__conf__all__rp_filter=rp_filter,
                      net__ipv4__conf__eth0__rp_filter=rp_filter)
    machine.ns.ip("route del default",
                  f"route add default via {ROUTER_TO_CLIENTS} dev eth0 onlink table 200",
                  "rule add pref 31000 lookup 200")
    host.start()
    machine.connect(host.address, "--route 0.0.0.0/0", kind=kind).up()
    is_seen_as(machine, host.address)


@pytest.mark.plane
def test_routes_that_a_killed_client_left_are_taken_over_and_taken_back(host, machine):
    host.start()
    before = machine.snapshot()
    machine.connect(host.address, "--route 0.0.0.0/0").up().kill()
    is_seen_as(machine, host.address)
    client = machine.connect(host.address, "--route 198.51.100.0/24").up()
    is_seen_as(machine, host.address)
    client.stop()
    wait.until(lambda: machine.snapshot() == before, what="as it was before")


def test_rules_that_are_flushed_come_back(host, machine):
    host.start()
    machine.connect(host.address, "--route 198.51.100.0/24").up()
    for line in machine.ns.run("ip rule show").splitlines():
        priority = int(line.split(":")[0])
        if 20000 <= priority < 30000:
            machine.ns.run(f"ip rule del priority {priority}")
    is_seen_as(machine, host.address)


# The command line

@pytest.mark.parametrize("arguments, expected", [
    ("", "SERVER is missing"),
    ("203.0.113.7 203.0.113.8", "203.0.113.8: there is one SERVER"),
    ("203.0.113", "not an IPv4 address"),
    ("203.0.113.256", "not an IPv4 address"),
    ("0.0.0.0", "not a server's address"),
    ("224.0.0.1", "not a server's address"),
    ("255.255.255.255", "not a server's address"),
    ("2001:db8::1", "not an IPv4 address or a name"),
    ("https://203.0.113.7", "not an IPv4 address or a name"),
    ("a..b/c", "not an IPv4 address or a name"),
    ("-- -a", "not an IPv4 address or a name"),
    ("A --interface=", "--interface"),
    ("A --interface=sixteen-letters_", "--interface sixteen-letters_: not a name"),
    ("A --interface=a/b", "--interface a/b"),
    ("A --interface=..", "--interface .."),
    ("A --interface=a~", "--interface a~"),
    ("A --interface=à", "--interface à: not a name"),
    ("A --interface=all", "--interface all: no interface can have this name"),
    ("A --interface=default", "--interface default: no interface can have this name"),
    ("A --tunnel=gre", "--tunnel gre: must be wireguard or ipip"),
    ("A --plane=user", "--plane user: must be auto, kernel or embedded"),
    ("A --route=10.0.0.0", "--route 10.0.0.0: not a block"),
    ("A --route=10.0.0.0/33", "--route 10.0.0.0/33: not a block"),
    ("A --route=::/0", "--route ::/0: not a block"),
    ("A " + "--route=10.0.0.0/8 " * 65, "there are 64 already"),
    ("A --except=10.0.0.0", "--except 10.0.0.0: not a block such as 10.0.0.0/8, nor none"),
    ("A " + "--except=10.0.0.0/8 " * 65, "there are 64 already"),
    ("A --pin=sha256//AAAA", "--pin sha256//AAAA: not sha256//"),
    ("A --pin=" + "A" * 43 + "=", "not sha256//"),
    ("A --cacert=/nowhere", "--cacert /nowhere: No such file"),
    ("A --cacert=", "--cacert"),
    ("A --insecure --pin=sha256//" + "A" * 43 + "=", "--insecure: does not go together with --pin"),
    ("A --insecure --cacert=/etc/passwd", "--insecure: does not go together with --cacert"),
    ("A --known-servers=", "--known-servers"),
    ("A --log-level=loud", "--log-level loud"),
    ("A --log-format=xml", "--log-format xml"),
    ("A --once=1", "--once=1: --once takes no value"),
    ("A --route", "--route needs a value"),
    ("A --nonsense", "--nonsense"),
])
def test_a_wrong_command_line_is_told_and_nothing_is_done(machine, arguments, expected):
    status, said = machine.run(arguments)
    assert status == 2 and expected in said, said
    assert not machine.has("vprox0")


@pytest.mark.parametrize("password", [None, "", "two\nlines", " blank", "x" * 4097])
def test_a_password_that_cannot_be_sent_is_told(machine, password):
    status, said = machine.run("203.0.113.7", password=password)
    assert status == 2 and "VPROX_PASSWORD" in said, said


def test_help_and_version(machine):
    status, said = machine.run("--help")
    assert status == 0 and "--route CIDR" in said
    status, said = machine.run("--version")
    assert status == 0 and said.startswith("vprox ")


def test_a_file_without_certificates_is_told(host, machine):
    host.start()
    client = machine.connect(host.address, "--cacert /etc/passwd")
    client.logged("there is no certificate in the file")


def test_without_rights_it_says_so(machine):
    process = machine.ns.popen(
        ["setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all",
         machine.options.vprox, "connect", "203.0.113.7"], machine.mounts, text=True, stdout=-1,
        stderr=-2, env=machine.environment("x"))
    said = process.communicate(timeout=20)[0]
    assert process.returncode == 1 and "run it as root" in said, said


def test_the_helper_is_not_for_people(machine):
    done = machine.ns.try_run([machine.options.vprox, "request"])
    assert done.returncode == 2 and "not by hand" in done.stdout
