"""The configuration's file, and what a hang-up changes of it while the server runs."""

import re
import signal
import subprocess

import pytest

from lab.api import PASSWORD, Connection
from lab.server import BLOCK
from lab.tunnels import random_key
from lib import wait

STAYS = "the configuration cannot be used, and stays as it was"
FLAGS = ["wg-block-per-ip=/24", "log-level=debug"]


class Config:
    """A file of options, which is always there as a whole."""

    def __init__(self, host):
        self.host = host
        self.path = host.state / "server.conf"
        self.server = None

    def write(self, *lines, ips=None):
        new = self.path.with_name("new")
        ips = [self.host.address] if ips is None else ips
        new.write_text("\n".join([f"VPROX_PASSWORD='{PASSWORD}'", f"wg-block={BLOCK}",
                                  *(f"ip={address}" for address in ips), *FLAGS, *lines, ""]))
        new.chmod(0o600)
        new.rename(self.path)

    def launch(self, *lines, **kwargs):
        self.write(*lines, **kwargs)
        self.server = self.host.launch_as(["server", f"--plane={self.host.options.plane}", "--gates=2",
                                           f"--config={self.path}"], {"VPROX_PASSWORD": None})
        return self.server

    def start(self, *lines, **kwargs):
        return self.launch(*lines, **kwargs).wait_ready()

    def reload(self):
        """What the log says of it."""
        server = self.server
        end = re.compile(f"configuration read again.*|{STAYS}")
        before, n = len(server.log), len(end.findall(server.log))
        server.send_signal(signal.SIGHUP)
        wait.until(lambda: len(end.findall(server.log)) > n, what=lambda: server.log)
        return server.log[before:]


@pytest.fixture(name="config")
def fixture_config(host):
    return Config(host)


def status(host, client, address):
    try:
        return host.api(client, address).connect(random_key()).status
    except OSError:
        return None


@pytest.mark.plane
@pytest.mark.sanitize
def test_addresses_come_and_go_with_a_hangup_while_others_go_on(host, client, kind, config):
    server = config.start()
    children = server.children()
    tunnel = host.tunnel(kind, client, host.address).up()
    index = host.links()["vprox0"]["ifindex"]
    pings = Pings(tunnel)
    config.write(ips=[host.address, host.second])
    said = config.reload()
    assert f"--ip {host.second}: added" in said and "configuration read again: it has changed" in said
    assert server.logged(rf"endpoint {host.second}: served from now on", 20)
    other = host.tunnel(kind, client, host.second, device="other").up()
    assert other.inner.startswith("10.100.1.") and other.visit() == host.second
    config.write(ips=[host.address])
    assert f"--ip {host.second}: removed" in config.reload()
    assert server.logged(rf"endpoint {host.second}: served no more", 20)
    wait.until(lambda: status(host, client, host.second) is None)
    wait.until(lambda: "vprox1" not in host.links())
    assert pings.lost() == 0 and tunnel.visit() == host.address
    assert host.links()["vprox0"]["ifindex"] == index and server.children()[:len(children)] == children
    # It keeps its clients' places for when it is back.
    config.write(ips=[host.second, host.address])
    config.reload()
    assert other.request().json["AssignedAddr"].startswith(f"{other.inner}/")


class Pings:
    """A ping through a tunnel that goes on meanwhile."""

    def __init__(self, tunnel):
        self.process = tunnel.ns.popen(["ping", "-n", "-q", "-i", "0.1", "-I", tunnel.device, tunnel.gateway],
                                       text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def lost(self):
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=60)[0]
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", said).groups())
        assert received > 0, said
        return max(0, sent - received - 1)  # the last one may still be on its way


def test_followed_addresses_come_and_go_with_a_hangup(host, client, config):
    server = config.start()
    config.write(f"follow={host.second}/32")
    assert f"--follow {host.second}/32: added" in config.reload()
    assert server.logged(rf"endpoint {host.second}: served from now on", 20)
    assert status(host, client, host.second) == 200
    config.write()
    assert f"--follow {host.second}/32: removed" in config.reload()
    wait.until(lambda: status(host, client, host.second) is None)
    assert status(host, client, host.address) == 200


def test_an_address_does_not_change_hands_without_a_restart(host, client, config):
    server = config.start(f"follow={host.second}/32")
    server.expect(f"restart to change {host.second} between --ip and --follow|{STAYS}")
    assert status(host, client, host.second) == 200
    config.write(ips=[host.address, host.second])
    said = config.reload()
    assert STAYS in said and "added" not in said
    assert status(host, client, host.second) == 200


def test_what_needs_a_restart_is_named_and_the_rest_is_in_force(host, client, config):
    server = config.start()
    config.write("idle-timeout=1h", "gates=1", "store=none", ips=[host.address, host.second])
    said = config.reload()
    assert "warning server: restart to change --store" in said
    assert "--idle-timeout: 1h, was 5m" in said
    assert status(host, client, host.second) == 200
    assert len(server.stores()) == 1


def test_what_needs_a_restart_is_named_until_it_is_what_it_was(config):
    config.start()
    config.write("store=none")
    assert "restart to change --store" in config.reload()
    said = config.reload()
    assert "restart to change --store" in said and "nothing has changed" in said
    config.write()
    assert "restart" not in config.reload()


def test_a_configuration_with_a_password_that_others_can_read_is_warned_of(config):
    server = config.start()
    assert "exposed" not in server.log
    config.path.chmod(0o640)
    assert f"warning server: {config.path} is exposed" in config.reload()


MISTAKES = {
    "an option": (["nonsense=1"], r"line 7: --nonsense: no such option"),
    "a value": (["idle-timeout=soon"], r"line 7: --idle-timeout soon: not a time"),
    "a name": (["VPROX_PASWORD=x"], r"line 7: VPROX_PASWORD: no such setting"),
    "no name": (["=x"], r"line 7: =: there is no name"),
    "an address": (["ip=203.0.113.300"], r"line 7: --ip 203.0.113.300: not an IPv4 address"),
    "twice": (["ip=203.0.113.77", "ip=203.0.113.77"], r"line 8: --ip 203.0.113.77: given twice"),
    "together": (["follow=10.100.0.0/24"], r"--follow 10.100.0.0/24: overlaps with --wg-block"),
    "a password as a file's name": (["password=hunter2"], r"line 7: password: the password is VPROX_PASSWORD"),
    "a file in it": (["config=/etc/other"], r"line 7: config: a file of options names no other"),
}


@pytest.mark.parametrize("lines, complaint", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_changes_nothing_and_its_line_is_named(host, client, config, lines, complaint):
    server = config.start()
    server.expect(f"{complaint}|{STAYS}")
    config.write(*lines, "log-level=error", ips=[host.address, host.second])
    said = config.reload()
    assert re.search(complaint, said) and STAYS in said, said
    assert "hunter2" not in said
    # What is right in it is not taken either.
    assert status(host, client, host.second) is None
    assert "added" not in said and status(host, client, host.address) == 200
    config.write(ips=[host.address, host.second])
    assert "it has changed" in config.reload()
    assert status(host, client, host.second) == 200


def test_what_clients_reach_changes_with_a_hangup(world, host, client, config):
    config.start()
    tunnel = host.tunnel("wireguard", client).up()
    assert tunnel.visit() == host.address
    config.write("deny-to=198.51.100.0/24")
    assert "--deny-to 198.51.100.0/24: added" in config.reload()
    assert not reaches(tunnel)
    config.write()
    config.reload()
    wait.until(lambda: reaches(tunnel))


def reaches(tunnel):
    try:
        return tunnel.visit() is not None
    except (OSError, AssertionError):
        return False


def test_limits_and_the_log_change_with_a_hangup(host, client, config):
    server = config.start("log-level=info")
    config.write("log-level=debug", "max-connections-per-source=1")
    said = config.reload()
    assert "--log-level: debug, was info" in said
    assert "--max-connections-per-source: 1, was 256" in said
    def is_limited():
        with Connection(client, host.address, timeout=20):
            try:
                Connection(client, host.address, timeout=20).socket.close()
                return False
            except OSError:
                return True
    wait.until(is_limited)
    assert server.logged("debug")


def test_hangups_by_the_ten_and_during_the_start_end_with_what_was_written_last(host, client, config):
    server = config.launch()
    wait.until(lambda: " starts" in server.log, what=lambda: server.log)
    config.write(ips=[host.address, host.second])
    server.send_signal(signal.SIGHUP)
    server.wait_ready()
    wait.until(lambda: status(host, client, host.second) == 200, what=lambda: server.log)
    for n in range(10):
        config.write(ips=[host.address, *([host.third] if n % 2 else [])])
        server.send_signal(signal.SIGHUP)
    wait.until(lambda: status(host, client, host.third) == 200, what=lambda: server.log)
    wait.until(lambda: status(host, client, host.second) is None, what=lambda: server.log)


def test_a_server_that_is_killed_in_a_change_is_followed_by_one_that_has_it_whole(host, client, kind, config):
    server = config.start()
    tunnel = host.tunnel(kind, client, host.address).up()
    config.write(ips=[host.address, host.second, host.third])
    server.send_signal(signal.SIGHUP)
    wait.until(lambda: "--ip" in server.log, what=lambda: server.log)
    server.kill()
    server = config.start(ips=[host.address, host.second, host.third])
    assert all(status(host, client, address) == 200 for address in (host.address, host.second, host.third))
    assert tunnel.ping()


def test_an_environment_file_of_before_goes_on_working(host, client):
    """As systemd has read it: quotes, blanks, a line that goes on in the next, and the last of two of a name."""
    path = host.state / "server.conf"
    path.write_text(f"""# a comment
; another
VPROX_AUTH_MODE=password
VPROX_FLAGS=--ip 203.0.113.99 --wg-block 10.9.0.0/16 --deny-to 0.0.0.0/0
VPROX_PASSWORD="two \\"words\\" and a \\$"

VPROX_FLAGS=--ip {host.address} --wg-block {BLOCK} \\
 --plane '{host.options.plane}' --gates=1
""")
    path.chmod(0o600)
    host.launch_as(["server", f"--config={path}"], {"VPROX_PASSWORD": None}).wait_ready()
    assert host.api(client).get("/version", password='two "words" and a $').status == 200
