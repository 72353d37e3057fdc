"""The units as systemd judges them, without running them."""

import pathlib
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


def words_of(lines, setting):
    return [word for line in lines if line.startswith(f"{setting}=") for word in line.partition("=")[2].split()]


def test_the_block_is_closed_before_there_is_a_network_and_no_shutdown_opens_it():
    """Conflicts=shutdown.target would stop it, and so would the end of a slice that has that by default. It outlasts
    the client, which is ordered behind it, in a restart and at the end."""
    block, client = ((UNITS / f"vprox-{name}@.service.in").read_text(encoding="utf-8").splitlines()
                     for name in ("block", "client"))
    assert "DefaultDependencies=no" in block and "Slice=-.slice" in block
    assert "network-pre.target" in words_of(block, "Before") and "network-pre.target" in words_of(block, "Wants")
    for setting in "Conflicts", "PartOf", "BindsTo", "Requires", "Requisite":
        assert not words_of(block, setting), setting
    assert "nftables.service" in words_of(block, "After"), "which removes all rules at its start"
    for setting in "Requires", "After":
        assert "vprox-block@%i.service" in words_of(client, setting)
    assert words_of(client, "Environment") == ["VPROX_BLOCK=keep"], "not beside a --no-block of VPROX_FLAGS"


def test_what_the_block_waits_for_has_no_circle(tmp_path):
    """The program of this build stands for the one that is installed."""
    for name in "block", "client":
        text = (UNITS / f"vprox-{name}@.service.in").read_text(encoding="utf-8")
        (tmp_path / f"vprox-{name}@.service").write_text(
            text.replace("@sbindir@/vprox", "/bin/true").replace("@confdir@", "/etc/vprox"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                           str(tmp_path / "vprox-block@vprox0.service")],
                          capture_output=True, text=True, timeout=60, check=False,
                          env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
