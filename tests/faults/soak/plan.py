"""Which faults come when, for how long and together with which: all of it follows from the seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tests.faults.soak.faults.table import Fault

MOST_AT_ONCE = 3
SHORTEST_SECONDS = 0.2
LONG_CHANCE = 0.15


@dataclass(frozen=True)
class Injection:
    """One fault, once."""

    fault: Fault
    seconds: float
    after: float
    """Seconds after its round began: between faults there is time to go on."""
    seed: str
    """For what the fault itself leaves to chance."""


Round = tuple[Injection, ...]
"""Faults that overlap. No two are of the same part: neither could be told from the other, nor ended without it."""


def rounds(seed: int, injections: int, table: Sequence[Fault], usual_seconds: float, most_seconds: float) -> Iterator[Round]:
    """So many injections. Most last up to `usual_seconds`, some up to `most_seconds`."""
    chance = Random(f"{seed} faults")
    number = 0
    while number < injections:
        chosen: list[Injection] = []
        for _ in range(min(chance.randint(1, MOST_AT_ONCE), injections - number)):
            taken = {injection.fault.part for injection in chosen}
            free = [fault for fault in table if fault.part not in taken]
            if not free:
                break
            (fault,) = chance.choices(free, [fault.weight for fault in free])
            most = most_seconds if chance.random() < LONG_CHANCE else usual_seconds
            seconds = chance.uniform(SHORTEST_SECONDS, most)
            chosen.append(Injection(fault, seconds, chance.uniform(0, usual_seconds), f"{seed} {number}"))
            number += 1
        yield tuple(chosen)
