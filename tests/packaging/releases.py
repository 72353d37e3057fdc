"""Trees of Debian's releases, and running things in them."""

import pathlib
import re
import subprocess

from lib.mirror import fetched

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SECONDS = 300  # for anything
SYSUSERS = "systemd-standalone-sysusers"  # of what the package lets choose from


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, timeout=SECONDS,
                          stdin=subprocess.DEVNULL).stdout


def libraries_of(package):
    """What the package depends on: the least version of each."""
    return dict(re.findall(r"(lib\S+) \(>= (\S+)\)", output("dpkg-deb", "-f", package, "Depends")))


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
