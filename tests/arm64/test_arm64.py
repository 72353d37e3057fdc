"""The build for arm64, from a machine of another kind: all programs and tests are built against Debian's libraries
for arm64, with warnings as errors, and in qemu-user the programs start and the pure unit tests are run."""

import json
import os
import pathlib
import re
import subprocess

import pytest

from lib.mirror import fetched

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build-arm64"
NATIVE = pathlib.Path(os.environ.get("VPROX_BUILD", ROOT / "build")).resolve()
BUILD_SECONDS = 900  # it takes what others leave of the processors
TEST_SECONDS = 600
# What is emulated takes 20 times as long.
SLOWER = 20


def unit_tests(suite):
    tests = json.loads(subprocess.run(["meson", "introspect", "--tests", NATIVE], check=True, text=True,
                                      stdout=subprocess.PIPE).stdout)
    return sorted(test["name"] for test in tests if f"vprox:{suite}" in test["suite"])


def run(*command, seconds):
    done = subprocess.run(["nice", "-n", "10", *command], cwd=ROOT, stdin=subprocess.DEVNULL, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
    return done.returncode, done.stdout


@pytest.fixture(scope="session", name="build")
def fixture_build():
    fetched(ROOT / "packaging/arm64/sysroot")
    status, said = run("packaging/build-arm64", BUILD, seconds=BUILD_SECONDS)
    assert status == 0, said
    return BUILD


@pytest.fixture(scope="session", name="outcomes")
def fixture_outcomes(build):
    """Of each pure unit test that was run: what became of it, and what it said."""
    log = build / "meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    _, said = run("meson", "test", "-C", build, "--no-rebuild", "--suite", "pure",
                  "--timeout-multiplier", str(SLOWER), seconds=TEST_SECONDS)
    assert log.exists(), said
    return {one["name"].split()[-1]: (one["result"], one["stdout"])
            for one in map(json.loads, log.read_text().splitlines())}


def test_all_is_built_for_arm64(build):
    for name in "vprox", "vprox-store":
        header = (build / name).read_bytes()[:20]
        assert header[:5] == b"\x7fELF\x02" and header[18:] == b"\xb7\x00"  # EM_AARCH64


@pytest.mark.parametrize("words", [["vprox", "--version"], ["vprox", "server", "--help"]])
def test_the_program_starts(build, words):
    status, said = run("qemu-aarch64", "-L", build / "sysroot", build / words[0], *words[1:], seconds=TEST_SECONDS)
    assert status == 0 and "vprox" in said, said


def test_most_unit_tests_are_pure():
    assert len(unit_tests("pure")) > 2 * len(unit_tests("native"))


@pytest.mark.parametrize("name", unit_tests("pure"))
def test_what_is_pure_passes(outcomes, name):
    result, said = outcomes[name]
    assert result == "OK", said
    assert re.search(r"^ok ", said, re.MULTILINE), said
