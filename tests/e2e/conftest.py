"""What the end-to-end tests share. They need root, and a kernel that can do what the plane needs:
`tests/guest/run -- /usr/bin/python3 -m pytest tests/e2e`.

The fixtures, from the widest to the narrowest:
  world   the lab's Internet, for the whole run
  client, other_client    clients with an address each, for the module
  host    a machine for servers, for one test; what it runs is ended and checked after the test
  server  a server with default flags that a module's tests share; `shared_host` is its machine
"""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lab.ends import ENDS  # noqa: E402
from lab.server import Host  # noqa: E402
from lab.tunnels import TUNNELS, Tunnel  # noqa: E402
from lab.world import World  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent


class Options:
    def __init__(self, config):
        self.vprox = str((REPOSITORY / config.getoption("--vprox")).resolve())
        self.plane = config.getoption("--plane")
        self.clients = config.getoption("--clients")
        self.repository = REPOSITORY


def pytest_addoption(parser):
    parser.addoption("--plane", choices=["kernel", "embedded"], default="kernel",
                     help="the data plane to test (kernel)")
    parser.addoption("--clients", choices=sorted(ENDS),
                     help="what clients' ends are made of (kernel, if it has WireGuard and IPIP; "
                     "else independent): see lab/ends.py")
    parser.addoption("--vprox", default="build/vprox", help="the program to test (build/vprox)")
    parser.addoption("--part", default="1/1", metavar="K/N",
                     help="the K-th of N parts of the tests, for N at a time")


def pytest_configure(config):
    config.addinivalue_line("markers", "only(plane, reason): makes sense on this plane alone")
    config.addinivalue_line("markers", "interop: shows that two ends of different make agree")
    config.addinivalue_line("markers", "sanitize: also run on a build with sanitizers")


def pytest_collection_modifyitems(config, items):
    part, parts = map(int, config.getoption("--part").split("/"))
    items[:] = items[part - 1::parts]
    plane = config.getoption("--plane")
    for item in items:
        for mark in item.iter_markers("only"):
            if mark.args[0] != plane:
                item.add_marker(pytest.mark.skip(reason=mark.kwargs["reason"]))


def pytest_runtest_logreport(report):
    """Tells of a failure at once: a run that is cut off would keep it to itself."""
    if report.failed:
        print(f"\n--- {report.nodeid} ({report.when})\n{report.longreprtext}", flush=True)


@pytest.fixture(scope="session", name="options")
def fixture_options(request):
    options = Options(request.config)
    assert os.access(options.vprox, os.X_OK), f"{options.vprox} is not there: run make"
    assert os.geteuid() == 0, "must be run as root"
    return options


@pytest.fixture(scope="session", name="world")
def fixture_world(options):
    # Loaded later, ipip would put its tunl0 into every namespace in the middle of a test.
    subprocess.run(["modprobe", "-a", "wireguard", "ipip"], check=options.plane == "kernel",
                   capture_output=options.plane != "kernel")
    world = World(options)
    yield world
    world.close()


@pytest.fixture(scope="module", name="client")
def fixture_client(world):
    node = world.add_client()
    yield node
    world.remove(node)


@pytest.fixture(scope="module", name="other_client")
def fixture_other_client(world):
    node = world.add_client()
    yield node
    world.remove(node)


@pytest.fixture(name="clients")
def fixture_clients(world):
    """Returns a function that gives n new clients, for one test."""
    made = []

    def add(n):
        new = [world.add_client() for _ in range(n)]
        made.extend(new)
        return new
    yield add
    for node in made:
        world.remove(node)


@pytest.fixture(name="host")
def fixture_host(world, options):
    host = Host(world, options)
    yield host
    host.close()


@pytest.fixture(scope="module", name="shared_host")
def fixture_shared_host(world, options):
    host = Host(world, options)
    yield host
    host.close()


@pytest.fixture(scope="module", name="server")
def fixture_server(shared_host):
    """It does not look for idle and vanished peers, so that the tests alone decide what happens."""
    return shared_host.start("--reap-interval=1h", gates=os.cpu_count())


@pytest.fixture(params=sorted(TUNNELS), name="kind")
def fixture_kind(request):
    """Each kind of tunnel."""
    return request.param


@pytest.fixture(autouse=True)
def fixture_no_tunnel_outlives_its_test():
    yield
    for tunnel in Tunnel.made:
        tunnel.clear_up()
    Tunnel.made.clear()


@pytest.fixture(name="tunnel")
def fixture_tunnel(kind, client, shared_host, server):
    """A tunnel of each kind, up, to the shared server."""
    return shared_host.tunnel(kind, client).up()
