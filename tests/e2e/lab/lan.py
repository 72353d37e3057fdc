"""Two hosts on one LAN that share an address: with keepalived and conntrackd as examples/fleet has them.

    internet  br0 192.0.2.193 -- eth0 192.0.2.194  host 1
                              -- eth0 192.0.2.195  host 2
                                 203.0.113.200, on one of them
"""

import pathlib
import subprocess

from lab.world import up, wait_until_running
from lib import wait
from lib.netns import stop

SHARED = "203.0.113.200"
BRIDGE, ROUTER = "br0", "192.0.2.193"
OWN = ["192.0.2.194", "192.0.2.195"]
EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / "examples/fleet"


class Lan:
    def __init__(self, world, hosts):
        self.world = world
        self.members = []
        world.internet.run(f"ip link add {BRIDGE} type bridge")
        world.internet.ip(*up(BRIDGE), f"addr add {ROUTER}/28 dev {BRIDGE}",
                          f"route add {SHARED}/32 dev {BRIDGE}")
        self.members = [Member(self, number, host) for number, host in enumerate(hosts)]

    def close(self):
        for member in self.members:
            member.close()
        self.world.internet.ip(f"link del {BRIDGE}")


class Member:
    """A host on it."""

    def __init__(self, lan, number, host):
        self.lan, self.number, self.host = lan, number, host
        self.port = f"lan{number}"
        self.processes = []
        lan.world.internet.run(f"ip link add {self.port} type veth peer name eth0 netns {host.ns.name}")
        lan.world.internet.ip(f"link set {self.port} master {BRIDGE}", *up(self.port))
        host.ns.ip(*up("eth0"), f"addr add {OWN[number]}/28 dev eth0")
        wait_until_running(host.ns, "eth0")
        host.ns.sysctl(net__netfilter__nf_conntrack_tcp_be_liberal=1)

    def install(self, in_cloud):
        """The examples, with what they say differs on the second host and in a cloud. keepalived runs no script that
        somebody else could have put there: not from /tmp."""
        etc = self.host.state / "run/etc"
        etc.mkdir()
        changes = {
            "keepalived.conf": {"/etc/conntrackd/notify": "/run/etc/conntrackd-notify"},
            "conntrackd.conf": {"Syslog on": "LogFile /run/conntrackd.log"},
            "conntrackd-notify": {"conntrackd -": "conntrackd -C /run/etc/conntrackd.conf -"},
        }
        if in_cloud:
            changes["cloud-notify"] = changes.pop("conntrackd-notify") | {
                'echo "move_address in $0 is not filled in" >&2\n\treturn 1': "touch /run/etc/moved"}
            changes["keepalived.conf"] = {
                "/etc/conntrackd/notify": "/run/etc/cloud-notify",
                "    vrrp_version 3\n": "", "advert_int 0.25": "advert_int 1",
                f"virtual_ipaddress {{\n        {SHARED}/32 dev eth0\n    }}":
                    f"unicast_src_ip {OWN[self.number]}\n    unicast_peer {{\n        {OWN[1 - self.number]}\n    }}"}
        if self.number == 1:
            changes["keepalived.conf"] |= {"router_id vprox-1": "router_id vprox-2",
                                           "priority 100": "priority 90"}
            changes["conntrackd.conf"] |= {OWN[0]: "OTHER", OWN[1]: OWN[0], "OTHER": OWN[1]}
        for name, texts in changes.items():
            text = (EXAMPLES / name).read_text()
            for old, new in texts.items():
                assert old in text, (name, old)
                text = text.replace(old, new)
            (etc / name).write_text(text)
            (etc / name).chmod(0o755 if name.endswith("notify") else 0o644)

    def start(self, in_cloud=False):
        self.install(in_cloud)
        self._start("conntrackd", "-C", "/run/etc/conntrackd.conf")
        wait.until((self.host.state / "run/conntrackd.ctl").exists, what="conntrackd runs")
        self._start("keepalived", "-n", "-l", "-f", "/run/etc/keepalived.conf", "-p", "/run/keepalived.pid",
                    "-r", "/run/vrrp.pid")

    def provider_moves(self):
        """Whether it has asked the cloud for the address; it has it then."""
        has_asked = (self.host.state / "run/etc/moved").exists()
        if has_asked:
            self.lan.world.internet.ip(f"route replace {SHARED}/32 via {OWN[self.number]} dev {BRIDGE} onlink")
        return has_asked

    def said(self, program, text, times=1):
        return (self.host.state / f"{program}.log").read_text().count(text) >= times

    def tracks(self):
        """How many of the lab's connections its kernel knows."""
        return self.host.ns.run("conntrack -L -p tcp --orig-dst 198.51.100.80 --dport 5001").count("ESTABLISHED")

    def _start(self, *words):
        with open(self.host.state / f"{words[0]}.log", "ab") as log:
            self.processes.append(self.host.ns.popen(list(map(str, words)), self.host.mounts, stdout=log,
                                                     stderr=subprocess.STDOUT))

    def has_shared(self):
        return f" {SHARED}/" in self.host.ns.run("ip -4 addr show dev eth0")

    def cut_off(self):
        """As a host that is dead for all others: nothing is said."""
        self.host.ns.ip("link set eth0 down", "link set wan0 down")

    def bring_back(self):
        self.host.ns.ip("link set eth0 up", "link set wan0 up", "route replace default via 203.0.113.1 dev wan0 onlink")
        wait_until_running(self.host.ns, "eth0")

    def close(self):
        for process in reversed(self.processes):
            stop(process)
