"""Tokens as an OIDC issuer signs them: JSON Web Tokens (RFC 7519) by RS256, and its public key as a JSON Web Key (RFC 7517)."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

_KEY_ID = "bed"


def signing_key(private: Path) -> RSAPrivateKey:
    """The key in the file `private`."""
    key = load_pem_private_key(private.read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError(f"{private} holds no RSA key.")
    return key


def signed(claims: Mapping[str, Any], key: RSAPrivateKey) -> str:
    """A token that says `claims`."""
    header = {"alg": "RS256", "typ": "JWT", "kid": _KEY_ID}
    content = b".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
    return b".".join((content, _encoded(key.sign(content, PKCS1v15(), SHA256())))).decode()


def key_set(key: RSAPrivateKey) -> dict[str, Any]:
    """What everybody needs to check tokens signed by `key`."""
    numbers = key.public_key().public_numbers()
    return {
        "keys": [{"kid": _KEY_ID, "kty": "RSA", "alg": "RS256", "use": "sig", "n": _number(numbers.n), "e": _number(numbers.e)}]
    }


def _number(number: int) -> str:
    return _encoded(number.to_bytes((number.bit_length() + 7) // 8)).decode()


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
