"""The units as systemd judges them, without running them."""

import pathlib
import shutil
import subprocess

import pytest

UNITS = pathlib.Path(__file__).resolve().parent.parent.parent / "packaging/systemd"
PLACES = {"@sbindir@": "/usr/sbin", "@confdir@": "/etc/vprox"}
# Tenths. What is left for the server: root, the network and its configuration, other users for its
# processes, and that all of /proc is there, for the sysctls. For the others likewise, and BPF.
EXPOSURE = {"vprox-block@": 20, "vprox-server": 24, "vprox-device@": 23, "vprox-client@": 24}


@pytest.fixture(name="unit", params=sorted(EXPOSURE))
def fixture_unit(request, tmp_path):
    text = (UNITS / f"{request.param}.service.in").read_text(encoding="utf-8")
    for place, path in PLACES.items():
        text = text.replace(place, path)
    instance = request.param.replace("@", "@vprox0")
    path = tmp_path / f"{instance}.service"
    path.write_text(text, encoding="utf-8")
    return request.param, path, text.splitlines()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_a_unit_is_exposed_no_more_than_its_work_asks_for(unit):
    name, path, _ = unit
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                           f"--threshold={EXPOSURE[name]}", str(path)],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_unit_leaves_no_core_file_and_takes_no_more_than_its_share(unit):
    _, _, lines = unit
    settings = [line.split("=")[0] for line in lines]
    assert "LimitCORE=0" in lines and "PrivateMounts=yes" in lines
    assert "MemoryMax" in settings and "TasksMax" in settings
