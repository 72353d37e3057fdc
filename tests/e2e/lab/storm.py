"""Clients that ask for tunnels all the time, as real ones do that have lost theirs."""

import random
import threading
import time

from lab.tunnels import random_key

PATIENT_SECONDS = 60


class Storm:
    """Clients that ask for new tunnels and for their old ones, until they are told to stop. What
    each was last granted is kept, and every answer that differs from it is counted, and so is one
    that names an address of somebody else's. leaving: how likely it is that a client gives its
    tunnel back instead of asking for it; at_most: WireGuard clients of a node."""

    def __init__(self, host, nodes, leaving=0.0, at_most=None):
        self.host = host
        self.nodes = nodes
        self.leaving = leaving
        self.at_most = at_most
        self.granted = {}  # public key, or outer address, to inner address
        self.moved, self.shared = [], []
        self.n_requests = self.n_answered = self.n_left = 0
        self.lock = threading.Lock()

    def record(self, who, response):
        with self.lock:
            self.n_answered += 1
            if response.status != 200:
                return
            before = self.granted.get(who)
            others = [other for other, inner in self.granted.items()
                      if inner == response.inner and other != who]
            self.granted[who] = response.inner
            if before not in (None, response.inner):
                self.moved.append((who, before, response.inner))
            if others:
                self.shared.append((response.inner, who, *others))

    def ask(self, node, who):
        api = self.host.api(node)
        with self.lock:
            self.n_requests += 1
        self.record(who, api.connect_ipip(timeout=PATIENT_SECONDS) if who == node.address
                    else api.connect(who, timeout=PATIENT_SECONDS))

    def leave(self, node, key):
        """From before it asks: whether it has its address after that nobody can tell it."""
        with self.lock:
            self.granted.pop(key, None)
            self.n_requests += 1
        if self.host.api(node).disconnect(key, timeout=PATIENT_SECONDS).status == 200:
            with self.lock:
                self.n_left += 1

    def blow(self, node, seed, over):
        dice = random.Random(seed)
        keys = []
        while not over.is_set():
            is_full = self.at_most is not None and len(keys) >= self.at_most
            try:
                if keys and dice.random() < self.leaving:
                    self.leave(node, keys.pop(dice.randrange(len(keys))))
                    continue
                if not keys or dice.random() < 0.5 and not is_full:
                    keys.append(random_key())
                    who = keys[-1]
                else:
                    who = dice.choice([*keys, node.address])
                self.ask(node, who)
            except (OSError, AssertionError):
                time.sleep(0.02)  # the server is gone, or went amid its answer

    def during(self, seed, what):
        over = threading.Event()
        threads = [threading.Thread(target=self.blow, args=(node, seed * 100 + n, over))
                   for n, node in enumerate(self.nodes)]
        for thread in threads:
            thread.start()
        try:
            return what()
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def all_ask_again(self):
        owners = {node.address: node for node in self.nodes}
        for who in list(self.granted):
            self.ask(owners.get(who, self.nodes[0]), who)
