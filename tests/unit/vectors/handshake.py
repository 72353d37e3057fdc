#!/usr/bin/python3
"""Writes handshake.h: whole WireGuard handshakes, made from the paper (5.4) with Python's hashlib and
cryptography, so that nothing of the implementation under test has a part in them.

Usage: handshake.py > handshake.h"""

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def seed(name):
    """32 bytes that look random and are always the same."""
    return hashlib.sha256(b"vprox test vector: " + name.encode()).digest()


def public(private):
    key = X25519PrivateKey.from_private_bytes(private).public_key()
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def dh(private, other):
    return X25519PrivateKey.from_private_bytes(private).exchange(
        X25519PublicKey.from_public_bytes(other))


def blake2s(data):
    return hashlib.blake2s(data).digest()


def mac(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def hmac_blake2s(key, data):
    return hmac.new(key, data, hashlib.blake2s).digest()


def kdf(n, key, data):
    secret = hmac_blake2s(key, data)
    outputs, last = [], b""
    for i in range(1, n + 1):
        last = hmac_blake2s(secret, last + bytes([i]))
        outputs.append(last)
    return outputs


def nonce(counter):
    return bytes(4) + struct.pack("<Q", counter)


def aead(key, counter, plain, ad):
    return ChaCha20Poly1305(key).encrypt(nonce(counter), plain, ad)


def hchacha20(key, nonce16):
    def rotate(x, n):
        return (x << n | x >> (32 - n)) & 0xffffffff

    def quarter(s, a, b, c, d):
        for left, right, into, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[left] = (s[left] + s[right]) & 0xffffffff
            s[into] = rotate(s[into] ^ s[left], n)

    s = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce16))
    for _ in range(10):
        for i in range(4):
            quarter(s, i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *s[:4], *s[12:])


def xaead(key, nonce24, plain, ad):
    subkey = hchacha20(key, nonce24[:16])
    return ChaCha20Poly1305(subkey).encrypt(bytes(4) + nonce24[16:], plain, ad)


def handshake(preshared):
    """One handshake as a dictionary of byte strings, in the paper's names and order."""
    v = {"preshared": preshared}
    si, sr = seed("initiator static"), seed("responder static")
    ei, er = seed("initiator ephemeral"), seed("responder ephemeral")
    v.update(initiator_static=si, responder_static=sr, initiator_ephemeral=ei,
             responder_ephemeral=er)
    v["timestamp"] = struct.pack(">QI", 0x400000000000000a + 1700000000, 0x13000000)

    # 5.4.2
    c = blake2s(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
    h = blake2s(c + b"WireGuard v1 zx2c4 Jason@zx2c4.com")
    h = blake2s(h + public(sr))
    message = b"\x01\0\0\0" + struct.pack("<I", 0x11223344) + public(ei)
    (c,) = kdf(1, c, public(ei))
    h = blake2s(h + public(ei))
    c, k = kdf(2, c, dh(ei, public(sr)))
    sealed = aead(k, 0, public(si), h)
    message += sealed
    h = blake2s(h + sealed)
    c, k = kdf(2, c, dh(si, public(sr)))
    sealed = aead(k, 0, v["timestamp"], h)
    message += sealed
    h = blake2s(h + sealed)

    # 5.4.4 and 5.4.7: the message without a cookie, the reply to it, the message with the cookie
    mac1 = mac(blake2s(b"mac1----" + public(sr)), message)
    v["initiation"] = message + mac1 + bytes(16)
    v["cookie_secret"], v["cookie_nonce"] = seed("cookie secret"), seed("cookie nonce")[:24]
    v["source"] = bytes([192, 0, 2, 7]) + struct.pack(">H", 51820)
    cookie = mac(v["cookie_secret"], v["source"])
    v["cookie_reply"] = b"\x03\0\0\0" + message[4:8] + v["cookie_nonce"] + xaead(
        blake2s(b"cookie--" + public(sr)), v["cookie_nonce"], cookie, mac1)
    v["initiation_with_cookie"] = message + mac1 + mac(cookie, message + mac1)

    # 5.4.3
    response = b"\x02\0\0\0" + struct.pack("<II", 0x55667788, 0x11223344) + public(er)
    (c,) = kdf(1, c, public(er))
    h = blake2s(h + public(er))
    (c,) = kdf(1, c, dh(er, public(ei)))
    (c,) = kdf(1, c, dh(er, public(si)))
    c, tau, k = kdf(3, c, preshared)
    h = blake2s(h + tau)
    response += aead(k, 0, b"", h)
    v["response"] = response + mac(blake2s(b"mac1----" + public(si)), response) + bytes(16)

    # 5.4.5 and 5.4.6
    v["initiator_sends"], v["responder_sends"] = kdf(2, c, b"")
    packet = bytes(range(80))
    v["packet"] = packet
    v["transport"] = b"\x04\0\0\0" + struct.pack("<IQ", 0x55667788, 0x0102030405) + aead(
        v["initiator_sends"], 0x0102030405, packet, b"")
    v["keepalive"] = b"\x04\0\0\0" + struct.pack("<IQ", 0x11223344, 0) + aead(
        v["responder_sends"], 0, b"", b"")
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
