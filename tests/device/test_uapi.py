"""The control socket, request by request: uapi_requests.py has them, and what is right. With
DEVICE=PROGRAM in the environment another implementation is asked instead, and held to the table's
`reference`, as Debian's wireguard-go is in any case. And what else a program meets there."""

import base64
import os
import shutil
import socket

import pytest

from handover import replace as hand_over
from lib import memory
from net import DEVICE, INNER, OTHER, Device, Network, connect, ping, run, wait_until
from uapi_requests import KEYS, PORT, TABLE, TAKEN

USUAL = {"listen_port": str(PORT), "preshared_key": "0" * 64, "protocol_version": "1",
         "persistent_keepalive_interval": "0"}
COUNTERS = {"tx_bytes", "rx_bytes", "last_handshake_time_sec", "last_handshake_time_nsec"}
RESET = f"set=1\nprivate_key={'0' * 64}\nfwmark=0\nreplace_peers=true\n"
SECONDS = 10  # to answer
SILENCE = 0.3  # after which it is taken not to answer

KINDS = ["go"] if "DEVICE" in os.environ else ["vprox"] + ["go"] * bool(shutil.which(OTHER))


class Asked:
    """A device, and the table's words for what it has."""

    def __init__(self, kind, network):
        self.ours = kind == "vprox"
        self.device = Device(network, "a", "dp0", kind)
        space = network["a"]
        space.ip("link set dp0 up")
        index = str(space.enter(socket.if_nametoindex, network.veth["a"]))
        self.words = {**KEYS, "$VETH": network.veth["a"], "$INDEX": index}
        self.words["$PUB"] = public_key(bytes.fromhex(KEYS["$KEY"])).hex()
        self.port = None  # not known

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SECONDS)
        connection.connect(self.device.socket_path)
        return connection

    def encode(self, text):
        for word, value in self.words.items():
            text = text.replace(word, value)
        return text.encode() if text.isascii() or max(text) > "\xff" else text.encode("latin-1")

    def reset(self):
        """The port only if it is another one: wireguard-go takes 0.1 s for it."""
        port = "" if self.port == str(PORT) else f"listen_port={PORT}\n"
        with self.connect() as connection:
            connection.sendall(f"{RESET}{port}\n".encode())
            assert errors(receive(connection, 1, SECONDS)) == [0]

    def state(self, connection):
        """What get=1 says, in the table's words: what is usual left out, peers in order."""
        connection.sendall(b"get=1\n\n")
        answer = receive(connection, 1, SECONDS)
        assert errors(answer) == [0], answer
        sections = [[]]
        self.port = "none"
        for line in answer.decode().splitlines():
            key, _, value = line.partition("=")
            if key == "listen_port":
                self.port = value
            if key == "public_key":
                sections.append([])
            if key and key != "errno" and key not in COUNTERS and USUAL.get(key) != value:
                sections[-1].append(line)
        if self.port == "none":
            sections[0].append("listen_port=none")
        return in_order(sections)


def public_key(private_key):
    text = base64.b64encode(private_key).decode()
    return base64.b64decode(run("wg", "pubkey", input=text).stdout)


def in_order(sections):
    """Peers and their lines may come in any order."""
    return [sections[0]] + sorted(sorted(section) for section in sections[1:])


def expected(asked, state):
    sections = [[]]
    for line in state.split():
        if line.startswith("public_key="):
            sections.append([])
        sections[-1].append(asked.encode(line).decode())
    return in_order(sections)


def errors(answer):
    return [int(line[6:]) for line in answer.split(b"\n") if line.startswith(b"errno=")]


def receive(connection, n, seconds):
    """Up to the end of n answers, or of the connection."""
    answer = b""
    connection.settimeout(seconds)
    while len(errors(answer)) < n or not answer.endswith(b"\n\n"):
        try:
            part = connection.recv(1 << 20)
        except (ConnectionResetError, TimeoutError):
            break
        if not part:
            break
        answer += part
    return answer


def is_closed(connection):
    connection.settimeout(SECONDS)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.fixture(scope="module", params=KINDS)
def asked(request):
    network = Network()
    taken = network["a"].socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("", TAKEN))
    yield Asked(request.param, network)
    taken.close()
    network.close()


def exchange(connection, request, asked, n):
    """Sends it all, and returns the errno of each answer, up to n of them."""
    answer = b""
    try:
        for part in request.parts:
            connection.sendall(asked.encode(part))
            if request.waits:
                answer += receive(connection, 1, SECONDS)
        if request.ends:
            connection.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has read enough
    if not request.waits:
        answer = receive(connection, n or 1, SECONDS if n else SILENCE)
    return errors(answer)


@pytest.mark.parametrize("request_", TABLE, ids=lambda r: r.name)
def test_a_request_is_answered_as_the_table_says(asked, request_):
    asked.reset()
    answers, state = request_.answers, request_.state
    if not asked.ours and request_.reference:
        answers, state = request_.reference
    with asked.connect() as connection:
        assert exchange(connection, request_, asked, len(answers)) == list(answers)
        if asked.ours and not request_.closed:
            found = asked.state(connection)  # the connection goes on
        else:
            assert not asked.ours or is_closed(connection)
            with asked.connect() as again:
                found = asked.state(again)
    wanted = expected(asked, state)
    if "listen_port=?" in wanted[0]:
        found[0] = ["listen_port=?" if asked.port.isdigit() else "" for _ in found[0]]
    assert found == wanted


# --- What else a program meets there ---

@pytest.fixture(name="device")
def fixture_device(network):
    return Device(network, "a", "dp0")


@pytest.mark.parametrize("text, error", [
    ("set=1\nipip_peer=10.0.0\n\n", -22),
    ("set=1\nipip_peer=192.0.2.1\nipip_inner=10.0.0\n\n", -22),
    ("set=1\nipip_peer=192.0.2.1\nremove=1\n\n", -22),
    ("set=1\nipip_peer=192.0.2.1\nallowed_ip=10.0.0.0/8\n\n", -22),
    ("set=1\nipip_local=192.0.2.1\n\n", -99),
    ("set=1\nipip_local=\n\n", -22),
    ("get_ipip=1\nfoo=1\n\n", -22),
    ("get_ipip_peer=192.0.2.1\n\n", -2),
    ("get_ipip_peer=192.0.2\n\n", -22),
    (f"get_peer={'11' * 32}\n\n", -2),
    ("get_peer=11\n\n", -22),
    ("get_drops=2\n\n", -22),
    ("get_timestamp=2\n\n", -22),
    ("set=1\ntimestamps_after=-1\n\n", -22),
    ("set=1\ntimestamps_after=9223372036854775808\n\n", -22),
    ("set=1\ntimestamps_after=\n\n", -22),
])
def test_a_bad_request_of_the_extension_is_answered_with_its_error(network, text, error):
    device = Device(network, "a", "dp0")
    assert device.uapi(text) == f"errno={error}\n\n"
    assert device.values("get=1\n\n")["errno"] == "0"


def test_wg_says_why_it_failed(network, device):
    """It takes errno for a negative number."""
    with network["a"].socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", TAKEN))
        said = device.set("listen-port", TAKEN, check=False)
    assert said.returncode != 0 and "Address already in use" in said.stderr


def test_a_link_local_endpoint_has_its_interfaces_name(network, device):
    other = Device(network, "b", "dp1")
    connect(device, other)
    address = wait_until(lambda: link_local(network, "b"), what="link-local address")
    name = f"[{address}%{network.veth['a']}]:7000"
    # wg looks the name up in its own namespace
    network["a"].run(*device.in_folder("wg", "set", "dp0", "peer", other.public_key,
                                       "endpoint", name))
    assert f"endpoint=[{address}%" in device.uapi("get=1\n\n")
    assert ping(network["a"], INNER["b"][0])
    shown = network["a"].run(*device.in_folder("wg", "show", "dp0", "endpoints"))
    assert shown.split()[1] == name


def link_local(network, side):
    shown = network[side].run(f"ip -6 -o addr show dev {network.veth[side]} scope link").split()
    return "tentative" not in shown and "inet6" in shown and \
        shown[shown.index("inet6") + 1].split("/")[0]


def test_bytes_are_counted_alike_at_both_ends(network, device):
    """Handshakes too, and each message whole: as the kernel counts them."""
    other = Device(network, "b", "dp1")
    connect(device, other)
    for side in "ab":
        network[side].sysctl(**{f"net__ipv6__conf__dp{'ab'.index(side)}__disable_ipv6": 1})
    assert ping(network["a"], INNER["b"][0], count=10)

    def counters(of):
        values = of.values("get=1\n\n")
        return int(values["rx_bytes"]), int(values["tx_bytes"])
    initiation, response, echo, keepalive = 148, 92, 32 + 96, 32
    received, sent = counters(device)
    assert (sent, received) == counters(other)
    assert {sent, received} <= {10 * echo + initiation, 10 * echo + response,
                                10 * echo + response + keepalive,
                                10 * echo + initiation + keepalive}


def test_what_could_not_be_sent_is_not_counted(network, device):
    peer = "11" * 32
    assert device.values(f"set=1\nprivate_key={'22' * 32}\npublic_key={peer}\n"
                         "endpoint=203.0.113.1:5\npersistent_keepalive_interval=1\n\n")[
        "errno"] == "0"
    device.address("10.8.0.1/24")
    wait_until(lambda: device.drops()["unsent"] > 0, what="a handshake that has no route")
    assert device.values("get=1\n\n")["tx_bytes"] == "0"


@pytest.mark.parametrize("how", [os.unlink, lambda path: os.rename(path, path + ".old"),
                                 lambda path: replace(path)], ids=["removed", "renamed", "replaced"])
def test_the_device_ends_with_its_control_socket(network, device, how):
    bystander = Device(network, "b", "dp0")
    how(device.socket_path)
    assert device.process.wait(10) == 0
    assert "the control socket was removed" in device.log_text()
    assert not device.has_interface()
    assert bystander.process.poll() is None


def replace(path):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path + ".new")
    os.rename(path + ".new", path)


def test_nobody_finds_its_control_socket_before_it_listens(network, device):
    """wg(8) removes one that nobody listens on. What is told is the name that a socket was bound to:
    another one, until it listened."""
    told = network["a"].read("/proc/thread-self/net/unix")
    assert "dp0.sock." in told and "dp0.sock\n" not in told
    assert os.listdir(device.folder).count("dp0.sock") == 1
    assert not [name for name in os.listdir(device.folder) if name.startswith("dp0.sock.")]


def test_other_files_beside_the_control_socket_come_and_go(network, device):
    for name in "dp0.sock.old", "dp0", "dp1.sock":
        path = os.path.join(device.folder, name)
        replace(path)
        os.chmod(device.socket_path, 0o700)
        os.unlink(path)
    assert device.values("get=1\n\n")["errno"] == "0"
    assert device.process.poll() is None


def test_a_name_with_a_pattern_is_the_next_that_is_free(network):
    """As of `ip tuntap add`; the control socket is called like the interface."""
    first, second = (Device(network, "a", "dp%d", made_name=f"dp{n}") for n in range(2))
    for n, device in enumerate((first, second)):
        assert device.wg("show", f"dp{n}", "listen-port").stdout.strip() != "0"
        sockets = [name for name in os.listdir(device.folder) if name.endswith(".sock")]
        assert sockets == [f"dp{n}.sock"]
    network["a"].ip("link del dp0")
    assert first.process.wait(10) == 0
    assert Device(network, "a", "dp%d", made_name="dp0").has_interface()


@pytest.mark.parametrize("name", ["dp%", "dp%s", "%d%d", "dp%x"])
def test_no_other_pattern_makes_an_interface(network, name):
    done = network["a"].try_run(DEVICE, "device", "-f", name, timeout=20)
    assert done.returncode == 1
    assert "cannot make the interface with /dev/net/tun: Invalid argument" in done.stdout


def test_what_is_missing_is_named(network):
    done = network["a"].try_run("unshare", "-m", "sh", "-c",
                                f"mount -t tmpfs none /dev/net && exec {DEVICE} device -f dp0")
    assert done.returncode == 1
    assert "cannot make the interface with /dev/net/tun: No such file or directory: load the module tun; " \
        "a container needs --device /dev/net/tun" in done.stdout


def test_a_name_that_is_taken_is_named(network):
    network["a"].ip("tuntap add dp0 mode tun")
    done = network["a"].try_run(DEVICE, "device", "-f", "dp0", timeout=20)
    assert done.returncode == 1
    assert "Device or resource busy: there is an interface of that name already" in done.stdout
    network["a"].ip("tuntap del dp0 mode tun")


def test_without_the_right_to_it_says_what_to_do(network):
    done = network["a"].try_run("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", DEVICE,
                                "device", "-f", "dp0", timeout=20)
    assert done.returncode == 1
    assert "Operation not permitted: this needs the right to administer the network (CAP_NET_ADMIN), " \
        "which root does not have here: a container needs --cap-add NET_ADMIN" in done.stdout


def test_two_of_one_name_that_share_run_are_told_so(network):
    first = Device(network, "a", "dp0")
    done = network["a"].try_run(*first.in_folder("unshare", "-n", DEVICE, "device", "-f", "dp0"), timeout=20)
    assert done.returncode == 1
    assert "another device of that name listens there, maybe in another network namespace with the same " \
        "/run: give this one another name, or a /run of its own" in done.stdout


MANY = 3000


@pytest.fixture(name="crowded")
def fixture_crowded(device):
    text = "".join(f"public_key={n + 1:064x}\nallowed_ip=10.{n >> 8}.{n & 255}.0/32\n"
                   for n in range(MANY))
    assert device.values(f"set=1\n{text}\n")["errno"] == "0"
    return device


def test_a_reader_that_stalls_holds_nobody_up(crowded):
    """Its answer is longer than what a socket holds."""
    stalled = [opened(crowded) for _ in range(10)]
    for connection in stalled:
        connection.sendall(b"get=1\n\n" * 3 + b"set=1\nfwmark=7\n")
    half = opened(crowded)
    half.sendall(b"set=1\nfwmark=")
    for _ in range(5):
        assert crowded.values("get=1\n\n")["errno"] == "0"
    # and they get all of it in the end
    for connection in stalled:
        connection.sendall(b"\n")
        answer = receive(connection, 4, SECONDS)
        assert errors(answer) == [0] * 4
        assert answer.count(b"public_key=") == 3 * MANY
        connection.close()
    assert crowded.values("get=1\n\n")["fwmark"] == "7"
    half.close()


def key_of(n):
    return f"{n + 1:064x}"


def test_peers_may_come_and_go_while_all_are_told(crowded):
    """The answer is written in pieces, as far as somebody reads it. Who stays is in it once."""
    gone = {key_of(n) for n in range(0, MANY, 2)}
    with opened(crowded) as slow, opened(crowded) as left:
        for connection in (slow, left):
            connection.sendall(b"get=1\n\n")
            assert connection.recv(100)
        text = "".join(f"public_key={key}\nremove=true\n" for key in sorted(gone))
        text += f"public_key={key_of(MANY)}\nallowed_ip=10.200.0.1/32\n"
        assert crowded.values(f"set=1\n{text}\n")["errno"] == "0"
        left.close()  # nobody reads its rest
        answer = receive(slow, 1, SECONDS).decode()
    told = [line[len("public_key="):] for line in answer.splitlines()
            if line.startswith("public_key=")]
    assert len(told) == len(set(told))
    assert {key_of(n) for n in range(1, MANY + 1, 2)} <= set(told)
    assert len(gone & set(told)) < len(gone), "all was written at once"
    assert crowded.values(f"set=1\nreplace_peers=true\n\n")["errno"] == "0"
    assert "public_key" not in crowded.uapi("get=1\n\n")


def test_who_stalls_keeps_no_new_process_out(crowded):
    """One reads no answer, one does not end its request; one has asked, and may ask again."""
    with opened(crowded) as reader, opened(crowded) as writer, opened(crowded) as idle:
        idle.sendall(b"get_drops=1\n\n")
        assert errors(receive(idle, 1, SECONDS)) == [0]
        reader.sendall(b"get=1\n\n")
        writer.sendall(b"set=1\nfwmark=7\nfwmark=")
        wait_until(lambda: "fwmark=7\n" in crowded.uapi("get=1\n\n"), what="half of a request")
        wait_until(lambda: hand_over(crowded).returncode == 0, what="a new process")
        assert is_closed(writer)
        idle.sendall(b"get_drops=1\n\n")
        assert errors(receive(idle, 1, SECONDS)) == [0]
    assert crowded.values("get=1\n\n")["fwmark"] == "7"


def test_who_leaves_in_the_middle_of_an_answer_harms_nobody(crowded):
    for _ in range(20):
        with opened(crowded) as connection:
            connection.sendall(b"get=1\n\n")
            connection.recv(100)
    assert crowded.values("get=1\n\n")["errno"] == "0"
    assert crowded.process.poll() is None


def opened(device):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(device.socket_path)
    return connection


def is_served(device):
    """It may still have closed the connection when it is asked."""
    try:
        return device.uapi("get=1\n\n")
    except (BrokenPipeError, ConnectionResetError):
        return False


def test_connections_beyond_the_64th_are_closed_until_one_ends(device):
    held = [opened(device) for _ in range(64)]
    for connection in held:
        connection.sendall(b"get_drops=1\n\n")
        assert errors(receive(connection, 1, SECONDS)) == [0]
    with opened(device) as refused:
        assert is_closed(refused)
    held.pop().close()
    wait_until(lambda: is_served(device), what="an answer")
    for connection in held:
        connection.close()


def test_of_what_was_said_of_keys_nothing_stays_in_memory(crowded):
    """The keys themselves do; their text, in requests and answers, is wiped."""
    peer, private_key, preshared = "11" * 32, KEYS["$KEY"], KEYS["$PSK"]
    with opened(crowded) as connection:  # which stays open
        connection.sendall(f"set=1\nprivate_key={private_key}\npublic_key={peer}\n"
                           f"preshared_key={preshared}\n\n".encode())
        for _ in range(3):
            connection.sendall(b"get=1\n\n")
        answer = receive(connection, 4, SECONDS).decode()
        assert errors(answer.encode()) == [0] * 4
        assert answer.count(private_key) == 3 == answer.count(preshared)
        crowded.uapi(f"get_peer={peer}\n\n")
        assert memory.holds(crowded.process.pid, bytes.fromhex(preshared)), "it is looked through"
        for secret in private_key, preshared:
            # half of it is enough
            assert not memory.holds(crowded.process.pid, secret[16:48].encode())
