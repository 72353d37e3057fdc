"""What holds for every suite."""


def pytest_runtest_logreport(report):
    """Tells of a failure at once: a run that is cut off would keep it to itself."""
    if report.failed:
        print(f"\n--- {report.nodeid} ({report.when})\n{report.longreprtext}", flush=True)
