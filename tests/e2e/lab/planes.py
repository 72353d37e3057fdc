"""Which plane a test is for."""

import pytest

# In the guest, where processors are emulated, only what depends on the plane is tested.
either_plane = pytest.mark.only("embedded", reason="it is the same on both planes")
