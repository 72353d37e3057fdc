"""All that is in the tree is built by every build, or by `make fuzz`: what is not would stop
compiling, and nobody would notice."""

import json
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("VPROX_BUILD", ROOT / "build"))
FUZZERS = "tests/fuzz"


def sources():
    names = subprocess.run(["git", "ls-files", "*.c"], cwd=ROOT, check=True, text=True,
                           capture_output=True).stdout.split()
    return {name for name in names if (ROOT / name).exists()}


def built_by_default():
    targets = json.loads(subprocess.run(["meson", "introspect", "--targets", BUILD], check=True,
                                        text=True, capture_output=True).stdout)
    return {os.path.relpath(os.path.realpath(source), ROOT)
            for target in targets if target["build_by_default"]
            for part in target["target_sources"] for source in part.get("sources", ())}


def test_every_source_is_built_by_default():
    built = built_by_default()
    assert "src/main.c" in built
    assert {name for name in sources() - built if not name.startswith(FUZZERS)} == set()


def test_every_fuzzer_is_built_by_make_fuzz():
    fuzzers = {name for name in sources() if name.startswith(FUZZERS)}
    assert len(fuzzers) > 5
    for name in fuzzers:
        text = (ROOT / name).with_name("meson.build").read_text()
        name = pathlib.Path(name).stem
        assert any(re.search(rf"'{re.escape(name[len(prefix):])}'", text)
                   for prefix in ("", "fuzz_") if name.startswith(prefix)), name
