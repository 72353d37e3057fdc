"""Reading what nft lists."""

import re


def lasting(text):
    """A ruleset without what packets change in it: counters, and the elements of sets that are
    dynamic."""
    text = re.sub(r"packets \d+ bytes \d+", "packets 0 bytes 0", text)
    return re.sub(r"(\n\t\tflags dynamic[^}]*?)\n\t\telements = .*?(\n\t})", r"\1\2", text,
                  flags=re.DOTALL)
