import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import net  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes minutes")


@pytest.fixture
def network():
    made = net.Network()
    yield made
    made.close()
