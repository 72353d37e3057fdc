"""examples/compose.yaml: its server and client, each with what the file gives it and no more, in namespaces as a
container engine makes them. They have the files of the image $VPROX_IMAGE, which `make container` builds; or else
those of Debian 12 with the package."""

import json
import os
import pathlib
import shutil
import subprocess
import tarfile

import pytest
import yaml

from lib import wait
from lib.netns import Namespace
from releases import ROOT, inside, unpack

SECONDS = 90  # for whatever is waited for
MOST_MEGABYTES = 40
IMAGE = os.environ.get("VPROX_IMAGE")
PASSWORD = "a-long-secret-of-yours"
WEB = "198.51.100.80"
NO_ADMIN = "the right to administer the network (CAP_NET_ADMIN), which root does not have here"
# What root has in a container of docker's.
CAPABILITIES = ["chown", "dac_override", "fsetid", "fowner", "mknod", "net_raw", "setgid", "setuid", "setfcap",
                "setpcap", "net_bind_service", "sys_chroot", "kill", "audit_write"]
# $1: the image's files, $2: an empty folder for what is written, $3: the capabilities, $4: the devices.
CONTAINER = r"""
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cd "$2/root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs dev
for device in /dev/null /dev/zero /dev/full /dev/random /dev/urandom $4; do
	mkdir -p "${device%/*}"
	mkdir -p ".${device%/*}"
	touch ".$device"
	mount --bind "$device" ".$device"
done
capabilities=$3
shift 4
exec chroot . setpriv --bounding-set "$capabilities" --no-new-privs -- "$@"
"""


class Container:
    """A service of the file: a process, with the files, rights and settings that it has there."""

    def __init__(self, service, namespace, image, folder):
        folder.mkdir()
        self.namespace = namespace
        self.log = folder / "log"
        for name, value in service.get("sysctls", {}).items():
            namespace.run("sysctl", "-qw", f"{name}={value}")
        capabilities = CAPABILITIES + [name.lower() for name in service.get("cap_add", [])]
        entry = ["vprox"] if not IMAGE else entry_point()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["nsenter", f"--net={namespace.path}", "unshare", "--mount", "--pid", "--ipc", "--uts", "--fork",
                 "--kill-child", "sh", "-euc", CONTAINER, "container", image, folder,
                 "-all," + ",".join(f"+{name}" for name in capabilities), " ".join(service.get("devices", [])),
                 *entry, *service["command"].split()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                     **{name: value.replace("${VPROX_PASSWORD:?}", PASSWORD)
                        for name, value in service["environment"].items()}})

    def said(self):
        return self.log.read_text()

    def says(self, text):
        def said():
            assert self.process.poll() is None, self.said()
            return text in self.said()
        wait.until(said, SECONDS, self.said)

    def fails_saying(self, text):
        assert self.process.wait(SECONDS) != 0
        assert text in self.said(), self.said()

    def stop(self):
        self.process.kill()
        self.process.wait()


def entry_point():
    with tarfile.open(IMAGE) as archive:
        manifest, = json.load(archive.extractfile("manifest.json"))
        return json.load(archive.extractfile(manifest["Config"]))["config"]["Entrypoint"]


def unpack_image(folder):
    """It is one layer, as it is built."""
    folder.mkdir()
    with tarfile.open(IMAGE) as archive:
        manifest, = json.load(archive.extractfile("manifest.json"))
        layer, = manifest["Layers"]
        subprocess.run(["tar", "-C", folder, "-x"], input=archive.extractfile(layer).read(), check=True)


@pytest.fixture(scope="module", name="image")
def fixture_image(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("image") / "root"
    if IMAGE:
        unpack_image(folder)
    else:
        package = request.getfixturevalue("package")
        unpack("bookworm", package, folder)
        shutil.copy(package, folder / "vprox.deb")
        inside(folder, "dpkg", "-i", "/vprox.deb")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module", name="compose")
def fixture_compose():
    return yaml.safe_load((ROOT / "examples/compose.yaml").read_text())


@pytest.fixture(name="network")
def fixture_network(compose):
    """Namespaces for both, on one cable, and behind the server a web host that knows the server's address alone."""
    names = {name: Namespace(f"vprox-compose-{name}-{os.getpid()}") for name in ("server", "client", "web")}
    server, client = ((compose["services"][name]["networks"]["outside"]["ipv4_address"]) for name in ("server", "client"))
    names["server"].run("ip", "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", names["client"].name)
    names["server"].run("ip", "link", "add", "eth1", "type", "veth", "peer", "eth0", "netns", names["web"].name)
    for name, device, address in [("server", "eth0", f"{server}/24"), ("client", "eth0", f"{client}/24"),
                                  ("server", "eth1", "198.51.100.1/24"), ("web", "eth0", f"{WEB}/24")]:
        names[name].run("ip", "address", "add", address, "dev", device)
        names[name].run("ip", "link", "set", device, "up")
        names[name].run("ip", "link", "set", "lo", "up")
    names["server"].run("sysctl", "-qw", "net.ipv4.ip_forward=0")  # else it is as on this machine
    names["web"].run("ip", "route", "add", f"{server}/32", "via", "198.51.100.1")
    names["client"].run("ip", "route", "add", "default", "via", server)
    yield names
    for name in names.values():
        name.remove()


@pytest.fixture(name="start")
def fixture_start(compose, network, image, tmp_path):
    started = []

    def start(name, **changes):
        started.append(Container({**compose["services"][name], **changes}, network[name], image, tmp_path / name))
        return started[-1]
    yield start
    for container in reversed(started):
        container.stop()


def test_the_client_leaves_by_the_servers_address(start, network):
    start("server").says("server: ready")
    start("client")
    wait.until(lambda: network["client"].try_run("ping", "-c", "1", "-W", "1", "-I", "vprox0", WEB).returncode == 0,
               SECONDS, "a ping by the tunnel is answered")


@pytest.mark.parametrize(("lacks", "said"), [
    ("cap_add", NO_ADMIN), ("sysctls", "cannot change net/ipv4/ip_forward from 0 to 1: Read-only file system")])
def test_the_server_needs_what_the_file_gives_it(start, lacks, said):
    start("server", **{lacks: {}}).fails_saying(said)


def test_the_client_needs_what_the_file_gives_it(start):
    start("client", cap_add=[]).fails_saying(NO_ADMIN)


@pytest.mark.skipif(not IMAGE, reason="make container builds it")
def test_the_image_is_small():
    assert pathlib.Path(IMAGE).stat().st_size <= MOST_MEGABYTES * 1000000
