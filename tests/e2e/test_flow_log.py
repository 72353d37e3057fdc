"""The flow log: a line for each connection of a client's that has ended, under the name of who had the
inner address when it began."""

import datetime
import json
import os
import re
import signal
import socket

import pytest

from lab.echo import VISITED, HTTP_PORT, UDP_PORT, ask_udp, bound, visit
from lab.tokens import Tokens, line as token_line, tunnel as tunnel_by
from lib import conntrack, wait
from lib.process import kill, open_files, socket_of, stand_still, state, status

SLACK = 30
EVENTS_FD = 4  # src/ipc/flow_process.h
ONE_ADDRESS = "10.9.8.0/30"  # it goes from one client to the next
KILLED = ["flows .* killed"]
EMBEDDED = pytest.mark.only("embedded", reason="of the plane nothing matters here")


class FlowLog:
    def __init__(self, host, path=None):
        self.host = host
        self.path = path or host.state / "flows.jsonl"

    def lines(self, **fields):
        """Those with these fields. All of them are whole, but for one that is being written."""
        if not self.path.exists():
            return []
        whole = self.path.read_text(encoding="ascii").rpartition("\n")[0]
        found = [json.loads(line) for line in whole.splitlines()]
        return [line for line in found if all(line.get(name) == value for name, value in fields.items())]

    def wait_for(self, n=1, **fields):
        wait.until(lambda: len(self.lines(**fields)) >= n, SLACK, lambda: f"{fields} in {self.lines()}")
        return self.lines(**fields)[-1]

    def end_all(self):
        """The host's connections end, as they do by themselves after a while."""
        self.host.ns.run("conntrack -F")


@pytest.fixture(name="log")
def fixture_log(host):
    return FlowLog(host)


def start(host, log, arguments="", **kwargs):
    server = host.start(f"--flow-log={log.path} {arguments}", **kwargs)
    assert server.logged("flows that end are written to", SLACK)
    return server


def start_with_tokens(host, log, arguments="", **kwargs):
    tokens = Tokens(host)
    tokens.write(*(token_line(name, name[0] * 40) for name in ("first", "second")))
    return start(host, log, f"--tokens={tokens.path} {arguments}", **kwargs)


def tunnel_of(host, kind, node, letter):
    return tunnel_by(host, kind, node, letter * 40)


def process(server):
    wait.until(lambda: server.children_called("flows"), SLACK, "the process is there")
    pid, = server.children_called("flows")
    return pid


def moment(text):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    return datetime.datetime.fromisoformat(text)


def show(host):
    return host.shown()["flow_log"]


@pytest.mark.plane
@pytest.mark.sanitize
def test_each_connection_that_ends_is_a_line(host, client, kind, log):
    start(host, log)
    tunnel = host.tunnel(kind, client).up()
    began = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    seen, tcp_port = tunnel.visit_from_port(41000)
    _, udp_port = ask_udp(tunnel.ns, tunnel.device, port=41001)
    assert len(tunnel.download()) == 64 and tunnel.ping(VISITED) and seen == host.address
    log.end_all()
    who = {"event": "flow", "kind": kind, "inner": tunnel.inner, "serving": host.address, "destination": VISITED}
    tcp = log.wait_for(protocol="tcp", inner_port=41000, serving_port=tcp_port, destination_port=HTTP_PORT, **who)
    udp = log.wait_for(protocol="udp", inner_port=41001, serving_port=udp_port, destination_port=UDP_PORT, **who)
    icmp = log.wait_for(protocol="icmp", **who)
    for found in tcp, udp, icmp:
        end = moment(found["end"])
        assert began <= moment(found["start"]) <= end <= began + datetime.timedelta(seconds=600)
    assert set(icmp) == {"start", "end", "protocol", "received_bytes", "received_packets", "sent_bytes",
                         "sent_packets", *who}, "nothing that is not known, and no port"
    assert (udp["received_packets"], udp["received_bytes"]) == (1, 29), "IP header, UDP header, a byte"
    assert udp["sent_packets"] == 1 and icmp["received_packets"] == icmp["sent_packets"] == 1
    assert max(each["sent_bytes"] for each in log.lines(protocol="tcp")) > 2 << 20
    assert log.path.stat().st_mode & 0o7777 == 0o600


def test_neither_the_hosts_own_connections_are_there_nor_those_to_the_host(host, client, kind, log):
    start(host, log)
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.ping() and visit(host.ns, None) and tunnel.visit()
    log.end_all()
    log.wait_for(protocol="tcp")
    assert visit(host.ns, None) and tunnel.visit()
    log.end_all()
    log.wait_for(n=2, protocol="tcp")
    assert {(line["inner"], line["protocol"]) for line in log.lines()} == {(tunnel.inner, "tcp")}


@pytest.mark.plane
def test_a_connection_is_its_clients_who_began_it_though_another_has_its_address(host, client, other_client, kind, log):
    start_with_tokens(host, log, block=ONE_ADDRESS)
    first = tunnel_of(host, kind, client, "f")
    with bound(first.ns, socket.SOCK_STREAM, first.device, 41000, 15) as connection:
        connection.connect((VISITED, HTTP_PORT))
        # The client's last packet of the handshake may still be on its way when it asks to go.
        wait.until(lambda: "ESTABLISHED" in host.ns.run("conntrack -L -p tcp --orig-port-src 41000"), SLACK)
        assert first.disconnect().status == 200
        ended = log.wait_for(inner_port=41000)
        assert ended["name"] == "token:first" and ended["received_packets"] >= 2
    second = tunnel_of(host, kind, other_client, "s")
    assert second.inner == first.inner and second.visit_from_port(41002)
    log.end_all()
    assert log.wait_for(inner_port=41002)["name"] == "token:second"


@EMBEDDED
def test_after_a_restart_connections_of_before_have_their_clients_name(host, client, kind, log):
    server = start_with_tokens(host, log, "--on-exit=keep")
    tunnel = tunnel_of(host, kind, client, "f")
    assert tunnel.visit_from_port(41000)
    server.stop()
    server = start_with_tokens(host, log)
    restarted = datetime.datetime.now(datetime.timezone.utc)
    assert process(server)
    log.end_all()
    ended = log.wait_for(inner_port=41000)
    assert ended["name"] == "token:first" and moment(ended["start"]) < restarted


@EMBEDDED
def test_what_begins_between_two_servers_is_there(host, client, log):
    server = start(host, log)
    tunnel = host.tunnel("wireguard", client).up()
    server.kill()
    assert tunnel.visit_from_port(41000)
    process(start(host, log))
    log.end_all()
    assert moment(log.wait_for(inner_port=41000)["start"])


@EMBEDDED
def test_a_process_that_was_killed_loses_nothing_and_no_name(host, client, other_client, log):
    server = start_with_tokens(host, log, block=ONE_ADDRESS, expected=KILLED)
    pid = process(server)
    first = tunnel_of(host, "wireguard", client, "f")
    assert first.visit_from_port(41000)
    stand_still(pid)
    first.disconnect()
    second = tunnel_of(host, "wireguard", other_client, "s")
    assert second.inner == first.inner and second.visit_from_port(41001)
    log.end_all()
    kill(pid)
    assert log.wait_for(inner_port=41001)["name"] == "token:second"
    assert log.wait_for(inner_port=41000)["name"] == "token:first"
    assert len(log.lines()) == 2
    wait.until(lambda: show(host)["flows"] == 2, SLACK, "told by the next one")


@EMBEDDED
def test_with_sighup_the_flow_log_goes_on_in_another_file(host, client, log):
    server = start(host, log)
    tunnel = host.tunnel("wireguard", client).up()
    assert tunnel.visit_from_port(41000)
    log.end_all()
    log.wait_for(inner_port=41000)
    old = FlowLog(host, log.path.with_name("flows.1"))
    log.path.rename(old.path)
    server.send_signal(signal.SIGHUP)
    wait.until(log.path.exists, SLACK, "the file is there again")
    assert tunnel.visit_from_port(41001)
    wait.until(lambda: str(log.path) in open_files(process(server)).values())
    log.end_all()
    log.wait_for(inner_port=41001)
    assert len(log.lines()) == len(old.lines()) == 1
    assert server.process.poll() is None and log.path.stat().st_mode & 0o7777 == 0o600


@EMBEDDED
def test_without_room_flows_are_lost_and_counted_and_nobody_waits(host, client):
    server = start(host, FlowLog(host, "/dev/full"), expected=["cannot write the flow log"])
    tunnel = host.tunnel("wireguard", client).up()
    for _ in range(2):
        assert tunnel.visit() == host.address
        host.ns.run("conntrack -F")
    wait.until(lambda: show(host) == {"flows": 0, "lost": {"rate": 0, "file": 2}, "failing": True}, SLACK)
    assert server.log.count("cannot write the flow log: No space left on device") == 1
    assert "flow log: 0 flows, 2 lost (cannot be written)" in host.run("show")[1]
    assert 'vprox_flow_log_lost_total{reason="file"} 2' in host.run("show --metrics")[1]


@EMBEDDED
def test_while_nobody_writes_the_flow_log_it_is_said_to_fail(host, log):
    """One that has not lived for a second is replaced after one."""
    server = start(host, log, expected=KILLED)
    wait.until(lambda: not show(host)["failing"], SLACK)
    seen = []

    def is_said_to_fail():
        kill(process(server))
        seen.append(host.run("show")[1])
        return "flow log: 0 flows (cannot be written)" in seen[-1]
    wait.until(is_said_to_fail, SLACK, lambda: seen[-1])
    wait.until(lambda: not show(host)["failing"], SLACK)


@EMBEDDED
def test_what_ends_faster_than_it_is_read_is_counted_and_said_once(host, client, log):
    server = start(host, log)
    tunnel = host.tunnel("wireguard", client).up()
    pid = process(server)
    wait.until(lambda: status(pid)["Seccomp"] == "2", SLACK, "it is confined")
    with socket_of(pid, EVENTS_FD) as events:
        events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the smallest that there is
    stand_still(pid)
    conntrack.insert(host.ns, range(300), tunnel.inner, VISITED, host.address)
    conntrack.insert(host.ns, range(1000, 1100), host.address, VISITED, host.address)
    log.end_all()
    os.kill(pid, signal.SIGCONT)
    wait.until(lambda: show(host)["flows"] + show(host)["lost"]["rate"] == 300, SLACK, lambda: show(host))
    lost = show(host)["lost"]["rate"]
    assert 0 < len(log.lines()) == 300 - lost < 300, "the host's own take no room"
    assert server.log.count("the kernel tells of ended flows faster than they are written down") == 1
    assert server.logged(f"no more flows are lost: {lost} are", SLACK)
    assert f'vprox_flow_log_lost_total{{reason="rate"}} {lost}' in host.run("show --metrics")[1]


def test_a_flow_log_that_cannot_be_opened_is_no_start(host):
    command = f"server --ip {host.address} --wg-block=10.100.0.0/16 --flow-log="
    code, said = host.run(f"{command}{host.state}")
    assert code == 1 and "cannot open the flow log" in said and "Is a directory" in said
    code, said = host.run(f"{command}flows.jsonl")
    assert code == 2 and "not an absolute path" in said


@EMBEDDED
def test_what_the_kernel_keeps_is_switched_on_once_and_again_when_others_switch_it_off(host, client, log):
    names = [f"net/netfilter/nf_conntrack_{name}" for name in ("acct", "timestamp", "events")]
    for name in names:
        host.ns.run(f"sysctl -qw {name}=0")
    server = start(host, log, "--reap-interval=1s")
    assert [server.log.count(f"changed {name} from 0 to 1") for name in names] == [1, 1, 1]
    assert server.log.count("the flow log does not know when they began") == 1
    host.ns.run("sysctl -qw net.netfilter.nf_conntrack_acct=0")
    wait.until(lambda: server.log.count(f"changed {names[0]} from 0 to 1") == 2, SLACK)
    assert host.ns.read(f"/proc/sys/{names[0]}").strip() == "1"


@EMBEDDED
def test_without_the_option_there_is_no_such_process_and_nothing_is_switched_on(host):
    paths = [f"/proc/sys/net/netfilter/nf_conntrack_{name}" for name in ("acct", "timestamp", "events")]
    before = [host.ns.read(path) for path in paths]
    server = host.start()
    assert not server.children_called("flows") and show(host) is None
    assert [host.ns.read(path) for path in paths] == before


@EMBEDDED
def test_what_has_ended_before_a_stop_is_written(host, client, log):
    server = start(host, log)
    tunnel = host.tunnel("wireguard", client).up()
    assert tunnel.visit_from_port(41000)
    pid = process(server)
    stand_still(pid)
    log.end_all()
    server.send_signal(signal.SIGTERM)
    os.kill(pid, signal.SIGCONT)
    assert server.wait() == 0
    assert len(log.lines(inner_port=41000)) == 1 and state(pid) == "X"
