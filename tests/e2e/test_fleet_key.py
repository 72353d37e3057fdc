"""`vprox fleet-key`: the key that hosts with a common store have in common is made, and changed step by step."""

import subprocess

import pytest


@pytest.fixture
def fleet_key(tmp_path, request):
    """Calls the command; returns (exit status, lines of the file)."""
    vprox, path = request.config.getoption("--vprox"), tmp_path / "key"

    def call(*options):
        done = subprocess.run([vprox, "fleet-key", *options, path], text=True, check=False, capture_output=True)
        said = done.stdout + done.stderr
        says_what_is_next = any(step in said for step in ("bring it to all hosts", "--add", "is made", "--swap"))
        assert says_what_is_next and len(said.splitlines()) == 1 and (done.returncode == 0) == (done.stderr == ""), said
        return done.returncode, path.read_text().split() if path.exists() else []
    return call


def test_a_key_is_changed_step_by_step(fleet_key):
    status, (old,) = fleet_key()
    assert status == 0 and len(old) == 44
    status, (first, new) = fleet_key("--add")
    assert status == 0 and first == old != new
    assert fleet_key("--swap") == (0, [new, old])
    assert fleet_key("--drop") == (0, [new])


def test_a_key_that_is_there_is_not_made_anew(fleet_key):
    _, before = fleet_key()
    assert fleet_key() == (1, before)


def test_a_step_that_cannot_be_is_refused(fleet_key):
    for step in "--add", "--swap", "--drop":
        assert fleet_key(step) == (1, [])
    _, one = fleet_key()
    for step in "--swap", "--drop":
        assert fleet_key(step) == (1, one)
    _, two = fleet_key("--add")
    assert fleet_key("--add") == (1, two)
    assert fleet_key("--swap", "--drop") == (2, two)
