import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import net  # noqa: E402


@pytest.fixture
def network():
    made = net.Network()
    yield made
    made.close()
