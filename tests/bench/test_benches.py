"""Each bench still works: run for some seconds, it ends well and prints figures that are not zero. What they are means
nothing here."""

import math
import os
import pathlib
import re
import subprocess

import pytest

from lib import kernel

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("VPROX_BUILD", ROOT / "build")).resolve()
SECONDS = 180  # of which it takes some on a machine that has nothing else to do
# What is printed of each, by a pattern: the first number after it is a figure.
BENCHES = {
    "device": (["--tsv", "{out}"], ["tcp1 out Gbit/s", r"rtt p50 us +[0-9.]+", "memory of an idle peer"]),
    "fleet": (["--build", "{build}"], ["grants, 16 at a time", "a move with 2 of each: served", "a move with 2 of each: all ipip"]),
    "flow_log": (["--vprox", "{build}/vprox"], [r"1000 flows/s \(", "a line has"]),
    "flows": ([], ["with a pass:", "the pass:"]),
    "grants": (["--build", "{build}"], ["nginx ", "vprox "]),
    "handshakes": (["--storm", "{build}/bench/storm", "{build}/vprox", "{build}/vprox"], ["before:", "after:"]),
    "many_peers": (["--build", "{build}"], ["device out, 1 client, rate", "device back, 12 clients, cpu",
                                            "device out, 12 clients, jain", "device back, 12 clients, batch"]),
    "new_flows": ([], ["10 peers:"]),
    "reboot": (["--vprox", "{build}/vprox", "--clients", "{build}/bench/clients"], ["start to opening:", "all ipip:"]),
    "scale": (["--build", "{build}"], ["100 peers, ", "200 peers, ", "ratios: p50"]),
    "server": (["--build", "{build}", "--plane=embedded"], ["/connect-ipip", "memory: together", "stopping with"]),
    "store": (["--build", "{build}"], ["none ", "local "]),
    "workers": (["--tsv", "{out}"], ["1 worker ", "2 workers ", "2 workers / 1 worker"]),
}
# Of what does not go by how fast the machine is: twice what it is where nobody else has the same libraries.
BELOW = {"memory: together": 40}  # MB


def run(*command):
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, timeout=SECONDS, env={**os.environ, "VPROX_BUILD": str(BUILD)})
    print(done.stdout)
    assert done.returncode == 0
    return done.stdout


def figure_after(pattern, said):
    found = re.search(rf"{pattern}[^\d\n]*([\d.]+)", said)
    assert found, pattern
    return float(found.group(1))


def test_no_bench_is_left_out():
    assert {path.stem for path in (ROOT / "bench").glob("*.py")} == set(BENCHES)


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_prints_figures(name, tmp_path):
    words, figures = BENCHES[name]
    said = run("/usr/bin/python3", "-B", ROOT / "bench" / f"{name}.py", "--quick",
               *(word.format(build=BUILD, out=tmp_path / "tsv") for word in words))
    for pattern in figures:
        assert 0 < figure_after(pattern, said) < BELOW.get(pattern, math.inf), pattern


def test_all_together_make_one_table():
    said = run(ROOT / "bench/all", "--build", BUILD, "--quick", "new_flows", "grants")
    table = said.rpartition("---\n")[2]
    assert figure_after("new_flows  new_flows.10.with_limits", table) > 0
    assert figure_after(r"grants     ipip, one at a time, vprox, rate", table) > 0
    assert (BUILD / "bench/all.tsv").read_text().count("\n") == table.count("\n")


def test_the_devices_protocol_by_itself_has_figures():
    assert figure_after("idle peer with one /32", run(BUILD / "bench/protocol")) > 0


@pytest.mark.guest
def test_both_ipip_modes_have_figures():
    kernel.need("wireguard", "ipip")
    said = run(BUILD / "bench/ipip_modes", "--quick")
    for mode in ("interface", "shared"):
        for figure in ("made in", "a packet from a peer", "a packet to a peer", "removed in"):
            assert figure_after(f"20 peers, {mode}, {figure}", said) > 0
