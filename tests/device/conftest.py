import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import net  # noqa: E402
from flow import FLOWS, Flow, why_not  # noqa: E402
from peer import Peer, Subject  # noqa: E402


def needs_flows(item):
    return "flows" in item.fixturenames


def pytest_collection_modifyitems(items):
    """What takes minutes by itself is begun first and judged last."""
    items.sort(key=needs_flows)


@pytest.fixture(scope="session")
def flows(request):
    """The flows of the tests that are to be run, by name."""
    names = {item.callspec.params["name"] for item in request.session.items if needs_flows(item)}
    made = {name: Flow(*FLOWS[name]) for name in sorted(names) if not why_not(name)}
    yield made
    for flow in made.values():
        flow.close()


@pytest.fixture(scope="session", autouse=True)
def begin_flows(request):
    if any(needs_flows(item) for item in request.session.items):
        request.getfixturevalue("flows")


@pytest.fixture
def network():
    made = net.Network()
    yield made
    made.close()


@pytest.fixture(scope="module")
def subject():
    """A device for peers that are the test: peer.py."""
    made = net.Network()
    try:
        yield Subject(made)
    finally:
        made.close()


@pytest.fixture
def make_peer(subject):
    """Makes peers of it, that are gone with the test."""
    made = []

    def make(**kwargs):
        made.append(Peer(subject, **kwargs))
        return made[-1]
    yield make
    for peer in made:
        peer.close()
    subject.inner.drain()


@pytest.fixture
def peer(make_peer):
    return make_peer()


@pytest.fixture
def new_key(subject):
    """Gives the device another private key, until the test is over."""
    before = subject.key

    def set_key(key):
        subject.set(f"private_key={key.private.hex()}")
        subject.key = key
    yield set_key
    set_key(before)
