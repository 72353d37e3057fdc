"""What the kernel has. The guest's must have all that tests ask for here, so that nothing which is to
be run there is passed over for want of it."""

import os
import subprocess

IN_GUEST = "GUEST_OUT" in os.environ  # tests/guest/run
# tunl0, which comes with IPIP, takes a tunnel without addresses for itself
ENDS = {"ipip": ["local", "192.0.2.1", "remote", "192.0.2.2"]}


def is_before(*release):
    """Whether it is older than, say, 6, 2."""
    return tuple(int(n) for n in os.uname().release.split(".")[:2]) < release


def has(kind):
    """Whether it can make interfaces of this kind: tried in a namespace that is then gone."""
    made = subprocess.run(["unshare", "--net", "ip", "link", "add", "probe0", "type", kind,
                           *ENDS.get(kind, [])], check=False, text=True, capture_output=True)
    assert made.returncode == 0 or not IN_GUEST, made.stderr
    return made.returncode == 0
