#!/usr/bin/python3
"""Writes handshake.h: whole WireGuard handshakes, made with tests/lib/noise.py, so that nothing of the
implementation under test has a part in them.

Usage: handshake.py > handshake.h"""

import hashlib
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lib import noise  # noqa: E402


def seed(name):
    """32 bytes that look random and are always the same."""
    return hashlib.sha256(b"vprox test vector: " + name.encode()).digest()


def handshake(preshared):
    """One handshake as a dictionary of byte strings, in the paper's names and order."""
    v = {"preshared": preshared}
    names = ["initiator static", "responder static", "initiator ephemeral", "responder ephemeral"]
    v.update({name.replace(" ", "_"): seed(name) for name in names})
    si, sr, ei, er = (noise.KeyPair(seed(name)) for name in names)
    v["timestamp"] = noise.timestamp(1700000000 * 10 ** 9 + 0x13000000)

    initiator = noise.Initiator(si, sr.public, preshared, ei, 0x11223344)
    message = initiator.initiation(v["timestamp"])
    # The message without a cookie, the reply to it, the message with the cookie.
    v["initiation"] = noise.add_macs(message, sr.public)
    v["cookie_secret"], v["cookie_nonce"] = seed("cookie secret"), seed("cookie nonce")[:24]
    v["source"] = bytes([192, 0, 2, 7]) + struct.pack(">H", 51820)
    cookie = noise.mac(v["cookie_secret"], v["source"])
    v["cookie_reply"] = noise.cookie_reply(v["initiation"], sr.public, cookie, v["cookie_nonce"])
    v["initiation_with_cookie"] = noise.add_macs(message, sr.public, cookie)

    responder = noise.Responder(sr, v["initiation"], preshared)
    v["response"] = noise.add_macs(responder.response(er, 0x55667788), si.public)
    session = initiator.consume(v["response"])
    v["initiator_sends"], v["responder_sends"] = session.send_key, session.receive_key
    v["packet"] = bytes(range(80))
    v["transport"] = session.seal(v["packet"], 0x0102030405)
    v["keepalive"] = responder.session.seal()
    return v


def print_array(name, data, indent):
    print(f"{indent}.{name} = {{")
    for i in range(0, len(data), 12):
        print(f"{indent}\t" + ", ".join(f"0x{b:02x}" for b in data[i:i + 12]) + ",")
    print(f"{indent}}},")


def main():
    vectors = [handshake(bytes(32)), handshake(seed("preshared"))]
    print("/* Made by handshake.py. */\n#pragma once\n\n#include <stdint.h>\n")
    print("/* clang-format off */")
    print("static const struct handshake_vector {")
    for name, data in vectors[0].items():
        print(f"\tuint8_t {name}[{len(data)}];")
    print("} handshake_vectors[] = {")
    for v in vectors:
        print("\t{")
        for name, data in v.items():
            print_array(name, data, "\t\t")
        print("\t},")
    print("};")


main()
