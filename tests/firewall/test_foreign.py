"""Other programs' firewalls that drop what they do not accept, with real traffic in a tunnel."""

import os
import re
import subprocess
import threading

import pytest
from conftest import CLIENT, INTERNET, SERVER, Tool, run_tool, sh
from lib import wait
from lib.capture import Capture
from lib.ruleset import lasting

DOCKER = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
"""
UFW = """*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-before-input - [0:0]
:ufw-before-forward - [0:0]
:ufw-reject-forward - [0:0]
-A INPUT -j ufw-before-input
-A FORWARD -j ufw-before-forward
-A FORWARD -j ufw-reject-forward
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -p icmp -j ACCEPT
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -p icmp -m icmp --icmp-type 3 -j ACCEPT
COMMIT
"""
REJECTING = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""
DOCKER_28 = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
COMMIT
"""
RH = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:RH-Firewall-1-INPUT - [0:0]
-A INPUT -j RH-Firewall-1-INPUT
-A FORWARD -j RH-Firewall-1-INPUT
-A RH-Firewall-1-INPUT -i lo -j ACCEPT
-A RH-Firewall-1-INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A RH-Firewall-1-INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A RH-Firewall-1-INPUT -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""
UFW_REJECTING = UFW.replace("COMMIT", "-A ufw-reject-forward -j REJECT\nCOMMIT")
NATIVE = {
    "a policy": """table inet mine {
        chain f {
            type filter hook forward priority filter; policy drop
            ct state established accept
        }
    }""",
    "a last rule": """table inet mine {
        chain f { type filter hook forward priority filter + 5; policy accept
            ct state established,related accept
            counter log prefix "no " reject with icmpx type admin-prohibited
        }
    }""",
    "one of ip": """table ip mine {
        chain a { type filter hook forward priority -10; policy accept; iifname "nothing" drop; }
        chain b { type filter hook forward priority 10; policy drop; }
    }""",
    "two in one table": """table inet mine {
        chain a { type filter hook forward priority -10; policy drop; }
        chain b { type filter hook forward priority 10; policy accept; ip daddr != 0.0.0.0 accept
            reject; }
        chain c { type filter hook forward priority 20; policy accept
            ct state invalid drop
            goto d
        }
        chain d { counter reject; }
    }""",
    "firewalld": """table inet firewalld {
        chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept
            ct state { established, related } accept
            ct state invalid drop
            iifname "lo" accept
            jump filter_FORWARD_POLICIES
            reject with icmpx admin-prohibited
        }
        chain filter_FORWARD_POLICIES {
            iifname "other" jump filter_FWD_public
            iifname "other" reject with icmpx admin-prohibited
            jump filter_FWD_public
            reject with icmpx admin-prohibited
        }
        chain filter_FWD_public {
            jump filter_FWD_public_deny
            jump filter_FWD_public_allow
            reject with icmpx admin-prohibited
        }
        chain filter_FWD_public_deny { }
        chain filter_FWD_public_allow { }
    }""",
}
# Each with the rule of FORWARD that the jump has to stand before, None at the end.
IPTABLES = {"docker up to 27": (DOCKER, None), "docker 28": (DOCKER_28, None), "ufw": (UFW, None),
            "ufw rejecting": (UFW_REJECTING, "-A FORWARD -j ufw-reject-forward"),
            "rejecting": (REJECTING, "-A FORWARD -j REJECT --reject-with icmp-host-prohibited"),
            "red hat": (RH, "-A FORWARD -j RH-Firewall-1-INPUT")}
FORBIDDEN = "203.0.113.253"  # what an operator does not want the tunnels to reach
FORBID = f"-s 10.100.0.0/16 -d {FORBIDDEN}/32 -j DROP"


@pytest.fixture
def route():
    """A client behind vp0-1 (a veth of that name here) and a web server behind the server."""
    delete()
    for name in SERVER, CLIENT, INTERNET:
        subprocess.run(["ip", "netns", "add", name], check=True)
        sh(name, "ip link set lo up")
    sh(SERVER, f"ip link add vp0-1 type veth peer name vp0 netns {CLIENT}")
    sh(SERVER, f"ip link add eth0 type veth peer name eth0 netns {INTERNET}")
    for name, link, address in [
            (SERVER, "vp0-1", None), (CLIENT, "vp0", "10.100.0.2/32"),
            (SERVER, "eth0", "203.0.113.1/24"), (INTERNET, "eth0", "203.0.113.254/24"),
            (INTERNET, "eth0", f"{FORBIDDEN}/24")]:
        sh(name, f"ip link set {link} up")
        if address:
            sh(name, f"ip addr add {address} dev {link}")
    sh(SERVER, "ip addr add 10.100.0.1/32 dev lo")
    sh(SERVER, "ip route add 10.100.0.2/32 dev vp0-1 scope link")
    sh(CLIENT, "ip route add 10.100.0.1 dev vp0")
    sh(CLIENT, "ip route add default via 10.100.0.1")
    sh(SERVER, "sysctl -qw net.ipv4.ip_forward=1")
    web = subprocess.Popen(
        ["ip", "netns", "exec", INTERNET, "/usr/bin/python3", "-c",
         "import socket\n"
         "s = socket.create_server(('', 80))\n"
         "print('up', flush=True)\n"
         "while True:\n"
         "    c, a = s.accept(); c.sendall(a[0].encode()); c.close()"],
        stdout=subprocess.PIPE)
    web.stdout.readline()
    tool = Tool(endpoints=["0,203.0.113.1,10.100.0.0/16,50227"])
    tool.run("load")
    yield tool
    tool.kill()
    web.kill()
    web.communicate()
    delete()


def delete():
    for name in SERVER, CLIENT, INTERNET:
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)


TIMEOUT = 20  # seconds, on a machine that has much else to do


def seen_address(seconds=1, address="203.0.113.254"):
    """The address the web server saw; None if the client did not get through."""
    read = ["timeout", str(seconds), "bash", "-c", f"cat < /dev/tcp/{address}/80"]
    return sh(CLIENT, read, check=False) or None


def listing():
    """All rules there are, but for what traffic and time change by themselves."""
    return [without_counters(sh(SERVER, command)) for command in
            ("nft list ruleset", "iptables-nft-save", "iptables-legacy-save")]


def without_counters(text):
    text = re.sub(r"\[\d+:\d+\]", "[0:0]", text)
    text = lasting(text)
    return re.sub(r" on \w+ \w+ .*", "", text)


def restore(kind, rules):
    sh(SERVER, f"iptables-{kind}-restore", input=rules)


@pytest.mark.parametrize("kind", ["nft", "legacy"])
@pytest.mark.parametrize("rules, before_rule", IPTABLES.values(), ids=IPTABLES)
def test_the_tunnel_works_under_a_closed_forward_chain_of_iptables(route, kind, rules, before_rule):
    assert seen_address(TIMEOUT) == "203.0.113.1"
    restore(kind, rules)
    before = listing()
    assert seen_address() is None, "the foreign firewall does not close anything"
    route.run("foreign-reconcile")
    assert seen_address(TIMEOUT) == "203.0.113.1"
    assert "-A FORWARD -j VPROX" in sh(SERVER, f"iptables-{kind}-save")
    assert "-i vp0-+" in sh(SERVER, f"iptables-{kind} -S VPROX")
    sh(SERVER, "nft list ruleset")
    assert behind_the_jump(kind) == before_rule
    route.run("foreign-stop")
    assert listing() == before
    assert seen_address() is None


def behind_the_jump(kind, chain="FORWARD"):
    """The rule behind the one jump to VPROX in the chain; None if it is the last."""
    rules = sh(SERVER, f"iptables-{kind} -S {chain}").splitlines()
    assert rules.count(f"-A {chain} -j VPROX") == 1, rules
    return (rules + [None])[rules.index(f"-A {chain} -j VPROX") + 1]


def assert_only_the_forbidden_is_closed():
    assert seen_address(TIMEOUT) == "203.0.113.1"
    assert seen_address(address=FORBIDDEN) is None


@pytest.mark.parametrize("kind", ["nft", "legacy"])
@pytest.mark.parametrize("rules, chain", [
    (DOCKER, "DOCKER-USER"), (DOCKER_28, "DOCKER-USER"), (UFW, "ufw-before-forward"),
    (UFW_REJECTING, "ufw-before-forward"), (REJECTING, "FORWARD")],
    ids=["docker up to 27", "docker 28", "ufw", "ufw rejecting", "rejecting"])
def test_an_operators_drop_is_kept_whether_it_was_there_before_or_comes_later(
        route, kind, rules, chain):
    restore(kind, rules)
    route.run("foreign-reconcile")
    assert seen_address(TIMEOUT, FORBIDDEN) == "203.0.113.1"
    sh(SERVER, f"iptables-{kind} -I {chain} {FORBID}")
    route.run("foreign-reconcile")
    assert_only_the_forbidden_is_closed()
    route.run("foreign-stop")
    route.run("foreign-reconcile")
    assert_only_the_forbidden_is_closed()


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_a_drop_that_is_added_at_the_end_is_not_overtaken(route, kind):
    restore(kind, DOCKER)
    route.run("foreign-reconcile")
    sh(SERVER, f"iptables-{kind} -A FORWARD {FORBID}")
    assert seen_address(TIMEOUT, FORBIDDEN) == "203.0.113.1"
    route.run("foreign-reconcile")
    assert_only_the_forbidden_is_closed()
    assert behind_the_jump(kind) is None


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_a_rule_that_drops_the_rest_is_not_overtaken_wherever_it_comes(route, kind):
    restore(kind, DOCKER)
    route.run("foreign-reconcile")
    sh(SERVER, f"iptables-{kind} -I FORWARD 2 -j DROP")
    assert seen_address() is None
    route.run("foreign-reconcile")
    assert seen_address(TIMEOUT) == "203.0.113.1"
    assert behind_the_jump(kind) == "-A FORWARD -j DROP"


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_a_policy_that_changes_later_is_followed(route, kind):
    restore(kind, DOCKER.replace("FORWARD DROP", "FORWARD ACCEPT"))
    before = listing()
    route.run("foreign-reconcile")
    assert listing() == before
    sh(SERVER, f"iptables-{kind} -P FORWARD DROP")
    assert seen_address() is None
    route.run("foreign-reconcile")
    assert seen_address(TIMEOUT) == "203.0.113.1"
    sh(SERVER, f"iptables-{kind} -P FORWARD ACCEPT")
    route.run("foreign-reconcile")
    assert listing() == before


RH_DROP = RH.replace("-A RH-Firewall-1-INPUT -i lo", f"-A RH-Firewall-1-INPUT {FORBID}\n"
                     "-A RH-Firewall-1-INPUT -i lo")


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_a_chain_that_drops_some_and_rejects_the_rest_is_opened_inside(route, kind):
    restore(kind, RH_DROP.replace("-A INPUT -j RH-Firewall-1-INPUT\n", ""))
    before = listing()
    route.run("foreign-reconcile")
    assert_only_the_forbidden_is_closed()
    assert "REJECT" in behind_the_jump(kind, "RH-Firewall-1-INPUT")
    route.run("foreign-stop")
    assert listing() == before


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_what_cannot_be_opened_without_overriding_somebody_gets_one_line(route, kind):
    restore(kind, RH_DROP)
    before = listing()
    tool = Tool()
    for _ in range(3):
        tool.run("foreign-reconcile")
        sh(SERVER, f"iptables-{kind} -A INPUT -i nothing -j ACCEPT")  # so that it looks again
    for _ in range(3):
        sh(SERVER, f"iptables-{kind} -D INPUT -i nothing -j ACCEPT")
    assert listing() == before
    warned, = [line for line in tool.close().splitlines() if "cannot be changed" in line]
    assert "add rules to it" in warned and "interfaces vprox*" in warned
    assert "FORWARD" in warned and ("iptables-legacy" in warned) == (kind == "legacy")


def test_what_stays_closed_is_not_said_again_when_its_neighbour_is_opened(route):
    sh(SERVER, "nft -f -", input='''table ip mine {
        chain common { ip daddr 203.0.113.253 drop
            drop
        }
        chain in { type filter hook input priority 0; iifname "nothing" jump common; }
        chain closed { type filter hook forward priority 0; jump common; }
        chain opened { type filter hook forward priority 1; policy drop; }
    }''')
    tool = Tool()
    for _ in range(3):
        tool.run("foreign-reconcile")
        sh(SERVER, "nft flush chain ip mine opened")
    tool.run("foreign-reconcile")
    said = tool.close()
    assert said.count('"closed" of the nftables table ip mine drops') == 1
    assert said.count('"opened" of the nftables table ip mine lets') == 4


@pytest.mark.parametrize("command", [
    "iptables-legacy -P FORWARD DROP", "iptables-legacy-restore",
    "iptables-legacy -A FORWARD -j DROP"])
def test_a_firewall_of_iptables_legacy_that_is_started_later_does_not_close_the_tunnel(
        route, command):
    route.run("foreign-reconcile")
    sh(SERVER, command, input=UFW)
    assert seen_address() is None
    route.run("foreign-reconcile")
    assert seen_address(TIMEOUT) == "203.0.113.1"
    sh(SERVER, "iptables-legacy -F")
    sh(SERVER, "iptables-legacy -P FORWARD DROP")
    assert seen_address() is None
    route.run("foreign-reconcile")
    assert seen_address(TIMEOUT) == "203.0.113.1"


def test_no_program_is_started_while_iptables_legacy_only_counts(route, tmp_path):
    restore("legacy", DOCKER)
    for name in "save", "restore":
        program = tmp_path / f"iptables-legacy-{name}"
        program.write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/started\n"
                           f'exec /usr/sbin/iptables-legacy-{name} "$@"\n')
        program.chmod(0o755)
    tool = Tool(environment={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
                endpoints=["0,203.0.113.1,10.100.0.0/16,50227"])
    for _ in range(3):
        tool.run("foreign-reconcile")
        assert seen_address(TIMEOUT) == "203.0.113.1"
    # What was written is read once more.
    assert (tmp_path / "started").read_text().split() == ["save", "restore", "save"]
    tool.close()


def test_a_failing_iptables_legacy_is_said_once_and_not_tried_all_the_time(route, tmp_path):
    restore("legacy", DOCKER)
    program = tmp_path / "iptables-legacy-save"
    program.write_text(f"#!/bin/sh\necho x >>{tmp_path}/started\necho no luck >&2\nexit 4\n")
    program.chmod(0o755)
    tool = Tool(environment={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    for _ in range(20):
        tool.run("foreign-reconcile")
    assert len((tmp_path / "started").read_text().split()) == 4
    program.unlink()
    for _ in range(13):
        tool.run("foreign-reconcile")
    assert behind_the_jump("legacy") is None
    said = tool.close()
    assert said.count("no luck") == 1


@pytest.mark.parametrize("rules", NATIVE.values(), ids=NATIVE)
def test_the_tunnel_works_under_a_closed_forward_chain_of_nft(route, rules):
    sh(SERVER, "nft -f -", input=rules)
    before = listing()
    assert seen_address() is None
    route.run("foreign-reconcile")
    assert seen_address(TIMEOUT) == "203.0.113.1"
    route.run("foreign-stop")
    assert listing() == before
    assert seen_address() is None


def test_a_chain_that_lets_everything_pass_is_left_alone(route):
    sh(SERVER, "nft -f -", input='''table ip open { chain f {
        type filter hook forward priority 0; policy accept; iifname "x" drop; }
        }''')
    restore("legacy", "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n")
    before = listing()
    route.run("foreign-reconcile")
    assert listing() == before


def test_reconciling_again_changes_nothing(route):
    restore("nft", DOCKER)
    restore("legacy", DOCKER)
    route.run("foreign-reconcile")
    first = listing()
    for _ in range(3):
        route.run("foreign-reconcile")
    assert listing() == first


def test_a_tool_that_flushes_its_table_does_not_close_the_tunnel_for_long(route):
    restore("nft", UFW)
    route.run("foreign-reconcile")
    restore("nft", UFW)  # which flushes
    assert seen_address() is None
    route.run("foreign-reconcile")
    assert seen_address(TIMEOUT) == "203.0.113.1"
    sh(SERVER, "iptables-nft -F FORWARD")
    route.run("foreign-reconcile")
    assert seen_address(TIMEOUT) == "203.0.113.1"
    sh(SERVER, "nft flush chain ip filter VPROX")
    route.run("foreign-reconcile")
    assert seen_address(TIMEOUT) == "203.0.113.1"


def test_a_firewall_that_is_started_later_does_not_close_the_tunnel(route):
    route.run("foreign-reconcile")
    assert seen_address(TIMEOUT) == "203.0.113.1"
    restore("nft", DOCKER)
    assert seen_address() is None
    route.run("foreign-reconcile")
    assert seen_address(TIMEOUT) == "203.0.113.1"


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_what_a_killed_server_left_is_taken_over_and_removed_at_the_stop(route, kind):
    restore(kind, DOCKER)
    before = listing()
    killed = Tool(endpoints=["0,203.0.113.1,10.100.0.0/17,50227",
                             "7,203.0.113.7,10.100.128.0/17,50234"])
    killed.run("foreign-reconcile")
    killed.kill()
    assert "vp7-+" in sh(SERVER, f"iptables-{kind}-save")
    route.run("foreign-reconcile")
    saved = sh(SERVER, f"iptables-{kind}-save")
    assert "vp7-+" not in saved
    assert saved.count("-j VPROX") == 1
    assert seen_address(TIMEOUT) == "203.0.113.1"
    route.run("foreign-stop")
    assert listing() == before


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_a_stop_with_keep_leaves_the_tunnels_open(route, kind):
    restore(kind, DOCKER)
    route.run("foreign-reconcile")
    route.run("foreign-keep")
    assert seen_address(TIMEOUT) == "203.0.113.1"


def test_a_table_with_an_owner_gets_one_line(route):
    owner = subprocess.Popen(["ip", "netns", "exec", SERVER, "nft", "-i"], stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    try:
        owner.stdin.write("table inet firewalld { flags owner; chain f "
                          "{ type filter hook forward priority 10; policy drop; }; }\n")
        owner.stdin.flush()
        wait.until(lambda: "firewalld" in sh(SERVER, "nft list tables"))
        before = listing()
        tool = Tool()
        for _ in range(3):
            tool.run("foreign-reconcile")
            sh(SERVER, "nft add table ip unrelated")  # so that it looks again
            sh(SERVER, "nft delete table ip unrelated")
        tool.run("foreign-stop")
        said = [line for line in tool.close().splitlines() if "firewalld" in line]
        assert len(said) == 1, said
        assert "add rules" in said[0] and '"f"' in said[0]
        assert listing() == before
    finally:
        owner.kill()
        owner.communicate()


# Rules with a condition, which the server leaves as they are: whether they mean tunnels nobody knows.
CONDITIONAL = {
    "new connections": ("nft add table ip f; nft add chain ip f forward '{ type filter hook forward "
                        "priority 0; }'; nft add rule ip f forward ct state new drop",
                        r'the rule with handle \d+ of the chain "forward" of the nftables table ip f'),
    "another interface, in a chain that is jumped to": (
        "iptables-nft -N MINE; iptables-nft -A FORWARD -j MINE; iptables-nft -A MINE -i lan0 "
        "-j ACCEPT; iptables-nft -A MINE ! -i lan0 -p tcp -j REJECT",
        r'the rule with handle \d+ of the chain "MINE" of the nftables table ip filter'),
    "a map of verdicts": ("nft add table inet f; nft add chain inet f forward '{ type filter hook "
                          "forward priority 0; }'; nft add rule inet f forward ct state vmap "
                          "'{ established : accept, new : drop }'",
                          r'the rule with handle \d+ of the chain "forward" of the nftables table inet'),
    "iptables-legacy": ("iptables-legacy -A FORWARD -m conntrack --ctstate NEW -j DROP",
                        'rule 1 of the chain "FORWARD" of iptables-legacy'),
}
OPEN = "nft flush table ip f; nft flush table inet f; iptables-nft -F; iptables-legacy -F"


def begin_connections(n=10):
    sh(CLIENT, ["bash", "-c", f"for i in $(seq {n}); do echo > /dev/tcp/203.0.113.254/80 & done; "
                "sleep 0.3; kill $(jobs -p); wait"], check=False)


@pytest.mark.parametrize("rules, named", CONDITIONAL.values(), ids=CONDITIONAL)
def test_rules_that_drop_tunnels_by_a_condition_are_named_once(route, rules, named):
    assert seen_address(TIMEOUT) == "203.0.113.1"
    route.run("forward-watch")
    sh(SERVER, ["bash", "-c", rules])
    route.run("foreign-reconcile")
    for _ in range(3):
        begin_connections()
        route.run("forward-watch")
    sh(SERVER, ["bash", "-c", OPEN], check=False)
    assert seen_address(TIMEOUT) == "203.0.113.1"
    route.run("forward-watch")
    said = route.close()
    assert len(re.findall("warning ", said)) == 1
    assert re.search(rf"warning .*none of the last \d+ packets .* dropped them: {named}", said), said
    assert "get past this host's other firewalls again" in said


def test_our_own_table_comes_back_after_a_flush(route):
    sh(SERVER, "nft flush ruleset")
    route.run("reconcile")
    assert seen_address(TIMEOUT) == "203.0.113.1"
    before = listing()
    route.run("reconcile")
    sh(SERVER, "nft flush chain ip vprox srcnat")
    route.run("reconcile")
    assert listing() == before


@pytest.mark.parametrize("change", [
    "nft flush set ip vprox blocks",
    "nft delete element ip vprox binds { 203.0.113.1 }",
    "nft add table ip vprox { flags dormant; }",
    "nft insert rule ip vprox tunnel accept",
    "nft add rule ip vprox to_network accept",
    "nft add chain ip vprox forward { policy drop; }",
    "nft add chain ip vprox mine",
    "nft add set ip vprox mine { type ipv4_addr; }",
    "nft add element ip vprox allow_to { 10.9.0.0/16 }",
    "nft delete element ip vprox bind_of_port { 50227 : 203.0.113.1 }",
])
def test_whatever_is_changed_in_our_own_table_is_put_right(route, change):
    before = listing()
    sh(SERVER, change)
    assert listing() != before
    route.run("reconcile")
    assert listing() == before
    assert seen_address(TIMEOUT) == "203.0.113.1"


def test_loading_replaces_and_removing_leaves_nothing(empty_server):
    before = [sh(SERVER, "nft list ruleset"), sh(SERVER, "iptables-save")]
    run_tool("load")
    first = sh(SERVER, "nft list ruleset")
    sh(SERVER, "nft add rule ip vprox forward drop")
    run_tool("load")
    assert sh(SERVER, "nft list ruleset") == first
    run_tool("remove", "remove")
    assert [sh(SERVER, "nft list ruleset"), sh(SERVER, "iptables-save")] == before


def test_no_packet_passes_unfiltered_while_the_table_is_replaced(route):
    """One transaction: whoever comes gets through, and none leaves with its inner address. In
    between a packet may be lost, and TCP repeats it a second later."""
    stop = threading.Event()

    def reload():
        while not stop.is_set():
            route.run("load")

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        with Capture(INTERNET, "eth0") as seen:
            assert {seen_address(TIMEOUT) for _ in range(20)} == {"203.0.113.1"}
            seen.none(lambda p: p.src == "10.100.0.2")
    finally:
        stop.set()
        thread.join()


def test_a_closed_input_is_said_with_what_has_to_be_open(empty_server):
    assert run_tool("inputs") == ""
    sh(SERVER, "nft add table inet mine")
    chain = "add chain inet mine in { type filter hook input priority 0; policy drop; }"
    sh(SERVER, ["nft", chain])
    restore("legacy", UFW)
    said = run_tool("inputs").splitlines()
    assert len(said) == 2
    for line in said:
        assert "protocol 4, UDP 50227, TCP 443 and ICMP to 203.0.113.1" in line
        assert "UDP 50228, TCP 443 and ICMP to 203.0.113.2" in line
    assert '"in" of the nftables table inet mine' in said[0]
    assert "iptables-legacy" in said[1]


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_an_input_that_jumps_to_a_chain_that_rejects_is_closed(empty_server, kind):
    restore(kind, RH.replace("-A RH-Firewall-1-INPUT -j REJECT --reject-with "
                             "icmp-host-prohibited\n", ""))
    assert run_tool("inputs") == ""
    restore(kind, RH)
    said, = run_tool("inputs").splitlines()
    assert "INPUT" in said and "protocol 4, UDP 50227, TCP 443 and ICMP to 203.0.113.1" in said


def test_an_input_chain_of_another_table_is_no_closed_input(empty_server):
    restore("legacy", "*mangle\n:INPUT DROP [0:0]\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n")
    assert run_tool("inputs") == ""


GO = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -i vp0-5 -m comment --comment "vprox ipip accept peer 10.100.0.5 on vp0-5" -j ACCEPT
-A FORWARD -i vp0-5 -m comment --comment "vprox ipip drop spoofed on vp0-5" -j DROP
-A FORWARD -i eth9 -m comment --comment "not vprox at all" -j ACCEPT
-A FORWARD -i eth9 -m comment --comment "vproxy" -j ACCEPT
-A FORWARD -i vprox0 -o eth1 -m comment --comment "Forward from WireGuard to internal network" -j ACCEPT
-A FORWARD -i eth1 -o vprox0 -m comment --comment "Forward from internal network to WireGuard" -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -m comment --comment "vprox server masquerade rule for vprox0" -j MASQUERADE
-A POSTROUTING -d 10.0.0.0/24 -o eth1 -m comment --comment "SNAT for WireGuard to internal network" -j SNAT --to-source 203.0.113.1
-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -m comment --comment "vprox server mark \\"0\\" rule" -j MARK --set-mark 0x1
COMMIT
"""


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_the_rules_a_go_server_left_are_removed_and_no_others(empty_server, kind):
    restore(kind, GO)
    saved = without_counters(sh(SERVER, f"iptables-{kind}-save"))
    kept = [line for line in saved.splitlines() if '"vprox ' not in line and "internal network" not in line]
    said = run_tool("go-leftovers")
    assert f"removed 7 iptables-{kind} rules that a Go vprox left" in said
    assert without_counters(sh(SERVER, f"iptables-{kind}-save")).splitlines() == kept
    assert run_tool("go-leftovers") == ""


def test_looking_for_leftovers_makes_no_tables(empty_server):
    before = [sh(SERVER, "nft list ruleset"), sh(SERVER, "cat /proc/net/ip_tables_names")]
    assert run_tool("go-leftovers", "foreign-reconcile", "foreign-stop", "inputs") == ""
    assert [sh(SERVER, "nft list ruleset"), sh(SERVER, "cat /proc/net/ip_tables_names")] == before
