"""The linter finds what it is there to find."""

import importlib.machinery
import importlib.util
import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
LOADER = importlib.machinery.SourceFileLoader(
    "lint", str(pathlib.Path(__file__).with_name("lint")))
lint = importlib.util.module_from_spec(importlib.util.spec_from_loader("lint", LOADER))
LOADER.exec_module(lint)

ROOMS = ["base", "ipc", "netlink", "plane", "device", "gate", "server", "cmd"]


@pytest.fixture(name="house")
def fixture_house(tmp_path):
    """Returns a function that lays files with one #include each and gives the offences found."""
    for room in ROOMS:
        (tmp_path / room).mkdir()

    def offences(*pairs):
        for room, included in pairs:
            with open(tmp_path / room / "a.c", "a", encoding="ascii") as file:
                file.write(f'#include "{included}"\n')
        return list(lint.check_rooms(tmp_path))
    return offences


@pytest.mark.parametrize("room, included", [
    ("gate", "plane/plane.h"), ("gate", "netlink/link.h"), ("gate", "server/pool.h"),
    ("device", "ipc/message.h"), ("device", "plane/plane.h"), ("base", "ipc/message.h"),
    ("netlink", "plane/plane.h"), ("netlink", "server/peers.h"),
])
def test_a_room_that_reaches_where_it_must_not_is_found(house, room, included):
    assert any(f'{room}/ must not include "{included}"' in line
               for line in house((room, included)))


@pytest.mark.parametrize("room, included", [
    ("gate", "base/log.h"), ("gate", "ipc/message.h"), ("gate", "gate/http.h"), ("base", "log.h"),
    ("plane", "netlink/link.h"), ("server", "plane/plane.h"), ("cmd", "server/broker.h"),
])
def test_what_is_allowed_is_not_complained_of(house, room, included):
    assert house((room, included)) == []


def test_two_rooms_that_include_each_other_are_found(house):
    found = house(("plane", "server/pool.h"), ("server", "plane/plane.h"))
    assert len(found) == 1 and "plane -> server -> plane" in found[0]


def test_rooms_that_include_each_other_by_way_of_a_third_are_found(house):
    found = house(("plane", "cmd/a.h"), ("cmd", "server/a.h"), ("server", "plane/a.h"))
    assert len(found) == 1 and "include each other" in found[0]


def test_a_room_that_is_not_there_is_found(house):
    assert "no room attic/" in house(("plane", "attic/a.h"))[0]


def test_a_private_key_in_the_tree_is_found(tmp_path):
    key = tmp_path / "a.txt"
    key.write_text("-----BEGIN EC " + "PRIVATE KEY-----\n")
    assert list(lint.check_keys([key])) == [f"{key}: a private key"]


def test_the_tree_as_it_is_passes():
    assert lint.main() == 0
