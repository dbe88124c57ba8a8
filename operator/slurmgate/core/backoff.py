"""How long to wait before the next try."""

from datetime import timedelta
from zlib import crc32

FIRST_SECONDS = 2.0
LONGEST_SECONDS = 120.0
_SPREAD = 0.25


def longest_delay() -> int:
    """Seconds that `delay` never exceeds."""
    return round(LONGEST_SECONDS * (1 + _SPREAD))


def delay(tries: int, *, seed: str) -> timedelta:
    """Doubles with each try in a row from 2 s to 2 min, plus up to a quarter so that many do not retry at once.

    That quarter comes from the seed (a submission's token), not from chance: the same history gives the same times.
    """
    spread = crc32(f"{seed}/{tries}".encode()) / 2**32
    return timedelta(seconds=min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(tries, 10)) * (1 + spread * _SPREAD))
