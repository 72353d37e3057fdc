"""Trees of Debian's releases, and running things in them."""

import functools
import pathlib
import re
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SECONDS = 300  # for anything
# What apt and dpkg say of packages that came, or that an archive lacks which was read: no fault of the mirror's.
FAULTS = re.compile(r"Unable to locate package|has no installation candidate|unmet dependencies|dpkg: error")
TOO_LATE = (124, 137)  # of timeout(1)
SYSUSERS = "systemd-standalone-sysusers"  # of what the package lets choose from


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, timeout=SECONDS,
                          stdin=subprocess.DEVNULL).stdout


def libraries_of(package):
    """What the package depends on: the least version of each."""
    return dict(re.findall(r"(lib\S+) \(>= (\S+)\)", output("dpkg-deb", "-f", package, "Depends")))


def fetched(*command, seconds=SECONDS):
    """The path that the command prints of what it fetched. If the mirror does not give it at a second try either, or
    the time is over, the test is skipped: that is no fault of ours."""
    path, why = fetch_once(command, seconds)
    if not path:
        pytest.skip(f"not fetched: {why}")
    return path


@functools.cache
def fetch_once(command, seconds):
    """The path, or else why there is none: whoever asks next does not wait once more."""
    end = time.monotonic() + seconds
    why = f"not within {seconds} s"
    for _ in range(2):
        left = end - time.monotonic()
        if left < 1:
            break
        # It ends what the command has started too.
        done = subprocess.run(["timeout", "--kill-after=10", f"{left:.0f}", *command], text=True, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode == 0:
            return done.stdout.strip(), ""
        assert not FAULTS.search(done.stderr), done.stderr
        if done.returncode not in TOO_LATE:
            why = " ".join(done.stderr.splitlines()[-3:])
    return None, why


def unpack(release, package, folder):
    """A release's files: with the package's libraries, and with what the demo needs."""
    demo = re.search(r"\[demo\]\n([^\[]*)", (ROOT / "packaging/deps.txt").read_text()).group(1).split()
    architecture = output("dpkg-deb", "-f", package, "Architecture").strip()
    base = fetched(ROOT / "packaging/debian-base", release, "essential", architecture, SYSUSERS,
                   *sorted(libraries_of(package)), *sorted(demo))
    folder.mkdir()
    output("tar", "-C", folder, "-xf", base)


def inside(root, *command):
    """Runs it in a tree, in namespaces of its own."""
    mounts = ('mount --bind "$0" "$0"; cd "$0"; mount -t proc proc proc; mount --rbind /dev dev;'
              'mount -t sysfs sysfs sys; mount -t tmpfs tmpfs run; exec chroot . "$@"')
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-euc", mounts, root, *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=SECONDS, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "BUILD": "/usr/sbin"})
    assert done.returncode == 0, done.stdout
    return done.stdout
