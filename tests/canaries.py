"""Secrets in every form in which they could turn up where they do not belong."""

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_SHORTEST = 16
"""Characters: shorter pieces could turn up by chance."""
JSON_WEB_TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}")
"""Of a ServiceAccount, or of Jobbergate's issuer."""


@dataclass(frozen=True)
class Canary:
    """A secret that was put somewhere, to see where it goes."""

    what: str
    """For people: whose secret it is."""
    traces: frozenset[bytes]
    """It was there where one of these is."""

    @classmethod
    def of(cls, what: str, secret: bytes) -> "Canary":
        """As it is, in hexadecimal, percent-encoded, and in base64, at whichever place of a longer text."""
        traces = {secret, secret.hex().encode(), quote(secret).encode(), *_in_base64(secret)}
        return cls(what, frozenset(traces | {again for each in _in_base64(secret) for again in _in_base64(each)}))

    @classmethod
    def of_key(cls, what: str, pem: bytes) -> "Canary":
        """A private key: each of its lines that is not the same in every key, or in its public half."""
        lines = pem.strip().splitlines()[3:-1]
        return cls(what, frozenset(trace for line in lines if len(line) >= _SHORTEST for trace in cls.of(what, line).traces))

    def sung(self, text: bytes) -> bool:
        """Whether it is in this text."""
        return any(trace in text for trace in self.traces)


def found(canaries: Iterable[Canary], record: bytes, where: str) -> Iterator[str]:
    """For each that is in a record: which, and where."""
    return (f"{canary.what} is in {where}" for canary in canaries if canary.sung(record))


def keys(folder: Path) -> list[Canary]:
    """The private keys of a bed's people."""
    return [Canary.of_key(f"the key of {path.name}", path.read_bytes()) for path in folder.iterdir() if not path.suffix]


def _in_base64(secret: bytes) -> set[bytes]:
    """What stands in the base64 of any text that contains it, whatever is before and after it there."""
    found = set()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + secret)
        found.add(whole[-(-before * 8 // 6) + (1 if before else 0) : len(whole) - 4])
    return {each for each in found if len(each) >= _SHORTEST}
