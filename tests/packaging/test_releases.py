"""The package on each release that it is for: installed there with what it says it depends on, and the demo run.
Of Ubuntu, which is not to be had where the tests run, it is the names and versions of libraries."""

import shutil

import pytest

from lib.mirror import fetched
from releases import ROOT, inside, libraries_of, output, unpack

RELEASES = ["bookworm", "trixie"]

# Ubuntu 24.04's libraries, and what those that were renamed there (t64) provide by their old names.
UBUNTU = {"libc6": "2.39", "libcap2": "1:2.66", "libcurl4": "8.5.0", "libevent-2.1-7": "2.1.12-stable",
          "libjansson4": "2.14", "libmnl0": "1.0.5", "libnftables1": "1.0.9", "libseccomp2": "2.5.5",
          "libsqlite3-0": "3.45.1", "libssl3": "3.0.13", "libc-ares2": "1.27.0"}


@pytest.fixture(name="root", params=RELEASES)
def fixture_root(request, package, tmp_path):
    folder = tmp_path / "root"
    unpack(request.param, package, folder)
    yield folder
    shutil.rmtree(folder)


def test_it_is_installed_on_each_release_and_the_demo_runs(root, package):
    shutil.copy(package, root / "vprox.deb")
    shutil.copytree(ROOT / "demo", root / "demo")
    inside(root, "dpkg", "-i", "/vprox.deb")
    assert "Both tunnels did what they should" in inside(root, "/demo/run")
    inside(root, "dpkg", "-P", "vprox")
    assert not (root / "usr/sbin/vprox").exists()


@pytest.fixture(name="stand_in")
def fixture_stand_in(tmp_path):
    """Returns a function that makes a command for `fetched` of a script, which notes each of its calls."""
    def stand_in(script):
        (tmp_path / "script").write_text(f"echo called >>{tmp_path}/calls\n{script}\n")
        return "sh", str(tmp_path / "script")
    stand_in.calls = tmp_path / "calls"
    return stand_in


def test_what_the_mirror_gives_at_a_second_try_is_taken(stand_in):
    assert fetched(*stand_in(f"[ $(wc -l <{stand_in.calls}) = 2 ] && echo /a/tree")) == "/a/tree"


def test_what_the_mirror_does_not_give_is_asked_for_twice_and_the_tests_of_it_are_skipped(stand_in):
    command = stand_in("echo E: Failed to fetch it >&2; exit 1")
    for _ in range(2):
        with pytest.raises(pytest.skip.Exception, match="Failed to fetch it"):
            fetched(*command)
    assert stand_in.calls.read_text() == "called\n" * 2


def test_a_mirror_that_hangs_is_given_up(stand_in):
    with pytest.raises(pytest.skip.Exception, match="not within 1 s"):
        fetched(*stand_in("sleep 1000"), seconds=1)


def test_a_package_that_a_release_lacks_is_a_failure(stand_in):
    with pytest.raises(AssertionError, match="Unable to locate package"):
        fetched(*stand_in("echo E: Unable to locate package nonsense >&2; exit 1"))


def test_ubuntu_has_the_libraries_by_the_same_names(package):
    libraries = libraries_of(package)
    assert set(libraries) <= set(UBUNTU)
    for name, least in libraries.items():
        output("dpkg", "--compare-versions", UBUNTU[name], "ge", least)


def test_the_package_depends_on_libraries_that_are_loaded_where_they_are_called(package):
    """No program is linked with them, by which dpkg-shlibdeps would know."""
    assert set(libraries_of(package)) >= {"libnftables1", "libcurl4"}
