"""Nothing lies in the tree that nothing builds or reads, and so falls behind the rest unnoticed."""

import ast
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("VPROX_BUILD", ROOT / "build")).resolve()


def files(*patterns):
    """Those that git knows and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, check=True, text=True,
                            capture_output=True).stdout.split("\0")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def scripts(interpreter):
    """The files that begin with #! and name this interpreter."""
    for file in files():
        with open(file, "rb") as stream:
            first = stream.readline()
        if first.startswith(b"#!") and interpreter in first.decode():
            yield file


def test_every_c_file_is_built():
    """By `make`; the fuzzers by `make fuzz`, which takes all of their folder."""
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    built = {(pathlib.Path(one["directory"]) / one["file"]).resolve() for one in commands}
    fuzzers = ROOT / "tests/fuzz"
    assert [str(file) for file in files("*.c")
            if file not in built and fuzzers not in file.parents] == []


def test_every_fuzzer_is_built():
    lists = "".join(file.read_text() for file in (ROOT / "tests/fuzz").rglob("meson.build"))
    names = [file.stem.removeprefix("fuzz_") for file in files("tests/fuzz/*.c")]
    assert names and [name for name in names if f"'{name}'" not in lists] == []


def test_every_python_file_can_be_parsed():
    for file in {*files("*.py"), *scripts("python3")}:
        ast.parse(file.read_text(), str(file))


def test_every_name_in_a_python_file_is_known():
    """Where one change removes an import and another one begins to use it, both pass by themselves."""
    done = subprocess.run(["pyflakes3", *files("*.py"), *scripts("python3")], check=False, text=True,
                          capture_output=True)
    assert done.returncode in (0, 1) and not done.stderr, done.stderr
    assert [line for line in done.stdout.splitlines() if "undefined name" in line] == []


def test_every_shell_script_can_be_parsed():
    for shell in "bash", "sh":
        for file in scripts(f"bin/{shell}"):
            done = subprocess.run([shell, "-n", file], stderr=subprocess.PIPE, text=True,
                                  check=False)
            assert done.returncode == 0, done.stderr


def test_the_vectors_of_the_handshake_are_what_their_script_makes():
    folder = ROOT / "tests/unit/vectors"
    made = subprocess.run(["/usr/bin/python3", "-B", folder / "handshake.py"], check=True, text=True,
                          capture_output=True).stdout
    assert made == (folder / "handshake.h").read_text()
