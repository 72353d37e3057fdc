"""Keys are changed under traffic, and before they end. That takes three minutes, in which the other
tests are run: the traffic begins before them, and is judged after them."""

import pytest

from flow import FLOWS, why_not


@pytest.mark.parametrize("name", FLOWS)
def test_keys_are_changed_under_traffic(flows, name):
    if why_not(name):
        pytest.skip(why_not(name))
    flow = flows[name]
    assert flow.connected
    # the last answer may be still on its way
    assert max(flow.lost()) <= 1
    assert flow.handshake() >= flow.first + 115
