"""Traffic that goes on while other tests are run."""

import re
import shutil

from lib import kernel
from net import INNER, Network, connect, make_device, ping

SECONDS = 185  # a key ends after 180
INTERVAL = 0.2  # between two packets of a flow


class Flow:
    """Packets through a pair of devices: of both families, for so long."""

    def __init__(self, kinds, outer):
        self.network = Network()
        try:
            self.a = make_device(self.network, "a", "dp0", kinds[0])
            self.b = make_device(self.network, "b", "dp1", kinds[1])
            connect(self.a, self.b, outer=outer, psk=True)
            self.connected = ping(self.network["a"], INNER["b"][0])
            self.first = self.handshake()
            self.pings = [
                self.network["a"].popen(f"ping -n -q -i {INTERVAL} -w {SECONDS} {address}",
                                        text=True, stdout=-1) for address in INNER["b"]]
        except BaseException:
            self.network.close()
            raise

    def handshake(self):
        return int(self.a.show("latest-handshakes").split()[1])

    def lost(self):
        """Waits for the end; returns how many packets of each family were lost."""
        outputs = [p.communicate(timeout=SECONDS + 60)[0] for p in self.pings]
        counts = [re.search(r"(\d+) packets transmitted, (\d+) received", o) for o in outputs]
        assert all(int(c.group(1)) > SECONDS / INTERVAL / 2 for c in counts), outputs
        return [int(c.group(1)) - int(c.group(2)) for c in counts]

    def close(self):
        for process in self.pings:
            process.kill()
            process.communicate()
        self.network.close()


FLOWS = {  # who begins and who answers; the family of the outer addresses
    "vprox-go": (("vprox", "go"), 0),
    "go-vprox": (("go", "vprox"), 1),
    "vprox-kernel": (("vprox", "kernel"), 1),
    "kernel-vprox": (("kernel", "vprox"), 0),
}


def why_not(name):
    if "go" in name and not shutil.which("wireguard-go"):
        return "no wireguard-go"
    if "kernel" in name and not kernel.has("wireguard"):
        return "no WireGuard in the kernel"
    return None
