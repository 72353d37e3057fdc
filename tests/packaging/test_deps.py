"""What is installed for which of make's targets: `packaging/install-deps`, with stand-ins for Debian's programs."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIST = ROOT / "packaging/deps.txt"
# Nothing is installed: there is no root, and all that would be is said.
NOT_ROOT = {"id": "echo 1000", "apt-get": "echo installed; exit 1"}


@pytest.fixture(name="install")
def fixture_install(tmp_path):
    """Returns a function that calls the script where only some packages are installed."""
    def install(*headings, installed=(), held=()):
        lines = [f"install ok installed {name}" for name in installed] + [
            f"hold ok installed {name}" for name in held] + ["deinstall ok config-files clang"]
        stand_ins = {**NOT_ROOT, "dpkg-query": "\n".join(f"echo {line}" for line in lines) + "\nexit 1"}
        for name, script in stand_ins.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        return subprocess.run([ROOT / "packaging/install-deps", *headings], text=True, check=False,
                              capture_output=True, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    return install


def missing(done):
    """What it would have installed."""
    assert done.returncode == 1 and "must be run as root" in done.stderr, done
    return set(re.fullmatch("installing: (.*)\n", done.stdout).group(1).split())


def test_the_build_needs_no_more_than_the_compiler_and_libraries(install):
    packages = missing(install("build"))
    assert {"gcc", "meson", "libssl-dev"} <= packages
    assert not {name for name in packages if not name.endswith("-dev")} - {
        "gcc", "make", "meson", "ninja-build", "pkg-config"}


def test_what_only_fuzzing_needs_comes_with_its_heading(install):
    assert missing(install("clang")) == {"clang"}
    assert missing(install("build", "clang")) == missing(install("build")) | {"clang"}


def test_what_is_installed_is_not_asked_for_again(install):
    packages = missing(install("build"))
    assert missing(install("build", installed=packages - {"gcc"})) == {"gcc"}
    assert missing(install("build", installed=packages - {"gcc", "meson"}, held=["meson"])) == {"gcc"}
    done = install("build", installed=packages)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_heading_that_is_not_there_is_refused(install):
    done = install("build", "nonsense")
    assert done.returncode == 1 and done.stdout == ""
    assert "no heading [nonsense]" in done.stderr


def test_every_heading_is_what_a_target_of_make_needs():
    headings = set(re.findall(r"^\[(.+)\]$", LIST.read_text(), re.MULTILINE))
    needed = set(re.findall(r"\bdeps-([a-z0-9]+)\b", (ROOT / "Makefile").read_text()))
    assert needed == headings
