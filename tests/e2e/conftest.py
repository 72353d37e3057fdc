"""What the end-to-end tests share. They need root, and a kernel that can do what the plane needs:
`tests/guest/run -- /usr/bin/python3 -m pytest tests/e2e`.

The fixtures, from the widest to the narrowest:
  world   the lab's Internet, for the whole run
  client, other_client    clients with an address each, for the module
  host, other_host    a machine for servers, for one test; what it runs is ended and checked after the test
  machine    a machine for `vprox connect`, for one test; likewise
  server  a server with default flags that a module's tests share; `shared_host` is its machine
"""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lab.client import Machine  # noqa: E402
from lab.dual import VISITED6, give_ipv6  # noqa: E402
from lab.ends import ENDS  # noqa: E402
from lab.etcd import Etcd, make_fleet_key  # noqa: E402
from lab.fleet import Fleet  # noqa: E402
from lab.server import Host  # noqa: E402
from lab.tokens import Tokens  # noqa: E402
from lab.tunnels import TUNNELS, Tunnel  # noqa: E402
from lab.world import World  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent


class Options:
    def __init__(self, config):
        self.vprox = str((REPOSITORY / config.getoption("--vprox")).resolve())
        self.plane = config.getoption("--plane")
        self.ipip_mode = config.getoption("--ipip-mode")
        self.clients = config.getoption("--clients")
        self.repository = REPOSITORY


def pytest_addoption(parser):
    parser.addoption("--plane", choices=["kernel", "embedded"], default="kernel",
                     help="the data plane to test (kernel)")
    parser.addoption("--ipip-mode", choices=["interface", "shared"], default="interface",
                     help="of servers with the kernel's plane (interface)")
    parser.addoption("--clients", choices=sorted(ENDS),
                     help="what clients' ends are made of (kernel, if it has WireGuard and IPIP; "
                     "else independent): see lab/ends.py")
    parser.addoption("--vprox", default="build/vprox", help="the program to test (build/vprox)")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config, items):
    here = [config.getoption("--plane")]
    if here == ["kernel"]:
        here.append("interfaces" if config.getoption("--ipip-mode") == "interface" else "shared")
    for item in items:
        for mark in item.iter_markers("only"):
            item.add_marker("plane" if mark.args[0] in here else
                            pytest.mark.skip(reason=mark.kwargs["reason"]))


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


def a_client(world):
    node = world.add_client()
    yield node
    world.remove(node)


# A machine of the Internet each: two for clients, and one for a service that the server or the client asks.
fixture_client = pytest.fixture(scope="module", name="client")(a_client)
fixture_other_client = pytest.fixture(scope="module", name="other_client")(a_client)
fixture_node = pytest.fixture(scope="module", name="node")(a_client)


@pytest.fixture(scope="module", name="etcd")
def fixture_etcd(node):
    etcd = Etcd(node).start()
    yield etcd
    etcd.close()


@pytest.fixture(name="fleet")
def fixture_fleet(etcd, options, tmp_path):
    return Fleet(etcd, make_fleet_key(options.vprox, tmp_path))


@pytest.fixture(scope="module", name="authority")
def fixture_authority(tmp_path_factory):
    from lab.authority import Authority  # its library takes 0.1 s, which only these tests have to wait for
    return Authority(tmp_path_factory.mktemp("authority"))


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


@pytest.fixture(name="machine")
def fixture_machine(clients, options):
    machine = Machine(clients(1)[0], options)
    yield machine
    machine.close()


@pytest.fixture(name="dual")
def fixture_dual(machine):
    """The machine, with IPv6 too."""
    give_ipv6(machine)
    yield machine
    machine.node.world.internet.ip(f"addr del {VISITED6}/128 dev lo")


@pytest.fixture(name="drop")
def fixture_drop(world):
    """Has a namespace drop what matches, as a firewall in its way would: drop(namespace, hook,
    match)."""
    tables = []

    def add(namespace, hook, match):
        name = f"dropped{len(tables)}"
        tables.append((namespace, name))
        namespace.run(["nft", f"table ip {name} {{ chain c {{ type filter hook {hook} priority "
                       f"-450; {match} drop; }}; }}"])
    yield add
    for namespace, name in tables:
        if namespace is world.internet:
            namespace.run(f"nft delete table ip {name}")


def a_host(world, options):
    host = Host(world, options)
    yield host
    host.close()


@pytest.fixture(name="host")
def fixture_host(world, options):
    yield from a_host(world, options)


@pytest.fixture(name="other_host")
def fixture_other_host(world, options):
    yield from a_host(world, options)


@pytest.fixture(name="tokens")
def fixture_tokens(host):
    return Tokens(host)


@pytest.fixture(scope="module", name="shared_host")
def fixture_shared_host(world, options):
    yield from a_host(world, options)


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
