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

RULES = lint.read_rules((lint.ROOT / lint.RULES).read_text())


@pytest.fixture(name="house")
def fixture_house(tmp_path):
    """Returns a function that lays files, by path and text, and reads them as the source tree."""
    for room in RULES:
        path = tmp_path / room
        (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_text("/* A roof. */\n")

    def source(files):
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        return lint.Source(tmp_path)
    return source


def include(*files):
    return "".join(f'#include "{file}"\n' for file in files)


@pytest.mark.parametrize("room, included", [
    ("gate", "plane/plane.h"), ("gate", "netlink/link.h"), ("gate", "server/pool.h"),
    ("gate", "client/client.h"), ("gate", "nftables/nft.h"), ("gate", "uapi_client/ask.h"),
    ("device", "ipc/message.h"), ("device", "plane/plane.h"), ("plane", "device/device.h"),
    ("base", "ipc/message.h"), ("netlink", "plane/plane.h"), ("netlink", "server/peers.h"),
    ("host", "server/endpoint.h"), ("http", "client/client.h"), ("uapi_client", "plane/plane.h"),
    ("device/crypto", "device/io/tun.h"), ("device/io", "device/crypto/aead.h"),
    ("device/wireguard", "device/ipip/ipip.h"), ("device/wireguard", "device/device.h"),
    ("device/ipip", "device/device.h"), ("plane/kernel", "plane/embedded/device.h"),
])
def test_a_room_that_reaches_where_it_must_not_is_found(house, room, included):
    source = house({included: "", f"{room}/zz.c": include(included)})
    assert any(f'{room}/ must not include "{included}"' in line
               for line in lint.check_rooms(source, RULES))


@pytest.mark.parametrize("room, included", [
    ("gate", "base/log.h"), ("gate", "ipc/message.h"), ("gate", "gate/routes.h"),
    ("base", "base/log.h"), ("plane", "netlink/link.h"), ("server", "plane/plane.h"),
    ("cmd", "server/broker.h"), ("device", "device/crypto/aead.h"),
    ("device/wireguard", "device/crypto/aead.h"), ("device/uapi", "device/device.h"),
])
def test_what_is_allowed_is_no_offence(house, room, included):
    source = house({included: "", f"{room}/zz.c": include(included)})
    assert list(lint.check_rooms(source, RULES)) == []


def test_a_file_with_a_rule_of_its_own_may_include_more_than_its_room(house):
    source = house({"device/uapi/uapi.h": "", "device/run.c": include("device/uapi/uapi.h"),
                    "device/zz.c": include("device/uapi/uapi.h")})
    found = list(lint.check_rooms(source, RULES))
    assert len(found) == 1 and "device/zz.c" in found[0]


def test_a_file_with_a_rule_of_its_own_has_its_header_in_it(house):
    source = house({"plane/names.h": "", "plane/names.c": include("plane/names.h"),
                    "plane/plane.h": include("plane/names.h"),
                    "host/zz.c": include("plane/names.h") + include("plane/plane.h")})
    found = list(lint.check_rooms(source, RULES))
    assert len(found) == 1 and "host/zz.c:2" in found[0]


def test_the_rules_themselves_allow_no_two_rooms_each_other():
    for room, others in RULES.items():
        for other in others:
            floor = other.startswith(f"{room}/") or room.startswith(f"{other}/")
            assert floor or room not in RULES[other], f"{room} and {other}"


def test_a_room_without_a_rule_is_found(house, tmp_path):
    (tmp_path / "attic").mkdir()
    source = house({"attic/a.c": ""})
    assert any("no rule for its room" in line for line in lint.check_rooms(source, RULES))


def test_a_file_that_is_not_there_is_found(house):
    source = house({"base/a.c": include("a.h")})
    assert any("no such file" in line for line in lint.check_rooms(source, RULES))


def test_files_that_include_each_other_by_way_of_a_third_are_found(house):
    source = house({"base/a.h": include("base/b.h"), "base/b.h": "", "base/b.c": include("base/c.h"),
                    "base/c.h": include("base/a.h")})
    assert list(lint.check_circles(source)) == [
        "files that include or call each other: base/a, base/b, base/c"]


def test_a_call_behind_a_header_of_another_name_closes_a_circle(house):
    source = house({
        "base/all.h": "int one(void);\nint two(void);\n",
        "base/one.c": include("base/all.h") + "int one(void)\n{\n\treturn two();\n}\n",
        "base/two.c": include("base/all.h") + "int two(void)\n{\n\treturn one();\n}\n"})
    assert list(lint.check_circles(source)) == [
        "files that include or call each other: base/one, base/two"]


def test_a_header_that_only_declares_calls_nothing(house):
    source = house({
        "base/all.h": "int one(void);\nint two(int (*callback)(int), struct a *a);\n",
        "base/one.c": include("base/all.h") + "int one(void)\n{\n\treturn two(0, 0);\n}\n",
        "base/two.c": include("base/all.h") + "int two(int (*callback)(int), struct a *a)\n{\n}\n"})
    assert list(lint.check_circles(source)) == []


def test_a_declaration_without_a_definition_is_found(house):
    source = house({"base/a.h": "int gone(void);\nint here(void);\n",
                    "base/a.c": "int here(void)\n{\n\treturn 0;\n}\n"})
    assert [line.split("declares ")[1] for line in lint.check_declarations(source)] == [
        "gone(), but nothing defines it"]


def test_two_types_of_one_name_are_found(house):
    source = house({"base/a.c": "struct twin {\n\tint a;\n};\n",
                    "ipc/b.h": "struct twin {\n\tchar b;\n};\n"})
    assert list(lint.check_names(source)) == [
        "the type twin is in several files: base/a.c, ipc/b.h"]


def test_what_is_behind_one_opaque_type_may_differ(house):
    source = house({"base/opaque.h": "struct twin;\n",
                    "base/a.c": include("base/opaque.h") + "struct twin {\n\tint a;\n};\n",
                    "base/b.c": include("base/opaque.h") + "struct twin {\n\tint b;\n};\n"})
    assert list(lint.check_names(source)) == []


def test_a_public_function_of_another_ones_name_is_found(house):
    source = house({"base/a.c": "int twin(void)\n{\n\treturn 0;\n}\n",
                    "ipc/b.c": "static int twin(int a)\n{\n\treturn a;\n}\n"})
    assert list(lint.check_names(source)) == [
        "the function twin() is in several files: base/a.c, ipc/b.c"]


def test_static_functions_of_two_files_may_share_a_name(house):
    text = "static int twin(void)\n{\n\treturn 0;\n}\n"
    assert list(lint.check_names(house({"base/a.c": text, "ipc/b.c": text}))) == []


def test_a_file_that_does_not_say_what_it_is_is_found(house):
    source = house({"base/a.c": include("base/b.h"), "base/b.h": "#pragma once\n",
                    "base/c.c": "/* What this is. */\n" + include("base/b.h")})
    assert [line for line in lint.check_beginnings(source) if "base/a.c:1" in line]
    assert len(list(lint.check_beginnings(source))) == 1


def test_a_private_key_in_the_tree_is_found(tmp_path):
    key = tmp_path / "a.txt"
    key.write_text("-----BEGIN EC " + "PRIVATE KEY-----\n")
    assert list(lint.check_keys([key])) == [f"{key}: a private key"]


def test_the_tree_as_it_is_passes():
    assert lint.main() == 0
