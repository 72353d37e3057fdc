"""Other programs' firewalls that drop what they do not accept, with real traffic in a tunnel."""

import re
import subprocess
import threading

import pytest
from conftest import CLIENT, INTERNET, SERVER, Tool, run_tool, sh
from lib import wait

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
}
IPTABLES = {"docker": DOCKER, "ufw": UFW, "rejecting": REJECTING}


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
            (SERVER, "eth0", "203.0.113.1/24"), (INTERNET, "eth0", "203.0.113.254/24")]:
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
         "s = socket.create_server(('203.0.113.254', 80))\n"
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


PATIENCE = 20  # seconds, on a machine that has much else to do


def seen_address(seconds=1):
    """The address the web server saw; None if the client did not get through."""
    read = ["timeout", str(seconds), "bash", "-c", "cat < /dev/tcp/203.0.113.254/80"]
    return sh(CLIENT, read, check=False) or None


def listing():
    """All rules there are, but for what traffic and time change by themselves."""
    return [without_counters(sh(SERVER, command)) for command in
            ("nft list ruleset", "iptables-nft-save", "iptables-legacy-save")]


def without_counters(text):
    text = re.sub(r"\[\d+:\d+\]", "[0:0]", text)
    text = re.sub(r"packets \d+ bytes \d+", "packets 0 bytes 0", text)
    return re.sub(r" on \w+ \w+ .*", "", text)


def restore(kind, rules):
    sh(SERVER, f"iptables-{kind}-restore", input=rules)


@pytest.mark.parametrize("kind", ["nft", "legacy"])
@pytest.mark.parametrize("rules", IPTABLES.values(), ids=IPTABLES)
def test_the_tunnel_works_under_a_closed_forward_chain_of_iptables(route, kind, rules):
    assert seen_address(PATIENCE) == "203.0.113.1"
    restore(kind, rules)
    before = listing()
    assert seen_address() is None, "the foreign firewall does not close anything"
    route.run("foreign-reconcile")
    assert seen_address(PATIENCE) == "203.0.113.1"
    assert "-A FORWARD -j VPROX" in sh(SERVER, f"iptables-{kind}-save")
    assert "-i vp0-+" in sh(SERVER, f"iptables-{kind} -S VPROX")
    sh(SERVER, "nft list ruleset")
    assert sh(SERVER, f"iptables-{kind} -S FORWARD").splitlines()[1] == "-A FORWARD -j VPROX"
    route.run("foreign-stop")
    assert listing() == before
    assert seen_address() is None


@pytest.mark.parametrize("rules", NATIVE.values(), ids=NATIVE)
def test_the_tunnel_works_under_a_closed_forward_chain_of_nft(route, rules):
    sh(SERVER, "nft -f -", input=rules)
    before = listing()
    assert seen_address() is None
    route.run("foreign-reconcile")
    assert seen_address(PATIENCE) == "203.0.113.1"
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
    assert seen_address(PATIENCE) == "203.0.113.1"
    sh(SERVER, "iptables-nft -F FORWARD")
    route.run("foreign-reconcile")
    assert seen_address(PATIENCE) == "203.0.113.1"
    sh(SERVER, "nft flush chain ip filter VPROX")
    route.run("foreign-reconcile")
    assert seen_address(PATIENCE) == "203.0.113.1"


def test_a_firewall_that_is_started_later_does_not_close_the_tunnel(route):
    route.run("foreign-reconcile")
    assert seen_address(PATIENCE) == "203.0.113.1"
    restore("nft", DOCKER)
    assert seen_address() is None
    route.run("foreign-reconcile")
    assert seen_address(PATIENCE) == "203.0.113.1"


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
    assert seen_address(PATIENCE) == "203.0.113.1"
    route.run("foreign-stop")
    assert listing() == before


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_a_stop_with_keep_leaves_the_tunnels_open(route, kind):
    restore(kind, DOCKER)
    route.run("foreign-reconcile")
    route.run("foreign-keep")
    assert seen_address(PATIENCE) == "203.0.113.1"


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


def test_our_own_table_comes_back_after_a_flush(route):
    sh(SERVER, "nft flush ruleset")
    route.run("reconcile")
    assert seen_address(PATIENCE) == "203.0.113.1"
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
])
def test_whatever_is_changed_in_our_own_table_is_put_right(route, change):
    before = listing()
    sh(SERVER, change)
    assert listing() != before
    route.run("reconcile")
    assert listing() == before
    assert seen_address(PATIENCE) == "203.0.113.1"


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
    """One transaction: a flow goes on, and none leaves with its inner address."""
    stop = threading.Event()

    def reload():
        while not stop.is_set():
            route.run("load")

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        assert {seen_address() for _ in range(20)} == {"203.0.113.1"}
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
        assert "protocol 4, UDP 50227 and TCP 443 to 203.0.113.1" in line
        assert "UDP 50228 and TCP 443 to 203.0.113.2" in line
    assert '"in" of the nftables table inet mine' in said[0]
    assert "iptables-legacy" in said[1]


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
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -m comment --comment "vprox server masquerade rule for vprox0" -j MASQUERADE
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
    kept = [line for line in saved.splitlines() if '"vprox ' not in line]
    said = run_tool("go-leftovers")
    assert f"removed 4 iptables-{kind} rules that a Go vprox left" in said
    assert without_counters(sh(SERVER, f"iptables-{kind}-save")).splitlines() == kept
    assert run_tool("go-leftovers") == ""


def test_looking_for_leftovers_makes_no_tables(empty_server):
    before = [sh(SERVER, "nft list ruleset"), sh(SERVER, "cat /proc/net/ip_tables_names")]
    assert run_tool("go-leftovers", "foreign-reconcile", "foreign-stop", "inputs") == ""
    assert [sh(SERVER, "nft list ruleset"), sh(SERVER, "cat /proc/net/ip_tables_names")] == before
