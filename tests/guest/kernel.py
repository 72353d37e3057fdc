"""The guest's kernel: Debian's own, fetched and unpacked into a cache folder, never installed."""

import fcntl
import hashlib
import lzma
import os
import pathlib
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# By series, the packages that depend on the newest kernel of it: Debian 12 has both.
META_PACKAGES = {
    "6.1": ["linux-image-amd64"],
    "6.12": ["linux-image-6.12-amd64", "linux-image-amd64"],
}
NEWEST = "6.12"

# What the initramfs loads, with all that these need, to get at the host's root.
BOOT_MODULES = ["virtio_pci", "virtio_console", "virtio_rng", "9pnet_virtio", "9p", "overlay"]

# What is kept of the package, of 400 MB: all of networking and what it needs.
MODULES = "./lib/modules/*/kernel/"
KEPT = [
    "./boot/vmlinuz-*",
    "./lib/modules/*/modules.*",
    *(MODULES + part for part in (
        "arch", "crypto", "lib", "net", "fs/9p", "fs/overlayfs",
        "fs/[fn][es][ct]*",  # fscache and netfs, which became one
        "drivers/virtio", "drivers/char", "drivers/net/wireguard", "drivers/net/bonding", "drivers/net/*.ko*")),
]
# A package of which other parts were kept is fetched anew.
KEPT_DIGEST = hashlib.sha256(" ".join(KEPT).encode()).hexdigest()[:8]


class KernelError(Exception):
    """Why there is no kernel to boot."""


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "vprox" / "guest"


class Kernel:
    """An unpacked kernel package."""

    def __init__(self, folder):
        self.folder = folder
        self.image = min(folder.glob("boot/vmlinu*"))  # the unpacked one before the packed one
        self.modules = next(folder.glob("lib/modules/*"))
        self.version = self.modules.name

    def initramfs(self):
        """The path of the initramfs, made if there is none for this init yet."""
        init = (HERE / "init").read_bytes()
        name = hashlib.sha256(init + " ".join(BOOT_MODULES).encode()).hexdigest()[:16]
        path = self.folder / f"initramfs-{name}"
        if not path.exists():
            self._make_initramfs(path)
        return path

    def _make_initramfs(self, path):
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            root = pathlib.Path(scratch) / "root"
            (root / "bin").mkdir(parents=True)
            (root / "modules").mkdir()
            shutil.copy(find("busybox"), root / "bin/busybox")
            shutil.copy(HERE / "init", root / "init")
            (root / "init").chmod(0o755)
            order = self._in_loading_order(BOOT_MODULES)
            for module in order:
                shutil.copy(module, root / "modules")
            names = "".join(module.name + "\n" for module in order)
            (root / "modules/order").write_text(names)
            entries = "".join(f"{entry.relative_to(root)}\n" for entry in sorted(root.rglob("*")))
            archive = subprocess.run([find("busybox"), "cpio", "-o", "-H", "newc"], cwd=root,
                                     input=entries.encode(), capture_output=True, check=True)
            temporary = pathlib.Path(scratch) / "initramfs"
            temporary.write_bytes(archive.stdout)
            temporary.rename(path)

    def _in_loading_order(self, names):
        needs = {}
        for line in (self.modules / "modules.dep").read_text().splitlines():
            module, _, others = line.partition(":")
            needs[module] = others.split()
        by_name = {pathlib.Path(module).stem.replace("-", "_"): module for module in needs}
        order = []
        for name in names:
            if name not in by_name:
                continue  # built into this kernel
            module = by_name[name]
            for needed in [*reversed(needs[module]), module]:
                if self.modules / needed not in order:
                    order.append(self.modules / needed)
        return order


def find(program):
    """The path of a program; it may be in sbin and that not in PATH."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise KernelError(f"{program} is missing: `make deps` installs what the tests need")
    return path


def get(series=NEWEST):
    """The newest kernel of a series in the cache; fetched first if there is none."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        there = sorted(cache.glob(f"linux-image-{series}.*-{KEPT_DIGEST}"),
                       key=lambda folder: folder.stat().st_mtime)
        return Kernel(there[-1] if there else _fetch(cache, series))


def _fetch(cache, series):
    try:
        return _download(cache, series)
    except KernelError:
        # Lists of packages that are missing or old.
        run(["apt-get", "-q", "-o", "Acquire::Retries=3", "update"], cache)
        return _download(cache, series)


def _package(series):
    """The package of the newest kernel of a series."""
    for meta in META_PACKAGES[series]:
        depends = subprocess.run(["apt-cache", "depends", meta], capture_output=True, text=True,
                                 check=False).stdout.split()
        for word in depends:
            if word.startswith(f"linux-image-{series}."):
                return word
    raise KernelError(f"apt knows no kernel {series}: looked for "
                      + " and ".join(META_PACKAGES[series]))


def _download(cache, series):
    package = _package(series)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        scratch = pathlib.Path(scratch)
        # apt's own user may not write here; -o keeps it from complaining about that.
        run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package], scratch)
        archive = next(scratch.glob("*.deb"))
        root = scratch / "root"
        root.mkdir()
        run(["sh", "-c", 'dpkg-deb --fsys-tarfile "$1" | '
             '{ shift; tar -x -C root --wildcards --no-wildcards-match-slash -f - "$@"; }',
             "sh", archive, *KEPT], scratch)
        _unpack_modules(root)
        version = next(root.glob("lib/modules/*")).name
        run([find("depmod"), "-b", root, version], scratch)
        _unpack_image(root)
        folder = cache / f"{archive.stem}-{KEPT_DIGEST}"
        root.rename(folder)
    return folder


def _unpack_modules(root):
    """Newer kernels pack each module, which costs the emulated machine time and insmod cannot read."""
    for packed in root.glob("lib/modules/*/kernel/**/*.ko.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()


def _unpack_image(root):
    """Unpacks the kernel beside its packed image: the emulated machine needs 3 s for it."""
    packed = next(root.glob("boot/vmlinuz-*"))
    data = packed.read_bytes()
    start = data.find(b"\xfd7zXZ\0")
    if start < 0:
        return  # packed in another way: the machine can do it
    image = lzma.LZMADecompressor().decompress(data[start:])
    packed.with_name("vmlinux").write_bytes(image)


def run(command, folder):
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise KernelError(f"{' '.join(map(str, command))}: {done.stdout.strip()}")
