"""A server whose clock is behind: a client drops a handshake that is not later than the latest it
has seen of the server's key."""

import json
import subprocess
import time

import pytest

from lib import wait
from test_store import stored

BACK = 30
AN_HOUR = 3600
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now)
{
	int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
	int error = real(id, now);
	if (error == 0 && id == CLOCK_REALTIME)
		now->tv_sec += CLOCK_ERROR;
	return error;
}
time_t time(time_t *place)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (place)
		*place = now.tv_sec;
	return now.tv_sec;
}
/* A device is started without its maker's environment. */
int clearenv(void)
{
	int (*real)(void) = dlsym(RTLD_NEXT, "clearenv");
	char *library = getenv("LD_PRELOAD");
	library = library ? strdup(library) : NULL;
	real();
	return library ? setenv("LD_PRELOAD", library, 1) : 0;
}
"""


@pytest.fixture
def late(tmp_path):
    """The environment of processes whose time of day is an hour behind."""
    library = tmp_path / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", f"-DCLOCK_ERROR=-{AN_HOUR}", "-x", "c", "-o", str(library),
                    "-", "-ldl"], input=CLOCK, text=True, check=True)
    return {"LD_PRELOAD": str(library)}


def shown(host):
    endpoint, = json.loads(host.run("show --json")[1])["endpoints"]
    return endpoint


def known_place(host):
    return stored(host, "SELECT 1 FROM peer WHERE outer_port > 0")


def begun_by_server(host, tunnel):
    """Whether there was a handshake since its start. The client has nothing to send meanwhile."""
    peer, = shown(host)["peers"]
    return peer["last_handshake"] is not None


@pytest.mark.only("embedded", reason="the kernel sends what its clock says")
def test_after_a_reboot_with_the_clock_an_hour_back_clients_are_served_at_once(host, client, late):
    host.start()
    tunnel = host.tunnel("wireguard", client).up()
    assert tunnel.ping()
    wait.until(lambda: known_place(host), BACK)
    host.reboot()
    # The client has seen a handshake that the server began.
    host.start()
    wait.until(lambda: begun_by_server(host, tunnel), BACK, "a handshake")
    host.reboot()
    server = host.start("--reap-interval=1h", environment=late)
    wait.until(lambda: begun_by_server(host, tunnel), BACK, "a handshake")
    peer, = shown(host)["peers"]
    assert peer["last_handshake"] < time.time() - AN_HOUR / 2, "the device's clock is behind too"
    assert tunnel.ping()
    assert server.logged(r"the clock is 3[56]\d\d s behind the latest handshakes: its device goes on")
    assert AN_HOUR - 100 < shown(host)["clock_behind_s"] <= AN_HOUR + 100
    # And what it has sent now is kept in turn: a device that is made again is later still.
    server.expect("vprox. has vanished")
    host.ns.run("ip link del vprox0")
    wait.until(lambda: begun_by_server(host, tunnel), BACK, "a handshake with the new device")
    assert tunnel.ping()


@pytest.mark.plane
def test_a_clock_that_is_behind_the_latest_handshakes_is_told(host, client, late):
    host.start()
    host.tunnel("wireguard", client).up()
    (before,), = stored(host, "SELECT handshake_floor FROM endpoint")
    host.reboot()
    warned = host.options.plane == "kernel"
    server = host.start(environment=late, expected=["the clock is .* behind"] if warned else [])
    assert server.logged(r"warning .*the clock is 3\d\d\d s behind the latest handshakes: until it has "
                         "caught up, clients refuse" if warned else "its device goes on from these")
    assert AN_HOUR - 100 < shown(host)["clock_behind_s"] <= AN_HOUR + 100
    metrics = host.run("show --metrics")[1]
    assert f'vprox_clock_behind_seconds{{endpoint="{host.address}"}} 3' in metrics
    assert "behind the latest handshakes" in host.run("show")[1]
    (after,), = stored(host, "SELECT handshake_floor FROM endpoint")
    assert after >= before, "what was used stays used"
    host.reboot()
    server = host.start()
    assert not server.logged("the clock is", 0)
    assert shown(host)["clock_behind_s"] == 0


def test_a_server_that_is_restarted_or_killed_does_not_run_ahead_of_its_clock(host, client):
    """What is reserved is given to a device that is new, not to one that was there."""
    host.start("--on-exit=keep")
    host.tunnel("wireguard", client).up()
    (first,), = stored(host, "SELECT handshake_floor FROM endpoint")
    began = time.monotonic()
    for _ in range(3):
        host.servers[-1].kill()
        host.start("--on-exit=keep")
    (last,), = stored(host, "SELECT handshake_floor FROM endpoint")
    assert last - first < 60 + time.monotonic() - began
