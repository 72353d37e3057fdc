import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import net  # noqa: E402
from flow import FLOWS, Flow, why_not  # noqa: E402


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
