"""What the tests of packaging share: the build, the Debian package and a machine to install it on."""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from machine import Machine  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session", name="build")
def fixture_build():
    folder = pathlib.Path(os.environ.get("VPROX_BUILD", ROOT / "build")).resolve()
    assert (folder / "vprox").exists(), f"{folder}/vprox is not there: run make"
    return folder


@pytest.fixture(scope="session", name="package")
def fixture_package(build):
    """The Debian package: $VPROX_PACKAGE, or the one that `make deb` built, if it is younger than the
    program."""
    if "VPROX_PACKAGE" in os.environ:
        return pathlib.Path(os.environ["VPROX_PACKAGE"]).resolve()
    packages = sorted(build.glob("vprox_*.deb"), key=lambda path: path.stat().st_mtime)
    if packages and packages[-1].stat().st_mtime > (build / "vprox").stat().st_mtime:
        return packages[-1]
    done = subprocess.run([ROOT / "packaging/build-deb", build], check=True, text=True,
                          stdout=subprocess.PIPE)
    return pathlib.Path(done.stdout.strip())


@pytest.fixture(scope="module", name="machine")
def fixture_machine():
    made = Machine()
    yield made
    made.close()
