"""The bind address, policy rules and settings of the host, in a namespace."""

import json

import pytest
from conftest import SERVER, Tool, sh
from lib.capture import Capture, Tun
from lib.packets import ICMP, icmp_echo, ipv4

BIND = "203.0.113.1"


@pytest.fixture(name="host")
def fixture_host(empty_server):
    """Two uplinks (veths whose other ends lie in the same namespace), a default route by one."""
    for i in 0, 1:
        sh(SERVER, f"ip link add eth{i} type veth peer name far{i}")
        for end in f"eth{i}", f"far{i}":
            sh(SERVER, f"ip link set {end} up")
        sh(SERVER, f"ip addr add 192.0.{i + 2}.1/24 dev eth{i}")
    sh(SERVER, "ip route add default via 192.0.2.254")
    for key in "all", "default", "eth0", "eth1":
        sh(SERVER, f"sysctl -qw net.ipv4.conf.{key}.rp_filter=0")
    tool = Tool(endpoints=[f"0,{BIND},10.100.0.0/16,50227"])
    yield tool
    tool.kill()


def addresses(address=BIND):
    """interface: (length, valid lifetime, protocol) of those that have the address."""
    return {link["ifname"]: (a["prefixlen"], a["valid_life_time"], a.get("protocol"))
            for link in json.loads(sh(SERVER, "ip -j -N -4 addr show"))
            for a in link["addr_info"] if a["local"] == address}


FOREVER = 2**32 - 1


def test_an_address_that_nobody_has_goes_to_the_default_routes_interface_for_a_minute(host):
    host.run("address-reconcile")
    assert list(addresses()) == ["eth0"]
    length, valid, _ = addresses()["eth0"]
    assert length == 32 and 55 <= valid <= 60


def test_it_is_renewed(host):
    host.run("address-reconcile")
    sh(SERVER, f"ip addr change {BIND}/32 dev eth0 valid_lft 7 preferred_lft 7")
    host.run("address-reconcile")
    assert addresses()["eth0"][1] >= 55


def test_it_comes_back_when_somebody_takes_it_away(host):
    host.run("address-reconcile")
    sh(SERVER, f"ip addr del {BIND}/32 dev eth0")
    host.run("address-reconcile")
    assert list(addresses()) == ["eth0"]


def test_it_follows_the_default_route(host):
    host.run("address-reconcile")
    sh(SERVER, "ip route replace default via 192.0.3.254")
    host.run("address-reconcile")
    assert list(addresses()) == ["eth1"]


def test_it_stays_where_it_is_while_there_is_no_default_route(host):
    host.run("address-reconcile")
    sh(SERVER, "ip route del default")
    sh(SERVER, f"ip addr change {BIND}/32 dev eth0 valid_lft 7 preferred_lft 7")
    host.run("address-reconcile")
    assert addresses()["eth0"][1] >= 55


@pytest.mark.parametrize("given", [
    f"{BIND}/32 dev eth1", f"{BIND}/24 dev eth0", f"{BIND}/32 dev lo",
    f"{BIND}/32 dev eth1 valid_lft 3600 preferred_lft 3600",
    f"{BIND}/24 dev eth1 valid_lft 30 preferred_lft 30"])
def test_an_address_of_somebody_else_is_left_alone(host, given):
    sh(SERVER, f"ip addr add {given}")
    before = {name: entry[0] for name, entry in addresses().items()}
    for command in "address-reconcile", "address-keep", "address-reconcile", "address-remove":
        host.run(command)
        assert {name: entry[0] for name, entry in addresses().items()} == before
        if "valid_lft" not in given:
            assert {entry[1] for entry in addresses().values()} == {FOREVER}


def test_a_clean_stop_leaves_nothing(host):
    before = sh(SERVER, "ip -4 addr")
    host.run("address-reconcile")
    host.run("address-remove")
    host.run("address-remove")
    assert sh(SERVER, "ip -4 addr") == before


def test_a_stop_with_keep_makes_it_permanent_and_the_next_start_takes_it_over(host):
    before = sh(SERVER, "ip -4 addr")
    host.run("address-reconcile")
    host.run("address-keep")
    assert addresses()["eth0"][1] == FOREVER
    host.run("address-reconcile")
    assert addresses()["eth0"][1] <= 60
    host.run("address-remove")
    assert sh(SERVER, "ip -4 addr") == before


def test_a_start_that_fails_takes_away_the_address_that_it_added(host):
    before = sh(SERVER, "ip -4 addr")
    host.run("address-reconcile")
    host.run("address-reconcile")
    host.run("address-undo")
    assert sh(SERVER, "ip -4 addr") == before


def test_a_start_that_fails_leaves_a_kept_address_without_end(host):
    """Else the tunnels that were kept with it would break a minute later."""
    sh(SERVER, f"ip addr add {BIND}/32 dev eth0 valid_lft 2147483000 preferred_lft 2147483000")
    host.run("address-reconcile")
    assert addresses()["eth0"][1] <= 60
    host.run("address-undo")
    assert addresses()["eth0"][1] > 2**30


def test_what_a_kernel_without_marks_keeps_is_taken_over(host):
    sh(SERVER, f"ip addr add {BIND}/32 dev eth0 valid_lft 2147483000 preferred_lft 2147483000")
    host.run("address-reconcile")
    assert addresses()["eth0"][1] <= 60


def test_what_a_go_server_left_is_taken_over(host):
    sh(SERVER, f"ip addr add {BIND}/32 dev eth0 valid_lft 20 preferred_lft 20")
    host.run("address-reconcile")
    assert addresses()["eth0"][1] >= 55
    host.run("address-remove")
    assert not addresses()


def test_without_a_default_route_it_says_what_to_do_and_only_once(host):
    sh(SERVER, "ip route del default")
    tool = Tool(endpoints=[f"0,{BIND},10.100.0.0/16,50227"])
    for _ in range(3):
        tool.process.stdin.write("address-reconcile\n")
        tool.process.stdin.flush()
        assert tool.process.stdout.readline() == "done -101\n"
    sh(SERVER, "ip route add default via 192.0.2.254")
    tool.run("address-reconcile")
    said = tool.close().splitlines()
    complaints = [line for line in said if "no default route" in line]
    assert len(complaints) == 1 and f"ip address add {BIND}/32" in complaints[0]
    assert "there again" in said[-1]


# Policy rules


def rules():
    return sh(SERVER, "ip -N rule").splitlines()


PLAIN = ["0:\tfrom all lookup 255", "32766:\tfrom all lookup 254", "32767:\tfrom all lookup 253"]
TO_BLOCK = "1:\tfrom all to 10.100.0.0/16 lookup 254 proto 118"


def test_answers_to_the_block_go_by_the_main_table(host):
    assert rules() == PLAIN
    host.run("rules-reconcile")
    assert rules() == [PLAIN[0], TO_BLOCK, *PLAIN[1:]]
    host.run("rules-reconcile")
    assert rules() == [PLAIN[0], TO_BLOCK, *PLAIN[1:]]
    host.run("rules-remove")
    assert rules() == PLAIN


@pytest.mark.parametrize("given,mirrored", [
    (f"from {BIND} lookup 7 pref 1000", "1000:\tfrom 10.100.0.0/16 lookup 7 proto 118"),
    ("from 203.0.113.0/24 lookup 700 pref 1000", "1000:\tfrom 10.100.0.0/16 lookup 700 proto 118"),
    (f"from {BIND} iif lo lookup 7 pref 1000", "1000:\tfrom 10.100.0.0/16 lookup 7 proto 118"),
    (f"from {BIND} to 8.0.0.0/8 lookup 7 pref 1000",
     "1000:\tfrom 10.100.0.0/16 to 8.0.0.0/8 lookup 7 proto 118"),
    (f"from {BIND} fwmark 0x1/0xf lookup 7 pref 1000",
     "1000:\tfrom 10.100.0.0/16 fwmark 0x1/0xf lookup 7 proto 118"),
    # 7: unreachable
    (f"from {BIND} pref 1000 type unreachable", "1000:\tfrom 10.100.0.0/16 7 proto 118"),
    ("from 203.0.113.9 lookup 7 pref 1000", None),
    ("from all lookup 7 pref 1000", None),
    (f"to {BIND} lookup 7 pref 1000", None),
    (f"from {BIND} iif eth1 lookup 7 pref 1000", None),
    (f"not from {BIND} lookup 7 pref 1000", None),
    (f"from {BIND} ipproto tcp lookup 7 pref 1000", None),
])
def test_the_block_is_routed_as_its_bind_address_is(host, given, mirrored):
    sh(SERVER, f"ip rule add {given}")
    before = rules()
    host.run("rules-reconcile")
    added = [TO_BLOCK, mirrored] if mirrored else [TO_BLOCK]
    assert [rule for rule in rules() if rule not in before] == added
    host.run("rules-reconcile")
    assert len(rules()) == len(before) + len(added)
    host.run("rules-remove")
    assert rules() == before


def test_the_mirror_follows_what_it_mirrors(host):
    sh(SERVER, f"ip rule add from {BIND} lookup 7 pref 1000")
    host.run("rules-reconcile")
    sh(SERVER, "ip rule del pref 1000 lookup 7 from 203.0.113.1")
    sh(SERVER, f"ip rule add from {BIND} lookup 8 pref 2000")
    host.run("rules-reconcile")
    mirrors = [rule for rule in rules() if "from 10.100" in rule]
    assert mirrors == ["2000:\tfrom 10.100.0.0/16 lookup 8 proto 118"]


def test_a_rule_the_host_has_itself_is_not_ours_to_remove(host):
    sh(SERVER, f"ip rule add from {BIND} lookup 7 pref 1000")
    sh(SERVER, "ip rule add from 10.100.0.0/16 lookup 7 pref 1000")
    before = rules()
    host.run("rules-reconcile")
    host.run("rules-remove")
    assert rules() == before


def test_what_a_killed_server_left_is_known_again(host):
    sh(SERVER, f"ip rule add from {BIND} lookup 7 pref 1000")
    killed = Tool(endpoints=[f"0,{BIND},10.200.0.0/16,50227"])
    killed.run("rules-reconcile")
    killed.kill()
    host.run("rules-reconcile")
    assert not [rule for rule in rules() if "10.200" in rule]


def test_with_two_uplinks_the_tunnels_traffic_leaves_by_that_of_its_address(host):
    sh(SERVER, f"ip addr add {BIND}/32 dev eth1")
    sh(SERVER, "ip route add default via 192.0.3.254 table 7")
    sh(SERVER, "ip neigh add 192.0.2.254 dev eth0 lladdr 02:00:00:00:00:01")
    sh(SERVER, "ip neigh add 192.0.3.254 dev eth1 lladdr 02:00:00:00:00:01")
    sh(SERVER, f"ip rule add from {BIND} lookup 7 pref 1000")
    sh(SERVER, "sysctl -qw net.ipv4.ip_forward=1")
    tun = Tun(SERVER, "vp0-1")
    sh(SERVER, "ip link set vp0-1 up")
    sh(SERVER, "ip route add 10.100.0.2/32 dev vp0-1")
    host.run("load")

    def leaves_by():
        with Capture(SERVER, "eth0") as first, Capture(SERVER, "eth1") as second:
            tun.send(ipv4("10.100.0.2", "198.51.100.1", ICMP, icmp_echo()))
            return [name for name, seen in (("eth0", first), ("eth1", second))
                    if seen.find(lambda p: p.src == BIND and p.proto == ICMP)]

    assert leaves_by() == ["eth0"], "without the rule it leaves by the wrong one"
    host.run("rules-reconcile")
    assert leaves_by() == ["eth1"]
    tun.close()


# Settings


def sysctl(name, value=None):
    if value is not None:
        sh(SERVER, f"sysctl -qw net.ipv4.{name}={value}")
    return sh(SERVER, f"sysctl -n net.ipv4.{name}").strip()


def test_forwarding_is_switched_on_and_said(host):
    assert sysctl("ip_forward", 0) == "0"
    tool = Tool(endpoints=[f"0,{BIND},10.100.0.0/16,50227"])
    tool.run("sysctls")
    assert sysctl("ip_forward") == "1"
    tool.run("sysctls")
    said = tool.close().splitlines()
    assert len(said) == 1 and "changed net/ipv4/ip_forward from 0 to 1" in said[0]


def test_forwarding_is_switched_on_where_an_interface_has_it_off(host):
    sysctl("ip_forward", 1)
    sh(SERVER, "ip link add vp0-3 type veth peer name other")
    for name in "eth0", "eth1", "default", "vp0-3", "other":
        sysctl(f"conf.{name}.forwarding", 0)
    sh(SERVER, f"ip addr add {BIND}/32 dev eth0")
    host.run("sysctls")
    assert [sysctl(f"conf.{n}.forwarding") for n in ("eth0", "default", "vp0-3")] == ["1", "1", "1"]
    assert [sysctl(f"conf.{n}.forwarding") for n in ("eth1", "other")] == ["0", "0"]


@pytest.mark.parametrize("all_value,own", [(1, 0), (0, 1), (1, 1)])
def test_a_strict_check_of_sources_is_loosened_where_answers_leave_elsewhere(host, all_value, own):
    sh(SERVER, f"ip addr add {BIND}/32 dev eth1")
    sysctl("conf.all.rp_filter", all_value)
    sysctl("conf.eth1.rp_filter", own)
    sysctl("conf.eth0.rp_filter", 1)
    host.run("sysctls")
    assert sysctl("conf.eth1.rp_filter") == "2"
    assert sysctl("conf.eth0.rp_filter") == "1"
    assert sysctl("conf.all.rp_filter") == str(all_value)


@pytest.mark.parametrize("given", [
    "the address is where the default route is", "a rule routes its answers back",
    "the check is off", "the check is loose"])
def test_the_check_of_sources_is_left_alone_where_it_breaks_nothing(host, given):
    sysctl("conf.all.rp_filter", 0 if given == "the check is off" else 1)
    sysctl("conf.eth1.rp_filter", 2 if given == "the check is loose" else 0)
    at = "eth0" if given == "the address is where the default route is" else "eth1"
    sh(SERVER, f"ip addr add {BIND}/32 dev {at}")
    if given == "a rule routes its answers back":
        sh(SERVER, "ip route add default via 192.0.3.254 table 7")
        sh(SERVER, f"ip rule add from {BIND} lookup 7 pref 1000")
    sysctl("ip_forward", 1)
    before = sh(SERVER, "sysctl -a -r rp_filter")
    host.run("sysctls")
    assert sh(SERVER, "sysctl -a -r rp_filter") == before
