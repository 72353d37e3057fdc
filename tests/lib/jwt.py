"""Signed tokens (JWT), and the keys that they are signed with, as issuers publish them."""

import base64
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length=None):
    return encoded(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


class Key:
    """A pair of keys, of an algorithm: RS256 or ES256."""

    def __init__(self, kid, algorithm="RS256", bits=2048):
        self.kid = kid
        self.algorithm = algorithm
        self.private = rsa.generate_private_key(65537, bits) if algorithm == "RS256" else \
            ec.generate_private_key(ec.SECP256R1())

    def published(self):
        public = self.private.public_key().public_numbers()
        if self.algorithm == "RS256":
            kind = {"kty": "RSA", "n": number(public.n), "e": number(public.e)}
        else:
            kind = {"kty": "EC", "crv": "P-256", "x": number(public.x, 32), "y": number(public.y, 32)}
        return {"kid": self.kid, "use": "sig", "alg": self.algorithm, **kind}

    def sign(self, data):
        if self.algorithm == "RS256":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        r, s = utils.decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def token(self, claims):
        header = {"typ": "JWT", "alg": self.algorithm, "kid": self.kid}
        text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        return f"{text}.{encoded(self.sign(text.encode()))}"
