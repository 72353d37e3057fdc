"""The server as a service of systemd, installed from the Debian package: with the rights that its unit
gives it everything works, and no restart and no death of it breaks a tunnel. On any kernel: where there is no WireGuard, its
own data plane is what carries the tunnels, in a unit of its own."""

import json
import re
import subprocess

import pytest

from lib import wait
from machine import SECONDS

SERVER, CLIENT, CLIENT_2, CLIENT_3 = (f"203.0.113.{n}" for n in (7, 9, 10, 11))
GATEWAY = "10.100.0.1"
PASSWORD = "secret with blanks"
SETTINGS = f"""\
VPROX_PASSWORD='{PASSWORD}'
VPROX_FLAGS=--ip {SERVER} --wg-block 10.100.0.0/16 --gates=2
"""
SET_IPIP = f"""
import socket
control = socket.socket(socket.AF_UNIX)
control.connect("/run/wireguard/ipclient.sock")
control.sendall(b"set=1\\nipip_local={CLIENT_2}\\nipip_peer={SERVER}\\nipip_inner={GATEWAY}\\n\\n")
assert control.recv(100) == b"errno=0\\n\\n"
"""
# What capabilities(7) numbers so.
ALLOWED = {"setgid": 6, "setuid": 7, "kill": 5, "setpcap": 8, "net_bind_service": 10,
           "net_admin": 12, "net_raw": 13}


@pytest.fixture(scope="module", name="host")
def fixture_host(machine, package):
    """A machine with a server that runs, and two namespaces with clients, on one wire."""
    machine.run("""
        ip link add br0 type bridge
        ip link set br0 up
        for name in client client2 client3; do
            ip netns add $name
            ip link add $name type veth peer name eth0 netns $name
            ip link set $name master br0 up
            ip -n $name link set lo up
            ip -n $name link set eth0 up
        done
        ip address add %s/24 dev br0
        ip route add default via 203.0.113.1
        ip -n client address add %s/24 dev eth0
        ip -n client2 address add %s/24 dev eth0
        ip -n client3 address add %s/24 dev eth0
        """ % (SERVER, CLIENT, CLIENT_2, CLIENT_3))
    with open(package, "rb") as stream:
        subprocess.run(["nsenter", "--target", machine.init, "--all", "tee", "/tmp/vprox.deb"],
                       stdin=stream, stdout=subprocess.DEVNULL, check=True)
    machine.run("dpkg -i /tmp/vprox.deb")
    machine.run("umask 077; cat >/etc/vprox/server.conf", stdin=SETTINGS)
    machine.run("systemctl start vprox-server")
    return machine


def ask(machine, namespace, path, body=""):
    return json.loads(machine.run(
        f"ip netns exec {namespace} curl -sSk --fail --max-time 20 -H @- -d '{body}' "
        f"https://{SERVER}{path}", stdin=f"Authorization: Bearer {PASSWORD}\n").stdout)


@pytest.fixture(scope="module", name="wireguard")
def fixture_wireguard(host):
    """A client's tunnel over WireGuard, up."""
    key = host.output("umask 077; wg genkey | tee /run/client.key | wg pubkey")
    host.run("systemd-run --unit=client-device -p NetworkNamespacePath=/run/netns/client "
             "-p Type=notify vprox device -f wgclient")
    answer = ask(host, "client", "/connect", json.dumps({"PeerPublicKey": key}))
    set_peer(host, answer)
    host.run(f"""
        ip -n client address add {answer["AssignedAddr"]} dev wgclient
        ip -n client link set wgclient up
        """)
    wait.until(lambda: ping(host, "client"), SECONDS, "the tunnel works")
    return "client"


@pytest.fixture(scope="module", name="ipip")
def fixture_ipip(host):
    """A client's tunnel over IPIP, up."""
    answer = ask(host, "client2", "/connect-ipip")
    if not host.ok(f"ip -n client2 link add ipclient type ipip local {CLIENT_2} remote {SERVER}"):
        host.run("systemd-run --unit=client2-device -p NetworkNamespacePath=/run/netns/client2 "
                 "-p Type=notify vprox device -f ipclient")
        host.run("python3 -c '" + SET_IPIP + "'")
    host.run(f"""
        ip -n client2 address add {answer["AssignedAddr"]} dev ipclient
        ip -n client2 link set ipclient up
        """)
    wait.until(lambda: ping(host, "client2"), SECONDS, "the tunnel works")
    return "client2"


@pytest.fixture(name="tunnel", params=["wireguard", "ipip"])
def fixture_tunnel(request):
    return request.getfixturevalue(request.param)


def set_peer(host, answer):
    """As if for the first time: the handshake comes at once."""
    host.run(f"""
        ip netns exec client wg set wgclient peer {answer["ServerPublicKey"]} remove
        ip netns exec client wg set wgclient private-key /run/client.key \
            peer {answer["ServerPublicKey"]} endpoint {SERVER}:{answer["ServerListenPort"]} \
            allowed-ips 0.0.0.0/0 persistent-keepalive 25
        """)


def ping(host, namespace):
    return host.ok(f"ip netns exec {namespace} ping -c 1 -W 2 {GATEWAY}")


def is_embedded(host):
    return "data plane: embedded" in host.journal("vprox-server")


def device_pid(host):
    return host.show("vprox-device@vprox0", "MainPID")


def kernel_version(host):
    return tuple(map(int, re.match(r"(\d+)\.(\d+)", host.output("uname -r")).groups()))


def processes(host):
    """The server's main process, and what it has started: the gates, the signer."""
    main = host.show("vprox-server", "MainPID")
    return main, host.output(f"pgrep -P {main}").split()


def capabilities(host, pid, kind):
    text = host.output(f"grep ^Cap{kind}: /proc/{pid}/status")
    return int(text.split()[1], 16)


def test_the_service_is_ready_when_systemd_says_so(host):
    assert host.show("vprox-server", "ActiveState") == "active"
    assert host.show("vprox-server", "StatusErrno") == "0"
    assert f"-> {SERVER}:443" in host.output(f"curl -sk --max-time 20 https://{SERVER}/")


def test_the_server_has_the_capabilities_of_its_unit_and_the_others_have_none(host):
    main, others = processes(host)
    assert len(others) == 4, "two gates, the signer and the store"
    expected = sum(1 << number for number in ALLOWED.values())
    assert capabilities(host, main, "Eff") == capabilities(host, main, "Bnd") == expected
    for pid in others:
        assert capabilities(host, pid, "Eff") == capabilities(host, pid, "Prm") == 0
    users = [host.output(f"ps -o user:32= -p {pid}") for pid in others]
    assert sorted(users) == ["vprox", "vprox", "vprox-signer", "vprox-store"]
    for pid in [main, *others]:
        assert host.output(f"grep NoNewPrivs: /proc/{pid}/status").split()[1] == "1"
        assert host.output(f"grep Seccomp: /proc/{pid}/status").split()[1] == "2"


def test_the_password_is_in_no_environment_and_no_command_line(host):
    main, others = processes(host)
    for pid in [main, *others]:
        shown = host.output(f"tr '\\0' '\\n' </proc/{pid}/environ; cat /proc/{pid}/cmdline")
        assert PASSWORD not in shown


def test_the_password_may_be_a_credential(host):
    host.run("umask 077; mkdir -p /etc/credstore; cat >/etc/credstore/vprox-password", stdin=f"{PASSWORD}\n")
    try:
        host.run("sed -i /^VPROX_PASSWORD=/d /etc/vprox/server.conf && systemctl restart vprox-server")
        assert ask(host, "client3", "/disconnect-ipip") == {"Status": "success"}
        assert "exposed" not in host.journal("vprox-server")
    finally:
        host.run("rm /etc/credstore/vprox-password; cat >/etc/vprox/server.conf", stdin=SETTINGS)
        host.run("systemctl restart vprox-server")


def test_a_reload_puts_changed_settings_in_force(host):
    before = processes(host)
    try:
        host.run("cat >/etc/vprox/server.conf", stdin=f"{SETTINGS}max-connections-per-source=99\n")
        host.run("systemctl reload vprox-server")
        wait.until(lambda: "--max-connections-per-source: 99, was 256" in host.journal("vprox-server"), SECONDS)
    finally:
        host.run("cat >/etc/vprox/server.conf", stdin=SETTINGS)
        host.run("systemctl reload vprox-server")
    assert processes(host) == before


def test_the_server_writes_nowhere_but_where_it_must(host):
    """In its view of the files."""
    main, _ = processes(host)
    for folder in "/etc", "/usr", "/var/lib", "/run", "/root", "/home", "/proc/sys/kernel/core_pattern":
        assert not host.ok(f"nsenter -t {main} -m -- test -w {folder}"), folder
    for folder in "/run/vprox", "/var/lib/vprox", "/proc/sys/net/ipv4/ip_forward":
        assert host.ok(f"nsenter -t {main} -m -- test -w {folder}"), folder


def test_keys_are_only_for_root(host):
    for path in "/run/vprox", "/var/lib/vprox":
        assert host.output(f"stat -c '%U %a' {path}") == "root 700"


def test_a_tunnel_of_each_kind_works(host, tunnel):
    assert ping(host, tunnel)


def test_the_flow_log_is_written_by_a_process_of_its_own_user(host, wireguard):
    path = "/var/log/vprox/flows.jsonl"
    try:
        host.run("cat >/etc/vprox/server.conf", stdin=f"{SETTINGS}flow-log={path}\n")
        host.run("systemctl restart vprox-server")
        wait.until(lambda: host.ok("pgrep -u vprox-flows"), SECONDS)
        host.ok(f"ip netns exec {wireguard} ping -c 1 -W 2 -I wgclient {CLIENT_3}")
        host.run("conntrack -F")
        wait.until(lambda: f'"serving":"{SERVER}"' in host.output(f"cat {path}"), SECONDS)
        assert host.output(f"stat -c '%U %a' {path}") == "root 600"
        assert "cannot switch" not in host.journal("vprox-server")
    finally:
        host.run("cat >/etc/vprox/server.conf", stdin=SETTINGS)
        host.run("systemctl restart vprox-server")


def test_the_device_may_load_its_programs_into_the_kernel(host, ipip):
    assert ipip
    if is_embedded(host) and kernel_version(host) >= (6, 6):
        assert "refuses its BPF programs" not in host.journal("vprox-device@vprox0")


def test_an_embedded_device_is_in_a_unit_of_its_own(host, wireguard):
    assert wireguard
    if not is_embedded(host):
        assert host.show("vprox-device@vprox0", "ActiveState") == "inactive"
        return
    pid = device_pid(host)
    assert pid != "0"
    assert "/vprox-device@vprox0.service" in host.output(f"cat /proc/{pid}/cgroup")
    assert capabilities(host, pid, "Eff") == 0
    assert pid not in host.output("cat /sys/fs/cgroup/system.slice/vprox-server.service/cgroup.procs"
                                  ).split()


class Ping:
    """Pings the server's inner address until it is stopped. All must come back."""

    def __init__(self, host, namespace):
        self.host = host
        self.fifo = f"/run/stop-{namespace}"
        host.run(f"rm -f {self.fifo}; mkfifo {self.fifo}")
        self.process = host.spawn(
            f"ip netns exec {namespace} ping -q -i 0.1 -w 60 {GATEWAY} & pid=$!;"
            f"read -t 60 <{self.fifo}; kill -INT $pid; wait $pid")

    def stop(self):
        self.host.run(f"timeout 30 bash -c 'echo >{self.fifo}'")
        said = self.process.communicate(timeout=60)[0]
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received",
                                            said).groups())
        assert sent > 0 and sent - received <= 1, said  # the last may be under way


UPGRADE = "dpkg -i /tmp/vprox.deb"


@pytest.mark.parametrize("action", [
    "systemctl restart vprox-server",
    "systemctl kill --signal=KILL --kill-whom=main vprox-server",
    "systemctl kill --signal=KILL --kill-whom=all vprox-server",
    "systemctl stop vprox-server; systemctl start vprox-server",
    UPGRADE,
])
def test_no_restart_breaks_a_tunnel(host, wireguard, ipip, action):
    before = processes(host)[0]
    device = device_pid(host)
    key = host.output("cat /run/vprox/server-key")
    pings = [Ping(host, namespace) for namespace in (wireguard, ipip)]
    host.run(action)
    wait.until(lambda: host.show("vprox-server", "ActiveState") == "active"
               and processes_or_none(host) not in (None, before), SECONDS,
               f"it runs again after {action}")
    for one in pings:
        one.stop()
    replaced = action == UPGRADE and is_embedded(host)
    assert (device_pid(host) != device) == replaced
    assert host.output("cat /run/vprox/server-key") == key
    assert ping(host, wireguard) and ping(host, ipip)


def processes_or_none(host):
    main = host.show("vprox-server", "MainPID")
    return None if main == "0" else main


# Clients that connect one after the other, until a file says to stop; those that were refused, and
# all that were not answered.
STORM = f"""
import json, os, socket, ssl, sys
context = ssl._create_unverified_context()
attempts, refused, failed = 0, 0, []
while not os.path.exists(sys.argv[1]) or attempts == 0:
    attempts += 1
    try:
        with context.wrap_socket(socket.create_connection(("{SERVER}", 443), 30)) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200"), "no answer"
    except ConnectionRefusedError:
        refused += 1
    except (OSError, AssertionError) as error:
        failed.append(repr(error))
print(json.dumps([attempts, refused, failed]))
"""


@pytest.mark.parametrize("action, kills", [
    ("systemctl restart vprox-server", False),
    ("systemctl kill --signal=KILL --kill-whom=main vprox-server", True),
    ("systemctl kill --signal=KILL --kill-whom=all vprox-server", True),
    (UPGRADE, False),
])
def test_no_restart_refuses_a_client(host, action, kills):
    """systemd keeps the listening sockets. A gate that is killed takes its own clients along."""
    before = processes(host)[0]
    host.run("rm -f /run/storm-stop; cat >/run/storm.py", stdin=STORM)
    storms = [host.spawn("ip netns exec client3 timeout 120 python3 /run/storm.py /run/storm-stop")
              for _ in range(3)]
    host.run(action)
    wait.until(lambda: host.show("vprox-server", "ActiveState") == "active"
               and processes_or_none(host) not in (None, before), SECONDS,
               f"it runs again after {action}")
    host.run("touch /run/storm-stop")
    for storm in storms:
        said = storm.communicate(timeout=SECONDS)[0]
        attempts, refused, failed = json.loads(said)
        assert attempts > 0 and refused == 0, said
        assert kills or not failed, said


def test_a_service_that_is_stopped_refuses(host):
    host.run("systemctl stop vprox-server")
    asked = host.run(f"ip netns exec client3 curl -sk --max-time 20 https://{SERVER}/", check=False)
    host.run("systemctl start vprox-server")
    assert asked.returncode == 7, "curl(1): failed to connect to host"
    assert "-> " in host.output(f"ip netns exec client3 curl -sk --max-time 20 https://{SERVER}/")


def test_a_reload_replaces_a_device_and_breaks_no_tunnel(host, wireguard, ipip):
    if not is_embedded(host):
        pytest.skip("the kernel is the data plane")
    unit = "vprox-device@vprox0"
    before = device_pid(host)
    pings = [Ping(host, namespace) for namespace in (wireguard, ipip)]
    for _ in range(3):
        host.run(f"systemctl reload {unit}")
    for one in pings:
        one.stop()
    after = device_pid(host)
    assert after not in ("0", before)
    assert host.show(unit, "ActiveState") == "active"
    assert not host.ok(f"test -d /proc/{before}"), "the old process has ended"
    assert f"/{unit}.service" in host.output(f"cat /proc/{after}/cgroup")
    # what the new process says is in the unit's log, and what becomes of it systemd hears
    assert host.journal(unit).count("vprox0: taken over") >= 3
    host.run(f"kill -KILL {after}")
    wait.until(lambda: device_pid(host) not in ("0", after), SECONDS, "the server makes it again")
    assert "Main process exited" in host.journal(unit)
    wait.until(lambda: ping(host, wireguard), SECONDS, "the tunnel works again")


def test_a_device_that_is_gone_is_made_again(host, wireguard):
    """With the same key, so that the client comes back by itself once it asks."""
    if not is_embedded(host):
        pytest.skip("the kernel is the data plane")
    before = device_pid(host)
    host.run("systemctl kill --signal=KILL vprox-device@vprox0")
    host.run("systemctl restart vprox-server")
    assert device_pid(host) not in ("0", before)
    key = host.output("wg pubkey </run/client.key")
    set_peer(host, ask(host, "client", "/connect", json.dumps({"PeerPublicKey": key})))
    wait.until(lambda: ping(host, wireguard), SECONDS, "the tunnel works again")


@pytest.mark.parametrize("kind", ["wireguard", "ipip"])
def test_the_client_is_a_service_too(host, kind):
    pin = re.findall(r"sha256//\S+", host.journal("vprox-server"))[-1]
    unit, block = "vprox-client@vproxc", "vprox-block@vproxc"

    def is_closed():
        shown = host.run("ip netns exec client3 nft list table inet vprox-block-vproxc", check=False)
        return shown.returncode == 0 and "192.0.2.0/24" in shown.stdout
    host.run("umask 077; cat >/etc/vprox/client-vproxc.conf",
             stdin=f"VPROX_SERVER={SERVER}\nVPROX_PASSWORD='{PASSWORD}'\n"
                   f"VPROX_FLAGS=--tunnel {kind} --pin {pin} --route 192.0.2.0/24\n")
    for one in unit, block:
        host.run(f"mkdir -p /run/systemd/system/{one}.service.d;"
                 f"cat >/run/systemd/system/{one}.service.d/namespace.conf; systemctl daemon-reload",
                 stdin="[Service]\nNetworkNamespacePath=/run/netns/client3\n")
    host.run(f"systemctl start {unit}")
    assert ping(host, "client3")
    assert "dev vproxc" in host.output("ip -n client3 route get 192.0.2.1")
    host.run("systemctl restart vprox-server")
    assert ping(host, "client3")
    host.run(f"systemctl restart {unit}")
    assert ping(host, "client3")
    host.run(f"systemctl stop {unit}")
    assert not host.ok("ip -n client3 link show vproxc")
    assert host.show(unit, "Result") == "success"
    assert is_closed(), "by the unit that is still there"
    host.run(f"systemctl start {unit}; systemctl stop {block}")
    assert (host.show(unit, "ActiveState"), host.show(unit, "Result")) == ("inactive", "success")
    assert not is_closed()


def test_removing_the_package_takes_the_tunnels_away(host):
    host.run("dpkg -r vprox")
    assert not host.ok("pgrep -f 'vprox (server|gate)'")
    assert host.show("vprox-device@vprox0", "MainPID") in ("", "0")
    assert not host.ok("ip link show vprox0")
    assert "vprox" not in host.output("nft list ruleset")
