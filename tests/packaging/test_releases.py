"""The package on each release that it is for: installed there with what it says it depends on, and the demo run.
Of Ubuntu, which is not to be had where the tests run, it is the names and versions of libraries."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SECONDS = 600  # for anything: a mirror may be slow
RELEASES = ["bookworm", "trixie"]
SYSUSERS = "systemd-standalone-sysusers"  # of what the package lets choose from

# Ubuntu 24.04's libraries, and what those that were renamed there (t64) provide by their old names.
UBUNTU = {"libc6": "2.39", "libcap2": "1:2.66", "libcurl4": "8.5.0", "libevent-2.1-7": "2.1.12-stable",
          "libjansson4": "2.14", "libmnl0": "1.0.5", "libnftables1": "1.0.9", "libseccomp2": "2.5.5",
          "libsqlite3-0": "3.45.1", "libssl3": "3.0.13", "libc-ares2": "1.27.0"}


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, timeout=SECONDS,
                          stdin=subprocess.DEVNULL).stdout


@pytest.fixture(scope="module", name="libraries")
def fixture_libraries(package):
    """What the package depends on: the least version of each."""
    depends = output("dpkg-deb", "-f", package, "Depends")
    return dict(re.findall(r"(lib\S+) \(>= (\S+)\)", depends))


@pytest.fixture(name="root", params=RELEASES)
def fixture_root(request, package, libraries, tmp_path):
    """A folder with the release's files: with the libraries, and with what the demo needs."""
    demo = re.search(r"\[demo\]\n([^\[]*)", (ROOT / "packaging/deps.txt").read_text()).group(1).split()
    architecture = output("dpkg-deb", "-f", package, "Architecture").strip()
    base = output(ROOT / "packaging/debian-base", request.param, "essential", architecture, SYSUSERS,
                  *sorted(libraries), *sorted(demo)).strip()
    folder = tmp_path / "root"
    folder.mkdir()
    output("tar", "-C", folder, "-xf", base)
    yield folder
    shutil.rmtree(folder)


def inside(root, *command):
    """Runs it there, in namespaces of its own."""
    mounts = ('mount --bind "$0" "$0"; cd "$0"; mount -t proc proc proc; mount --rbind /dev dev;'
              'mount -t sysfs sysfs sys; mount -t tmpfs tmpfs run; exec chroot . "$@"')
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-euc", mounts, root, *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=SECONDS, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "BUILD": "/usr/sbin"})
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_it_is_installed_on_each_release_and_the_demo_runs(root, package):
    shutil.copy(package, root / "vprox.deb")
    shutil.copytree(ROOT / "demo", root / "demo")
    inside(root, "dpkg", "-i", "/vprox.deb")
    assert "Both tunnels did what they should" in inside(root, "/demo/run")
    inside(root, "dpkg", "-P", "vprox")
    assert not (root / "usr/sbin/vprox").exists()


def test_ubuntu_has_the_libraries_by_the_same_names(libraries):
    assert set(libraries) <= set(UBUNTU)
    for name, least in libraries.items():
        output("dpkg", "--compare-versions", UBUNTU[name], "ge", least)
