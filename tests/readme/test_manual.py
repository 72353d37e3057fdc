"""The help, the manual pages and the program name the same commands."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
VPROX = pathlib.Path(os.environ.get("VPROX_BUILD", ROOT / "build")).resolve() / "vprox"
COMMANDS = {"server", "connect", "device", "show", "list", "clean"}


def run(*arguments):
    return subprocess.run([VPROX, *arguments], text=True, check=False, capture_output=True)


def test_the_help_names_every_command():
    assert set(re.findall(r"^  ([a-z]+) ", run("--help").stdout, re.MULTILINE)) == COMMANDS


def test_the_manual_page_names_every_command():
    page = (ROOT / "man/vprox.8").read_text()
    assert set(re.findall(r"^\.It Cm (\w+)", page, re.MULTILINE)) == COMMANDS
    for command in COMMANDS - {"list"}:
        assert f".Xr vprox-{command} 8 ." in page
        assert (ROOT / f"man/vprox-{command}.8").exists()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_a_help(command):
    done = run(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(rf"Usage: (VPROX_PASSWORD=\.\.\. )?vprox {command} ", done.stdout)
