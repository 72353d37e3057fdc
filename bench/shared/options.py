"""What the command line of each bench has."""

import argparse


def bench_parser(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="only see that it works: figures of seconds mean nothing")
    return parser
