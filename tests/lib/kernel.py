"""What the kernel has. A guest's must have what stands here, so that nothing which is to be run there
is passed over for want of it."""

import os
import subprocess

import pytest

IN_GUEST = "GUEST_OUT" in os.environ  # tests/guest/run
# By the series of the guest's kernel. tcx is what the device's fast path of IPIP is made of.
GUESTS_HAVE = {"6.1": {"wireguard", "ipip"}, "6.12": {"wireguard", "ipip", "tcx"}}
# tunl0, which comes with IPIP, takes a tunnel without addresses for itself
ENDS = {"ipip": ["local", "192.0.2.1", "remote", "192.0.2.2"]}


def is_before(*release):
    """Whether it is older than, say, 6, 2."""
    return tuple(int(n) for n in os.uname().release.split(".")[:2]) < release


def must_have(feature):
    """Whether it is a guest's that has this; then a test which does not find it fails."""
    return IN_GUEST and feature in GUESTS_HAVE[".".join(os.uname().release.split(".")[:2])]


def has(kind):
    """Whether it can make interfaces of this kind: tried in a namespace that is then gone."""
    made = subprocess.run(["unshare", "--net", "ip", "link", "add", "probe0", "type", kind,
                           *ENDS.get(kind, [])], check=False, text=True, capture_output=True)
    assert made.returncode == 0 or not must_have(kind), made.stderr
    return made.returncode == 0


def need(*kinds):
    """Skips a test that needs them all, which the guest has: tests/in-guest runs it there."""
    lacking = [kind for kind in kinds if not has(kind)]
    if lacking:
        pytest.skip(f"this kernel has no {' and no '.join(lacking)}: tests/in-guest runs it in one that has")
