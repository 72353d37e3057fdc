"""A new process takes the place of a device's: `vprox device --replace`."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import handover
import pytest
from handover import Between, Record, kill, pauses_ms, replace, replaced
from lib import noise, packets
from lib.process import children, open_files, status
from lib.wait import until
from net import (INNER, IPIP_INNER, OUTER, Device, Transfer, connect_ipip, has_fast_path, make_pair,
                 ping)

SEQUENCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sequence.py")
A_SECOND = 1000
STREAM = 64 << 20
TIMES = 3


def connected_pair(network):
    """A pair with a session, and when its handshake was."""
    a, b = make_pair(network)
    assert ping(network["a"], INNER["b"][0])
    return a, b, a.last_handshake()


def assert_same_session(network, a, before):
    assert ping(network["a"], INNER["b"][0], count=2)
    assert a.last_handshake() == before


class Sequence:
    """Datagrams at a steady pace, from one end to the other."""

    def __init__(self, sender, receiver, address, port):
        self.receiver = self.start(receiver, "receive", address, port)
        assert self.receiver.stdout.readline() == "listening\n"
        self.sender = self.start(sender, "send", address, port, A_SECOND)
        assert self.sender.stdout.readline() == "sending\n"

    @staticmethod
    def start(space, *arguments):
        return space.popen(["/usr/bin/python3", SEQUENCE, *map(str, arguments)], text=True,
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def end(self):
        """How many were sent, and how many came."""
        sent = int(self.sender.communicate("\n")[0])
        return sent, int(self.receiver.communicate(f"{sent}\n")[0])


def test_no_packet_is_lost_while_devices_are_replaced(network):
    """1,000 datagrams a second each way, and a stream each way, over several replacements."""
    a, b, before = connected_pair(network)
    sequences = [Sequence(network["a"], network["b"], INNER["b"][0], 5001),
                 Sequence(network["b"], network["a"], INNER["a"][0], 5002)]
    streams = [Transfer(network["a"], network["b"], INNER["b"][0], STREAM),
               Transfer(network["b"], network["a"], INNER["a"][0], STREAM)]
    for _ in range(TIMES):
        replaced(a)
        replaced(b)
    for stream in streams:
        assert stream.arrives_intact(120)
        stream.close()
    for sequence in sequences:
        sent, came = sequence.end()
        assert came == sent > 0
    assert a.last_handshake() == before, "the session goes on"
    assert len(pauses_ms(a)) == len(pauses_ms(b)) == TIMES
    print("packets waited for ms:", pauses_ms(a), pauses_ms(b))


class Sessions:
    """Peers of a device that are this test, all at one socket, with a session each."""

    ADDRESSES = "10.8.0.1/16"  # of the device; theirs are from 10.8.4.0 up
    AT_ONCE = 50  # handshakes, so as not to be a load

    def __init__(self, network, device, n):
        self.key = noise.KeyPair()
        self.device, self.keys = device, [noise.KeyPair() for _ in range(n)]
        lines = [f"private_key={self.key.private.hex()}", "listen_port=7000"]
        for number, key in enumerate(self.keys):
            lines += [f"public_key={key.public.hex()}", f"allowed_ip={self.address(number)}/32"]
        assert "errno=0" in device.uapi("\n".join(["set=1", *lines]) + "\n\n")
        device.address(self.ADDRESSES)
        self.socket = network["b"].socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.settimeout(20)
        self.socket.connect((OUTER["a"][0], 7000))
        self.sessions = {}  # by our index: number of the peer, session
        self.counters = {}  # by our index: of what came
        self.last = {}  # what was sent last
        for first in range(0, n, self.AT_ONCE):
            self.shake_hands(range(first, min(first + self.AT_ONCE, n)))

    @staticmethod
    def address(number):
        return f"10.8.{4 + number // 250}.{1 + number % 250}"

    def shake_hands(self, numbers):
        begun = {}
        for number in numbers:
            one = noise.Initiator(self.keys[number], self.key.public)
            begun[one.index] = number, one
            self.socket.send(noise.add_macs(one.initiation(noise.timestamp()), self.key.public))
        while begun:
            answer = self.socket.recv(2048)
            number, one = begun.pop(struct.unpack_from("<I", answer, 8)[0])
            self.sessions[one.index] = number, one.consume(answer)
            self.counters[one.index] = -1

    def echo(self):
        """Each peer pings the device's host; each answer is of its session, under a counter that was
        not there before. Returns how many were answered."""
        for index, (number, session) in self.sessions.items():
            packet = packets.ipv4(self.address(number), "10.8.0.1", packets.ICMP,
                                  packets.icmp_echo())
            self.last[index] = session.seal(packet + bytes(-len(packet) % 16))
            self.socket.send(self.last[index])
        answered = set()
        while len(answered) < len(self.sessions):
            message = self.socket.recv(2048)
            kind, index = struct.unpack_from("<II", message)
            if kind != noise.TRANSPORT:
                continue
            counter, packet = self.sessions[index][1].open(message)
            assert counter > self.counters[index], "a counter that was used before"
            self.counters[index] = counter
            if packet:
                answered.add(index)
        return len(answered)

    def replay(self):
        for message in self.last.values():
            self.socket.send(message)


def test_a_thousand_sessions_go_on_with_counters_and_replay_windows(network):
    """No counter is used twice, and what was received before is not received again."""
    n = 1000
    a = Device(network, "a", "dp0")
    peers = Sessions(network, a, n)
    assert peers.echo() == n
    replaced(a)
    peers.replay()
    until(lambda: a.drops()["replayed"] == n, what=a.drops)
    assert peers.echo() == n
    replaced(a)
    peers.replay()
    until(lambda: a.drops()["replayed"] == 2 * n, what=a.drops)
    assert peers.echo() == n
    print(f"with {n} sessions packets waited for ms:", pauses_ms(a))


def test_a_handshake_that_was_begun_before_ends_after(network):
    """And the packet that waited for it goes."""
    a = Device(network, "a", "dp0")
    peers = Sessions(network, a, 0)
    key = noise.KeyPair()
    port = peers.socket.getsockname()[1]
    assert "errno=0" in a.uapi(
        f"set=1\npublic_key={key.public.hex()}\nallowed_ip={peers.address(0)}/32\n"
        f"endpoint={OUTER['b'][0]}:{port}\n\n")
    network["a"].popen(["ping", "-c1", "-W1", peers.address(0)], stdout=subprocess.DEVNULL)
    opened = noise.Responder(key, peers.socket.recv(2048))
    replaced(a)
    peers.socket.send(noise.add_macs(opened.response(), peers.key.public))
    message = peers.socket.recv(2048)
    assert struct.unpack_from("<I", message)[0] == noise.TRANSPORT, "no second initiation"
    _, packet = opened.session.open(message)
    assert packet[9] == packets.ICMP


def test_handshakes_stay_later_than_what_a_device_before_it_has_sent(network):
    """A server after a reboot, whose clock is an hour behind; before and after a replacement."""
    a = Device(network, "a", "dp0")
    peers = Sessions(network, a, 0)
    port = peers.socket.getsockname()[1]
    floor = time.time_ns() + 3600 * 10 ** 9
    assert "errno=0" in a.uapi(f"set=1\ntimestamps_after={floor}\n\n")
    latest = noise.timestamp(floor)
    for number in range(2):
        key = noise.KeyPair()
        # what switches keepalives on shakes hands
        assert "errno=0" in a.uapi(
            f"set=1\npublic_key={key.public.hex()}\nendpoint={OUTER['b'][0]}:{port}\n"
            "persistent_keepalive_interval=60\n\n")
        opened = noise.Responder(key, peers.socket.recv(2048))
        assert opened.timestamp > latest, "it would be dropped"
        latest = opened.timestamp
        assert floor < int(a.values("get_timestamp=1\n\n")["timestamp"]) < floor + 600 * 10 ** 9
        if number == 0:
            replaced(a)
            # a timestamp tells the time to 17 ms only
            until(lambda: noise.timestamp(
                int(a.values("get_timestamp=1\n\n")["timestamp"])) > latest, what="time")


def test_ipip_goes_on(network):
    a, b = Device(network, "a", "dp0"), Device(network, "b", "dp1")
    connect_ipip(a, b)
    assert ping(network["a"], IPIP_INNER["b"])
    sequence = Sequence(network["a"], network["b"], IPIP_INNER["b"], 5001)
    before = int(b.values("get_ipip=1\n\n")["rx_bytes"])
    replaced(a)
    replaced(b)
    sent, came = sequence.end()
    assert came == sent > 0
    assert int(b.values("get_ipip=1\n\n")["rx_bytes"]) > before
    a.values("set=1\nreplace_ipip_peers=true\n\n")
    assert not ping(network["a"], IPIP_INNER["b"], count=1, wait=1)


def bpf_objects(pid):
    """What a device's process and its helper have of BPF, by the kernel's numbers."""
    found = set()
    for one in [pid, *children(pid)]:
        for entry in os.listdir(f"/proc/{one}/fdinfo"):
            # some files are open for a moment only
            with contextlib.suppress(FileNotFoundError), \
                    open(f"/proc/{one}/fdinfo/{entry}", encoding="ascii", errors="replace") as file:
                found |= {line.strip() for line in file
                          if line.startswith(("map_id:", "link_id:", "prog_id:"))}
    return found


def test_the_kernels_programs_of_ipip_stay_where_they_are(network):
    """Where the kernel can have any: neither made anew nor detached, and their counters go on."""
    a = Device(network, "a", "dp0")
    assert a.values(f"set=1\nipip_local={OUTER['a'][0]}\nipip_peer={OUTER['b'][0]}\n"
                    f"ipip_inner={INNER['b'][0]}\n\n")["errno"] == "0"
    before = bpf_objects(a.process.pid)
    assert before or not has_fast_path(a)
    with Between(a, lambda side, records: records) as between:
        replaced(a)
    a.process.wait(60)
    assert bpf_objects(between.new_pid) == before
    # and what there is now is what will be closed
    replaced(a)
    network["a"].ip("link del dp0")
    until(lambda: not a.has_interface(), what="its end")


def test_a_device_that_was_taken_over_can_detach_the_kernels_programs(network):
    """Only its helper has them: what anybody else has open would stay attached."""
    a = Device(network, "a", "dp0")
    other = "192.0.2.7"
    network["a"].ip(f"address add {other}/32 dev lo")
    a.uapi(f"set=1\nipip_local={OUTER['a'][0]}\nipip_peer={OUTER['b'][0]}\n"
           f"ipip_inner={INNER['b'][0]}\n\n")
    before = bpf_objects(a.process.pid)
    assert before or "refuses its BPF programs" in a.log_text()
    with Between(a, lambda side, records: records) as between:
        replaced(a)
    a.process.wait(60)
    assert a.values(f"set=1\nipip_local={other}\n\n")["errno"] == "0"
    # those of the interface that a peer is reached by come a turn after the others
    until(lambda: len(bpf_objects(between.new_pid)) == len(before), what="they are attached again")
    assert not bpf_objects(between.new_pid) & before
    network["a"].ip(f"address del {other}/32 dev lo")


def test_a_device_that_was_taken_over_has_its_log_open_once(network):
    """As its standard error: who reads the log is not to wait for the end of another copy."""
    a = Device(network, "a", "dp0")
    with Between(a, lambda side, records: records) as between:
        replaced(a)
    log = os.path.realpath(a.log.name)
    assert [fd for fd, name in open_files(between.new_pid).items() if name == log] == [2]


def test_what_can_be_asked_of_a_device_is_the_same_after(network):
    a, b = make_pair(network)
    assert ping(network["a"], INNER["b"][0])
    a.set("fwmark", 7, "peer", b.public_key, "persistent-keepalive", 25)
    a.uapi(f"set=1\nipip_local={OUTER['a'][0]}\nipip_peer=192.0.2.9\nipip_inner=10.8.0.9\n\n")
    # a packet for nobody
    network["a"].try_run("ping", "-c1", "-W1", "10.8.0.77")
    until(lambda: a.drops()["no_target"] > 0, what="a drop")
    # and one that its route leads into the tunnel again
    a.set("peer", b.public_key, "allowed-ips", f"{INNER['b'][0]},{OUTER['b'][0]}")
    network["a"].ip(f"route add {OUTER['b'][0]} dev dp0")
    network["a"].try_run("ping", "-c1", "-W1", INNER["b"][0])
    until(lambda: a.drops()["looped"] > 0, what="a drop")
    network["a"].ip(f"route del {OUTER['b'][0]} dev dp0")

    def state():
        return [sorted(a.uapi(question + "\n\n").split("\n"))
                for question in ("get=1", "get_ipip=1", "get_drops=1")]
    before = state()
    replaced(a)
    assert state() == before
    a.set("listen-port", 7001, "fwmark", 0)
    assert a.show("listen-port").strip() == "7001"
    assert ping(network["a"], INNER["b"][0])


def test_the_new_process_has_given_up_its_rights(network):
    a, _ = make_pair(network)
    with Between(a, lambda side, records: records) as between:
        replaced(a)
    found = status(between.new_pid)
    assert found["Seccomp"] == "2"
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 0
    assert found["Uid"].split()[1] != "0"


def test_its_files_are_gone_at_the_end(network):
    a, _ = make_pair(network)
    replaced(a)
    assert sorted(os.listdir(a.folder))[:3] == ["dp0.handover", "dp0.sock", "key"]
    assert os.stat(handover.socket_path(a)).st_mode & 0o077 == 0
    a.process.wait(30)
    assert a.process.returncode == 0
    network["a"].ip("link del dp0")
    until(lambda: not {"dp0.handover", "dp0.sock"} & set(os.listdir(a.folder)), what="no files")


def test_connections_to_the_control_socket_stay(network):
    a, _ = make_pair(network)

    def ask(connection, text):
        connection.sendall(text)
        answer = b""
        while not answer.endswith(b"\n\n"):
            answer += connection.recv(65536) or pytest.fail("the connection has ended")
        return answer
    with socket.socket(socket.AF_UNIX) as idle, socket.socket(socket.AF_UNIX) as busy:
        for connection in idle, busy:
            connection.settimeout(20)
            connection.connect(a.socket_path)
        assert b"errno=0" in ask(idle, b"get_drops=1\n\n")
        busy.sendall(b"set=1\nfwmark=")
        until(lambda: not busy.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        assert ask(idle, b"get_drops=1\n\n")  # it has read what the other one sent
        thread = threading.Timer(0.5, lambda: busy.sendall(b"9\n\n"))
        thread.start()
        replaced(a)
        thread.join()
        assert b"errno=0" in busy.recv(64)
        assert a.show("fwmark").strip() == "0x9"
        assert b"errno=0" in ask(idle, b"get_drops=1\n\n")


# --- What fails ---


def goes_on(network, a, before):
    """The old process has it, with its session."""
    assert a.process.poll() is None, a.log_text()
    assert_same_session(network, a, before)
    assert "goes on" in a.log_text()
    replaced(a)
    assert_same_session(network, a, before)


FROM_NEW = [handover.HELLO, handover.READY]
FROM_OLD = [handover.HELLO, handover.FILE, handover.CONFIGURED, handover.PEER_STATE, handover.END]


@pytest.mark.parametrize("side, kind", [("new", kind) for kind in FROM_NEW] +
                         [("old", kind) for kind in FROM_OLD])
def test_when_the_new_process_is_killed_the_old_one_goes_on(network, side, kind):
    """Before what it says, or what is said to it, arrives."""
    a, _, before = connected_pair(network)

    def on_records(from_side, records):
        if from_side == side and any(record.kind == kind for record in records):
            kill(between.new_pid)
            return None
        return records
    with Between(a, on_records) as between:
        assert replace(a).returncode != 0
    goes_on(network, a, before)


def test_when_the_new_process_is_killed_with_all_it_was_told_the_old_one_goes_on(network):
    a, _, before = connected_pair(network)

    def on_records(side, records):
        if side == "old" and records[-1].kind == handover.END:
            os.kill(between.new_pid, signal.SIGSTOP)
            between.ends["new"].send(b"".join(record.bytes() for record in records))
            kill(between.new_pid)
            return None
        return records
    with Between(a, on_records) as between:
        assert replace(a).returncode != 0
    goes_on(network, a, before)


def test_when_the_new_process_stands_still_the_old_one_goes_on(network):
    """And the new one, when it wakes, does not think that it has the device."""
    a, _, before = connected_pair(network)

    def on_records(side, records):
        if side == "old" and records[-1].kind == handover.REFUSED:
            between.ends["new"].shutdown(socket.SHUT_RD)
            for record in records:
                between.ends["new"].send(record.bytes())
            os.kill(between.new_pid, signal.SIGCONT)
            return None
        if side == "old" and records[-1].kind == handover.END:
            os.kill(between.new_pid, signal.SIGSTOP)
        return records
    with Between(a, on_records) as between:
        assert replace(a).returncode != 0
    goes_on(network, a, before)


def test_what_the_new_process_has_taken_the_old_one_does_not_keep(network):
    """Also where it hears something that it does not understand first."""
    a, _, before = connected_pair(network)

    def on_records(side, records):
        if records[0].kind != handover.TAKEN:
            return records
        between.ends["old"].send(Record(handover.UNKNOWN).bytes() + records[0].bytes())
        return []
    with Between(a, on_records) as between:
        replaced(a)
    a.process.wait(60)
    assert_same_session(network, a, before)


@pytest.mark.parametrize("kind", [handover.HELLO, handover.CONFIGURED, handover.PEER_STATE])
def test_when_the_old_process_is_killed_before_it_has_told_all_the_device_is_gone(network, kind):
    """As when it is killed at any other time."""
    a, _ = make_pair(network)

    def on_records(side, records):
        if side == "old" and any(record.kind == kind for record in records):
            kill(a.process.pid)
            return None
        return records
    with Between(a, on_records) as between:
        assert replace(a).returncode != 0
    until(lambda: not handover.is_alive(between.new_pid), what="its end")
    until(lambda: not a.has_interface(), what="no interface")


def test_when_the_old_process_is_killed_after_it_has_told_all_the_new_one_goes_on(network):
    a, _, before = connected_pair(network)

    def on_records(side, records):
        if side == "old" and records[-1].kind == handover.END:
            kill(a.process.pid)
            between.ends["new"].send(b"".join(record.bytes() for record in records))
            return None
        return records
    with Between(a, on_records) as between:
        replaced(a)
    assert handover.is_alive(between.new_pid)
    assert_same_session(network, a, before)


# --- Other versions ---


def with_more(_side, records):
    """As a later version may speak: fields that this one does not have, and records."""
    longer = [Record(r.kind, r.data if r.kind in (handover.STAGED, handover.HANDSHAKE)
                     else r.data + b"\xff" * 24, r.flags) for r in records]
    if records[0].kind == handover.FILE:
        return longer
    return [*longer[:-1], Record(handover.UNKNOWN, b"\xff" * 40, handover.OPTIONAL), longer[-1]]


def with_less(side, records):
    """As an earlier version may have spoken: a field less, at the end."""
    if side == "new":
        return records
    return [Record(r.kind, r.data[:-8] if r.kind in (handover.DESCRIPTION, handover.COUNTERS)
                   else r.data, r.flags) for r in records]


@pytest.mark.parametrize("change", [with_more, with_less])
def test_a_version_that_goes_together_is_understood(network, change):
    a, _, before = connected_pair(network)
    with Between(a, change):
        replaced(a)
    assert_same_session(network, a, before)


def hello(oldest, newest):
    return struct.pack("=HHIQQ", oldest, newest, 0, 0, 0)


def greeting_of(speaker, oldest, newest):
    def change(side, records):
        if side == speaker and records[0].kind == handover.HELLO:
            return [Record(handover.HELLO, hello(oldest, newest), version=newest)]
        return records
    return change


def with_unknown(speaker, before):
    def change(side, records):
        if side == speaker and records[0].kind == before:
            return [Record(handover.UNKNOWN), *records]
        return records
    return change


@pytest.mark.parametrize("change", [
    greeting_of("new", 2, 3), greeting_of("old", 2, 3), with_unknown("old", handover.ALL_FILES),
    with_unknown("old", handover.COUNTERS), with_unknown("new", handover.READY)],
    ids=["new", "old", "record", "record-late", "answer"])
def test_with_a_version_that_does_not_go_together_the_old_process_goes_on(network, change):
    a, _, before = connected_pair(network)
    with Between(a, change):
        assert replace(a).returncode != 0
    goes_on(network, a, before)


# --- Who may ---


def test_only_root_and_who_started_it_is_told_anything(network):
    """Also where somebody has opened its file to all."""
    a, _ = make_pair(network)
    path = handover.socket_path(a)
    os.chmod(a.folder, 0o755)
    os.chmod(path, 0o777)
    code = ("import os, socket, sys\n"
            "os.setuid(65534)\n"
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            "s.settimeout(20)\n"
            f"s.connect({path!r})\n"
            "try:\n"
            f"    s.send(bytes.fromhex({Record(handover.HELLO, hello(1, 1)).bytes().hex()!r}))\n"
            "    print(s.recv(65536))\n"
            "except (BrokenPipeError, ConnectionResetError):\n"  # hung up on before it spoke
            "    print(b'')\n")
    done = subprocess.run(["/usr/bin/python3", "-c", code], check=False, text=True,
                          capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "b''\n"), done
    assert "cannot accept who is to take its place" in a.log_text()
    replaced(a)


def test_a_device_of_another_network_namespace_is_left_alone(network):
    a, b = make_pair(network)
    done = network["b"].try_run(
        *a.in_folder(handover.DEVICE, "device", "--replace", "dp0"))
    assert done.returncode == 1
    assert "it was started in another network namespace" in done.stdout
    assert ping(network["a"], INNER["b"][0])


def test_where_there_is_no_device_the_command_says_so(network):
    done = network["a"].try_run(handover.DEVICE, "device", "--replace", "dp9")
    assert done.returncode == 1
    assert "there is no such device here" in done.stdout
