def pytest_configure(config):
    config.addinivalue_line("markers", "guest: also run on a kernel with WireGuard and IPIP")
