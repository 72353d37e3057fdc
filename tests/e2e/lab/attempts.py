"""Clients that connect all the time, each with TCP, TLS and a request, and note what comes of it."""

import dataclasses
import threading
import time

from lab.api import Api

WAITS = 30  # seconds: whoever waits longer has not been answered


@dataclasses.dataclass
class Attempt:
    began: float
    ended: float
    failure: str  # "": it was answered

    @property
    def took(self):
        return self.ended - self.began


class Attempts:
    """To be used with `with`. path: what they ask for, by GET."""

    def __init__(self, node, address, clients=8, path="/version"):
        self.api = Api(node, address)
        self.path = path
        self.made = []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def _run(self):
        while not self.is_over.is_set():
            began = time.monotonic()
            failure = self._try()
            self.made.append(Attempt(began, time.monotonic(), failure))

    def _try(self):
        try:
            response = self.api.get(self.path, timeout=WAITS)
        except (OSError, AssertionError) as error:
            return f"{type(error).__name__}: {error}"
        return "" if response.status == 200 else f"status {response.status}"

    def count(self):
        return len(self.made)

    def failures(self, since=0):
        """Of those that began after that time.monotonic()."""
        return [attempt for attempt in self.made if attempt.failure and attempt.began >= since]

    def refused(self):
        return [attempt for attempt in self.made if "ConnectionRefused" in attempt.failure]

    def longest(self):
        """Seconds until the answer."""
        return max(attempt.took for attempt in self.made)
