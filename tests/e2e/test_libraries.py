"""Libraries that are loaded where they are called: what is without them is refused, and says why."""

import re
import subprocess

import pytest

from lab.api import PASSWORD
from lab.tunnels import random_key
from lib import wait
from lib.process import kill

pytestmark = pytest.mark.plane

REASON = r"\S*libnftables\.so\.1: .*\(Debian's package: libnftables1\)"
NO_LIBCURL = r"\S*libcurl\.so\.4: .*\(Debian's package: libcurl4\)"
SECONDS = 40


def hidden(library):
    """Mounts by which a library is not to be found."""
    known = subprocess.run(["ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    paths = re.findall(rf"^\s*{re.escape(library)} .* => (\S+)$", known, re.M)
    assert paths
    return [("/dev/null", path) for path in paths]


def in_mounts_of(process, *command):
    subprocess.run(["nsenter", f"--mount=/proc/{process.pid}/ns/mnt", *command], check=True)


def test_no_process_has_libraries_in_it_that_are_for_etcd_or_for_changes_of_the_firewall(host, client):
    server = host.start()
    host.api(client).connect(random_key())
    for pid in [*server.processes(), *host.device_processes(), *host.listener_holders()]:
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
            assert not set(re.findall(r"lib(?:nftables|nftnl|xtables|curl)\b", maps.read())), pid


def test_without_libnftables_a_server_does_not_start(host):
    host.mounts += hidden("libnftables.so.1")
    server = host.launch(expected=["cannot load the firewall", "cannot remove the firewall"])
    assert server.process.wait(SECONDS) == 1
    assert server.logged(f"error .*cannot load the firewall: {REASON}")
    assert not server.logged("this kernel")


def test_while_libnftables_is_away_tunnels_go_on_and_then_the_firewall_is_put_right(host, client, kind):
    server = host.start("--reap-interval=1s", expected=["cannot load the firewall"])
    tunnel = host.tunnel(kind, client).up()
    for source, target in hidden("libnftables.so.1"):
        in_mounts_of(server.process, "mount", "--bind", source, target)
    host.ns.run("nft flush chain ip vprox input")
    assert server.logged(f"error .*cannot load the firewall: {REASON}", SECONDS)
    assert tunnel.ping() and server.process.poll() is None
    for _, target in hidden("libnftables.so.1"):
        in_mounts_of(server.process, "umount", target)
    wait.until(lambda: "iifname" in host.ns.run("nft list chain ip vprox input"), SECONDS, "loaded again")
    assert tunnel.visit() == host.address


@pytest.mark.only("embedded", reason="of the plane nothing matters here")
def test_while_libcurl_is_away_a_store_waits_for_it_and_then_writes_to_etcd(host, client, fleet):
    server = fleet.start(host, "--store-wait=1s", expected=["store 0, process .* killed", "etcd cannot be asked"])
    before, = server.stores()
    for source, target in hidden("libcurl.so.4"):
        in_mounts_of(server.process, "mount", "--bind", source, target)
    kill(before)
    assert server.logged(f"error .*etcd cannot be asked without libcurl, will try again every 5 s: {NO_LIBCURL}", SECONDS)
    waiting, = server.stores()
    assert host.api(client).connect(random_key()).status == 200
    for _, target in hidden("libcurl.so.4"):
        in_mounts_of(server.process, "umount", target)
    assert server.logged("info .*libcurl is loaded", SECONDS)
    fleet.wait_for_peers(1)
    assert server.stores() == [waiting] and server.log.count("etcd cannot be asked") == 1


def test_without_libnftables_a_client_does_not_take_it_for_the_kernels_lack(host, machine):
    """What comes out of the tunnel would reach the machine's services."""
    host.start()
    machine.mounts += hidden("libnftables.so.1")
    client = machine.connect(host.address)
    client.logged(f"error .*{REASON}")
    assert "this kernel" not in client.log and not machine.visit() == host.address


def test_without_libnftables_exec_runs_nothing(host, machine):
    host.start()
    machine.mounts += hidden("libnftables.so.1")
    words = ["exec", f"--plane={machine.options.plane}", "--dns=198.51.100.80", host.address, "--", "echo", "it ran"]
    process = machine.ns.popen([machine.options.vprox, *words], machine.mounts, env=machine.environment(PASSWORD),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = process.communicate(timeout=SECONDS)[0]
    assert process.returncode and "it ran" not in said and re.search(f"error .*{REASON}", said), said
