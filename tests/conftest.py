"""What holds for every suite."""

import os
import signal


def pytest_configure():
    """Who is ended clears up, as at Ctrl-C. What tests start must not inherit from who started us, such as nohup(1),
    that a signal is ignored: it would stay so."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_logreport(report):
    """Tells of a failure at once: a run that is cut off would keep it to itself."""
    if report.failed:
        print(f"\n--- {report.nodeid} ({report.when}, load {os.getloadavg()[0]:.1f})\n{report.longreprtext}", flush=True)
