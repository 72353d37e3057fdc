"""A machine's own /etc, with a resolv.conf for the test to write."""

import os
import pathlib
import shutil

OWN = "# mine\nnameserver 192.0.2.53\nsearch example.org\noptions edns0\n"


class Etc:
    def __init__(self, machine):
        self.folder = machine.state / "etc"
        self.folder.mkdir()
        for name in "passwd", "group", "nsswitch.conf", "hosts":
            shutil.copy(pathlib.Path("/etc") / name, self.folder)
        self.file = self.folder / "resolv.conf"
        self.file.write_text(OWN)
        machine.mounts.append((self.folder, "/etc"))

    def asked(self):
        return [line.split()[1] for line in self.file.read_text().splitlines()
                if line.startswith("nameserver")]

    def is_as_before(self):
        return self.file.read_text() == OWN and \
            not [name for name in os.listdir(self.folder) if "vprox" in name]
