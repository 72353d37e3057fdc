"""The command line: what it takes, and what it says of bad input. Nothing is left behind."""

import re
import socket
import subprocess

import pytest

from lab.api import PASSWORD
from lib import wait
from lib.netns import stop

GOOD = "--ip 203.0.113.200 --wg-block 10.100.0.0/16"

# Arguments after `server`, and what the message must name.
BAD = {
    "no --ip": ("--wg-block 10.0.0.0/8", "--ip"),
    "no --wg-block": ("--ip 203.0.113.200", "--wg-block"),
    "nothing at all": ("", "--ip"),
    "an --ip that is none": ("--ip 203.0.113 --wg-block 10.0.0.0/16", "--ip 203.0.113"),
    "an --ip with a length": ("--ip 203.0.113.1/32 --wg-block 10.0.0.0/16", "--ip"),
    "an --ip of IPv6": ("--ip 2001:db8::1 --wg-block 10.0.0.0/16", "--ip 2001:db8::1"),
    "an --ip that is a name": ("--ip example.com --wg-block 10.0.0.0/16", "--ip"),
    "an --ip twice": (GOOD + " --ip 203.0.113.200", "--ip 203.0.113.200"),
    "an --ip that nobody can reach": ("--ip 127.0.0.1 --wg-block 10.0.0.0/16", "--ip 127.0.0.1"),
    "an --ip inside the block": ("--ip 10.100.0.9 --wg-block 10.100.0.0/16", "--ip 10.100.0.9"),
    "a network that is none": (f"{GOOD} --allow-to=10.0.0", "--allow-to 10.0.0"),
    "an opening to the loopback": (f"{GOOD} --allow-to=127.0.0.0/8", "--allow-to 127.0.0.0/8"),
    "a closed network that is none": (f"{GOOD} --deny-to=some", "--deny-to some"),
    "a port that is none": (f"{GOOD} --allow-to-host=65536", "--allow-to-host 65536"),
    "a protocol that is none": (f"{GOOD} --allow-protocol=256", "--allow-protocol 256"),
    "a protocol that tunnels have": (f"{GOOD} --allow-protocol=4", "--allow-protocol 4"),
    "a block of IPv6": ("--ip 203.0.113.200 --wg-block fd00::/64", "--wg-block fd00::/64"),
    "a block without a length": ("--ip 203.0.113.200 --wg-block 10.0.0.0", "--wg-block 10.0.0.0"),
    "a block too long": ("--ip 203.0.113.200 --wg-block 10.0.0.0/33", "--wg-block"),
    "a block without room": ("--ip 203.0.113.200 --wg-block 10.0.0.0/31", "--wg-block"),
    "a block of nonsense": ("--ip 203.0.113.200 --wg-block ten", "--wg-block ten"),
    "a block too wide for names": ("--ip 203.0.113.200 --wg-block 0.0.0.0/0", "--wg-block"),
    "a block of loopback": ("--ip 203.0.113.200 --wg-block 127.0.0.0/8", "--wg-block"),
    "a block of multicast": ("--ip 203.0.113.200 --wg-block 224.0.0.0/8", "--wg-block"),
    "a block too small for the --ips":
        (GOOD.replace("/16", "/30") + " --ip 203.0.113.201", "--wg-block"),
    "blocks too large for the --ips":
        (GOOD + " --ip 203.0.113.201 --wg-block-per-ip /16", "--wg-block"),
    "several --ips and no --wg-block-per-ip": (GOOD + " --ip 203.0.113.201", "--wg-block-per-ip"),
    "--wg-block-per-ip without a slash": (GOOD + " --wg-block-per-ip 24", "--wg-block-per-ip 24"),
    "--wg-block-per-ip of nonsense": (GOOD + " --wg-block-per-ip /x", "--wg-block-per-ip /x"),
    "--wg-block-per-ip of 0": (GOOD + " --wg-block-per-ip /0", "--wg-block-per-ip"),
    "--wg-block-per-ip of 31": (GOOD + " --wg-block-per-ip /31", "--wg-block-per-ip"),
    "--wg-block-per-ip of 99": (GOOD + " --wg-block-per-ip /99", "--wg-block-per-ip"),
    "--wg-block-per-ip wider than the block": (GOOD + " --wg-block-per-ip /8", "--wg-block-per-ip"),
    "an unknown plane": (GOOD + " --plane=magic", "--plane"),
    "a time that is none": (GOOD + " --idle-timeout=soon", "--idle-timeout"),
    "a time without end": (GOOD + " --connect-grace=99999999999999999999", "--connect-grace"),
    "a negative time": (GOOD + " --reap-interval=-1", "--reap-interval"),
    "an unknown way to exit": (GOOD + " --on-exit=explode", "--on-exit"),
    "no gates": (GOOD + " --gates=0", "--gates"),
    "too many gates": (GOOD + " --gates=100000", "--gates"),
    "no connections": (GOOD + " --max-connections=0", "--max-connections"),
    "connections that are no number": (GOOD + " --max-connections-per-source=many",
                                       "--max-connections-per-source"),
    "an unknown level": (GOOD + " --log-level=loud", "--log-level"),
    "an unknown format": (GOOD + " --log-format=xml", "--log-format"),
    "a certificate without a key": (GOOD + " --tls-cert=/x", "--tls-key"),
    "a key without a certificate": (GOOD + " --tls-key=/x", "--tls-cert"),
    "an unknown flag": (GOOD + " --frobnicate", "frobnicate"),
    "a flag without its value": (GOOD + " --on-exit", "on-exit"),
    "a word that is no flag": (GOOD + " please", "please"),
    "a cloud that is not known": (GOOD + " --cloud azure", "--cloud azure"),
    "a cloud with a common store": (GOOD + " --cloud aws --store=etcd://127.0.0.1:1/x --fleet-key=/x", "--cloud"),
    "members without a port": (GOOD + " --store=etcd://10.0.0.1/x", "--store etcd://10.0.0.1/x"),
    "members with more than a port": (GOOD + " --store=etcd://10.0.0.1:2379x9/x", "--store etcd://10.0.0.1:2379x9/x"),
    "an internal network that is none": (GOOD + " --internal-network-cidr ten",
                                         "--internal-network-cidr"),
    "an internal network inside the block": (GOOD + " --region us-west --internal-network-cidr 10.100.7.0/24",
                                             "--internal-network-cidr 10.100.7.0/24"),
}


# What does nothing as it is given, or contradicts what is beside it: the command line, the option that the message names
# first, and what it says of it.
ETCD = "has no effect without --store=etcd://..."
PIN = "--pin=sha256//" + "A" * 43 + "="
USELESS = [
    ("check 203.0.113.9 --wait=3s", "--wait 3s", "has no effect without --server"),
    *((f"check --server {option}", option.replace("=", " ", 1), "has no effect without SERVER") for option in (
        "--tunnel=ipip", "--plane=kernel", "--known-servers=/x", "--password-file=/x", "--token-file=/x", "--oidc-github=x",
        f"{PIN}")),
    ("check --wait=3s", "--wait 3s", "has no effect without --server"),
    ("check 203.0.113.9 --ipip-mode=shared", "--ipip-mode shared", "has no effect without --server"),
    (f"server {GOOD} --ipip-mode=shared --plane=embedded", "--ipip-mode shared", "does not go together with --plane=embedded"),
    ("connect A --except=10.0.0.0/8", "--except 10.0.0.0/8", "has no effect without --route"),
    ("connect A --except=none", "--except none", "has no effect without --route"),
    ("connect A --ipv6=leave", "--ipv6 leave", "has no effect without --route=.../0 or --route=.../1"),
    ("connect A --ipv6=leave --route=198.51.100.0/24", "--ipv6 leave", "has no effect without --route=.../0"),
    ("connect A --block=keep", "--block keep", "has no effect without --route"),
    ("connect A --no-block", "--no-block", "has no effect without --route"),
    ("connect A --route=0.0.0.0/0 --no-block --block=keep", "--no-block", "does not go together with --block=keep"),
    ("connect A --route=0.0.0.0/0 --block=own --no-block", "--no-block", "does not go together with --block=own"),
    *((f"{command} {words}", option, f"does not go together with {other}")
      for command in ("connect A", "exec A -- true", "check A")
      for words, option, other in (
          ("--password-file=/x --token-file=/y", "--token-file /y", "--password-file"),
          ("--oidc-github=x --token-file=/y", "--oidc-github x", "--token-file"),
          (f"--known-servers=/x {PIN}", "--known-servers /x", "--pin"))),
    *((f"{command} {words}", option, f"does not go together with {other}")
      for command in ("connect A", "exec A -- true")
      for words, option, other in ((f"--insecure {PIN}", "--insecure", "--pin"),
                                   ("--cacert=/etc/passwd --insecure", "--insecure", "--cacert"),
                                   ("--insecure --known-servers=/x", "--known-servers /x", "--insecure"))),
    *((f"server {GOOD} {option}", option.replace("=", " "), ETCD) for option in (
        "--fleet-key=/x", "--etcd-ca=/x", "--etcd-cert=/x", "--etcd-key=/x", "--etcd-user=x", "--etcd-password-file=/x",
        "--etcd-history=1h")),
    (f"server {GOOD} --store=none --store-wait=1s", "--store-wait 1s", "does not go together with --store=none"),
    (f"server {GOOD} --cloud-interface=x", "--cloud-interface x", "has no effect without --cloud"),
    (f"server {GOOD} --oidc-ca=/x", "--oidc-ca /x", "has no effect without --oidc"),
    (f"server {GOOD} --no-password --tokens=/x --password-file=/y", "--password-file /y",
     "does not go together with --no-password"),
    ("show --json --metrics", "--metrics", "does not go together with --json"),
    ("show --metrics --peer=10.0.0.1", "--metrics", "does not go together with --peer"),
    ("show --name=x --metrics", "--metrics", "does not go together with --name"),
    ("show --wide --json", "--wide", "does not go together with --json"),
    ("show --metrics --wide", "--wide", "does not go together with --metrics"),
    ("fleet-key --add --swap /x", "--swap", "does not go together with --add"),
    ("fleet-key --drop --swap /x", "--drop", "does not go together with --swap"),
    ("device --replace --workers=2 x", "--replace", "does not go together with --workers"),
    ("device --no-bpf --replace x", "--replace", "does not go together with --no-bpf"),
]


@pytest.fixture(scope="module", name="checked_host")
def fixture_checked_host(shared_host):
    """Nothing of what the tests of this module try may leave a trace."""
    before = shared_host.snapshot()
    yield shared_host
    shared_host.assert_same(before)
    assert not list((shared_host.state / "lib").rglob("*"))


@pytest.mark.sanitize
@pytest.mark.parametrize("arguments, named", BAD.values(), ids=BAD)
def test_bad_input_is_named_and_ends_with_status_2(checked_host, arguments, named):
    status, said = checked_host.run("server " + arguments)
    assert status == 2
    assert named in said
    assert len(said.splitlines()) == 1 and "see `vprox server --help`" in said


# Lines of a file of options, each with a password where none is to be, and what is said of it.
MISPLACED = [
    ("VPROX_PASSWORD: hunter2", "VPROX_PASSWORD: there is no = behind it"),
    ("VPROX_PASSWORD hunter2", "VPROX_PASSWORD: there is no = behind it"),
    (": hunter2", "?: there is no = behind it"),
    ("password=hunter2", "password: the password is VPROX_PASSWORD"),
    ("etcd-password=hunter2", "etcd-password: a file has it, which etcd-password-file names"),
    ("store=etcd://root:hunter2@10.0.0.1:2379/x", "--store: there must be no @ in it"),
]


@pytest.mark.parametrize("line, told", MISPLACED, ids=[line for line, _ in MISPLACED])
def test_a_password_in_the_wrong_place_is_not_logged(checked_host, tmp_path, line, told):
    config = tmp_path / "server.conf"
    config.write_text(f"{line}\nip=203.0.113.200\nwg-block=10.100.0.0/16\n")
    config.chmod(0o600)
    status, said = checked_host.run(f"server --config={config}")
    assert status == 2 and f"{config}, line 1: {told}" in said and "hunter2" not in said, said


@pytest.mark.parametrize("words, option, told", USELESS, ids=[words for words, _, _ in USELESS])
def test_what_would_do_nothing_is_refused_with_what_it_needs(checked_host, words, option, told):
    command, *arguments = words.replace(" A", " 203.0.113.200", 1).split()
    if command == "exec":  # options come before the server
        at = arguments.index("true") + 1
        arguments = arguments[at:] + arguments[:at]
    status, said = checked_host.run(" ".join([command, *arguments]))
    assert status == 2 and len(said.splitlines()) == 1, said
    assert said.startswith(f"vprox {command}: {option}: {told}") and f"see `vprox {command} --help`" in said


@pytest.mark.parametrize("words, named", [
    ("connect 203.0.113.200 --token-file=/nowhere", "cannot read the token's file /nowhere"),
    ("connect 203.0.113.200 --password-file=/nowhere", "cannot read the password's file /nowhere"),
    (f"server {GOOD} --store=etcd://127.0.0.1:1/x --wg-block-per-ip=/24 --fleet-key=/nowhere",
     "/nowhere: there is no such file: `vprox fleet-key` makes it"),
    ("fleet-key {there}", "{there}: it is there already, and stays as it is"),
    ("disconnect nobody0", "nobody0: there is no client of that interface; `vprox status` lists"),
    ("fleet renumber 7", "7: unexpected argument behind renumber"),
    (f"server {GOOD} --audit=/nowhere/x", "there is no such folder: make it first"),
    (f"server {GOOD} --flow-log=/nowhere/x", "there is no such folder: make it first"),
], ids=["token", "password", "fleet key", "new fleet key", "client", "nothing", "audit", "flow log"])
def test_what_is_not_there_is_named_with_what_to_do(checked_host, tmp_path, words, named):
    there = tmp_path / "there"
    there.write_text("somebody's")
    status, said = checked_host.run(words.format(there=there))
    assert status in (1, 2) and named.format(there=there) in said, said
    assert list(tmp_path.iterdir()) == [there] and there.read_text() == "somebody's"


def test_who_has_the_port_already_is_said_to_be_found_out_by_ss(host):
    taken = host.ns.enter(socket.create_server, (host.address, 443))
    with taken:
        status, said = host.run(f"server --ip {host.address} --wg-block 10.100.0.0/16")
    assert status == 1 and "in use by another program, which `ss -ltnp` names" in said, said


def test_a_second_server_is_told_to_stop_the_first(host):
    host.start()
    status, said = host.run(f"server --ip {host.second} --wg-block 10.101.0.0/16")
    assert status == 1 and "another vprox server runs on this host" in said and "stop it first" in said, said


@pytest.mark.parametrize("name", ["cloud", "flows", "gate", "holder", "metrics", "oidc", "request", "signer"])
def test_a_process_of_its_own_is_not_to_be_typed(checked_host, name):
    parent = "connect" if name == "request" else "server"
    assert checked_host.run(name) == (2, f"vprox {name}: started by `vprox {parent}`, not by hand\n")


@pytest.mark.parametrize("value, named", [(None, "VPROX_PASSWORD"), ("", "VPROX_PASSWORD"),
                                          ("a\nb", "VPROX_PASSWORD"), ("a\rb", "VPROX_PASSWORD")])
def test_a_password_that_cannot_be_is_refused(checked_host, value, named):
    status, said = checked_host.run("server " + GOOD, {"VPROX_PASSWORD": value})
    assert status == 2 and named in said


def test_what_has_no_effect_as_it_is_given_is_said_and_does_not_keep_it_from_serving(host):
    server = host.start("--cloud= --region=eu-north --internal-network-cidr=10.0.0.0/24")
    assert server.logged("--region eu-north: has no effect")
    assert server.logged(
        "--internal-network-cidr 10.0.0.0/24: has no effect without --region us-west")


def test_a_value_of_the_environment_is_told_by_its_variable(checked_host):
    status, said = checked_host.run("connect 203.0.113.200", {"VPROX_BLOCK": "some"})
    assert status == 2 and said.startswith("vprox connect: VPROX_BLOCK: --block some: must be own, keep"), said


@pytest.mark.parametrize("words", ["connect --cacert=/etc 203.0.113.200", "exec --cacert=/etc 203.0.113.200 true"])
def test_a_folder_of_authorities_is_refused(checked_host, words):
    status, said = checked_host.run(words)
    assert status == 2 and "--cacert /etc: is a folder: name one file" in said, said


def test_a_message_never_has_the_password_in_it(checked_host):
    _, said = checked_host.run("server " + GOOD + " --frobnicate")
    assert PASSWORD not in said


def test_an_unknown_user_is_named(checked_host):
    status, said = checked_host.run(f"server --ip {checked_host.address} --wg-block 10.1.0.0/16 "
                                    "--user nobody-of-that-name")
    assert status in (1, 2)
    assert "--user nobody-of-that-name" in said
    checked_host.ns.run(["rm", "-rf", str(checked_host.state / "lib/vprox")])


def test_without_the_right_to_administer_the_network_it_says_so(checked_host):
    done = checked_host.ns.try_run(
        ["setpriv", "--reuid=nobody", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
         checked_host.options.vprox, "server", *GOOD.split()],
        env=checked_host.environment())
    assert done.returncode == 1
    assert "CAP_NET_ADMIN" in done.stdout


@pytest.mark.parametrize("right", ["net_admin", "setuid", "setgid"])
def test_without_a_right_that_its_gates_need_it_does_not_start(checked_host, right):
    done = checked_host.ns.try_run(
        ["setpriv", f"--bounding-set=-{right}", checked_host.options.vprox, "server",
         *GOOD.split()], env=checked_host.environment())
    assert done.returncode == 1
    assert f"(CAP_{right.upper()}), which root does not have here: a container needs --cap-add {right.upper()}" \
        in done.stdout


@pytest.mark.parametrize("command", [f"server {GOOD}", "connect 203.0.113.7"])
def test_a_container_without_its_device_is_told_which_one(host, command):
    process = host.ns.popen(
        ["unshare", "-m", "sh", "-c", "mkdir -p /dev/net && mount -t tmpfs none /dev/net && "
         f"exec {host.options.vprox} {command} --plane=embedded"], host.mounts, text=True,
        env=host.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said = process.communicate(timeout=60)[0]
    finally:
        stop(process)
    assert process.returncode == 1
    assert "/dev/net/tun: No such file or directory: load the module tun; a container needs --device /dev/net/tun" \
        in said, said


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>&-", "<&-"])
def test_without_standard_streams_it_serves_and_stops_in_order(host, client, closed):
    before = host.snapshot()
    script = host.state / "closing"
    script.write_text(f'#!/bin/bash\nexec {host.options.vprox} "$@" {closed}\n')
    script.chmod(0o755)
    server = host.launch(program=script)

    def serves():
        assert server.process.poll() is None, "it ended"
        return host.api(client).is_served()
    wait.until(serves, 20)
    assert host.api(client).connect_ipip().status == 200
    server.stop()
    host.assert_same(before)


def test_a_limit_on_the_size_of_files_is_said(host):
    process = host.ns.popen(
        ["bash", "-c", 'ulimit -f 0; exec "$0" server "$@"', host.options.vprox,
         "--ip", host.address, "--wg-block", "10.100.0.0/16"], host.mounts, text=True,
        env=host.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert "File too large" in said


@pytest.mark.parametrize("arguments", ["--version", "version", "server --version"])
def test_version_is_told(checked_host, arguments):
    status, said = checked_host.run(arguments)
    assert status == 0 and re.match(r"vprox \d+\.\d+", said)


@pytest.mark.parametrize("arguments", [
    "version extra", "--version extra", "help server extra", "--help server extra", "completion server extra"])
def test_a_word_too_many_is_refused_where_there_are_no_options(checked_host, arguments):
    status, said = checked_host.run(arguments)
    assert status == 2 and "extra: unexpected argument" in said and len(said.splitlines()) == 1


def test_without_a_command_the_help_is_printed_and_the_status_is_2(checked_host):
    status, said = checked_host.run("")
    assert status == 2 and "server" in said


@pytest.mark.parametrize("arguments, nearest", [
    ("frobnicate", None), ("conect 203.0.113.7", "connect"), ("sever --help", "server"),
    ("help stop", None)])
def test_an_unknown_command_is_named_with_the_nearest_there_is(checked_host, arguments, nearest):
    status, said = checked_host.run(arguments)
    assert status == 2 and len(said.splitlines()) == 1
    assert arguments.split()[-1 if nearest is None else 0] in said
    assert ("did you mean" in said) == (nearest is not None)
    assert nearest is None or f"`{nearest}`" in said


@pytest.mark.parametrize("arguments, nearest", [
    ("server --ips 203.0.113.200", "--ip"), ("connect 203.0.113.7 --interfaec=x", "--interface"),
    ("show --jsn", "--json"), ("device --forground dp0", "--foreground"),
    ("clean --dryrun", "--dry-run"), ("list --halp", "--help")])
def test_an_unknown_option_is_named_with_the_nearest_there_is(checked_host, arguments, nearest):
    status, said = checked_host.run(arguments)
    assert status == 2 and len(said.splitlines()) == 1
    assert f"did you mean {nearest}?" in said


def test_help_lists_the_commands(checked_host):
    status, said = checked_host.run("--help")
    assert status == 0 and "server" in said and "list" in said


def test_list_without_a_device(checked_host):
    status, said = checked_host.run("list")
    assert status == 0 and "found 0 device(s)" in said


def test_list_names_the_devices(host):
    host.start("--wg-block-per-ip=/24", ips=[host.address, host.second])
    status, said = host.run("list")
    assert status == 0
    assert said.splitlines() == ["found 2 device(s)", "device 0: vprox0", "device 1: vprox1"]


@pytest.mark.parametrize("flag", ["--takeover", "--region us-east"])
def test_flags_of_earlier_programs_are_recognised(host, client, flag):
    server = host.start(flag)
    assert host.api(client).get("/healthz").status == 200
    assert ("no effect" in server.log) == flag.startswith("--region")
    assert server.log.count("no effect") <= 1


def test_forwarding_is_switched_on_and_said(host):
    path = "/proc/sys/net/ipv4/ip_forward"
    assert host.ns.read(path).strip() == "0"
    server = host.start()
    assert host.ns.read(path).strip() == "1"
    assert server.logged("ip_forward|forwarding")


@pytest.mark.plane
def test_strict_reverse_path_filters_do_not_stop_the_tunnels(host, client, kind):
    host.ns.sysctl(net__ipv4__conf__all__rp_filter=1, net__ipv4__conf__default__rp_filter=1)
    host.start()
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.ping() and tunnel.visit() == host.address
