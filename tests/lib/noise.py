"""WireGuard's messages, written from its paper ("WireGuard: Next Generation Kernel Network Tunnel",
whose sections are cited) with Python's hashlib and cryptography: nothing of the implementation under
test has a part in it. Names are the paper's where it has any.

    begun = Initiator(KeyPair(), remote_public)
    message = add_macs(begun.initiation(timestamp()), remote_public)
    session = begun.consume(response)
    counter, packet = session.open(datagram)

What does not open raises Forged."""

import hashlib
import hmac
import os
import struct
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
INITIATION, RESPONSE, COOKIE, TRANSPORT = 1, 2, 3, 4
SIZES = {INITIATION: 148, RESPONSE: 92, COOKIE: 64}
KEEPALIVE_SIZE = 32
MACS = 32  # bytes, at the end of an initiation and a response

# 6.1; seconds and messages
REKEY_AFTER_TIME, REJECT_AFTER_TIME, REKEY_ATTEMPT_TIME = 120, 180, 90
REKEY_TIMEOUT, KEEPALIVE_TIMEOUT, COOKIE_LIFETIME = 5, 10, 120
JITTER = 0.333  # of the REKEY_TIMEOUT, at the most: 6.1
REJECT_AFTER_MESSAGES = 2 ** 64 - 2 ** 13 - 1

# Points with which every agreement is zero: https://cr.yp.to/ecdh.html#validate
LOW_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    b"\xec" + b"\xff" * 30 + b"\x7f",
    b"\xed" + b"\xff" * 30 + b"\x7f",
    b"\xee" + b"\xff" * 30 + b"\x7f",
]


class Forged(Exception):
    """A tag, a mac or a field is not right."""


# 5.4: the functions


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


def seal(key, counter, plain, data=b""):
    return ChaCha20Poly1305(key).encrypt(nonce(counter), plain, data)


def unseal(key, counter, sealed, data=b""):
    return decrypt(key, nonce(counter), sealed, data)


def decrypt(key, nonce12, sealed, data):
    try:
        return ChaCha20Poly1305(key).decrypt(nonce12, sealed, data)
    except (InvalidTag, ValueError) as error:
        raise Forged from error


def hchacha20(key, nonce16):
    """Half of ChaCha20's last state, from before the first state is added to it."""
    first = struct.unpack("<16I", b"expand 32-byte k" + key + nonce16)
    block = Cipher(algorithms.ChaCha20(key, nonce16), mode=None).encryptor().update(bytes(64))
    last = [(b - a) & 0xffffffff for a, b in zip(first, struct.unpack("<16I", block))]
    return struct.pack("<8I", *last[:4], *last[12:])


def xseal(key, nonce24, plain, data):
    return ChaCha20Poly1305(hchacha20(key, nonce24[:16])).encrypt(
        bytes(4) + nonce24[16:], plain, data)


def xunseal(key, nonce24, sealed, data):
    return decrypt(hchacha20(key, nonce24[:16]), bytes(4) + nonce24[16:], sealed, data)


class KeyPair:
    def __init__(self, private=None):
        self.private = private or os.urandom(32)
        self.key = X25519PrivateKey.from_private_bytes(self.private)
        self.public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def exchange(self, other):
        return self.key.exchange(X25519PublicKey.from_public_bytes(other))


class LowOrderPair:
    """The pair of somebody who has no private key, and needs none: all agreements are zero."""

    def __init__(self, public):
        self.public = public

    def exchange(self, _other):
        return bytes(32)


def timestamp(ns=None):
    """TAI64N: 5.1."""
    ns = time.time_ns() if ns is None else ns
    return struct.pack(">QI", 0x400000000000000a + ns // 10 ** 9, ns % 10 ** 9)


def new_index():
    return struct.unpack("<I", os.urandom(4))[0]


# 5.4.2 and 5.4.3: the handshake


class Transcript:
    """C and H of one side."""

    def __init__(self, responder):
        self.chain = blake2s(CONSTRUCTION)
        self.hash = blake2s(self.chain + IDENTIFIER)
        self.mix_hash(responder)

    def mix_hash(self, data):
        self.hash = blake2s(self.hash + data)

    def mix_key(self, data):
        """(C, key) = KDF2(C, data)."""
        self.chain, key = kdf(2, self.chain, data)
        return key

    def mix_ephemeral(self, public):
        (self.chain,) = kdf(1, self.chain, public)
        self.mix_hash(public)

    def mix_preshared(self, preshared):
        self.chain, tau, key = kdf(3, self.chain, preshared)
        self.mix_hash(tau)
        return key

    def mix_agreement(self, shared):
        (self.chain,) = kdf(1, self.chain, shared)

    def seal(self, key, plain):
        sealed = seal(key, 0, plain, self.hash)
        self.mix_hash(sealed)
        return sealed

    def unseal(self, key, sealed):
        plain = unseal(key, 0, sealed, self.hash)
        self.mix_hash(sealed)
        return plain


class Initiator:
    def __init__(self, static, remote, preshared=bytes(32), ephemeral=None, index=None):
        self.static, self.remote, self.preshared = static, remote, preshared
        self.ephemeral = ephemeral or KeyPair()
        self.index = new_index() if index is None else index
        self.transcript = None

    def initiation(self, when):
        """Without its macs."""
        made = self.transcript = Transcript(self.remote)
        message = struct.pack("<II", INITIATION, self.index) + self.ephemeral.public
        made.mix_ephemeral(self.ephemeral.public)
        key = made.mix_key(self.ephemeral.exchange(self.remote))
        message += made.seal(key, self.static.public)
        key = made.mix_key(self.static.exchange(self.remote))
        return message + made.seal(key, when)

    def consume(self, message):
        """The session that a response makes."""
        kind, sender, receiver = struct.unpack("<III", message[:12])
        if len(message) != SIZES[RESPONSE] or kind != RESPONSE or receiver != self.index:
            raise Forged("no response to this initiation")
        check_mac1(message, self.static.public)
        made, ephemeral = self.transcript, message[12:44]
        made.mix_ephemeral(ephemeral)
        made.mix_agreement(self.ephemeral.exchange(ephemeral))
        made.mix_agreement(self.static.exchange(ephemeral))
        made.unseal(made.mix_preshared(self.preshared), message[44:60])
        return Session(*kdf(2, made.chain, b""), self.index, sender, made.chain)


class Responder:
    """Opens an initiation to this static key: remote is who sent it, and timestamp when."""

    def __init__(self, static, message, preshared=bytes(32)):
        kind, self.remote_index = struct.unpack("<II", message[:8])
        if len(message) != SIZES[INITIATION] or kind != INITIATION:
            raise Forged("no initiation")
        check_mac1(message, static.public)
        self.preshared = preshared
        self.remote_ephemeral = message[8:40]
        made = self.transcript = Transcript(static.public)
        made.mix_ephemeral(self.remote_ephemeral)
        key = made.mix_key(static.exchange(self.remote_ephemeral))
        self.remote = made.unseal(key, message[40:88])
        key = made.mix_key(static.exchange(self.remote))
        self.timestamp = made.unseal(key, message[88:116])
        self.session = None

    def response(self, ephemeral=None, index=None):
        """Without its macs. It makes the session."""
        ephemeral = ephemeral or KeyPair()
        index = new_index() if index is None else index
        made = self.transcript
        message = struct.pack("<III", RESPONSE, index, self.remote_index) + ephemeral.public
        made.mix_ephemeral(ephemeral.public)
        made.mix_agreement(ephemeral.exchange(self.remote_ephemeral))
        made.mix_agreement(ephemeral.exchange(self.remote))
        message += made.seal(made.mix_preshared(self.preshared), b"")
        receive, send = kdf(2, made.chain, b"")
        self.session = Session(send, receive, index, self.remote_index, made.chain)
        return message


# 5.4.4 and 5.4.7: macs and cookies


def add_macs(message, receiver, cookie=None):
    """A handshake message that was made without them, to the owner of a public key."""
    message += mac(blake2s(b"mac1----" + receiver), message)
    return message + (mac(cookie, message) if cookie else bytes(16))


def check_mac1(message, own):
    if mac(blake2s(b"mac1----" + own), message[:-MACS]) != message[-MACS:-16]:
        raise Forged("mac1")


def has_mac2(message, cookie):
    return mac(cookie, message[:-16]) == message[-16:]


def cookie_reply(message, own, cookie, nonce24=None):
    """What the owner of a public key answers to a handshake message under load."""
    nonce24 = nonce24 or os.urandom(24)
    return struct.pack("<I", COOKIE) + message[4:8] + nonce24 + xseal(
        blake2s(b"cookie--" + own), nonce24, cookie, message[-MACS:-16])


def open_cookie_reply(reply, message, remote):
    """The cookie in an answer to this message, from the owner of a public key."""
    if len(reply) != SIZES[COOKIE] or reply[:8] != struct.pack("<I", COOKIE) + message[4:8]:
        raise Forged("no cookie reply to this message")
    return xunseal(blake2s(b"cookie--" + remote), reply[8:32], reply[32:], message[-MACS:-16])


# 5.4.5 and 5.4.6: transport


def pad(packet):
    return packet + bytes(-len(packet) % 16)


class Session:
    def __init__(self, send, receive, index, remote_index, chain):
        self.send_key, self.receive_key = send, receive
        self.index, self.remote_index = index, remote_index
        self.chain = chain  # C at the end, to be forgotten by everybody else
        self.counter = 0

    def seal(self, packet=b"", counter=None):
        """A transport message; the next one, or that of any counter. It is padded by who calls."""
        if counter is None:
            counter = self.counter
            self.counter += 1
        return struct.pack("<IIQ", TRANSPORT, self.remote_index, counter) + seal(
            self.send_key, counter, packet)

    def open(self, message):
        """Counter and packet, with its padding."""
        kind, receiver, counter = struct.unpack("<IIQ", message[:16])
        if kind != TRANSPORT or receiver != self.index:
            raise Forged("not of this session")
        return counter, unseal(self.receive_key, counter, message[16:])
