"""The kernel's data plane, test by test: each line TEST(name) of test_plane_kernel.c is one."""

import os
import pathlib
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("VPROX_BUILD", HERE.parent.parent / "build"))
PROGRAM = BUILD / "tests/plane/test_plane_kernel"
SOURCE = HERE / "test_plane_kernel.c"
NAMES = re.findall(r"^\s+TEST\((\w+)\),", SOURCE.read_text(), re.MULTILINE)
SECONDS = 120


@pytest.mark.parametrize("name", NAMES)
def test_kernel_plane(name):
    done = subprocess.run([PROGRAM, name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False)
    print(done.stdout)
    assert done.returncode == 0
    assert "[  PASSED  ] 1 test(s)." in done.stdout
